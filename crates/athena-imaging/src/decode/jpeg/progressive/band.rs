//! One block's band of AC coefficients, sent first or refined (ITU-T T.81, G.1.2.2 and G.1.2.3).
//!
//! The block's mask tells which of its coefficients are not zero.

use super::super::entropy::{Codes, Irregular, PEEK, Window};
use super::super::idct::NATURAL_ORDER;
use super::script::ScanSpec;
use super::table::FirstTable;

/// Decodes a block's band as it is sent first; tells for how many blocks behind it the band ends, too.
#[inline(always)]
pub(super) fn send_band(
    window: &mut Window<'_>,
    table: &FirstTable,
    scan: &ScanSpec,
    block: &mut [i16; 64],
    mask: &mut u64,
) -> Result<usize, Irregular> {
    let (mut k, end, low) = (scan.start, scan.end, u32::from(scan.low));
    let (mut sent, mut ended) = (*mask, 0);
    while k <= end {
        window.refill();
        let step = table.steps[window.peek::<PEEK>()];
        let value = if step.len > 0 {
            window.skip(step.len.into());
            k += usize::from(step.run);
            i32::from(step.value)
        } else {
            let symbol = table.codes.take(window).ok_or(Irregular)?;
            let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            match (run, size) {
                (15, 0) => {
                    k += 16;
                    continue;
                }
                (run, 0) => {
                    ended = bands_ended(window, run);
                    break;
                }
                (run, size) => {
                    k += run as usize;
                    window.value(size)
                }
            }
        };
        if k > end {
            return Err(Irregular);
        }
        let value = i16::try_from(value << low).map_err(|_| Irregular)?;
        if sent == 0 {
            *block = [0; 64];
        }
        block[usize::from(NATURAL_ORDER[k & 63]) & 63] = value;
        sent |= 1 << k;
        k += 1;
    }
    *mask = sent;
    if k > end + 1 {
        return Err(Irregular);
    }
    Ok(ended)
}

/// Decodes a bit for each coefficient of a block's band, and those that it makes known; tells for how many blocks behind it the
/// band ends, too.
///
/// `zero_behind(zero, run)` is the bit of `zero` behind `run` others, or 0.
#[inline(always)]
pub(super) fn refine_band(
    window: &mut Window<'_>,
    codes: &Codes,
    band: u64,
    one: i16,
    block: &mut [i16; 64],
    mask: &mut u64,
    zero_behind: impl Fn(u64, u32) -> u64,
) -> Result<usize, Irregular> {
    let mut sent = *mask;
    // What was sent before; the others are still zero.
    let (mut known, mut zero) = (sent & band, !sent & band);
    let mut left = band;
    while left != 0 {
        window.refill();
        let symbol = codes.take(window).ok_or(Irregular)?;
        let (run, size) = (u32::from(symbol >> 4), symbol & 15);
        let value = match (run, size) {
            (15, 0) => 0,
            (run, 0) => {
                let ended = bands_ended(window, run);
                correct(window, block, known, one);
                *mask = sent;
                return Ok(ended);
            }
            // Its sign.
            (_, 1) => (2 * window.take(1) as i16 - 1) * one,
            _ => return Err(Irregular),
        };
        let target = zero_behind(zero, run);
        if target == 0 {
            return Err(Irregular);
        }
        let up_to_target = target | (target - 1);
        let passed = known & up_to_target;
        if passed != 0 {
            correct(window, block, passed, one);
            known ^= passed;
        }
        if value != 0 {
            if sent == 0 {
                *block = [0; 64];
            }
            let k = target.trailing_zeros() as usize;
            block[usize::from(NATURAL_ORDER[k & 63]) & 63] = value;
            sent |= target;
        }
        zero &= !up_to_target;
        left = band & !up_to_target;
    }
    *mask = sent;
    Ok(0)
}

/// The bit of `zero` behind `run` others, or 0.
pub(super) fn zero_behind(mut zero: u64, run: u32) -> u64 {
    for _ in 0..run {
        zero &= zero.wrapping_sub(1);
    }
    zero & zero.wrapping_neg()
}

/// As [`zero_behind`], in one step.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "bmi2")]
#[inline]
pub(super) fn zero_behind_at_once(zero: u64, run: u32) -> u64 {
    std::arch::x86_64::_pdep_u64(1 << run, zero)
}

/// For how many blocks behind it this symbol ends the band.
#[inline(always)]
fn bands_ended(window: &mut Window<'_>, run: u32) -> usize {
    // The code and up to 14 bits behind it are in the window.
    (1 << run) + window.take(run) - 1
}

/// Reads a bit for each coefficient of the mask, and moves those away from zero whose bit is set.
#[inline(always)]
pub(super) fn correct(window: &mut Window<'_>, block: &mut [i16; 64], mut mask: u64, one: i16) {
    while mask != 0 {
        window.refill();
        // A window holds 56 bits at least.
        let count = mask.count_ones().min(32);
        let corrections = window.take(count);
        for place in (0..count).rev() {
            let k = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            let set = (corrections >> place & 1) as i16;
            let value = &mut block[usize::from(NATURAL_ORDER[k & 63]) & 63];
            // Away from zero: by the sign of the coefficient.
            let sign = (*value >> 15) | 1;
            *value = value.wrapping_add(-set & one.wrapping_mul(sign));
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::super::super::testing::noise;
    use super::*;

    #[test]
    fn both_ways_find_the_same_zero() {
        if !is_x86_feature_detected!("bmi2") {
            return;
        }
        let mut seed = 0x9E37_79B9_7F4A_7C15;
        for round in 0..10_000 {
            let mut zero = noise(&mut seed);
            (0..round % 4).for_each(|_| zero &= noise(&mut seed));
            for run in 0..16 {
                // SAFETY: the processor has BMI2.
                #[allow(unsafe_code)]
                let at_once = unsafe { zero_behind_at_once(zero, run) };
                assert_eq!(at_once, zero_behind(zero, run), "{zero:b}, {run}");
            }
        }
    }
}
