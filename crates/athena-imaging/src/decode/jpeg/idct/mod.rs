//! The accurate integer inverse DCT, as libjpeg-turbo's SIMD code computes it.
//!
//! For the coefficients of a sound file this is ITU-T T.81's transform in 13-bit fixed point after Loeffler, Ligtenberg and
//! Moschytz (1989). For the wild coefficients of a broken one, the widths at which sums wrap and the places at which values
//! saturate decide the pixels: those follow libjpeg-turbo's vector code, which is what OpenCV runs, not its C code.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
pub(super) mod scalar;

/// Where in a block each coefficient goes, in zigzag order; one past the last takes what has no place.
pub(super) const NATURAL_ORDER: [u8; 128] = {
    let mut order = [64; 128];
    let (mut x, mut y, mut place) = (0_usize, 0_usize, 0);
    while place < 64 {
        order[place] = (y * 8 + x) as u8;
        place += 1;
        let up = (x + y).is_multiple_of(2);
        match (up, x, y) {
            (true, 7, _) | (false, 0, 0..7) => y += 1,
            (true, _, 0) | (false, _, 7) => x += 1,
            (true, ..) => (x, y) = (x + 1, y - 1),
            (false, ..) => (x, y) = (x - 1, y + 1),
        }
    }
    order
};

/// The coefficients of a block as they are decoded, in zigzag order.
#[derive(Debug, Clone)]
#[repr(align(32))]
pub(super) struct Coefficients([i16; 128]);

impl Default for Coefficients {
    fn default() -> Self {
        Self([0; 128])
    }
}

impl Coefficients {
    /// Sets the coefficient at a place below 128; beyond 63 it is lost.
    #[inline(always)]
    pub(super) fn set(&mut self, place: usize, value: i16) {
        self.0[usize::from(NATURAL_ORDER[place & 127] & 127)] = value;
    }

    #[inline(always)]
    pub(super) fn block(&self) -> &[i16; 64] {
        self.0.first_chunk().expect("128 values")
    }

    /// Sets all to zero.
    #[inline(always)]
    pub(super) fn clear(&mut self) {
        self.0[..64].fill(0);
    }
}

/// What the shim calls for each block: the best transform for this processor.
pub(super) fn callback() -> Callback {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        return avx2_callback;
    }
    scalar_callback
}

/// Dequantises and transforms one block.
///
/// `quant` and `block` point to 64 values, `out` to eight rows of eight bytes, `stride` bytes apart.
pub(super) type Callback =
    unsafe extern "C" fn(quant: *const u16, block: *const i16, out: *mut u8, stride: usize);

/// # Safety
///
/// See [`Callback`].
unsafe extern "C" fn scalar_callback(
    quant: *const u16,
    block: *const i16,
    out: *mut u8,
    stride: usize,
) {
    // SAFETY: the caller's promise.
    let (quant, block, out) = unsafe { borrow(quant, block, out, stride) };
    scalar::inverse(quant, block, out, stride);
}

/// # Safety
///
/// See [`Callback`]; the processor has AVX2.
#[cfg(target_arch = "x86_64")]
unsafe extern "C" fn avx2_callback(
    quant: *const u16,
    block: *const i16,
    out: *mut u8,
    stride: usize,
) {
    // SAFETY: the caller's promise.
    let (quant, block, out) = unsafe { borrow(quant, block, out, stride) };
    // SAFETY: the caller's promise.
    unsafe { avx2::inverse(quant, block, 64, out, stride) };
}

/// # Safety
///
/// See [`Callback`]; nothing else touches `out` meanwhile.
unsafe fn borrow<'a>(
    quant: *const u16,
    block: *const i16,
    out: *mut u8,
    stride: usize,
) -> (&'a [u16; 64], &'a [i16; 64], &'a mut [u8]) {
    // SAFETY: the caller's promise; both arrays are aligned for their elements.
    unsafe {
        (
            &*quant.cast(),
            &*block.cast(),
            std::slice::from_raw_parts_mut(out, 7 * stride + 8),
        )
    }
}

// cos(k pi / 16) products in 13-bit fixed point.
const FIX_0_298: i32 = 2446;
const FIX_0_390: i32 = 3196;
const FIX_0_541: i32 = 4433;
const FIX_0_765: i32 = 6270;
const FIX_0_899: i32 = 7373;
const FIX_1_175: i32 = 9633;
const FIX_1_501: i32 = 12299;
const FIX_1_847: i32 = 15137;
const FIX_1_961: i32 = 16069;
const FIX_2_053: i32 = 16819;
const FIX_2_562: i32 = 20995;
const FIX_3_072: i32 = 25172;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::jpeg::testing::noise;

    /// Blocks from sparse to full, from tame to wild, with the number of coefficients in zigzag order.
    fn blocks() -> impl Iterator<Item = ([u16; 64], Coefficients, usize)> {
        let mut seed = 0x9E37_79B9_7F4A_7C15;
        (0..20_000).map(move |round| {
            let quant = std::array::from_fn(|_| {
                1 + (noise(&mut seed) % if round % 3 == 0 { 65_535 } else { 60 }) as u16
            });
            let end = 1 + ((noise(&mut seed) % 64) as usize >> (noise(&mut seed) % 4));
            let density = 1 + noise(&mut seed) % 64;
            let shift = noise(&mut seed) % 16;
            let mut coefficients = Coefficients::default();
            for place in 0..end {
                if noise(&mut seed) % 64 < density {
                    coefficients.set(place, (noise(&mut seed) as i16) >> shift);
                }
            }
            (quant, coefficients, end)
        })
    }

    fn scalar(quant: &[u16; 64], block: &[i16; 64]) -> [u8; 64] {
        let mut out = [0; 64];
        scalar::inverse(quant, block, &mut out, 8);
        out
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn both_processors_give_the_same_samples() {
        if !is_x86_feature_detected!("avx2") {
            return;
        }
        for (quant, coefficients, end) in blocks() {
            let expected = scalar(&quant, coefficients.block());
            for end in [end, 64] {
                let mut out = [0; 64];
                // SAFETY: the processor has AVX2.
                unsafe { avx2::inverse(&quant, coefficients.block(), end, &mut out, 8) };
                assert_eq!(out, expected, "{end} {coefficients:?}");
            }
        }
    }

    #[test]
    fn what_the_shim_calls_keeps_to_its_rows() {
        for (quant, coefficients, _) in blocks().take(100) {
            let mut out = [7; 8 * 20];
            // SAFETY: sound arrays, eight rows of 20 bytes.
            unsafe {
                callback()(
                    quant.as_ptr(),
                    coefficients.block().as_ptr(),
                    out.as_mut_ptr(),
                    20,
                )
            };
            let expected = scalar(&quant, coefficients.block());
            for (row, expected) in out.chunks_exact(20).zip(expected.chunks_exact(8)) {
                assert_eq!(&row[..8], expected);
                assert_eq!(row[8..], [7; 12]);
            }
        }
    }

    #[test]
    fn a_flat_block_is_its_dc_over_eight_around_128() {
        let mut coefficients = Coefficients::default();
        coefficients.set(0, 40);
        assert_eq!(scalar(&[2; 64], coefficients.block()), [138; 64]);
    }

    #[test]
    fn the_zigzag_visits_every_place_once() {
        let mut seen = [0; 65];
        for place in NATURAL_ORDER {
            seen[usize::from(place)] += 1;
        }
        assert_eq!(seen[..64], [1; 64]);
        assert_eq!(NATURAL_ORDER[..10], [0, 1, 8, 16, 9, 2, 3, 10, 17, 24]);
        assert_eq!(NATURAL_ORDER[62..64], [62, 63]);
    }
}
