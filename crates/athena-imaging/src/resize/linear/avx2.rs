#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Blended, LANES, Tap};
use crate::SIDE;
use crate::resize::reaching;

/// Four pixels at a time.
pub(super) struct Kernel {
    /// Byte offsets of the eight bytes that hold both source pixels of a destination pixel.
    offsets: [u32; SIDE],
    /// Weights of four pixels, laid out as [`blend`] multiplies them: pixels 0 and 2, then 1 and 3.
    weights: Vec<[__m256i; 2]>,
    /// One more than the furthest byte that is read.
    reach: usize,
}

impl Kernel {
    /// The kernel, if the processor has AVX2.
    pub(super) fn detect(columns: &[Tap]) -> Option<Self> {
        // SAFETY: the processor has AVX2.
        is_x86_feature_detected!("avx2").then(|| unsafe { Self::new(columns) })
    }

    #[target_feature(enable = "avx2")]
    fn new(columns: &[Tap]) -> Self {
        let offsets = std::array::from_fn(|x| columns[x].first * 3);
        let pair = |tap: Tap| i32::from(tap.weights[1]) << 16 | i32::from(tap.weights[0] as u16);
        let both = |a: Tap, b: Tap| {
            let (a, b) = (pair(a), pair(b));
            _mm256_setr_epi32(a, a, a, 0, b, b, b, 0)
        };
        let weights = columns
            .chunks_exact(4)
            .map(|t| [both(t[0], t[2]), both(t[1], t[3])])
            .collect();
        // Where both source pixels are the same one, at a border, the second weighs nothing: reading on is harmless.
        let reach = columns
            .iter()
            .map(|tap| tap.first as usize * 3 + 8)
            .max()
            .unwrap_or(0);
        Self {
            offsets,
            weights,
            reach,
        }
    }

    /// # Safety
    ///
    /// `row` has `reach` bytes.
    #[target_feature(enable = "avx2")]
    unsafe fn columns(&self, row: &[u8], out: &mut Blended) {
        debug_assert!(row.len() >= self.reach);
        // A pixel's six bytes, spread over the weights' pairs.
        let spread = |low: __m128i| _mm256_broadcastsi128_si256(low);
        let first = spread(_mm_setr_epi8(
            0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,
        ));
        let second = spread(_mm_setr_epi8(
            8, -1, 11, -1, 9, -1, 12, -1, 10, -1, 13, -1, -1, -1, -1, -1,
        ));
        for (group, weights) in self.weights.iter().enumerate() {
            // SAFETY: offsets are at most `reach - 8`; groups of four pixels cover both arrays exactly.
            unsafe {
                let load = |i: usize| {
                    let offset = *self.offsets.get_unchecked(group * 4 + i) as usize;
                    row.as_ptr().add(offset).cast::<i64>().read_unaligned()
                };
                let pixels = _mm256_setr_epi64x(load(0), load(1), load(2), load(3));
                let even = blend(_mm256_shuffle_epi8(pixels, first), weights[0]);
                let odd = blend(_mm256_shuffle_epi8(pixels, second), weights[1]);
                let at = out.as_mut_ptr().add(group * 4 * LANES);
                _mm256_storeu_si256(at.cast(), _mm256_packs_epi32(even, odd));
            }
        }
    }

    #[target_feature(enable = "avx2")]
    fn rows(&self, rows: [&Blended; 2], weights: [i16; 2], out: &mut [u8]) {
        assert_eq!(out.len(), SIDE * 3);
        let (a, b) = (_mm256_set1_epi16(weights[0]), _mm256_set1_epi16(weights[1]));
        // Packing keeps to 128-bit lanes: eight pixels come out as 0, 1, 4, 5 and 2, 3, 6, 7.
        let order = _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7);
        let squeeze = _mm256_broadcastsi128_si256(_mm_setr_epi8(
            0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1,
        ));
        for group in 0..SIDE / 8 {
            let at = group * 8 * LANES;
            // SAFETY: `at + 32` is at most the length of a row.
            let (low, high) = unsafe {
                let (first, second) = (rows[0].as_ptr().add(at), rows[1].as_ptr().add(at));
                (
                    blend_rows(
                        _mm256_loadu_si256(first.cast()),
                        _mm256_loadu_si256(second.cast()),
                        a,
                        b,
                    ),
                    blend_rows(
                        _mm256_loadu_si256(first.add(16).cast()),
                        _mm256_loadu_si256(second.add(16).cast()),
                        a,
                        b,
                    ),
                )
            };
            let packed = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order);
            let squeezed = _mm256_shuffle_epi8(packed, squeeze);
            let (low, high) = (
                _mm256_castsi256_si128(squeezed),
                _mm256_extracti128_si256::<1>(squeezed),
            );
            let out = &mut out[group * 24..][..24];
            // SAFETY: twelve bytes for each half, 24 in all.
            unsafe {
                _mm_storeu_si128(out.as_mut_ptr().cast(), low);
                _mm_storel_epi64(out.as_mut_ptr().add(12).cast(), high);
                out.as_mut_ptr()
                    .add(20)
                    .cast::<i32>()
                    .write_unaligned(_mm_extract_epi32::<2>(high));
            }
        }
    }
}

impl super::Kernel for Kernel {
    fn columns(&self, row: &[u8], out: &mut Blended) {
        let row = reaching(row, self.reach);
        // SAFETY: the processor has AVX2, or there would be no kernel; the row reaches far enough.
        unsafe { self.columns(&row, out) };
    }

    fn rows(&self, rows: [&Blended; 2], weights: [i16; 2], out: &mut [u8]) {
        // SAFETY: the processor has AVX2, or there would be no kernel.
        unsafe { self.rows(rows, weights, out) };
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn blend(pairs: __m256i, weights: __m256i) -> __m256i {
    _mm256_srai_epi32::<4>(_mm256_madd_epi16(pairs, weights))
}

/// Sixteen values of two rows, weighed and rounded.
#[target_feature(enable = "avx2")]
#[inline]
fn blend_rows(first: __m256i, second: __m256i, a: __m256i, b: __m256i) -> __m256i {
    let sum = _mm256_add_epi16(_mm256_mulhi_epi16(first, a), _mm256_mulhi_epi16(second, b));
    _mm256_srai_epi16::<2>(_mm256_add_epi16(sum, _mm256_set1_epi16(2)))
}
