//! The four kinds of scan (ITU-T T.81, G.1.2): DC and AC coefficients, sent first and refined.

use super::super::entropy::{Bits, Codes, Irregular, PEEK};
use super::super::idct::NATURAL_ORDER;
use super::Stop;
use super::blocks::{Blocks, Plane};
use super::script::{ScanSpec, Script};
use super::table::FirstTable;
use crate::Budget;

/// Blocks between two payments.
const PIECE: usize = 2048;
/// Units of work for a byte of Huffman codes, and for a block that is looked at.
const WORK_OF_BYTE: u64 = 4;
const WORK_OF_BLOCK: u64 = 4;
/// The most bytes that a block takes: 64 coefficients of 16 bits of code and 15 of value, and correction bits.
const BLOCK_BYTES: usize = 64 * 4;

/// Reads the data of one scan.
pub(super) struct Reader<'a, 'b> {
    pub(super) bits: Bits<'a>,
    /// MCUs between restart markers, or 0.
    pub(super) restarts: u32,
    pub(super) budget: &'b Budget<'b>,
}

/// Pays for what was read.
struct Meter<'b> {
    budget: &'b Budget<'b>,
    unread: usize,
    blocks: usize,
}

impl Meter<'_> {
    fn count(&mut self, blocks: usize, bits: &Bits<'_>) -> Result<(), Stop> {
        self.blocks += blocks;
        if self.blocks >= PIECE {
            self.settle(bits)?;
        }
        Ok(())
    }

    fn settle(&mut self, bits: &Bits<'_>) -> Result<(), Stop> {
        let bytes = (self.unread - bits.unread()) as u64;
        self.unread = bits.unread();
        let blocks = std::mem::take(&mut self.blocks) as u64;
        self.budget
            .charge(WORK_OF_BYTE * bytes + WORK_OF_BLOCK * blocks)?;
        if bits.overrun() {
            return Err(Stop::Irregular);
        }
        Ok(())
    }
}

impl Reader<'_, '_> {
    pub(super) fn read(
        &mut self,
        scan: &ScanSpec,
        script: &Script,
        blocks: &mut Blocks,
    ) -> Result<(), Stop> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt")
        {
            #[target_feature(enable = "bmi1,bmi2,lzcnt,popcnt")]
            fn read(
                reader: &mut Reader<'_, '_>,
                scan: &ScanSpec,
                script: &Script,
                blocks: &mut Blocks,
            ) -> Result<(), Stop> {
                reader.read_portable(scan, script, blocks)
            }
            // SAFETY: the processor has them.
            #[allow(unsafe_code)]
            return unsafe { read(self, scan, script, blocks) };
        }
        self.read_portable(scan, script, blocks)
    }

    #[inline(always)]
    fn read_portable(
        &mut self,
        scan: &ScanSpec,
        script: &Script,
        blocks: &mut Blocks,
    ) -> Result<(), Stop> {
        let mut meter = Meter {
            budget: self.budget,
            unread: self.bits.unread(),
            blocks: 0,
        };
        match (scan.start, scan.refines) {
            (0, false) => self.dc_first(scan, script, blocks, &mut meter)?,
            (0, true) => self.dc_refine(scan, blocks, &mut meter)?,
            (_, refines) => {
                let component = scan.components[0];
                let definition = script.ac(component.ac)?;
                let plane = &mut blocks.planes[component.index];
                if refines {
                    let codes = Codes::new(definition).ok_or(Irregular)?;
                    self.ac_refine(scan, &codes, plane, &mut meter)?;
                } else {
                    let table = FirstTable::new(definition)?;
                    self.ac_first(scan, &table, plane, &mut meter)?;
                }
            }
        }
        meter.settle(&self.bits)
    }

    /// Calls `block` for each DC coefficient of a scan in its order, with its plane's place in the scan, and `restart` behind
    /// each restart marker.
    #[inline(always)]
    fn each_dc(
        &mut self,
        scan: &ScanSpec,
        blocks: &mut Blocks,
        meter: &mut Meter<'_>,
        mut block: impl FnMut(&mut Bits<'_>, usize, &mut i16, bool) -> Result<(), Irregular>,
    ) -> Result<(), Stop> {
        let lone = scan.components.len() == 1;
        let (columns, rows) = match lone {
            true => {
                let plane = &blocks.planes[scan.components[0].index];
                (plane.columns, plane.rows)
            }
            false => (blocks.mcus_per_row, blocks.mcu_rows),
        };
        let mut restarts = Restarts::new(self.restarts);
        for row in 0..rows {
            for column in 0..columns {
                let mut fresh = restarts.due(&mut self.bits)?;
                self.bits.reserve(BLOCK_BYTES);
                for (c, component) in scan.components.iter().enumerate() {
                    let plane = &mut blocks.planes[component.index];
                    let (h, v) = if lone { (1, 1) } else { (plane.h, plane.v) };
                    for y in 0..v {
                        let at = (row * v + y) * plane.stride + column * h;
                        for dc in &mut plane.dc[at..at + h] {
                            block(&mut self.bits, c, dc, std::mem::take(&mut fresh))?;
                        }
                    }
                }
            }
            meter.count(columns, &self.bits)?;
        }
        Ok(())
    }

    #[inline(always)]
    fn dc_first(
        &mut self,
        scan: &ScanSpec,
        script: &Script,
        blocks: &mut Blocks,
        meter: &mut Meter<'_>,
    ) -> Result<(), Stop> {
        let mut tables: Vec<Codes> = Vec::with_capacity(scan.components.len());
        for component in &scan.components {
            tables.push(Codes::new(script.dc(component.dc)?).ok_or(Irregular)?);
        }
        let mut predictions = [0; 4];
        let low = scan.low;
        self.each_dc(scan, blocks, meter, |bits, c, dc, fresh| {
            if fresh {
                predictions = [0; 4];
            }
            bits.refill();
            let size = tables[c]
                .take(bits)
                .filter(|&size| size < 16)
                .ok_or(Irregular)?;
            let prediction: &mut i32 = &mut predictions[c & 3];
            *prediction += bits.value(size.into());
            *dc = i16::try_from(*prediction << low).map_err(|_| Irregular)?;
            Ok(())
        })
    }

    #[inline(always)]
    fn dc_refine(
        &mut self,
        scan: &ScanSpec,
        blocks: &mut Blocks,
        meter: &mut Meter<'_>,
    ) -> Result<(), Stop> {
        let low = scan.low;
        self.each_dc(scan, blocks, meter, |bits, _, dc, _| {
            bits.refill();
            *dc |= (bits.peek::<1>() as i16) << low;
            bits.skip(1);
            Ok(())
        })
    }

    #[inline(always)]
    fn ac_first(
        &mut self,
        scan: &ScanSpec,
        table: &FirstTable,
        plane: &mut Plane,
        meter: &mut Meter<'_>,
    ) -> Result<(), Stop> {
        let (start, end, low) = (scan.start, scan.end, u32::from(scan.low));
        let bits = &mut self.bits;
        let mut restarts = Restarts::new(self.restarts);
        // Blocks that the last end of a band stands for, this one included.
        let mut ended = 0_usize;
        for row in 0..plane.rows {
            let row_at = row * plane.stride;
            let mut column = 0;
            while column < plane.columns {
                if ended > 0 {
                    let room = (plane.columns - column).min(restarts.room());
                    let skipped = ended.min(room);
                    if skipped > 0 {
                        ended -= skipped;
                        restarts.pass(skipped);
                        column += skipped;
                        continue;
                    }
                    // A run that goes on behind a restart marker.
                    return Err(Stop::Irregular);
                }
                restarts.due(bits)?;
                bits.reserve(BLOCK_BYTES);
                let at = row_at + column;
                let (block, mask) = (&mut plane.ac[at], plane.masks[at]);
                let mut added = 0_u64;
                let mut k = start;
                while k <= end {
                    bits.refill();
                    let step = table.steps[bits.peek::<PEEK>()];
                    let value = if step.len > 0 {
                        bits.skip(step.len.into());
                        k += usize::from(step.run);
                        i32::from(step.value)
                    } else {
                        let symbol = table.codes.take(bits).ok_or(Irregular)?;
                        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
                        match (run, size) {
                            (15, 0) => {
                                k += 16;
                                continue;
                            }
                            (run, 0) => {
                                ended = band_ends(bits, run);
                                break;
                            }
                            (run, size) => {
                                k += run as usize;
                                bits.value(size)
                            }
                        }
                    };
                    if k > end {
                        return Err(Stop::Irregular);
                    }
                    let value = i16::try_from(value << low).map_err(|_| Irregular)?;
                    if mask | added == 0 {
                        *block = [0; 64];
                    }
                    block[usize::from(NATURAL_ORDER[k & 63]) & 63] = value;
                    added |= 1 << k;
                    k += 1;
                }
                plane.masks[at] = mask | added;
                if k > end + 1 {
                    return Err(Stop::Irregular);
                }
                ended = ended.saturating_sub(1);
                column += 1;
            }
            meter.count(plane.columns, bits)?;
        }
        if ended > 0 {
            Err(Stop::Irregular)
        } else {
            Ok(())
        }
    }

    #[inline(always)]
    fn ac_refine(
        &mut self,
        scan: &ScanSpec,
        codes: &Codes,
        plane: &mut Plane,
        meter: &mut Meter<'_>,
    ) -> Result<(), Stop> {
        let (start, end) = (scan.start, scan.end);
        let band = up_to(end) & !below(start);
        let one = 1_i16 << scan.low;
        let bits = &mut self.bits;
        let mut restarts = Restarts::new(self.restarts);
        let mut ended = 0_usize;
        for row in 0..plane.rows {
            let row_at = row * plane.stride;
            for column in 0..plane.columns {
                if restarts.due(bits)? && ended > 0 {
                    return Err(Stop::Irregular);
                }
                let at = row_at + column;
                let mask = plane.masks[at];
                // What was sent before; the others are still zero.
                let (mut known, mut zero) = (mask & band, !mask & band);
                if ended > 0 {
                    if known != 0 {
                        bits.reserve(BLOCK_BYTES);
                        correct(bits, &mut plane.ac[at], known, one);
                    }
                    ended -= 1;
                    continue;
                }
                bits.reserve(BLOCK_BYTES);
                let block = &mut plane.ac[at];
                let mut added = 0_u64;
                let mut left = band;
                while left != 0 {
                    bits.refill();
                    let symbol = codes.take(bits).ok_or(Irregular)?;
                    let (run, size) = (u32::from(symbol >> 4), symbol & 15);
                    let value = match (run, size) {
                        (15, 0) => 0,
                        (run, 0) => {
                            ended = band_ends(bits, run);
                            break;
                        }
                        (_, 1) => {
                            let positive = bits.peek::<1>() == 1;
                            bits.skip(1);
                            if positive { one } else { -one }
                        }
                        _ => return Err(Stop::Irregular),
                    };
                    // The target is the zero behind `run` zeroes.
                    for _ in 0..run {
                        zero &= zero.wrapping_sub(1);
                    }
                    if zero == 0 {
                        return Err(Stop::Irregular);
                    }
                    let target = zero & zero.wrapping_neg();
                    let passed = known & (target - 1);
                    if passed != 0 {
                        correct(bits, block, passed, one);
                        known ^= passed;
                    }
                    if value != 0 {
                        if mask | added == 0 {
                            *block = [0; 64];
                        }
                        let k = target.trailing_zeros() as usize;
                        block[usize::from(NATURAL_ORDER[k & 63]) & 63] = value;
                        added |= target;
                    }
                    zero ^= target;
                    left = band & !(target | (target - 1));
                }
                if ended > 0 {
                    if known != 0 {
                        correct(bits, block, known, one);
                    }
                    ended -= 1;
                }
                plane.masks[at] = mask | added;
            }
            meter.count(plane.columns, bits)?;
        }
        if ended > 0 {
            Err(Stop::Irregular)
        } else {
            Ok(())
        }
    }
}

/// How many blocks' bands end with this symbol, this block's included.
#[inline(always)]
fn band_ends(bits: &mut Bits<'_>, run: u32) -> usize {
    // The code and up to 14 bits behind it are in the window.
    (1 << run) + bits.take(run)
}

/// Reads a bit for each coefficient of the mask, and moves those away from zero whose bit is set.
#[inline(always)]
fn correct(bits: &mut Bits<'_>, block: &mut [i16; 64], mut mask: u64, one: i16) {
    while mask != 0 {
        bits.refill();
        // A window holds 56 bits at least.
        let count = mask.count_ones().min(32);
        let corrections = bits.take(count);
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

fn below(place: usize) -> u64 {
    (1_u64 << place) - 1
}

fn up_to(place: usize) -> u64 {
    u64::MAX >> (63 - place)
}

/// Counts MCUs up to the next restart marker.
struct Restarts {
    interval: usize,
    left: usize,
    next: u8,
}

impl Restarts {
    fn new(interval: u32) -> Self {
        Self {
            interval: interval as usize,
            left: interval as usize,
            next: 0,
        }
    }

    /// MCUs that come before the next marker.
    #[inline(always)]
    fn room(&self) -> usize {
        if self.interval == 0 {
            usize::MAX
        } else {
            self.left
        }
    }

    #[inline(always)]
    fn pass(&mut self, mcus: usize) {
        if self.interval != 0 {
            self.left -= mcus;
        }
    }

    /// Begins an MCU, behind a restart marker if one is due; tells whether it was.
    #[inline(always)]
    fn due(&mut self, bits: &mut Bits<'_>) -> Result<bool, Irregular> {
        if self.interval == 0 {
            return Ok(false);
        }
        let due = self.left == 0;
        if due {
            if !bits.restart(0xD0 + self.next) {
                return Err(Irregular);
            }
            self.next = (self.next + 1) % 8;
            self.left = self.interval;
        }
        self.left -= 1;
        Ok(due)
    }
}
