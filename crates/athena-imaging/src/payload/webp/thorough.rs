//! Prediction for the fewest bits: every predictor is tried, and colours are taken from each other tile by tile.

use super::{
    cross_colour::{CrossColour, Multipliers},
    groups::Cost,
    histogram::{ONE_BIT, log2},
    predict::{Planes, Predictors, Residuals},
    predictors::{self, leave},
};
use crate::{scratch, simd};

/// Pixels of a side of the tiles that share a predictor, as a power of two.
pub(super) const TILE_BITS: u32 = 3;
const TILE: usize = 1 << TILE_BITS;
const AREA: usize = TILE * TILE;
/// Of so many predictors, those that leave the least in absolute values, the bits are counted.
const FINALISTS: usize = 3;
/// Classes of tiles that are about equally hard to predict.
const CLASSES: usize = 36;
/// About what it takes to tell another predictor than that of the tile before, in sixteenths of bits.
const OTHER: u32 = 2 * 16;

/// Predictors that are slow to decode should save this part of their bits.
const SLOW: u32 = 64;
/// Tiles that take less than this, half a bit for a pixel, are as easy as each other: groups are for the others.
const LEAST: u32 = AREA as u32 * 8;

/// What a predictor leaves of a tile: green, red and blue, row by row, zero outside the picture.
pub(super) type Left = [[u8; AREA]; 3];

/// What was found out about a tile.
#[derive(Debug, Clone, Copy)]
struct Tile {
    /// The best predictors and the absolute values that they leave, the best one first.
    finalists: [(u32, u8); FINALISTS],
}

impl Tile {
    /// Whether the best predictor leaves nothing, so that there is nothing to choose.
    fn is_empty(&self) -> bool {
        self.finalists[0].0 == 0
    }

    /// Half an octave of what is left.
    fn class(&self) -> usize {
        (log2(self.finalists[0].0 + 1) / 128) as usize
    }
}

/// Predicts each tile in the way that takes the fewest bits.
pub(super) fn predict(pixels: &Planes) -> (Residuals, CrossColour) {
    let (width, height) = (pixels.width, pixels.height());
    let columns = width.div_ceil(TILE);
    let count = columns * height.div_ceil(TILE);
    let mut bytes = scratch::to_overwrite(count * FINALISTS * size_of::<Left>());
    let lefts: &mut [[Left; FINALISTS]] =
        bytes.as_chunks_mut().0.as_chunks_mut().0.as_chunks_mut().0;
    let mut tiles: Vec<Tile> = Vec::with_capacity(count);
    let mut strip = Strip::new(width);
    let mut room = lefts.iter_mut();
    let mut last = 1;
    for top in (0..height).step_by(TILE) {
        strip.leave(pixels, top);
        for (x, lefts) in (0..width).step_by(TILE).zip(&mut room) {
            let tile = strip.finalists(x, last);
            last = tile.finalists[0].1;
            if tile.is_empty() {
                lefts[0] = [[0; AREA]; 3];
            } else {
                for (left, (_, number)) in lefts.iter_mut().zip(tile.finalists) {
                    strip.copy(number, x, left);
                }
            }
            tiles.push(tile);
        }
    }
    let cross_colour = CrossColour::of(columns, lefts.iter().map(|[best, ..]| best));
    let others = tiles.iter().zip(lefts.iter_mut()).enumerate();
    for (index, (_, lefts)) in others.filter(|(_, (tile, _))| !tile.is_empty()) {
        let multipliers = cross_colour.at(index % columns, index / columns);
        for [green, red, blue] in lefts {
            take(green, multipliers, red, blue);
        }
    }
    let prices = prices(&tiles, lefts);
    let mut planes = Planes::new(width, height);
    let mut numbers = Vec::with_capacity(count);
    let mut costs = Vec::with_capacity(count);
    for (index, (tile, lefts)) in tiles.iter().zip(&*lefts).enumerate() {
        let (best, sum) = tile.choose(lefts, &prices[tile.class()], numbers.last().copied());
        numbers.push(tile.finalists[best].1);
        costs.push(Cost {
            sum: sum.max(LEAST),
            coloured: false,
        });
        let (x, top) = (index % columns * TILE, index / columns * TILE);
        put(&lefts[best], x, top, &mut planes);
    }
    scratch::give_back(bytes);
    let residuals = Residuals {
        planes,
        predictors: Predictors::new(TILE_BITS, columns, numbers),
        costs,
    };
    (residuals, cross_colour)
}

impl Tile {
    /// The finalist that takes the fewest bits, and about how many, in sixteenths.
    fn choose(&self, lefts: &[Left; FINALISTS], prices: &Prices, last: Option<u8>) -> (usize, u32) {
        if self.is_empty() {
            return (0, 0);
        }
        let least = self.finalists[0].0;
        let mut best = (0, 0, u32::MAX);
        for (i, ((sum, number), left)) in self.finalists.into_iter().zip(lefts).enumerate() {
            // What leaves so much more does not take less.
            if sum > least + least / 4 {
                break;
            }
            let price = price(left, prices);
            let slow = if predictors::is_serial(number) {
                price / SLOW
            } else {
                0
            };
            let all = price + slow + if last == Some(number) { 0 } else { OTHER };
            if all < best.2 {
                best = (i, price, all);
            }
        }
        (best.0, best.1)
    }
}

/// Sixteenths of bits for each green, red and blue.
type Prices = [[u16; 256]; 3];

fn prices(tiles: &[Tile], lefts: &[[Left; FINALISTS]]) -> Vec<Prices> {
    let mut counts = vec![[[0_u32; 256]; 3]; CLASSES];
    let others = tiles.iter().zip(lefts).filter(|(tile, _)| !tile.is_empty());
    for (tile, [best, ..]) in others {
        let [greens, reds, blues] = &mut counts[tile.class()];
        let [green, red, blue] = best;
        for i in 0..AREA {
            greens[usize::from(green[i])] += 1;
            reds[usize::from(red[i])] += 1;
            blues[usize::from(blue[i])] += 1;
        }
    }
    counts
        .iter()
        .map(|counts| counts.each_ref().map(price_of))
        .collect()
}

/// About the bits of symbols that occur so often, in sixteenths.
fn price_of(counts: &[u32; 256]) -> [u16; 256] {
    // Classes have few tiles, and chance should not decide: what never occurs may.
    let total = log2(counts.iter().sum::<u32>() * 2 + 256);
    counts.map(|count| ((total - log2(count * 2 + 1)) / (ONE_BIT as u32 / 16)) as u16)
}

fn price([green, red, blue]: &Left, [greens, reds, blues]: &Prices) -> u32 {
    let mut sum = 0;
    for i in 0..AREA {
        sum += u32::from(greens[usize::from(green[i])])
            + u32::from(reds[usize::from(red[i])])
            + u32::from(blues[usize::from(blue[i])]);
    }
    sum
}

/// Puts a tile where it belongs, as far as it is inside.
fn put(left: &Left, x: usize, top: usize, planes: &mut Planes) {
    let width = planes.width;
    for (from, plane) in left.iter().zip(planes.planes_mut()) {
        let rows = plane[top * width..].chunks_exact_mut(width);
        for (from, row) in from.as_chunks::<TILE>().0.iter().zip(rows) {
            match row[x..].first_chunk_mut() {
                Some(to) => *to = *from,
                None => row[x..].copy_from_slice(&from[..width - x]),
            }
        }
    }
}

/// What each predictor leaves of some rows.
struct Strip {
    width: usize,
    rows: usize,
    /// For each predictor, green, red and blue, one plane after the other.
    bytes: Vec<u8>,
    /// For each predictor, the absolute values of each column, less green.
    sums: Vec<u16>,
}

impl Strip {
    fn new(width: usize) -> Self {
        let predictors = usize::from(predictors::LAST);
        Self {
            width,
            rows: 0,
            bytes: vec![0; predictors * 3 * TILE * width],
            sums: vec![0; predictors * width],
        }
    }

    fn leave(&mut self, pixels: &Planes, top: usize) {
        let (width, plane) = (self.width, self.width * TILE);
        self.rows = TILE.min(pixels.height() - top);
        self.sums.fill(0);
        let each = self
            .bytes
            .chunks_exact_mut(3 * plane)
            .zip(self.sums.chunks_exact_mut(width));
        for (number, (bytes, sums)) in (1..).zip(each) {
            let (green, others) = bytes.split_at_mut(plane);
            let (red, blue) = others.split_at_mut(plane);
            let [green, red, blue] =
                [green, red, blue].map(|plane| &mut plane[..self.rows * width]);
            leave(number, pixels, top, [&mut *green, &mut *red, &mut *blue]);
            add_magnitudes(green, red, blue, sums);
        }
    }

    /// The predictors that leave the least of the tile that begins here, of equal ones rather the last tile's.
    fn finalists(&self, x: usize, last: u8) -> Tile {
        let columns = x..(x + TILE).min(self.width);
        let sum_of = |sums: &[u16]| {
            let sums = &sums[columns.clone()];
            sums.iter().map(|sum| u32::from(*sum)).sum::<u32>()
        };
        let of_last = &self.sums[usize::from(last - 1) * self.width..][..self.width];
        if sum_of(of_last) == 0 {
            return Tile {
                finalists: [(0, last); FINALISTS],
            };
        }
        let mut finalists = [(u32::MAX, 1); FINALISTS];
        for (number, sums) in (1..).zip(self.sums.chunks_exact(self.width)) {
            let sum = sum_of(sums);
            let mut next = (sum, number);
            for finalist in &mut finalists {
                if next.0 < finalist.0 || (next.0 == finalist.0 && next.1 == last) {
                    std::mem::swap(finalist, &mut next);
                }
            }
        }
        Tile { finalists }
    }

    fn copy(&self, number: u8, x: usize, left: &mut Left) {
        let planes = self.bytes[usize::from(number - 1) * 3 * TILE * self.width..]
            .chunks_exact(TILE * self.width);
        for (plane, left) in planes.zip(left) {
            let rows = plane[..self.rows * self.width].chunks_exact(self.width);
            let to = left.as_chunks_mut::<TILE>().0;
            if self.rows < TILE {
                to.fill([0; TILE]);
            }
            for (row, to) in rows.zip(to) {
                match row[x..].first_chunk() {
                    Some(from) => *to = *from,
                    None => {
                        *to = [0; TILE];
                        to[..self.width - x].copy_from_slice(&row[x..]);
                    }
                }
            }
        }
    }
}

simd::kernel! {
    /// Adds the absolute values of some rows to the sums of their columns, green taken from red and blue.
    fn add_magnitudes(green: &[u8], red: &[u8], blue: &[u8], sums: &mut [u16]) {
        let width = sums.len();
        let rows = green.chunks_exact(width).zip(red.chunks_exact(width)).zip(blue.chunks_exact(width));
        let magnitude = |value: u8| u16::from(value.min(value.wrapping_neg()));
        for ((green, red), blue) in rows {
            for i in 0..width {
                sums[i] += magnitude(green[i])
                    + magnitude(red[i].wrapping_sub(green[i]))
                    + magnitude(blue[i].wrapping_sub(green[i]));
            }
        }
    }
}

simd::kernel! {
    /// Takes from a tile's red and blue what the multipliers say.
    fn take(green: &[u8; AREA], multipliers: Multipliers, red: &mut [u8; AREA], blue: &mut [u8; AREA]) {
        for i in 0..AREA {
            (red[i], blue[i]) = multipliers.leave(green[i], red[i], blue[i]);
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::simd::testing::{LENGTHS, assert_same, bytes};

    #[test]
    fn every_instruction_set_adds_alike() {
        for len in LENGTHS {
            for (a, b) in bytes(len * 3).iter().zip(bytes(len * 3).iter().rev()) {
                assert_same!(add_magnitudes(a, b, a; vec![3; len]));
            }
        }
    }

    #[test]
    fn every_instruction_set_takes_alike() {
        let planes = bytes(AREA);
        let planes = planes
            .each_ref()
            .map(|plane| *plane.first_chunk().expect("a tile"));
        for (first, second, third) in [(32, 32, 0), (-128, 127, 5), (7, -9, -128)] {
            let multipliers = Multipliers::new(first, second, third);
            for green in planes {
                let (mut red, mut blue) = (planes[3], planes[2]);
                let (mut portable_red, mut portable_blue) = (red, blue);
                take(&green, multipliers, &mut red, &mut blue);
                take::portable(&green, multipliers, &mut portable_red, &mut portable_blue);
                assert_eq!((red, blue), (portable_red, portable_blue));
            }
        }
    }
}
