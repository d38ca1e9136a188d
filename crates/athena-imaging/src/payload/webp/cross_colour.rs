//! How much of green to take from red and blue, and of red from blue, tile by tile.

use super::{bits::BitWriter, picture::Picture, predict::Planes, tokens};
use crate::simd;

/// Pixels of a side of a tile, as a power of two.
const TILE_BITS: u32 = 4;
const TILE: usize = 1 << TILE_BITS;

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
    /// The multipliers that leave the least of what prediction left.
    pub(super) fn of(residuals: &Planes) -> Self {
        let width = residuals.width;
        let [green, red, blue] = residuals.planes();
        let height = green.len() / width;
        let columns = width.div_ceil(TILE);
        let mut tiles: Vec<Multipliers> = Vec::with_capacity(columns * height.div_ceil(TILE));
        let mut tile = [const { Vec::new() }; 3];
        for top in (0..height).step_by(TILE) {
            for x in (0..width).step_by(TILE) {
                for (plane, tile) in [green, red, blue].into_iter().zip(&mut tile) {
                    tile.clear();
                    for y in top..(top + TILE).min(height) {
                        tile.extend_from_slice(
                            &plane[y * width + x..y * width + (x + TILE).min(width)],
                        );
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

    /// The multipliers for a pixel.
    pub(super) fn at(&self, x: usize, y: usize) -> Multipliers {
        self.tiles[(y >> TILE_BITS) * self.columns + (x >> TILE_BITS)]
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
        let [gg, rr, gr, gb, rb] = {
            let dot = |a: &[u8], b: &[u8]| {
                let mut sum = 0;
                product(a, b, &mut sum);
                i64::from(sum)
            };
            [
                dot(green, green),
                dot(red, red),
                dot(green, red),
                dot(green, blue),
                dot(red, blue),
            ]
        };
        let both = gg * rr - gr * gr;
        let near = || neighbours.iter().flatten();
        let reds = near().map(|m| m.green_to_red).chain([ratio(gr, gg)]);
        let green_to_red = least(Self::GREEN.green_to_red, reds, red_cost, |m, step| {
            [m.saturating_add(step), m.saturating_sub(step)]
        });
        let blues = near().map(|m| (m.green_to_blue, m.red_to_blue)).chain([
            (ratio(gb, gg), 0),
            (
                ratio(gb * rr - rb * gr, both),
                ratio(rb * gg - gb * gr, both),
            ),
        ]);
        let green = (Self::GREEN.green_to_blue, Self::GREEN.red_to_blue);
        let (green_to_blue, red_to_blue) = least(green, blues, blue_cost, |(g, r), step| {
            [
                (g.saturating_add(step), r),
                (g.saturating_sub(step), r),
                (g, r.saturating_add(step)),
                (g, r.saturating_sub(step)),
            ]
        });
        Self {
            green_to_red,
            green_to_blue,
            red_to_blue,
        }
    }
}

/// The cheapest of some, and of what lies around it.
fn least<T: Copy, const N: usize>(
    first: T,
    others: impl Iterator<Item = T>,
    cost: impl Fn(T) -> u32,
    around: impl Fn(T, i8) -> [T; N],
) -> T {
    let priced = |value: T| (cost(value), value);
    let mut best = priced(first);
    for next in others.map(priced) {
        if next.0 < best.0 {
            best = next;
        }
    }
    for step in [4, 2] {
        if best.0 == 0 {
            // Flat tiles: nothing is left to take.
            break;
        }
        for next in around(best.1, step).map(priced) {
            if next.0 < best.0 {
                best = next;
            }
        }
    }
    best.1
}

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
        for len in LENGTHS.into_iter().filter(|len| *len <= TILE * TILE) {
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
