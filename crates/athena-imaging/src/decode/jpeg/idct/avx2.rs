//! Eight columns at a time.

use std::arch::x86_64::*;

use super::*;

type Rows = [__m128i; 8];

const PASS_1: i32 = 11;
const PASS_2: i32 = 18;

/// Writes eight rows of eight samples, `stride` apart; coefficients from `end` on, in zigzag order, are zero.
#[target_feature(enable = "avx2")]
#[inline]
pub(in crate::decode::jpeg) fn inverse(
    quant: &[u16; 64],
    block: &[i16; 64],
    end: usize,
    out: &mut [u8],
    stride: usize,
) {
    /// As many lie in the first four rows and columns.
    const CORNER: usize = 10;
    let (quant, block) = (quant.as_chunks::<8>().0, block.as_chunks::<8>().0);
    // SAFETY: eight values of two bytes each.
    let step = |y: usize| unsafe { _mm_loadu_si128(quant[y].as_ptr().cast()) };
    // SAFETY: as above.
    let row = |y: usize| unsafe { _mm_loadu_si128(block[y].as_ptr().cast()) };
    let first = _mm_mullo_epi16(row(0), step(0));
    if end == 1 {
        return store([flat(first); 4], out, stride);
    }
    let zero = _mm_setzero_si128();
    let columns = if end <= CORNER {
        let rows = [row(1), row(2), row(3)];
        if is_zero(_mm_or_si128(_mm_or_si128(rows[0], rows[1]), rows[2])) {
            first_row(first)
        } else {
            let at = |y: usize| _mm_mullo_epi16(rows[y - 1], step(y));
            let [a, b, c, d] = corner_pass([first, at(1), at(2), at(3)]);
            [a, b, c, d, zero, zero, zero, zero]
        }
    } else {
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
        let rest = rows[1..]
            .iter()
            .fold(zero, |any, &row| _mm_or_si128(any, row));
        if is_zero(rest) {
            if is_zero(_mm_srli_si128::<2>(rows[0])) {
                return store([flat(first); 4], out, stride);
            }
            first_row(first)
        } else {
            let at = |y: usize| _mm_mullo_epi16(rows[y], step(y));
            transpose(pass::<PASS_1>([
                first,
                at(1),
                at(2),
                at(3),
                at(4),
                at(5),
                at(6),
                at(7),
            ]))
        }
    };
    let rows = transpose(pass::<PASS_2>(columns));
    let centre = _mm_set1_epi8(-128);
    let pair = |y: usize| _mm_add_epi8(_mm_packs_epi16(rows[y], rows[y + 1]), centre);
    store([pair(0), pair(2), pair(4), pair(6)], out, stride);
}

#[target_feature(enable = "avx2")]
#[inline]
fn is_zero(value: __m128i) -> bool {
    _mm_testz_si128(value, value) == 1
}

/// The samples of a lone DC coefficient: (dc * 2^13 + 2^17) >> 18, eight times two rows.
#[target_feature(enable = "avx2")]
#[inline]
fn flat(first: __m128i) -> __m128i {
    let dc = (_mm_extract_epi16::<0>(first) as i16).wrapping_shl(2);
    let dc = (i32::from(dc) + 16) >> 5;
    _mm_set1_epi8((dc.clamp(-128, 127) + 128) as i8)
}

/// The first pass over coefficients that are all in the first row, transposed.
#[target_feature(enable = "avx2")]
#[inline]
fn first_row(first: __m128i) -> Rows {
    transpose([_mm_slli_epi16::<2>(first); 8])
}

/// Writes pairs of rows.
#[target_feature(enable = "avx2")]
#[inline]
fn store(pairs: [__m128i; 4], out: &mut [u8], stride: usize) {
    assert!(out.len() >= 7 * stride + 8);
    let out = out.as_mut_ptr();
    for (i, pair) in pairs.into_iter().enumerate() {
        let (y, low) = (i * 2, _mm_unpackhi_epi64(pair, pair));
        // SAFETY: eight bytes each within the eight rows that are asserted.
        unsafe {
            _mm_storel_epi64(out.add(y * stride).cast(), pair);
            _mm_storel_epi64(out.add((y + 1) * stride).cast(), low);
        }
    }
}

/// The first pass over four rows and columns, transposed.
#[target_feature(enable = "avx2")]
#[inline]
fn corner_pass([in0, in1, in2, in3]: [__m128i; 4]) -> [__m128i; 4] {
    let zero = _mm_setzero_si128();
    let multiply_add = |pairs, first: i32, second: i32| {
        _mm_madd_epi16(pairs, _mm_set1_epi32((second << 16) | (first & 0xFFFF)))
    };

    let pair2 = _mm_unpacklo_epi16(in2, zero);
    let tmp3 = multiply_add(pair2, FIX_0_541 + FIX_0_765, 0);
    let tmp2 = multiply_add(pair2, FIX_0_541, 0);
    let tmp0 = _mm_slli_epi32::<13>(_mm_cvtepi16_epi32(in0));
    let even = [
        _mm_add_epi32(tmp0, tmp3),
        _mm_add_epi32(tmp0, tmp2),
        _mm_sub_epi32(tmp0, tmp2),
        _mm_sub_epi32(tmp0, tmp3),
    ];

    let pair31 = _mm_unpacklo_epi16(in3, in1);
    let z3 = multiply_add(pair31, FIX_1_175 - FIX_1_961, FIX_1_175);
    let z4 = multiply_add(pair31, FIX_1_175, FIX_1_175 - FIX_0_390);
    let odd = [
        _mm_add_epi32(multiply_add(pair31, 0, FIX_1_501 - FIX_0_899), z4),
        _mm_add_epi32(multiply_add(pair31, FIX_3_072 - FIX_2_562, 0), z3),
        _mm_add_epi32(multiply_add(pair31, -FIX_2_562, 0), z4),
        _mm_add_epi32(multiply_add(pair31, 0, -FIX_0_899), z3),
    ];

    let round = _mm_set1_epi32(1 << (PASS_1 - 1));
    let mut sums = [zero; 4];
    let mut differences = [zero; 4];
    for i in 0..4 {
        let even = _mm_add_epi32(even[i], round);
        sums[i] = _mm_srai_epi32::<PASS_1>(_mm_add_epi32(even, odd[i]));
        differences[i] = _mm_srai_epi32::<PASS_1>(_mm_sub_epi32(even, odd[i]));
    }
    let half = |a, b, c, d| {
        let (ab, cd) = (_mm_packs_epi32(a, b), _mm_packs_epi32(c, d));
        let (ac, bd) = (_mm_unpacklo_epi16(ab, cd), _mm_unpackhi_epi16(ab, cd));
        (_mm_unpacklo_epi16(ac, bd), _mm_unpackhi_epi16(ac, bd))
    };
    let (low01, low23) = half(sums[0], sums[1], sums[2], sums[3]);
    let (high01, high23) = half(
        differences[3],
        differences[2],
        differences[1],
        differences[0],
    );
    [
        _mm_unpacklo_epi64(low01, high01),
        _mm_unpackhi_epi64(low01, high01),
        _mm_unpacklo_epi64(low23, high23),
        _mm_unpackhi_epi64(low23, high23),
    ]
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
