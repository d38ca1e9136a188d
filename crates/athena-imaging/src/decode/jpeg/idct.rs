//! The accurate integer inverse DCT, as libjpeg-turbo's SIMD code computes it.
//!
//! For the coefficients of a sound file this is ITU-T T.81's transform in 13-bit fixed point after Loeffler, Ligtenberg and
//! Moschytz (1989). For the wild coefficients of a broken one, the widths at which sums wrap and the places at which values
//! saturate decide the pixels: those follow libjpeg-turbo's vector code, which is what OpenCV runs, not its C code.
#![allow(unsafe_code)]

/// What the shim calls for each block: the best transform for this processor.
pub(super) fn callback() -> Callback {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        return avx2::callback;
    }
    scalar_callback
}

/// Dequantises and transforms one block.
///
/// `quant` and `block` point to 64 values, `out` to eight rows of eight bytes, `stride` bytes apart.
pub(super) type Callback =
    unsafe extern "C" fn(quant: *const u16, block: *const i16, out: *mut u8, stride: isize);

/// # Safety
///
/// See [`Callback`].
unsafe extern "C" fn scalar_callback(
    quant: *const u16,
    block: *const i16,
    out: *mut u8,
    stride: isize,
) {
    // SAFETY: the caller's promise; both arrays are aligned for their elements.
    let (quant, block) = unsafe { (&*quant.cast::<[u16; 64]>(), &*block.cast::<[i16; 64]>()) };
    for (y, row) in inverse(quant, block).iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            out.offset(y as isize * stride)
                .cast::<[u8; 8]>()
                .write_unaligned(*row)
        };
    }
}

/// Eight rows of eight samples.
type Block = [[u8; 8]; 8];

fn inverse(quant: &[u16; 64], block: &[i16; 64]) -> Block {
    if rest_is_zero(block) {
        scalar::inverse_first_row(quant, block)
    } else {
        scalar::inverse(quant, block)
    }
}

/// Whether all rows of coefficients but the first are zero.
fn rest_is_zero(block: &[i16; 64]) -> bool {
    block[8..].iter().fold(0, |any, &value| any | value) == 0
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

mod scalar {
    use super::*;

    const PASS1_BITS: u32 = 2;
    const CONST_BITS: u32 = 13;
    const SHIFT_1: u32 = CONST_BITS - PASS1_BITS;
    const SHIFT_2: u32 = CONST_BITS + PASS1_BITS + 3;

    type Rows = [[i16; 8]; 8];

    pub(super) fn inverse(quant: &[u16; 64], block: &[i16; 64]) -> Block {
        let mut rows: Rows = [[0; 8]; 8];
        for (i, (&value, &step)) in block.iter().zip(quant).enumerate() {
            rows[i / 8][i % 8] = value.wrapping_mul(step as i16);
        }
        second_pass(pass::<SHIFT_1>(&rows))
    }

    /// The block whose coefficients are all in the first row: its columns are constant.
    pub(super) fn inverse_first_row(quant: &[u16; 64], block: &[i16; 64]) -> Block {
        let first: [i16; 8] = std::array::from_fn(|x| {
            block[x]
                .wrapping_mul(quant[x] as i16)
                .wrapping_shl(PASS1_BITS)
        });
        second_pass([first; 8])
    }

    fn second_pass(columns: Rows) -> Block {
        let rows = transpose(&pass::<SHIFT_2>(&transpose(&columns)));
        rows.map(|row| row.map(|value| sample(value.into())))
    }

    /// A saturated sample around zero, made unsigned.
    pub(super) fn sample(value: i32) -> u8 {
        (value.clamp(-128, 127) + 128) as u8
    }

    fn transpose(rows: &Rows) -> Rows {
        std::array::from_fn(|y| std::array::from_fn(|x| rows[x][y]))
    }

    /// One dimension, down each of the eight columns.
    fn pass<const SHIFT: u32>(input: &Rows) -> Rows {
        let mut out: Rows = [[0; 8]; 8];
        for lane in 0..8 {
            let at = |row: usize| i32::from(input[row][lane]);
            let narrow = |sum: i16| i32::from(sum);

            let tmp2 = at(2) * FIX_0_541 + at(6) * (FIX_0_541 - FIX_1_847);
            let tmp3 = at(2) * (FIX_0_541 + FIX_0_765) + at(6) * FIX_0_541;
            let tmp0 = narrow(input[0][lane].wrapping_add(input[4][lane])) << CONST_BITS;
            let tmp1 = narrow(input[0][lane].wrapping_sub(input[4][lane])) << CONST_BITS;
            let even = [
                tmp0.wrapping_add(tmp3),
                tmp1.wrapping_add(tmp2),
                tmp1.wrapping_sub(tmp2),
                tmp0.wrapping_sub(tmp3),
            ];

            let z3 = narrow(input[7][lane].wrapping_add(input[3][lane]));
            let z4 = narrow(input[5][lane].wrapping_add(input[1][lane]));
            let (z3, z4) = (
                z3 * (FIX_1_175 - FIX_1_961) + z4 * FIX_1_175,
                z3 * FIX_1_175 + z4 * (FIX_1_175 - FIX_0_390),
            );
            let tmp0 = (at(7) * (FIX_0_298 - FIX_0_899) + at(1) * -FIX_0_899).wrapping_add(z3);
            let tmp1 = (at(5) * (FIX_2_053 - FIX_2_562) + at(3) * -FIX_2_562).wrapping_add(z4);
            let tmp2 = (at(5) * -FIX_2_562 + at(3) * (FIX_3_072 - FIX_2_562)).wrapping_add(z3);
            let tmp3 = (at(7) * -FIX_0_899 + at(1) * (FIX_1_501 - FIX_0_899)).wrapping_add(z4);

            for (i, (even, odd)) in even.into_iter().zip([tmp3, tmp2, tmp1, tmp0]).enumerate() {
                out[i][lane] = descale::<SHIFT>(even.wrapping_add(odd));
                out[7 - i][lane] = descale::<SHIFT>(even.wrapping_sub(odd));
            }
        }
        out
    }

    fn descale<const SHIFT: u32>(value: i32) -> i16 {
        (value.wrapping_add(1 << (SHIFT - 1)) >> SHIFT).clamp(i16::MIN.into(), i16::MAX.into())
            as i16
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::*;

    type Rows = [__m128i; 8];

    /// # Safety
    ///
    /// See [`Callback`]; the processor has AVX2.
    pub(super) unsafe extern "C" fn callback(
        quant: *const u16,
        block: *const i16,
        out: *mut u8,
        stride: isize,
    ) {
        // SAFETY: the caller's promises.
        unsafe { inverse(quant, block, out, stride) };
    }

    #[target_feature(enable = "avx2")]
    unsafe fn inverse(quant: *const u16, block: *const i16, out: *mut u8, stride: isize) {
        // SAFETY: rows 0 to 7 of 64 values.
        let row = |y: usize| unsafe { _mm_loadu_si128(block.add(y * 8).cast()) };
        // SAFETY: as above.
        let step = |y: usize| unsafe { _mm_loadu_si128(quant.add(y * 8).cast()) };
        let rows = [
            row(0),
            row(1),
            row(2),
            row(3),
            row(4),
            row(5),
            row(6),
            row(7),
        ];
        let low = _mm_or_si128(_mm_or_si128(rows[1], rows[2]), rows[3]);
        let high = _mm_or_si128(
            _mm_or_si128(rows[4], rows[5]),
            _mm_or_si128(rows[6], rows[7]),
        );
        let rest = _mm_or_si128(low, high);
        let first = _mm_mullo_epi16(rows[0], step(0));
        let columns = if _mm_testz_si128(rest, rest) == 1 {
            let first = _mm_slli_epi16::<2>(first);
            if _mm_testz_si128(rows[0], _mm_setr_epi16(0, -1, -1, -1, -1, -1, -1, -1)) == 1 {
                // A lone DC coefficient: (dc * 2^13 + 2^17) >> 18 for every sample.
                let dc = (i32::from(_mm_extract_epi16::<0>(first) as i16) + 16) >> 5;
                let flat = _mm_set1_epi8((dc.clamp(-128, 127) + 128) as i8);
                for y in 0..8 {
                    // SAFETY: the caller's promise.
                    unsafe { _mm_storel_epi64(out.offset(y * stride).cast(), flat) };
                }
                return;
            }
            transpose([first; 8])
        } else {
            let at = |y: usize| _mm_mullo_epi16(rows[y], step(y));
            transpose(pass::<11>([
                first,
                at(1),
                at(2),
                at(3),
                at(4),
                at(5),
                at(6),
                at(7),
            ]))
        };
        let rows = transpose(pass::<18>(columns));
        let center = _mm_set1_epi8(-128);
        for pair in 0..4 {
            let samples = _mm_add_epi8(_mm_packs_epi16(rows[pair * 2], rows[pair * 2 + 1]), center);
            let y = pair as isize * 2;
            // SAFETY: the caller's promise.
            unsafe {
                _mm_storel_epi64(out.offset(y * stride).cast(), samples);
                _mm_storel_epi64(
                    out.offset((y + 1) * stride).cast(),
                    _mm_unpackhi_epi64(samples, samples),
                );
            }
        }
    }

    /// One dimension, down each of the eight columns.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn pass<const SHIFT: i32>(rows: Rows) -> Rows {
        let [in0, in1, in2, in3, in4, in5, in6, in7] = rows;

        let pair26 = interleave(in2, in6);
        let tmp3 = multiply_add(pair26, FIX_0_541 + FIX_0_765, FIX_0_541);
        let tmp2 = multiply_add(pair26, FIX_0_541, FIX_0_541 - FIX_1_847);
        let tmp0 = _mm256_slli_epi32::<13>(_mm256_cvtepi16_epi32(_mm_add_epi16(in0, in4)));
        let tmp1 = _mm256_slli_epi32::<13>(_mm256_cvtepi16_epi32(_mm_sub_epi16(in0, in4)));
        let even = [
            _mm256_add_epi32(tmp0, tmp3),
            _mm256_add_epi32(tmp1, tmp2),
            _mm256_sub_epi32(tmp1, tmp2),
            _mm256_sub_epi32(tmp0, tmp3),
        ];

        let z34 = interleave(_mm_add_epi16(in7, in3), _mm_add_epi16(in5, in1));
        let z3 = multiply_add(z34, FIX_1_175 - FIX_1_961, FIX_1_175);
        let z4 = multiply_add(z34, FIX_1_175, FIX_1_175 - FIX_0_390);
        let pair71 = interleave(in7, in1);
        let pair53 = interleave(in5, in3);
        let odd = [
            _mm256_add_epi32(multiply_add(pair71, -FIX_0_899, FIX_1_501 - FIX_0_899), z4),
            _mm256_add_epi32(multiply_add(pair53, -FIX_2_562, FIX_3_072 - FIX_2_562), z3),
            _mm256_add_epi32(multiply_add(pair53, FIX_2_053 - FIX_2_562, -FIX_2_562), z4),
            _mm256_add_epi32(multiply_add(pair71, FIX_0_298 - FIX_0_899, -FIX_0_899), z3),
        ];

        let round = _mm256_set1_epi32(1 << (SHIFT - 1));
        let mut sums = [_mm256_setzero_si256(); 4];
        let mut differences = [_mm256_setzero_si256(); 4];
        for i in 0..4 {
            let even = _mm256_add_epi32(even[i], round);
            sums[i] = _mm256_srai_epi32::<SHIFT>(_mm256_add_epi32(even, odd[i]));
            differences[i] = _mm256_srai_epi32::<SHIFT>(_mm256_sub_epi32(even, odd[i]));
        }
        let (out0, out1) = narrow(sums[0], sums[1]);
        let (out2, out3) = narrow(sums[2], sums[3]);
        let (out7, out6) = narrow(differences[0], differences[1]);
        let (out5, out4) = narrow(differences[2], differences[3]);
        [out0, out1, out2, out3, out4, out5, out6, out7]
    }

    /// `a * first + b * second` for eight interleaved pairs.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn multiply_add(pairs: __m256i, first: i32, second: i32) -> __m256i {
        _mm256_madd_epi16(pairs, _mm256_set1_epi32((second << 16) | (first & 0xFFFF)))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn interleave(a: __m128i, b: __m128i) -> __m256i {
        _mm256_set_m128i(_mm_unpackhi_epi16(a, b), _mm_unpacklo_epi16(a, b))
    }

    /// Two rows of 32-bit values as two rows of saturated 16-bit values.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn narrow(a: __m256i, b: __m256i) -> (__m128i, __m128i) {
        let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(a, b));
        (
            _mm256_castsi256_si128(packed),
            _mm256_extracti128_si256::<1>(packed),
        )
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn transpose(r: Rows) -> Rows {
        let a = [
            _mm_unpacklo_epi16(r[0], r[1]),
            _mm_unpackhi_epi16(r[0], r[1]),
            _mm_unpacklo_epi16(r[2], r[3]),
            _mm_unpackhi_epi16(r[2], r[3]),
            _mm_unpacklo_epi16(r[4], r[5]),
            _mm_unpackhi_epi16(r[4], r[5]),
            _mm_unpacklo_epi16(r[6], r[7]),
            _mm_unpackhi_epi16(r[6], r[7]),
        ];
        let b = [
            _mm_unpacklo_epi32(a[0], a[2]),
            _mm_unpackhi_epi32(a[0], a[2]),
            _mm_unpacklo_epi32(a[1], a[3]),
            _mm_unpackhi_epi32(a[1], a[3]),
            _mm_unpacklo_epi32(a[4], a[6]),
            _mm_unpackhi_epi32(a[4], a[6]),
            _mm_unpacklo_epi32(a[5], a[7]),
            _mm_unpackhi_epi32(a[5], a[7]),
        ];
        [
            _mm_unpacklo_epi64(b[0], b[4]),
            _mm_unpackhi_epi64(b[0], b[4]),
            _mm_unpacklo_epi64(b[1], b[5]),
            _mm_unpackhi_epi64(b[1], b[5]),
            _mm_unpacklo_epi64(b[2], b[6]),
            _mm_unpackhi_epi64(b[2], b[6]),
            _mm_unpacklo_epi64(b[3], b[7]),
            _mm_unpackhi_epi64(b[3], b[7]),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small generator of reproducible noise (Marsaglia's xorshift).
    fn noise(seed: &mut u64) -> u64 {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        *seed
    }

    fn blocks() -> impl Iterator<Item = ([u16; 64], [i16; 64])> {
        let mut seed = 0x9E37_79B9_7F4A_7C15;
        (0..4_000).map(move |round| {
            let quant = std::array::from_fn(|_| {
                1 + (noise(&mut seed) % if round % 3 == 0 { 65_535 } else { 60 }) as u16
            });
            let density = 1 + noise(&mut seed) % 64;
            let shift = noise(&mut seed) % 16;
            let block = std::array::from_fn(|_| match noise(&mut seed) % 64 < density {
                true => (noise(&mut seed) as i16) >> shift,
                false => 0,
            });
            (quant, block)
        })
    }

    /// What the processor's own transform gives.
    fn called(quant: &[u16; 64], block: &[i16; 64]) -> Block {
        let mut out = [[0; 8]; 8];
        // SAFETY: sound arrays.
        unsafe { callback()(quant.as_ptr(), block.as_ptr(), out.as_mut_ptr().cast(), 8) };
        out
    }

    #[test]
    fn every_path_gives_the_same_samples() {
        for (quant, mut block) in blocks() {
            if !rest_is_zero(&block) {
                assert_eq!(called(&quant, &block), scalar::inverse(&quant, &block));
            }
            block[8..].fill(0);
            assert_eq!(
                called(&quant, &block),
                scalar::inverse_first_row(&quant, &block)
            );
            block[1..8].fill(0);
            assert_eq!(
                called(&quant, &block),
                scalar::inverse_first_row(&quant, &block)
            );
        }
    }

    #[test]
    fn a_flat_block_is_its_dc_over_eight_around_128() {
        let mut block = [0; 64];
        block[0] = 40;
        assert_eq!(called(&[2; 64], &block), [[138; 8]; 8]);
    }
}
