//! From samples at full resolution to BGR, with libjpeg's integer formulas (ITU-T T.871 in 16-bit fixed point).

use crate::simd::kernel;

/// The bits of 1.402, 1.772, 0.344136 and 0.714136 in 16-bit fixed point, and the half that rounds.
const CR_TO_R: i32 = 91_881;
const CB_TO_B: i32 = 116_130;
const CB_TO_G: i32 = 22_554;
const CR_TO_G: i32 = 46_802;
const HALF: i32 = 1 << 15;

/// YCbCr rows to a BGR row.
pub(super) fn ycbcr(y: &[u8], cb: &[u8], cr: &[u8], bgr: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        #[allow(unsafe_code)]
        return unsafe { avx2::ycbcr(y, cb, cr, bgr) };
    }
    ycbcr_from(0, y, cb, cr, bgr);
}

/// The pixels from `start` on.
fn ycbcr_from(start: usize, y: &[u8], cb: &[u8], cr: &[u8], bgr: &mut [u8]) {
    for (x, bgr) in bgr
        .as_chunks_mut::<3>()
        .0
        .iter_mut()
        .enumerate()
        .skip(start)
    {
        *bgr = pixel(y[x], cb[x], cr[x]);
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    #![allow(unsafe_code)]

    use std::arch::x86_64::*;

    use super::{CB_TO_B, CB_TO_G, CR_TO_G, CR_TO_R, HALF, ycbcr_from};

    /// Eight pixels at a time.
    #[target_feature(enable = "avx2")]
    pub(super) fn ycbcr(y: &[u8], cb: &[u8], cr: &[u8], bgr: &mut [u8]) {
        let len = bgr.len() / 3;
        let (y, cb, cr) = (&y[..len], &cb[..len], &cr[..len]);
        let half = _mm256_set1_epi32(HALF);
        let squeeze = _mm256_broadcastsi128_si256(_mm_setr_epi8(
            0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1,
        ));
        for group in 0..len / 8 {
            let at = group * 8;
            // SAFETY: eight samples of each row, whose lengths are `len`.
            let (y, cb, cr) = unsafe {
                (
                    eight(y.as_ptr().add(at)),
                    eight(cb.as_ptr().add(at)),
                    eight(cr.as_ptr().add(at)),
                )
            };
            let middle = _mm256_set1_epi32(128);
            let (cb, cr) = (_mm256_sub_epi32(cb, middle), _mm256_sub_epi32(cr, middle));
            let blue = add_clamped(y, _mm256_add_epi32(times(cb, CB_TO_B), half));
            let red = add_clamped(y, _mm256_add_epi32(times(cr, CR_TO_R), half));
            let green = _mm256_sub_epi32(
                _mm256_sub_epi32(half, times(cb, CB_TO_G)),
                times(cr, CR_TO_G),
            );
            let green = _mm256_slli_epi32::<8>(add_clamped(y, green));
            let pixels =
                _mm256_or_si256(_mm256_or_si256(blue, green), _mm256_slli_epi32::<16>(red));
            let squeezed = _mm256_shuffle_epi8(pixels, squeeze);
            let (low, high) = (
                _mm256_castsi256_si128(squeezed),
                _mm256_extracti128_si256::<1>(squeezed),
            );
            let out = &mut bgr[at * 3..][..24];
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
        ycbcr_from(len & !7, y, cb, cr, bgr);
    }

    /// Eight samples, widened.
    ///
    /// # Safety
    ///
    /// `samples` points to eight bytes.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn eight(samples: *const u8) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_cvtepu8_epi32(_mm_loadl_epi64(samples.cast())) }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn times(value: __m256i, factor: i32) -> __m256i {
        _mm256_mullo_epi32(value, _mm256_set1_epi32(factor))
    }

    /// `y` and a difference in 16-bit fixed point, within 0 to 255.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn add_clamped(y: __m256i, difference: __m256i) -> __m256i {
        let sum = _mm256_add_epi32(y, _mm256_srai_epi32::<16>(difference));
        _mm256_min_epi32(
            _mm256_max_epi32(sum, _mm256_setzero_si256()),
            _mm256_set1_epi32(255),
        )
    }
}

kernel! {
    /// RGB rows to a BGR row.
    pub(super) fn rgb(r: &[u8], g: &[u8], b: &[u8], bgr: &mut [u8]) {
        let bgr = bgr.as_chunks_mut::<3>().0;
        let len = bgr.len();
        let (r, g, b) = (&r[..len], &g[..len], &b[..len]);
        for x in 0..len {
            bgr[x] = [b[x], g[x], r[x]];
        }
    }
}

kernel! {
    /// A grey row to a BGR row.
    pub(super) fn gray(y: &[u8], bgr: &mut [u8]) {
        let bgr = bgr.as_chunks_mut::<3>().0;
        let len = bgr.len();
        let y = &y[..len];
        for x in 0..len {
            bgr[x] = [y[x]; 3];
        }
    }
}

/// CMYK rows to a BGR row, as OpenCV does.
pub(super) fn cmyk(planes: [&[u8]; 4], bgr: &mut [u8]) {
    let [c, m, y, k] = planes;
    for (x, bgr) in bgr.chunks_exact_mut(3).enumerate() {
        bgr.copy_from_slice(&[ink(y[x], k[x]), ink(m[x], k[x]), ink(c[x], k[x])]);
    }
}

/// YCCK rows to a BGR row: libjpeg makes them CMYK, OpenCV makes that BGR.
pub(super) fn ycck(planes: [&[u8]; 4], bgr: &mut [u8]) {
    let [y, cb, cr, k] = planes;
    for (x, bgr) in bgr.chunks_exact_mut(3).enumerate() {
        *<&mut [u8; 3]>::try_from(bgr).expect("three bytes") =
            pixel(y[x], cb[x], cr[x]).map(|v| ink(255 - v, k[x]));
    }
}

#[inline(always)]
fn pixel(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let clamp = |value: i32| value.clamp(0, 255) as u8;
    [
        clamp(y + ((CB_TO_B * cb + HALF) >> 16)),
        clamp(y + ((HALF - CB_TO_G * cb - CR_TO_G * cr) >> 16)),
        clamp(y + ((CR_TO_R * cr + HALF) >> 16)),
    ]
}

fn ink(ink: u8, key: u8) -> u8 {
    let (ink, key) = (i32::from(ink), i32::from(key));
    (key - (((255 - ink) * key) >> 8)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_is_the_same_by_every_path() {
        let all: Vec<u8> = (0..=255).collect();
        for cb in 0..=255 {
            for cr in (0..=255).step_by(5) {
                let (cb, cr) = ([cb; 251], [cr; 251]);
                let (mut quick, mut plain) = ([0; 753], [0; 753]);
                ycbcr(&all[3..][..251], &cb, &cr, &mut quick);
                ycbcr_from(0, &all[3..][..251], &cb, &cr, &mut plain);
                assert_eq!(quick, plain);
            }
        }
    }
}
