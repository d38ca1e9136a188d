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
    const GROUP: usize = 32;
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
            let samples = [y, cb, cr].map(|row| load(&row[at..]));
            let [low, high] = [half(samples, Half::Low), half(samples, Half::High)];
            // Unpacking and packing keep to 128-bit lanes: the order comes out right.
            let channel = |nth: usize| _mm256_packus_epi16(low[nth], high[nth]);
            let (blue, green, red) = (channel(0), channel(1), channel(2));
            let out = &mut bgr[at * 3..][..GROUP * 3];
            for (nth, from) in FROM.iter().enumerate() {
                store(third(from, blue, green, red), nth, out);
            }
            if at + GROUP == len {
                return;
            }
            at = (at + GROUP).min(len - GROUP);
        }
    }

    /// Of each 128-bit lane of a group.
    #[derive(Clone, Copy)]
    enum Half {
        Low,
        High,
    }

    /// Blue, green and red of half a group, not yet within 0 to 255.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn half([y, cb, cr]: [__m256i; 3], half: Half) -> [__m256i; 3] {
        let zero = _mm256_setzero_si256();
        let widen = |samples| match half {
            Half::Low => _mm256_unpacklo_epi8(samples, zero),
            Half::High => _mm256_unpackhi_epi8(samples, zero),
        };
        let middle = _mm256_set1_epi16(128);
        let (y, cb, cr) = (
            widen(y),
            _mm256_sub_epi16(widen(cb), middle),
            _mm256_sub_epi16(widen(cr), middle),
        );
        let blue = _mm256_add_epi16(_mm256_add_epi16(cb, cb), scale(cb, CB_TO_B_LESS_2));
        let red = _mm256_add_epi16(cr, scale(cr, CR_TO_R_LESS_1));
        let factors = i32::from(CR_TO_G_PLUS_1) << 16 | i32::from(CB_TO_G as u16);
        let weigh = |pairs| {
            let sum = _mm256_madd_epi16(pairs, _mm256_set1_epi32(factors));
            _mm256_srai_epi32::<16>(_mm256_add_epi32(sum, _mm256_set1_epi32(super::HALF)))
        };
        let green = _mm256_packs_epi32(
            weigh(_mm256_unpacklo_epi16(cb, cr)),
            weigh(_mm256_unpackhi_epi16(cb, cr)),
        );
        let green = _mm256_sub_epi16(green, cr);
        [blue, green, red].map(|channel| _mm256_add_epi16(y, channel))
    }

    /// `(value * factor + 2^15) >> 16`.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn scale(value: __m256i, factor: i16) -> __m256i {
        let doubled = _mm256_add_epi16(value, value);
        let product = _mm256_mulhi_epi16(doubled, _mm256_set1_epi16(factor));
        _mm256_srai_epi16::<1>(_mm256_add_epi16(product, _mm256_set1_epi16(1)))
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

    /// A third of each lane's sixteen pixels.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn third(from: &[[i8; 16]; 3], blue: __m256i, green: __m256i, red: __m256i) -> __m256i {
        let both = _mm256_or_si256(pick(blue, &from[0]), pick(green, &from[1]));
        _mm256_or_si256(both, pick(red, &from[2]))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn pick(values: __m256i, from: &[i8; 16]) -> __m256i {
        // SAFETY: sixteen bytes.
        let from = unsafe { _mm_loadu_si128(from.as_ptr().cast()) };
        _mm256_shuffle_epi8(values, _mm256_broadcastsi128_si256(from))
    }

    /// The samples of a group.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn load(row: &[u8]) -> __m256i {
        // SAFETY: as many bytes as a vector has.
        unsafe { _mm256_loadu_si256(row[..GROUP].as_ptr().cast()) }
    }

    /// Writes the `nth` third of each sixteen pixels to a group.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn store(thirds: __m256i, nth: usize, out: &mut [u8]) {
        let halves = out[..GROUP * 3].split_at_mut(GROUP * 3 / 2);
        let low = halves.0[nth * 16..][..16].as_mut_ptr();
        let high = halves.1[nth * 16..][..16].as_mut_ptr();
        // SAFETY: sixteen bytes each.
        unsafe {
            _mm_storeu_si128(low.cast(), _mm256_castsi256_si128(thirds));
            _mm_storeu_si128(high.cast(), _mm256_extracti128_si256::<1>(thirds));
        }
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
    pub(super) fn grey(y: &[u8], bgr: &mut [u8]) {
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
                assert_same!(grey(row; vec![7; len * 3]));
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
