//! Two columns, two rows: 11-bit weights, 16-bit sums between the passes.

use super::Taps;
use super::taps::Tap;
use crate::{Frame, SIDE};

#[cfg(target_arch = "x86_64")]
mod avx2;
mod portable;

/// Values between the passes for one pixel: blue, green, red and one unused.
const LANES: usize = 4;

/// A source row blended along x.
type Blended = [i16; SIDE * LANES];

pub(super) fn resize(frame: &Frame, taps: &Taps, out: &mut [u8]) {
    if taps.halves {
        return halve(frame, taps, out);
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(kernel) = avx2::Kernel::detect(&taps.columns) {
        return run(frame, &taps.rows, out, &kernel);
    }
    run(
        frame,
        &taps.rows,
        out,
        &portable::Kernel::new(&taps.columns),
    );
}

/// The two passes, for one instruction set.
trait Kernel {
    /// Blends the columns of a source row. `row` may go on beyond the row's own end.
    fn columns(&self, row: &[u8], out: &mut Blended);

    /// Blends two rows into `SIDE` pixels.
    fn rows(&self, rows: [&Blended; 2], weights: [i16; 2], out: &mut [u8]);
}

fn run(frame: &Frame, rows: &[Tap], out: &mut [u8], kernel: &impl Kernel) {
    let stride = frame.width() as usize * 3;
    let mut cache = [[0; SIDE * LANES]; 2];
    let mut cached = [None; 2];
    for (tap, out) in rows.iter().zip(out.chunks_exact_mut(SIDE * 3)) {
        for row in [tap.first, tap.second] {
            let slot = row as usize % 2;
            if cached[slot].replace(row) != Some(row) {
                kernel.columns(&frame.data()[row as usize * stride..], &mut cache[slot]);
            }
        }
        let pair = [tap.first, tap.second].map(|row| &cache[row as usize % 2]);
        kernel.rows(pair, tap.weights, out);
    }
}

/// The average of 2 x 2 pixels, halves rounded up.
fn halve(frame: &Frame, taps: &Taps, out: &mut [u8]) {
    for (tap, out) in taps.rows.iter().zip(out.chunks_exact_mut(SIDE * 3)) {
        box_2x2(
            frame.row(tap.first as usize),
            frame.row(tap.second as usize),
            out,
        );
    }
}

crate::simd::kernel! {
    fn box_2x2(first: &[u8], second: &[u8], out: &mut [u8]) {
        let out = out.as_chunks_mut::<3>().0;
        let len = out.len();
        let first = &first.as_chunks::<6>().0[..len];
        let second = &second.as_chunks::<6>().0[..len];
        for x in 0..len {
            for c in 0..3 {
                let sum = u16::from(first[x][c])
                    + u16::from(first[x][c + 3])
                    + u16::from(second[x][c])
                    + u16::from(second[x][c + 3]);
                out[x][c] = ((sum + 2) >> 2) as u8;
            }
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::simd::testing::{LENGTHS, assert_same, bytes};

    #[test]
    fn every_instruction_set_gives_the_same_boxes() {
        for len in LENGTHS {
            for first in bytes(len * 6) {
                for second in bytes(len * 6) {
                    assert_same!(box_2x2(&first, &second; vec![7; len * 3]));
                }
            }
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_pixels() {
        for (width, height) in [(1, 1), (2, 3), (5, 447), (449, 7), (640, 427), (1999, 31)] {
            let data = (0..width * height * 3)
                .map(|i| (i % 65_521 * 7_919 % 251) as u8)
                .collect();
            let frame = Frame::from_parts(width, height, data);
            let taps = Taps::linear(width as usize, height as usize);
            let Some(kernel) = avx2::Kernel::detect(&taps.columns) else {
                return;
            };
            let (mut vector, mut scalar) =
                (vec![0; crate::FRAME_BYTES], vec![0; crate::FRAME_BYTES]);
            run(&frame, &taps.rows, &mut vector, &kernel);
            run(
                &frame,
                &taps.rows,
                &mut scalar,
                &portable::Kernel::new(&taps.columns),
            );
            assert!(vector == scalar, "{width} x {height}");
        }
    }
}
