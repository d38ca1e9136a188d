//! How much of green to take from red and blue, and of red from blue, tile by tile.

use super::{
    bits::BitWriter,
    picture::Picture,
    thorough::{self, Left},
    tokens,
};
use crate::simd;

/// Pixels of a side of a tile, as a power of two: of twice that of the tiles that share a predictor.
const TILE_BITS: u32 = thorough::TILE_BITS + 1;
const AREA: usize = 1 << (2 * TILE_BITS);

/// What is taken, in parts of 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Multipliers {
    green_to_red: i8,
    green_to_blue: i8,
    red_to_blue: i8,
}

/// The multipliers of a picture's tiles.
#[derive(Debug)]
pub(super) struct CrossColour {
    columns: usize,
    tiles: Vec<Multipliers>,
}

impl CrossColour {
    /// The multipliers that leave the least of what prediction left of smaller tiles, so many in a row.
    pub(super) fn of<'a>(columns: usize, lefts: impl ExactSizeIterator<Item = &'a Left>) -> Self {
        let per_row = columns;
        let columns = per_row.div_ceil(2);
        let mut tiles: Vec<Multipliers> =
            Vec::with_capacity(columns * lefts.len().div_ceil(per_row).div_ceil(2));
        let lefts: Vec<&Left> = lefts.collect();
        for rows in lefts.chunks(2 * per_row) {
            let (upper, lower) = rows.split_at(per_row);
            for column in 0..columns {
                let pair = 2 * column..(2 * column + 2).min(per_row);
                // Tiles at the edges are smaller.
                let mut tile = [[0; AREA]; 3];
                let parts = upper[pair.clone()]
                    .iter()
                    .chain(lower.get(pair).unwrap_or_default());
                for (i, part) in parts.enumerate() {
                    for (tile, part) in tile.iter_mut().zip(*part) {
                        tile[i * part.len()..][..part.len()].copy_from_slice(part);
                    }
                }
                let neighbours = [
                    tiles.last().copied(),
                    tiles.len().checked_sub(columns).map(|above| tiles[above]),
                ];
                let [green, red, blue] = &tile;
                tiles.push(Multipliers::of(green, red, blue, neighbours));
            }
        }
        Self { columns, tiles }
    }

    /// The multipliers for one of the smaller tiles.
    pub(super) fn at(&self, column: usize, row: usize) -> Multipliers {
        self.tiles[row / 2 * self.columns + column / 2]
    }

    /// Writes the multipliers.
    pub(super) fn write(&self, out: &mut BitWriter) {
        out.put(TILE_BITS - 2, 3);
        let pixels: Vec<[u8; 4]> = self
            .tiles
            .iter()
            .map(|m| {
                [
                    m.green_to_red as u8,
                    m.green_to_blue as u8,
                    m.red_to_blue as u8,
                    255,
                ]
            })
            .collect();
        tokens::write_small(&Picture::of(&pixels, self.columns), out);
    }
}

impl Multipliers {
    /// Those of the transform that subtracts green.
    const GREEN: Self = Self {
        green_to_red: 32,
        green_to_blue: 32,
        red_to_blue: 0,
    };

    #[cfg(test)]
    pub(super) fn new(green_to_red: i8, green_to_blue: i8, red_to_blue: i8) -> Self {
        Self {
            green_to_red,
            green_to_blue,
            red_to_blue,
        }
    }

    /// What is left of red and of blue.
    #[inline(always)]
    pub(super) fn leave(self, green: u8, red: u8, blue: u8) -> (u8, u8) {
        (
            red.wrapping_sub(part(self.green_to_red.into(), green)),
            blue.wrapping_sub(part(self.green_to_blue.into(), green))
                .wrapping_sub(part(self.red_to_blue.into(), red)),
        )
    }

    /// About the best ones: those of least squares and of neighbours, moved as long as that leaves less.
    fn of(green: &[u8], red: &[u8], blue: &[u8], neighbours: [Option<Self>; 2]) -> Self {
        let red_cost = |m: i8| {
            let mut sum = 0;
            magnitude(red, green, green, m.into(), 0, &mut sum);
            sum
        };
        let blue_cost = |(g, r): (i8, i8)| {
            let mut sum = 0;
            magnitude(blue, green, red, g.into(), r.into(), &mut sum);
            sum
        };
        let dot = |a: &[u8], b: &[u8]| {
            let mut sum = 0;
            product(a, b, &mut sum);
            i64::from(sum)
        };
        let (gg, gr) = (|| dot(green, green), || dot(green, red));
        // The last tile's first: what is the same takes few bits to tell.
        let near = || neighbours.into_iter().flatten().chain([Self::GREEN]);
        let green_to_red = least(
            near().map(|m| m.green_to_red),
            || [ratio(gr(), gg())],
            red_cost,
            |m, step| [m.saturating_add(step), m.saturating_sub(step)],
        );
        let (green_to_blue, red_to_blue) = least(
            near().map(|m| (m.green_to_blue, m.red_to_blue)),
            || {
                let (gg, gr, rr) = (gg(), gr(), dot(red, red));
                let (gb, rb) = (dot(green, blue), dot(red, blue));
                let both = gg * rr - gr * gr;
                [
                    (ratio(gb, gg), 0),
                    (
                        ratio(gb * rr - rb * gr, both),
                        ratio(rb * gg - gb * gr, both),
                    ),
                ]
            },
            blue_cost,
            |(g, r), step| {
                [
                    (g.saturating_add(step), r),
                    (g.saturating_sub(step), r),
                    (g, r.saturating_add(step)),
                    (g, r.saturating_sub(step)),
                ]
            },
        );
        Self {
            green_to_red,
            green_to_blue,
            red_to_blue,
        }
    }
}

/// The cheapest of those that are told in few bits, or, where that leaves clearly less, of others and what lies around them.
fn least<T: Copy + Default, const N: usize, const M: usize>(
    near: impl Iterator<Item = T>,
    others: impl FnOnce() -> [T; M],
    cost: impl Fn(T) -> u32,
    around: impl Fn(T, i8) -> [T; N],
) -> T {
    let cheaper = |best: (u32, T), next: T| {
        let next = (cost(next), next);
        if next.0 < best.0 { next } else { best }
    };
    let mut best = (u32::MAX, T::default());
    for next in near {
        best = cheaper(best, next);
        if best.0 <= WORTH_TELLING {
            return best.1;
        }
    }
    let near = best;
    best = others().into_iter().fold(near, cheaper);
    for step in [4, 2] {
        best = around(best.1, step).into_iter().fold(best, cheaper);
    }
    if near.0 - best.0 > WORTH_TELLING {
        best.1
    } else {
        near.1
    }
}

/// What other multipliers must leave less than those of a neighbour, in absolute values.
const WORTH_TELLING: u32 = 6;

/// `a / b` in parts of 32.
fn ratio(a: i64, b: i64) -> i8 {
    if b <= 0 {
        return 0;
    }
    (a.saturating_mul(32) / b).clamp(-128, 127) as i8
}

/// What is taken for so much of a colour.
#[inline(always)]
fn part(multiplier: i16, colour: u8) -> u8 {
    ((multiplier * i16::from(colour as i8)) >> 5) as u8
}

simd::kernel! {
    /// Adds what two multipliers leave of a plane in absolute values.
    fn magnitude(plane: &[u8], first: &[u8], second: &[u8], of_first: i16, of_second: i16, sum: &mut u32) {
        let len = plane.len();
        let (first, second) = (&first[..len], &second[..len]);
        let mut total = 0_u32;
        for i in 0..len {
            let left = plane[i].wrapping_sub(part(of_first, first[i])).wrapping_sub(part(of_second, second[i]));
            total += u32::from(left.min(left.wrapping_neg()));
        }
        *sum += total;
    }
}

simd::kernel! {
    /// Adds the products of two planes.
    fn product(a: &[u8], b: &[u8], sum: &mut i32) {
        let len = a.len();
        let b = &b[..len];
        let mut total = 0_i32;
        for i in 0..len {
            total += i32::from(a[i] as i8) * i32::from(b[i] as i8);
        }
        *sum += total;
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::simd::testing::{LENGTHS, assert_same, bytes};

    #[test]
    fn every_instruction_set_sums_alike() {
        for len in LENGTHS.into_iter().filter(|len| *len <= AREA) {
            for (a, b) in bytes(len).iter().zip(bytes(len).iter().rev()) {
                assert_same!(product(a, b; 3));
                for (first, second) in [(0, 0), (32, 0), (-128, 127), (5, -77)] {
                    assert_same!(magnitude(a, b, a, first, second; 3));
                }
            }
        }
    }

    #[test]
    fn colours_that_go_with_each_other_are_taken_whole() {
        // Red is half of green, blue a quarter of green and half of red.
        let green: Vec<u8> = (0..=255).collect();
        let red: Vec<u8> = green.iter().map(|g| part(16, *g)).collect();
        let blue: Vec<u8> = green
            .iter()
            .zip(&red)
            .map(|(g, r)| part(8, *g).wrapping_add(part(16, *r)))
            .collect();
        let found = Multipliers::of(&green, &red, &blue, [None; 2]);
        for ((green, red), blue) in green.iter().zip(&red).zip(&blue) {
            let (red, blue) = found.leave(*green, *red, *blue);
            assert!(
                red.min(red.wrapping_neg()) <= 1 && blue.min(blue.wrapping_neg()) <= 4,
                "{found:?}"
            );
        }
    }
}
