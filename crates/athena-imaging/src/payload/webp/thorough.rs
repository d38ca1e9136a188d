//! Prediction for the fewest bits: every predictor is tried, and colours are taken from each other tile by tile.

use super::{
    cross_colour::CrossColour,
    histogram::{ONE_BIT, log2},
    picture::Picture,
    predict::{Planes, Predictors},
    predictors::{self, leave},
};
use crate::simd;

/// Pixels of a side of the tiles that share a predictor, as a power of two.
const TILE_BITS: u32 = 3;
const TILE: usize = 1 << TILE_BITS;
/// Of so many predictors, those that leave the least in absolute values, the bits are counted.
const FINALISTS: usize = 3;
/// Classes of tiles that are about equally hard to predict.
const CLASSES: usize = 36;

/// What prediction leaves of a picture, and how.
#[derive(Debug)]
pub(super) struct Thorough {
    pub(super) predictors: Predictors,
    pub(super) cross_colour: CrossColour,
    pub(super) picture: Picture<4>,
}

/// What was found out about a tile.
#[derive(Debug, Clone, Copy, Default)]
struct Tile {
    /// The best predictors and the absolute values that they leave, the best one first.
    finalists: [(u32, u8); FINALISTS],
}

impl Tile {
    /// Half an octave of what is left.
    fn class(&self) -> usize {
        (log2(self.finalists[0].0 + 1) / 128) as usize
    }
}

/// Predicts each tile in the way that takes the fewest bits.
pub(super) fn predict(pixels: &Planes) -> Thorough {
    let width = pixels.width;
    let height = pixels.height();
    let columns = width.div_ceil(TILE);
    let mut strip = Strip::new(width);
    let mut residuals = Planes::new(width, height);
    let mut tiles: Vec<Tile> = Vec::with_capacity(columns * height.div_ceil(TILE));
    for top in (0..height).step_by(TILE) {
        strip.leave(pixels, top, true);
        for x in (0..width).step_by(TILE) {
            let tile = strip.finalists(x);
            tiles.push(tile);
            strip.copy(tile.finalists[0].1, x, top, &mut residuals);
        }
    }
    let cross_colour = CrossColour::of(&residuals);
    let prices = prices(&residuals, &tiles, columns, &cross_colour);
    let mut picture = Picture::new(width, height);
    let mut numbers = Vec::with_capacity(tiles.len());
    for top in (0..height).step_by(TILE) {
        strip.leave(pixels, top, false);
        for x in (0..width).step_by(TILE) {
            let tile = tiles[numbers.len()];
            let price = |number| strip.price(number, x, top, &cross_colour, &prices[tile.class()]);
            // Where a predictor leaves nothing, there is nothing to count.
            let best = match tile.finalists {
                [(0, number), ..] => Some(number),
                finalists => finalists
                    .map(|(_, number)| number)
                    .into_iter()
                    .min_by_key(|number| price(*number)),
            };
            let best = best.unwrap_or(predictors::LAST);
            numbers.push(best);
            strip.put(best, x, top, &cross_colour, &mut picture);
        }
    }
    Thorough {
        predictors: Predictors::new(TILE_BITS, columns, numbers),
        cross_colour,
        picture,
    }
}

/// Sixteenths of bits for each green, red and blue.
type Prices = [[u16; 256]; 3];

fn prices(
    residuals: &Planes,
    tiles: &[Tile],
    columns: usize,
    cross_colour: &CrossColour,
) -> Vec<Prices> {
    let mut counts = vec![[[0_u32; 256]; 3]; CLASSES];
    let width = residuals.width;
    let [green, red, blue] = residuals.planes();
    for y in 0..residuals.height() {
        for x in (0..width).step_by(TILE) {
            let counts = &mut counts[tiles[(y >> TILE_BITS) * columns + (x >> TILE_BITS)].class()];
            let multipliers = cross_colour.at(x, y);
            for i in y * width + x..y * width + (x + TILE).min(width) {
                let (red, blue) = multipliers.leave(green[i], red[i], blue[i]);
                counts[0][usize::from(green[i])] += 1;
                counts[1][usize::from(red)] += 1;
                counts[2][usize::from(blue)] += 1;
            }
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

    fn leave(&mut self, pixels: &Planes, top: usize, with_sums: bool) {
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
            for row in 0..self.rows {
                let [green, red, blue] = [&mut *green, &mut *red, &mut *blue]
                    .map(|plane| &mut plane[row * width..][..width]);
                leave(
                    number,
                    pixels,
                    top + row,
                    [&mut *green, &mut *red, &mut *blue],
                );
                if with_sums {
                    add_magnitudes(green, red, blue, sums);
                }
            }
        }
    }

    fn of(&self, number: u8) -> [&[u8]; 3] {
        let plane = self.width * TILE;
        let bytes = &self.bytes[usize::from(number - 1) * 3 * plane..][..3 * plane];
        let (green, others) = bytes.split_at(plane);
        let (red, blue) = others.split_at(plane);
        [green, red, blue]
    }

    /// The columns of the tile that begins here.
    fn columns(&self, x: usize) -> std::ops::Range<usize> {
        x..(x + TILE).min(self.width)
    }

    fn finalists(&self, x: usize) -> Tile {
        let mut finalists = [(u32::MAX, 1); FINALISTS];
        for (number, sums) in (1..).zip(self.sums.chunks_exact(self.width)) {
            let sum: u32 = sums[self.columns(x)]
                .iter()
                .map(|sum| u32::from(*sum))
                .sum();
            if sum < finalists[FINALISTS - 1].0 {
                finalists[FINALISTS - 1] = (sum, number);
                finalists.sort_unstable();
            }
        }
        Tile { finalists }
    }

    fn copy(&self, number: u8, x: usize, top: usize, out: &mut Planes) {
        let columns = self.columns(x);
        for row in 0..self.rows {
            let from = self
                .of(number)
                .map(|plane| &plane[row * self.width..][columns.clone()]);
            for (from, to) in from.into_iter().zip(out.row_mut(top + row)) {
                to[columns.clone()].copy_from_slice(from);
            }
        }
    }

    fn price(
        &self,
        number: u8,
        x: usize,
        top: usize,
        cross_colour: &CrossColour,
        prices: &Prices,
    ) -> u32 {
        let columns = self.columns(x);
        let multipliers = cross_colour.at(x, top);
        let [greens, reds, blues] = prices;
        let mut sum = 0;
        for row in 0..self.rows {
            let [green, red, blue] = self
                .of(number)
                .map(|plane| &plane[row * self.width..][columns.clone()]);
            for ((green, red), blue) in green.iter().zip(red).zip(blue) {
                let (red, blue) = multipliers.leave(*green, *red, *blue);
                sum += u32::from(greens[usize::from(*green)])
                    + u32::from(reds[usize::from(red)])
                    + u32::from(blues[usize::from(blue)]);
            }
        }
        sum
    }

    fn put(
        &self,
        number: u8,
        x: usize,
        top: usize,
        cross_colour: &CrossColour,
        out: &mut Picture<4>,
    ) {
        let columns = self.columns(x);
        let multipliers = cross_colour.at(x, top);
        let width = self.width;
        for row in 0..self.rows {
            let [green, red, blue] = self
                .of(number)
                .map(|plane| &plane[row * width..][columns.clone()]);
            let out = &mut out.pixels_mut()[(top + row) * width..][columns.clone()];
            for (((green, red), blue), out) in green.iter().zip(red).zip(blue).zip(out) {
                let (red, blue) = multipliers.leave(*green, *red, *blue);
                *out = [blue, *green, red, 0];
            }
        }
    }
}

simd::kernel! {
    /// Adds the absolute values of a row to the sums of its columns, green taken from red and blue.
    fn add_magnitudes(green: &[u8], red: &[u8], blue: &[u8], sums: &mut [u16]) {
        let len = sums.len();
        let (green, red, blue) = (&green[..len], &red[..len], &blue[..len]);
        let magnitude = |value: u8| u16::from(value.min(value.wrapping_neg()));
        for i in 0..len {
            sums[i] += magnitude(green[i])
                + magnitude(red[i].wrapping_sub(green[i]))
                + magnitude(blue[i].wrapping_sub(green[i]));
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
            for (a, b) in bytes(len).iter().zip(bytes(len).iter().rev()) {
                assert_same!(add_magnitudes(a, b, a; vec![3; len]));
            }
        }
    }
}
