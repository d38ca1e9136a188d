//! Averages over the source pixels that a destination pixel covers.

use super::{Taps, linear, scale};
use crate::simd::kernel;
use crate::{Frame, SIDE};

pub(super) fn resize(frame: &Frame, out: &mut [u8]) {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    if width < SIDE || height < SIDE {
        return linear::resize(frame, &Taps::enlarging_area(width, height), out);
    }
    match (width.is_multiple_of(SIDE), height.is_multiple_of(SIDE)) {
        (true, true) => whole_boxes(frame, width / SIDE, height / SIDE, out),
        _ => weighted(frame, out),
    }
}

/// Boxes of `across` x `down` whole pixels: integer sums.
fn whole_boxes(frame: &Frame, across: usize, down: usize, out: &mut [u8]) {
    let mut sums = vec![0; frame.width() as usize * 3];
    for (y, out) in out.chunks_exact_mut(SIDE * 3).enumerate() {
        sums.fill(0);
        for row in 0..down {
            add_row(frame.row(y * down + row), &mut sums);
        }
        if (across, down) == (2, 2) {
            average_2x2(&sums, out);
        } else {
            average(&sums, across, 1.0 / (across * down) as f32, out);
        }
    }
}

kernel! {
    fn add_row(row: &[u8], sums: &mut [u32]) {
        let len = sums.len();
        let row = &row[..len];
        for x in 0..len {
            sums[x] += u32::from(row[x]);
        }
    }
}

kernel! {
    fn average_2x2(sums: &[u32], out: &mut [u8]) {
        let out = out.as_chunks_mut::<3>().0;
        let len = out.len();
        let sums = &sums.as_chunks::<6>().0[..len];
        for x in 0..len {
            for c in 0..3 {
                out[x][c] = ((sums[x][c] + sums[x][c + 3] + 2) >> 2) as u8;
            }
        }
    }
}

kernel! {
    fn average(sums: &[u32], across: usize, factor: f32, out: &mut [u8]) {
        let (sums, out) = (sums.as_chunks::<3>().0, out.as_chunks_mut::<3>().0);
        for x in 0..out.len() {
            let mut total = [0; 3];
            let cell = &sums[x * across..][..across];
            for i in 0..across {
                for c in 0..3 {
                    total[c] += cell[i][c];
                }
            }
            for c in 0..3 {
                out[x][c] = (total[c] as f32 * factor).round_ties_even() as u8;
            }
        }
    }
}

/// Boxes with fractional edges: single-precision sums, in OpenCV's order.
fn weighted(frame: &Frame, out: &mut [u8]) {
    let columns = Cells::new(frame.width() as usize);
    let rows = Cells::new(frame.height() as usize);
    let mut blended = vec![[0.0; 4]; SIDE];
    let mut sums = vec![[0.0; 4]; SIDE];
    // Neighbouring destination rows share the source row between them.
    let mut cached = None;
    for (y, out) in out.chunks_exact_mut(SIDE * 3).enumerate() {
        for (i, &(source, weight)) in rows.cell(y).iter().enumerate() {
            if cached.replace(source) != Some(source) {
                blend_columns(frame.row(source as usize), &columns, &mut blended);
            }
            if i == 0 {
                set_row(&blended, weight, &mut sums);
            } else {
                add_weighted(&blended, weight, &mut sums);
            }
        }
        store(&sums, out);
    }
}

/// For each destination index the source indices that it covers, each with its weight.
struct Cells {
    entries: Vec<(u32, f32)>,
    /// Where each destination index begins in `entries`, and the end.
    starts: Vec<usize>,
}

impl Cells {
    fn new(len: usize) -> Self {
        let scale = scale(len);
        let mut cells = Self {
            entries: Vec::with_capacity(len + 2 * SIDE),
            starts: vec![0],
        };
        for x in 0..SIDE {
            let start = x as f64 * scale;
            let end = start + scale;
            let width = scale.min(len as f64 - start);
            let last = (end.floor() as usize).min(len - 1);
            let first = (start.ceil() as usize).min(last);
            let mut push =
                |index: usize, weight: f64| cells.entries.push((index as u32, weight as f32));
            if first as f64 - start > 1e-3 {
                push(first - 1, (first as f64 - start) / width);
            }
            for index in first..last {
                push(index, 1.0 / width);
            }
            if end - last as f64 > 1e-3 {
                push(last, (end - last as f64).min(1.0).min(width) / width);
            }
            cells.starts.push(cells.entries.len());
        }
        cells
    }

    #[inline(always)]
    fn cell(&self, index: usize) -> &[(u32, f32)] {
        &self.entries[self.starts[index]..self.starts[index + 1]]
    }
}

kernel! {
    fn blend_columns(row: &[u8], columns: &Cells, out: &mut [[f32; 4]]) {
        let row = row.as_chunks::<3>().0;
        for x in 0..out.len() {
            let mut sum = [0.0; 4];
            let cell = columns.cell(x);
            for i in 0..cell.len() {
                let (source, weight) = cell[i];
                let pixel = row[source as usize];
                for c in 0..3 {
                    sum[c] += f32::from(pixel[c]) * weight;
                }
            }
            out[x] = sum;
        }
    }
}

kernel! {
    fn set_row(row: &[[f32; 4]], weight: f32, sums: &mut [[f32; 4]]) {
        let (row, sums) = (row.as_flattened(), sums.as_flattened_mut());
        let len = sums.len();
        let row = &row[..len];
        for x in 0..len {
            sums[x] = weight * row[x];
        }
    }
}

kernel! {
    fn add_weighted(row: &[[f32; 4]], weight: f32, sums: &mut [[f32; 4]]) {
        let (row, sums) = (row.as_flattened(), sums.as_flattened_mut());
        let len = sums.len();
        let row = &row[..len];
        for x in 0..len {
            sums[x] += weight * row[x];
        }
    }
}

kernel! {
    fn store(sums: &[[f32; 4]], out: &mut [u8]) {
        let out = out.as_chunks_mut::<3>().0;
        let len = out.len();
        let sums = &sums[..len];
        for x in 0..len {
            for c in 0..3 {
                out[x][c] = sums[x][c].round_ties_even() as u8;
            }
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::simd::testing::{LENGTHS, assert_same, both, bytes, rows};

    #[test]
    fn every_instruction_set_gives_the_same_sums() {
        for len in LENGTHS {
            for row in bytes(len) {
                for sums in rows(len, 0, u32::MAX - 255, |bits| bits >> 8) {
                    assert_same!(add_row(&row; sums.clone()));
                }
            }
            for sums in rows(len * 6, 0, 1020, |bits| bits % 1021) {
                assert_same!(average_2x2(&sums; vec![7; len * 3]));
            }
            for across in [1, 2, 3, 4, 5, 9] {
                for down in [1, 2, 7] {
                    let greatest = 255 * down;
                    let factor = 1.0 / (across as f32 * down as f32);
                    for sums in rows(len * across * 3, 0, greatest, |bits| bits % (greatest + 1)) {
                        assert_same!(average(&sums, across, factor; vec![7; len * 3]));
                    }
                }
            }
        }
    }

    #[test]
    fn every_instruction_set_blends_to_the_same_bits() {
        for len in [448, 449, 450, 896, 897, 1000, 1999, 4001, 20_011] {
            let columns = Cells::new(len);
            for row in bytes(len * 3) {
                let (dispatched, portable) = both!(blend_columns(&row, &columns; [[7.0; 4]; SIDE]));
                assert_eq!(bits(&dispatched), bits(&portable), "{len} columns");
            }
        }
    }

    #[test]
    fn every_instruction_set_weighs_to_the_same_bits() {
        for len in LENGTHS {
            for row in floats(len) {
                for weight in [0.0, 1e-3, 1.0 / 3.0, 1.0] {
                    let (dispatched, portable) = both!(set_row(&row, weight; vec![[7.0; 4]; len]));
                    assert_eq!(bits(&dispatched), bits(&portable), "{len} by {weight}");
                    for sums in floats(len) {
                        let (dispatched, portable) =
                            both!(add_weighted(&row, weight; sums.clone()));
                        assert_eq!(bits(&dispatched), bits(&portable), "{len} by {weight}");
                    }
                }
                assert_same!(store(&row; vec![7; len * 3]));
            }
        }
    }

    /// Rows of sums: within bytes, halves of odd numbers among them, and beyond.
    fn floats(len: usize) -> impl Iterator<Item = Vec<[f32; 4]>> {
        let halves = rows(len * 4, 0.5, 254.5, |bits| (bits % 511) as f32 / 2.0);
        let fractions = rows(len * 4, 0.0, 255.0, |bits| {
            bits as f32 / u32::MAX as f32 * 255.0
        });
        let beyond = rows(len * 4, -f32::MAX / 4.0, f32::MAX / 4.0, |bits| {
            f32::from_bits(bits & 0xBFFF_FFFF)
        });
        let all = halves.into_iter().chain(fractions).chain(beyond);
        all.map(|values| values.as_chunks().0.to_vec())
    }

    /// The bits, which tell zeroes apart.
    fn bits(rows: &[[f32; 4]]) -> Vec<u32> {
        rows.as_flattened().iter().map(|v| v.to_bits()).collect()
    }
}
