//! For processors without AVX2, and the reference for those with it.

use super::*;

const PASS1_BITS: u32 = 2;
const CONST_BITS: u32 = 13;
const SHIFT_1: u32 = CONST_BITS - PASS1_BITS;
const SHIFT_2: u32 = CONST_BITS + PASS1_BITS + 3;

type Rows = [[i16; 8]; 8];

type Block = [[u8; 8]; 8];

/// Writes eight rows of eight samples, `stride` apart.
pub(in crate::decode::jpeg) fn inverse(
    quant: &[u16; 64],
    block: &[i16; 64],
    out: &mut [u8],
    stride: usize,
) {
    let rest_is_zero = block[8..].iter().fold(0, |any, &value| any | value) == 0;
    let samples = if rest_is_zero {
        inverse_first_row(quant, block)
    } else {
        inverse_all(quant, block)
    };
    for (y, row) in samples.iter().enumerate() {
        out[y * stride..][..8].copy_from_slice(row);
    }
}

fn inverse_all(quant: &[u16; 64], block: &[i16; 64]) -> Block {
    let mut rows: Rows = [[0; 8]; 8];
    for (i, (&value, &step)) in block.iter().zip(quant).enumerate() {
        rows[i / 8][i % 8] = value.wrapping_mul(step as i16);
    }
    second_pass(pass::<SHIFT_1>(&rows))
}

/// The block whose coefficients are all in the first row: its columns are constant.
fn inverse_first_row(quant: &[u16; 64], block: &[i16; 64]) -> Block {
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
fn sample(value: i32) -> u8 {
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
    (value.wrapping_add(1 << (SHIFT - 1)) >> SHIFT).clamp(i16::MIN.into(), i16::MAX.into()) as i16
}
