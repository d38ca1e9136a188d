//! The four kinds of scan (ITU-T T.81, G.1.2): DC and AC coefficients, sent first and refined.

use super::super::entropy::{Bits, Codes, Irregular, Window};
use super::Stop;
use super::band::{correct, refine_band, send_band, zero_behind};
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
                reader.read_with(scan, script, blocks, zero_behind)
            }
            #[target_feature(enable = "bmi1,bmi2,lzcnt,popcnt")]
            fn read_depositing(
                reader: &mut Reader<'_, '_>,
                scan: &ScanSpec,
                script: &Script,
                blocks: &mut Blocks,
            ) -> Result<(), Stop> {
                reader.read_with(scan, script, blocks, |zero, run| {
                    super::band::zero_behind_at_once(zero, run)
                })
            }
            // AMD's processors deposit bits in one step since Zen 3, the first of them with VAES; those before need up to
            // hundreds of steps.
            if is_x86_feature_detected!("vaes") {
                // SAFETY: the processor has them.
                #[allow(unsafe_code)]
                return unsafe { read_depositing(self, scan, script, blocks) };
            }
            // SAFETY: the processor has them.
            #[allow(unsafe_code)]
            return unsafe { read(self, scan, script, blocks) };
        }
        self.read_with(scan, script, blocks, zero_behind)
    }

    #[inline(always)]
    fn read_with(
        &mut self,
        scan: &ScanSpec,
        script: &Script,
        blocks: &mut Blocks,
        zero_behind: impl Fn(u64, u32) -> u64,
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
                    self.ac_refine(scan, &codes, plane, &mut meter, zero_behind)?;
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
        mut block: impl FnMut(&mut Window<'_>, usize, &mut i16, bool) -> Result<(), Irregular>,
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
                self.bits.with(|window| -> Result<(), Irregular> {
                    for (c, component) in scan.components.iter().enumerate() {
                        let plane = &mut blocks.planes[component.index];
                        let (h, v) = if lone { (1, 1) } else { (plane.h, plane.v) };
                        for y in 0..v {
                            let at = (row * v + y) * plane.stride + column * h;
                            for dc in &mut plane.dc[at..at + h] {
                                block(window, c, dc, std::mem::take(&mut fresh))?;
                            }
                        }
                    }
                    Ok(())
                })?;
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
        self.each_dc(scan, blocks, meter, |window, c, dc, fresh| {
            if fresh {
                predictions = [0; 4];
            }
            window.refill();
            let size = tables[c]
                .take(window)
                .filter(|&size| size < 16)
                .ok_or(Irregular)?;
            let prediction: &mut i32 = &mut predictions[c & 3];
            *prediction += window.value(size.into());
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
        self.each_dc(scan, blocks, meter, |window, _, dc, _| {
            window.refill();
            *dc |= (window.take(1) as i16) << low;
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
                let (block, mask) = (&mut plane.ac[at], &mut plane.masks[at]);
                ended = bits.with(|window| send_band(window, table, scan, block, mask))?;
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
        zero_behind: impl Fn(u64, u32) -> u64,
    ) -> Result<(), Stop> {
        let band = up_to(scan.end) & !below(scan.start);
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
                let (block, mask) = (&mut plane.ac[at], &mut plane.masks[at]);
                if ended > 0 {
                    let known = *mask & band;
                    if known != 0 {
                        bits.reserve(BLOCK_BYTES);
                        bits.with(|window| correct(window, block, known, one));
                    }
                    ended -= 1;
                    continue;
                }
                bits.reserve(BLOCK_BYTES);
                ended = bits.with(|window| {
                    refine_band(window, codes, band, one, block, mask, &zero_behind)
                })?;
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
