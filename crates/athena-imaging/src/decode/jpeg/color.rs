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

    use super::ycbcr_from;

    /// Pixels of a group.
    const GROUP: usize = 16;
    // The factors less what fits no 16 bits: 1.402 = 1 + 0.402, 1.772 = 2 - 0.228, 0.714 = 1 - 0.286.
    const CR_TO_R_LESS_1: i16 = (super::CR_TO_R - (1 << 16)) as i16;
    const CB_TO_B_LESS_2: i16 = (super::CB_TO_B - (2 << 16)) as i16;
    const CB_TO_G: i16 = -super::CB_TO_G as i16;
    const CR_TO_G_PLUS_1: i16 = ((1 << 16) - super::CR_TO_G) as i16;

    /// A group at a time; the last overlaps the one before it.
    #[target_feature(enable = "avx2")]
    pub(super) fn ycbcr(y: &[u8], cb: &[u8], cr: &[u8], bgr: &mut [u8]) {
        let len = bgr.len() / 3;
        if len < GROUP {
            return ycbcr_from(0, y, cb, cr, bgr);
        }
        let (y, cb, cr) = (&y[..len], &cb[..len], &cr[..len]);
        let mut at = 0;
        loop {
            // SAFETY: a group of samples of each row.
            let (y, cb, cr) = unsafe {
                (
                    widen(y[at..][..GROUP].as_ptr()),
                    widen(cb[at..][..GROUP].as_ptr()),
                    widen(cr[at..][..GROUP].as_ptr()),
                )
            };
            let pixels = group(y, cb, cr);
            let out = bgr[at * 3..][..GROUP * 3].as_mut_ptr();
            for (i, pixels) in pixels.into_iter().enumerate() {
                // SAFETY: three times sixteen bytes.
                unsafe { _mm_storeu_si128(out.add(i * 16).cast(), pixels) };
            }
            if at + GROUP == len {
                return;
            }
            at = (at + GROUP).min(len - GROUP);
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn group(y: __m256i, cb: __m256i, cr: __m256i) -> [__m128i; 3] {
        let middle = _mm256_set1_epi16(128);
        let (cb, cr) = (_mm256_sub_epi16(cb, middle), _mm256_sub_epi16(cr, middle));
        let blue = _mm256_add_epi16(_mm256_add_epi16(cb, cb), scale(cb, CB_TO_B_LESS_2));
        let red = _mm256_add_epi16(cr, scale(cr, CR_TO_R_LESS_1));
        let factors = i32::from(CR_TO_G_PLUS_1) << 16 | i32::from(CB_TO_G as u16);
        let weigh = |pairs| {
            let sum = _mm256_madd_epi16(pairs, _mm256_set1_epi32(factors));
            _mm256_srai_epi32::<16>(_mm256_add_epi32(sum, _mm256_set1_epi32(super::HALF)))
        };
        // Both packing and unpacking keep to 128-bit lanes: the order comes out right.
        let green = _mm256_packs_epi32(
            weigh(_mm256_unpacklo_epi16(cb, cr)),
            weigh(_mm256_unpackhi_epi16(cb, cr)),
        );
        let green = _mm256_sub_epi16(green, cr);
        interleave(
            clamp(_mm256_add_epi16(y, blue)),
            clamp(_mm256_add_epi16(y, green)),
            clamp(_mm256_add_epi16(y, red)),
        )
    }

    /// `(value * factor + 2^15) >> 16`.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn scale(value: __m256i, factor: i16) -> __m256i {
        let doubled = _mm256_add_epi16(value, value);
        let product = _mm256_mulhi_epi16(doubled, _mm256_set1_epi16(factor));
        _mm256_srai_epi16::<1>(_mm256_add_epi16(product, _mm256_set1_epi16(1)))
    }

    /// Sixteen values within 0 to 255.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn clamp(values: __m256i) -> __m128i {
        let packed = _mm256_packus_epi16(values, values);
        _mm256_castsi256_si128(_mm256_permute4x64_epi64::<0b10_00>(packed))
    }

    /// Where each byte of a third of sixteen pixels comes from, for each third and channel; what is negative gives 0.
    ///
    /// A table, since closures in its place are left as calls when the compiler has had enough of inlining.
    const FROM: [[[i8; 16]; 3]; 3] = {
        let mut from = [[[-1; 16]; 3]; 3];
        let mut at = 0;
        while at < 48 {
            from[at / 16][at % 3][at % 16] = (at / 3) as i8;
            at += 1;
        }
        from
    };

    /// Sixteen pixels.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn interleave(blue: __m128i, green: __m128i, red: __m128i) -> [__m128i; 3] {
        [
            third(&FROM[0], blue, green, red),
            third(&FROM[1], blue, green, red),
            third(&FROM[2], blue, green, red),
        ]
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn third(from: &[[i8; 16]; 3], blue: __m128i, green: __m128i, red: __m128i) -> __m128i {
        let blue = pick(blue, &from[0]);
        let both = _mm_or_si128(blue, pick(green, &from[1]));
        _mm_or_si128(both, pick(red, &from[2]))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn pick(values: __m128i, from: &[i8; 16]) -> __m128i {
        // SAFETY: sixteen bytes.
        _mm_shuffle_epi8(values, unsafe { _mm_loadu_si128(from.as_ptr().cast()) })
    }

    /// A group of samples in 16 bits each.
    ///
    /// # Safety
    ///
    /// `samples` points to so many bytes.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn widen(samples: *const u8) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_cvtepu8_epi16(_mm_loadu_si128(samples.cast())) }
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

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn every_instruction_set_gives_the_same_pixels() {
        use crate::simd::testing::{LENGTHS, assert_same, bytes};

        for len in LENGTHS {
            let [black, white, mixed, noise] = bytes(len);
            for row in [&black, &white, &mixed, &noise] {
                assert_same!(gray(row; vec![7; len * 3]));
                assert_same!(rgb(row, &noise, &mixed; vec![7; len * 3]));
                assert_same!(rgb(&noise, &mixed, row; vec![7; len * 3]));
                let (mut quick, mut plain) = (vec![7; len * 3], vec![7; len * 3]);
                ycbcr(row, &noise, &mixed, &mut quick);
                ycbcr_from(0, row, &noise, &mixed, &mut plain);
                assert_eq!(quick, plain);
            }
        }
    }
}
