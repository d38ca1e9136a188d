//! Prediction from neighbours: what is left of a photograph is small numbers.

use super::{WebpEffort, bits::BitWriter, groups::Cost, picture::Picture, tokens};
use crate::{Frame, scratch, simd};

/// Tiles of 16 x 16 pixels share a predictor.
pub(super) const TILE_BITS: u32 = 4;
const TILE: usize = 1 << TILE_BITS;

/// The predictors that are tried, by their numbers in the format.
const PREDICTORS: [u8; CANDIDATES] = [1, 2, 7, 12, 11];
const CANDIDATES: usize = 5;
/// So many parts of 64 a candidate must leave less than the others: an average, and the selection, need the pixel just
/// decoded, so that libwebp takes longer for them.
const HANDICAPS: [u32; CANDIDATES] = [0, 0, 4, 0, 2];

/// Green, red and blue apart, or what is left of them.
#[derive(Debug)]
pub(super) struct Planes {
    pub(super) width: usize,
    /// One plane after the other.
    bytes: Vec<u8>,
}

impl Planes {
    /// Planes that are to be overwritten.
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            bytes: scratch::to_overwrite(width * height * 3),
        }
    }

    /// The pixels of a frame.
    pub(super) fn of(frame: &Frame) -> Self {
        let mut planes = Self::new(frame.width() as usize, frame.height() as usize);
        let [green, red, blue] = planes.planes_mut();
        split(frame.data(), green, red, blue);
        planes
    }

    /// Pixels in a plane.
    fn len(&self) -> usize {
        self.bytes.len() / 3
    }

    /// Rows of pixels.
    pub(super) fn height(&self) -> usize {
        self.len() / self.width
    }

    pub(super) fn planes(&self) -> [&[u8]; 3] {
        let (green, others) = self.bytes.split_at(self.len());
        let (red, blue) = others.split_at(self.len());
        [green, red, blue]
    }

    pub(super) fn planes_mut(&mut self) -> [&mut [u8]; 3] {
        let len = self.len();
        let (green, others) = self.bytes.split_at_mut(len);
        let (red, blue) = others.split_at_mut(len);
        [green, red, blue]
    }

    fn row(&self, y: usize) -> [&[u8]; 3] {
        self.planes()
            .map(|plane| &plane[y * self.width..][..self.width])
    }

    pub(super) fn row_mut(&mut self, y: usize) -> [&mut [u8]; 3] {
        let width = self.width;
        self.planes_mut()
            .map(|plane| &mut plane[y * width..][..width])
    }
}

impl Drop for Planes {
    fn drop(&mut self) {
        scratch::give_back(std::mem::take(&mut self.bytes));
    }
}

/// What prediction leaves of a picture, and what another transform leaves of that: by default, of green the difference, of
/// red and blue the difference less that of green.
#[derive(Debug)]
pub(super) struct Residuals {
    pub(super) planes: Planes,
    pub(super) predictors: Predictors,
    /// Some measure of what is left of each tile.
    pub(super) costs: Vec<Cost>,
}

/// How each tile is predicted.
#[derive(Debug)]
pub(super) struct Predictors {
    bits: u32,
    columns: usize,
    numbers: Vec<u8>,
}

impl Predictors {
    /// Of tiles of `1 << bits` pixels a side, so many in a row, the numbers in the format.
    pub(super) fn new(bits: u32, columns: usize, numbers: Vec<u8>) -> Self {
        Self {
            bits,
            columns,
            numbers,
        }
    }

    /// Writes how each tile is predicted.
    pub(super) fn write(&self, out: &mut BitWriter) {
        out.put(self.bits - 2, 3);
        let pixels = self.numbers.as_chunks().0;
        tokens::write_small::<1>(&Picture::of(pixels, self.columns), out);
    }
}

impl Residuals {
    /// As pixels.
    pub(super) fn picture(&self) -> Picture<4> {
        let [green, red, blue] = self.planes.planes();
        let mut picture = Picture::new(self.planes.width, self.planes.len() / self.planes.width);
        join(green, red, blue, picture.pixels_mut());
        picture
    }
}

/// Predicts each tile in the way that leaves the least of its rows, or of every fourth one of them for speed.
pub(super) fn predict(pixels: &Planes, effort: WebpEffort) -> Residuals {
    let step = if effort == WebpEffort::Fastest { 4 } else { 1 };
    let width = pixels.width;
    let height = pixels.len() / width;
    let columns = width.div_ceil(TILE);
    let mut planes = Planes::new(width, height);
    let mut predictors = Vec::with_capacity(columns * height.div_ceil(TILE));
    let mut costs: Vec<Cost> = Vec::with_capacity(predictors.capacity());
    let mut by_column = [const { Vec::new() }; CANDIDATES];
    let mut chosen = vec![0; width];
    let mut colours = vec![0; width];
    for top in (0..height).step_by(TILE) {
        let rows = top..(top + TILE).min(height);
        for sums in &mut by_column {
            sums.clear();
            sums.resize(width, 0);
        }
        for y in rows.clone().skip(usize::from(top == 0)).step_by(step) {
            let ([g, r, b], [ga, ra, ba]) = (pixels.row(y), pixels.row(y - 1));
            let [s0, s1, s2, s3, s4] = &mut by_column;
            score(g, r, b, ga, ra, ba, s0, s1, s2, s3, s4);
        }
        for (x, chosen) in (0..width).step_by(TILE).zip(chosen.chunks_mut(TILE)) {
            let sum_of = |sums: &Vec<u16>| {
                sums[x..][..chosen.len()]
                    .iter()
                    .map(|s| u32::from(*s))
                    .sum::<u32>()
            };
            let candidates = by_column.each_ref().map(sum_of);
            let handicapped = |i: &usize| candidates[*i] * (64 + HANDICAPS[*i]);
            let best = (0..CANDIDATES).min_by_key(handicapped).unwrap_or(0);
            predictors.push(PREDICTORS[best]);
            costs.push(Cost {
                sum: candidates[best],
                coloured: false,
            });
            chosen.fill(best as u8);
        }
        for y in rows.clone() {
            let mut out = planes.row_mut(y);
            if y == 0 {
                first_row(pixels.row(0), &mut out);
            } else {
                let ([g, r, b], [ga, ra, ba]) = (pixels.row(y), pixels.row(y - 1));
                let [go, ro, bo] = &mut out;
                subtract(g, r, b, ga, ra, ba, &chosen, go, ro, bo);
                first_column(pixels.row(y), pixels.row(y - 1), &mut out);
            }
        }
        colours.fill(0);
        for y in rows {
            let [_, red, blue] = planes.row(y);
            gather(red, blue, &mut colours);
        }
        let of_these_rows = costs.len() - columns;
        for (cost, colours) in costs[of_these_rows..].iter_mut().zip(colours.chunks(TILE)) {
            cost.coloured = colours.iter().any(|bits| *bits != 0);
        }
    }
    Residuals {
        planes,
        predictors: Predictors::new(TILE_BITS, columns, predictors),
        costs,
    }
}

/// The first row is predicted from the left, its first pixel as black.
fn first_row(pixels: [&[u8]; 3], out: &mut [&mut [u8]; 3]) {
    let mut left = [0; 3];
    for x in 0..pixels[0].len() {
        let pixel = pixels.map(|plane| plane[x]);
        put(difference(pixel, left), x, out);
        left = pixel;
    }
}

/// The first column is predicted from above.
fn first_column(pixels: [&[u8]; 3], above: [&[u8]; 3], out: &mut [&mut [u8]; 3]) {
    let [pixel, above] = [pixels, above].map(|row| row.map(|plane| plane[0]));
    put(difference(pixel, above), 0, out);
}

fn difference(pixel: [u8; 3], predicted: [u8; 3]) -> [u8; 3] {
    let d: [u8; 3] = std::array::from_fn(|c| pixel[c].wrapping_sub(predicted[c]));
    [d[0], d[1].wrapping_sub(d[0]), d[2].wrapping_sub(d[0])]
}

fn put(values: [u8; 3], x: usize, out: &mut [&mut [u8]; 3]) {
    for (out, value) in out.iter_mut().zip(values) {
        out[x] = value;
    }
}

simd::kernel! {
    /// Takes blue, green and red apart.
    fn split(bgr: &[u8], green: &mut [u8], red: &mut [u8], blue: &mut [u8]) {
        let bgr = bgr.as_chunks::<3>().0;
        let len = bgr.len();
        let (green, red, blue) = (&mut green[..len], &mut red[..len], &mut blue[..len]);
        for i in 0..len {
            blue[i] = bgr[i][0];
            green[i] = bgr[i][1];
            red[i] = bgr[i][2];
        }
    }
}

simd::kernel! {
    /// Adds the bits that are set in red and blue to those of their columns.
    fn gather(red: &[u8], blue: &[u8], bits: &mut [u8]) {
        let len = bits.len();
        let (red, blue) = (&red[..len], &blue[..len]);
        for i in 0..len {
            bits[i] |= red[i] | blue[i];
        }
    }
}

simd::kernel! {
    /// Puts green, red and blue together.
    fn join(green: &[u8], red: &[u8], blue: &[u8], pixels: &mut [[u8; 4]]) {
        let len = pixels.len();
        let (green, red, blue) = (&green[..len], &red[..len], &blue[..len]);
        for i in 0..len {
            pixels[i] = [blue[i], green[i], red[i], 0];
        }
    }
}

/// A pixel of one plane with its neighbours.
#[derive(Clone, Copy)]
pub(super) struct Around {
    pub(super) pixel: u8,
    pub(super) left: u8,
    pub(super) top: u8,
    pub(super) top_left: u8,
}

impl Around {
    /// Half the sum of left and top, rounded down.
    #[inline(always)]
    fn average(self) -> u8 {
        (self.left & self.top) + ((self.left ^ self.top) >> 1)
    }

    /// `left + top - top_left`, clamped: of the two subtractions one is nothing.
    #[inline(always)]
    pub(super) fn gradient(self) -> u8 {
        self.left
            .saturating_add(self.top.saturating_sub(self.top_left))
            .saturating_sub(self.top_left.saturating_sub(self.top))
    }
}

/// Whether a pixel is nearer to its left neighbour than to the one above, as far as all planes tell.
#[inline(always)]
pub(super) fn is_left_nearer(g: Around, r: Around, b: Around) -> bool {
    let left = |a: Around| u16::from(a.top.abs_diff(a.top_left));
    let top = |a: Around| u16::from(a.left.abs_diff(a.top_left));
    left(g) + left(r) + left(b) < top(g) + top(r) + top(b)
}

#[inline(always)]
fn magnitude(value: u8) -> u16 {
    u16::from(value.min(value.wrapping_neg()))
}

/// What three predictions leave: of green the difference, of red and blue the difference less that of green.
#[inline(always)]
fn left_over(g: Around, r: Around, b: Around, predicted: (u8, u8, u8)) -> (u8, u8, u8) {
    let green = g.pixel.wrapping_sub(predicted.0);
    let red = r.pixel.wrapping_sub(predicted.1);
    let blue = b.pixel.wrapping_sub(predicted.2);
    (green, red.wrapping_sub(green), blue.wrapping_sub(green))
}

simd::kernel! {
    /// Adds to each candidate's sums, one for each column, what it leaves of a row. The first column does not count.
    fn score(
        green: &[u8], red: &[u8], blue: &[u8], green_above: &[u8], red_above: &[u8], blue_above: &[u8],
        s0: &mut [u16], s1: &mut [u16], s2: &mut [u16], s3: &mut [u16], s4: &mut [u16],
    ) {
        let len = green.len() - 1;
        let (g, gl, gt, gtl) = (&green[1..][..len], &green[..len], &green_above[1..][..len], &green_above[..len]);
        let (r, rl, rt, rtl) = (&red[1..][..len], &red[..len], &red_above[1..][..len], &red_above[..len]);
        let (b, bl, bt, btl) = (&blue[1..][..len], &blue[..len], &blue_above[1..][..len], &blue_above[..len]);
        let (s0, s1, s2) = (&mut s0[1..][..len], &mut s1[1..][..len], &mut s2[1..][..len]);
        let (s3, s4) = (&mut s3[1..][..len], &mut s4[1..][..len]);
        for i in 0..len {
            let g = Around { pixel: g[i], left: gl[i], top: gt[i], top_left: gtl[i] };
            let r = Around { pixel: r[i], left: rl[i], top: rt[i], top_left: rtl[i] };
            let b = Around { pixel: b[i], left: bl[i], top: bt[i], top_left: btl[i] };
            let cost = |predicted| {
                let (green, red, blue) = left_over(g, r, b, predicted);
                magnitude(green) + magnitude(red) + magnitude(blue)
            };
            let left = (g.left, r.left, b.left);
            let top = (g.top, r.top, b.top);
            s0[i] += cost(left);
            s1[i] += cost(top);
            s2[i] += cost((g.average(), r.average(), b.average()));
            s3[i] += cost((g.gradient(), r.gradient(), b.gradient()));
            s4[i] += if is_left_nearer(g, r, b) { cost(left) } else { cost(top) };
        }
    }
}

simd::kernel! {
    /// What the chosen candidate of each column leaves of a row, but for the first column.
    fn subtract(
        green: &[u8], red: &[u8], blue: &[u8], green_above: &[u8], red_above: &[u8], blue_above: &[u8],
        chosen: &[u8], green_out: &mut [u8], red_out: &mut [u8], blue_out: &mut [u8],
    ) {
        let len = green.len() - 1;
        let (g, gl, gt, gtl) = (&green[1..][..len], &green[..len], &green_above[1..][..len], &green_above[..len]);
        let (r, rl, rt, rtl) = (&red[1..][..len], &red[..len], &red_above[1..][..len], &red_above[..len]);
        let (b, bl, bt, btl) = (&blue[1..][..len], &blue[..len], &blue_above[1..][..len], &blue_above[..len]);
        let chosen = &chosen[1..][..len];
        let (green_out, red_out, blue_out) = (&mut green_out[1..][..len], &mut red_out[1..][..len], &mut blue_out[1..][..len]);
        for i in 0..len {
            let g = Around { pixel: g[i], left: gl[i], top: gt[i], top_left: gtl[i] };
            let r = Around { pixel: r[i], left: rl[i], top: rt[i], top_left: rtl[i] };
            let b = Around { pixel: b[i], left: bl[i], top: bt[i], top_left: btl[i] };
            let left_is_nearer = is_left_nearer(g, r, b);
            let pick = |a: Around| {
                let mut predicted = a.left;
                predicted = if chosen[i] == 1 { a.top } else { predicted };
                predicted = if chosen[i] == 2 { a.average() } else { predicted };
                predicted = if chosen[i] == 3 { a.gradient() } else { predicted };
                if (chosen[i] == 4) & !left_is_nearer { a.top } else { predicted }
            };
            let (green, red, blue) = left_over(g, r, b, (pick(g), pick(r), pick(b)));
            green_out[i] = green;
            red_out[i] = red;
            blue_out[i] = blue;
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::simd::testing::{LENGTHS, assert_same, bytes};

    #[test]
    fn every_instruction_set_takes_pixels_apart_alike() {
        for len in LENGTHS {
            for pixels in bytes(len * 3) {
                let mut planes = [(); 2].map(|()| [(); 3].map(|()| vec![0; len]));
                let [[g, r, b], [pg, pr, pb]] = &mut planes;
                split(&pixels, g, r, b);
                split::portable(&pixels, pg, pr, pb);
                assert_eq!(planes[0], planes[1]);
                let [g, r, b] = &planes[0];
                assert_same!(join(g, r, b; vec![[7; 4]; len]));
                assert_same!(gather(r, b; vec![1; len]));
            }
        }
    }

    #[test]
    fn every_instruction_set_predicts_alike() {
        for len in LENGTHS {
            for (rows, other) in bytes(len * 3).iter().zip(bytes(len * 3).iter().rev()) {
                let (row, above) = (rows.chunks_exact(len), other.chunks_exact(len));
                let [[g, r, b], [ga, ra, ba]] =
                    [row, above].map(|mut rows| [(); 3].map(|()| rows.next().expect("three rows")));
                let mut sums = [(); 2].map(|()| [(); CANDIDATES].map(|()| vec![3; len]));
                let [[s0, s1, s2, s3, s4], [p0, p1, p2, p3, p4]] = &mut sums;
                score(g, r, b, ga, ra, ba, s0, s1, s2, s3, s4);
                score::portable(g, r, b, ga, ra, ba, p0, p1, p2, p3, p4);
                assert_eq!(sums[0], sums[1]);

                let chosen: Vec<u8> = (0..len).map(|i| (i % CANDIDATES) as u8).collect();
                let mut left = [(); 2].map(|()| [(); 3].map(|()| vec![0; len]));
                let [[go, ro, bo], [pg, pr, pb]] = &mut left;
                subtract(g, r, b, ga, ra, ba, &chosen, go, ro, bo);
                subtract::portable(g, r, b, ga, ra, ba, &chosen, pg, pr, pb);
                assert_eq!(left[0], left[1]);
            }
        }
    }
}
