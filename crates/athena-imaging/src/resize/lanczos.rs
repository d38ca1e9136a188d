//! Eight columns, eight rows: 11-bit weights, 32-bit sums between the passes.

use super::taps::Position;
use crate::simd::kernel;
use crate::{Frame, SIDE};

const TAPS: usize = 8;

/// The eight source pixels of a destination pixel along one axis, and their weights in 1/2048.
#[derive(Debug, Clone, Copy)]
struct Tap {
    sources: [u32; TAPS],
    weights: [i32; TAPS],
}

/// A source row blended along x.
type Blended = [i32; SIDE * 3];

pub(super) fn resize(frame: &Frame, out: &mut [u8]) {
    let columns = taps(frame.width() as usize);
    let rows = taps(frame.height() as usize);
    // A destination row's source rows are neighbours: their numbers differ by less than eight.
    let mut cache = vec![[0; SIDE * 3]; TAPS];
    let mut cached = [None; TAPS];
    for (tap, out) in rows.iter().zip(out.chunks_exact_mut(SIDE * 3)) {
        for row in tap.sources {
            let slot = row as usize % TAPS;
            if cached[slot].replace(row) != Some(row) {
                blend_columns(frame.row(row as usize), &columns, &mut cache[slot]);
            }
        }
        blend_rows(
            tap.sources.map(|row| &cache[row as usize % TAPS]),
            tap.weights,
            out,
        );
    }
}

fn taps(len: usize) -> Vec<Tap> {
    let tap = |index: usize| {
        let position = Position::linear(index, len);
        let source = |i: usize| (position.whole + i as i64 - 3).clamp(0, len as i64 - 1) as u32;
        Tap {
            sources: std::array::from_fn(source),
            weights: weights(position.fraction),
        }
    };
    (0..SIDE).map(tap).collect()
}

/// OpenCV's coefficients: sin(pi x) sin(pi x / 4) / x^2 without its constant factors, normalised by their sum.
fn weights(fraction: f32) -> [i32; TAPS] {
    use std::f64::consts::{FRAC_1_SQRT_2 as R, FRAC_PI_4};
    const ANGLES: [(f64, f64); TAPS] = [
        (1.0, 0.0),
        (-R, -R),
        (0.0, 1.0),
        (R, -R),
        (-1.0, 0.0),
        (R, R),
        (0.0, -1.0),
        (-R, R),
    ];
    let (sin, cos) = (-f64::from(fraction + 3.0) * FRAC_PI_4).sin_cos();
    let raw: [f32; TAPS] = std::array::from_fn(|i| {
        let distance = fraction + 3.0 - i as f32;
        if distance.abs() < 1e-6 {
            return 1e30;
        }
        let y = -f64::from(distance) * FRAC_PI_4;
        ((ANGLES[i].0 * sin + ANGLES[i].1 * cos) / (y * y)) as f32
    });
    let scale = 1.0 / raw.iter().sum::<f32>();
    raw.map(|weight| (weight * scale * 2048.0).round_ties_even() as i32)
}

kernel! {
    fn blend_columns(row: &[u8], columns: &[Tap], out: &mut Blended) {
        let row = row.as_chunks::<3>().0;
        let out = out.as_chunks_mut::<3>().0;
        let len = out.len();
        let columns = &columns[..len];
        for x in 0..len {
            let tap = &columns[x];
            let mut sums = [0; 3];
            for i in 0..TAPS {
                let pixel = row[tap.sources[i] as usize];
                for c in 0..3 {
                    sums[c] += i32::from(pixel[c]) * tap.weights[i];
                }
            }
            out[x] = sums;
        }
    }
}

kernel! {
    fn blend_rows(rows: [&Blended; TAPS], weights: [i32; TAPS], out: &mut [u8]) {
        let out = &mut out[..SIDE * 3];
        for x in 0..SIDE * 3 {
            let mut sum = 0_i32;
            for i in 0..TAPS {
                sum = sum.wrapping_add(rows[i][x].wrapping_mul(weights[i]));
            }
            out[x] = (sum.wrapping_add(1 << 21) >> 22).clamp(0, 255) as u8;
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::simd::testing::{assert_same, bytes, rows};

    #[test]
    fn every_instruction_set_gives_the_same_pixels() {
        for len in [1, 2, 3, 7, 8, 9, 31, 447, 448, 449, 1000, 1999, 20_011] {
            let columns = taps(len);
            for row in bytes(len * 3) {
                assert_same!(blend_columns(&row, &columns; [7; SIDE * 3]));
            }
        }
        let weights = taps(1000).into_iter().map(|tap| tap.weights);
        let wild = [[i32::MIN; TAPS], [i32::MAX; TAPS]];
        for (shift, weights) in weights.chain(wild).enumerate() {
            // From what columns of bytes blend to, to all that fits.
            let sets = rows(SIDE * 3 + TAPS, i32::MIN, i32::MAX, |bits| {
                bits as i32 >> (shift % 13)
            });
            for values in sets {
                let values: [&Blended; TAPS] =
                    std::array::from_fn(|i| values[i..].first_chunk().expect("more than a row"));
                assert_same!(blend_rows(values, weights; [7; SIDE * 3]));
            }
        }
    }
}
