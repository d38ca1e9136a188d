//! Baseline entropy decoding: the quick way through files that are in order.
//!
//! libjpeg parses the headers; the entropy-coded data of a scan that holds the whole image is decoded here, straight into
//! samples. One look-up yields up to two coefficients, so that the next code waits less often for the last. Whatever is out of
//! the ordinary ([`Irregular`]) is not dealt with: libjpeg then decodes the scan from its start, with its own recovery.

mod bits;
mod table;

use table::AcTable;

pub(super) use bits::{Bits, Window, extend};
pub(super) use table::{Codes, PEEK};

use super::header::{PlaneMut, ScanComponent, ScanHeader};
use super::idct::{self, Coefficients};

/// The data is not what a sound encoder writes, or ends too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Irregular;

/// A baseline scan being decoded.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    bits: Bits<'a>,
    components: Vec<ScanComponent>,
    dc: [Option<Codes>; 4],
    ac: [Option<Box<AcTable>>; 4],
    predictions: [i32; 4],
    restart_interval: u32,
    until_restart: u32,
    next_restart: u8,
    mcus_per_row: usize,
    rows_left: usize,
    /// Those of an MCU's blocks.
    coefficients: [Coefficients; MAX_BLOCKS_IN_MCU],
}

impl<'a> Scan<'a> {
    /// `None` if the tables are not sound.
    pub(super) fn new(header: ScanHeader<'a>) -> Option<Self> {
        let blocks: usize = header.components.iter().map(|c| c.h * c.v).sum();
        if blocks > MAX_BLOCKS_IN_MCU {
            return None;
        }
        let mut dc = [const { None }; 4];
        let mut ac = [const { None }; 4];
        for component in &header.components {
            if dc[component.dc].is_none() {
                dc[component.dc] = Some(Codes::new(header.dc[component.dc].as_ref()?)?);
            }
            if ac[component.ac].is_none() {
                ac[component.ac] = Some(Box::new(AcTable::new(header.ac[component.ac].as_ref()?)?));
            }
        }
        Some(Self {
            bits: Bits::new(header.data),
            components: header.components,
            dc,
            ac,
            predictions: [0; 4],
            restart_interval: header.restart_interval,
            until_restart: header.restart_interval,
            next_restart: 0,
            mcus_per_row: header.mcus_per_row,
            rows_left: header.rows,
            coefficients: Default::default(),
        })
    }

    /// Bytes of the file that are still to be looked at.
    pub(super) fn unread(&self) -> usize {
        self.bits.unread()
    }

    /// Decodes the next `rows` rows of MCUs, as far as there are so many, into the planes, one for each component of the frame.
    pub(super) fn read(
        &mut self,
        rows: usize,
        planes: &mut [PlaneMut<'_>],
    ) -> Result<(), Irregular> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2") {
            #[target_feature(enable = "avx2,bmi2")]
            fn read(
                scan: &mut Scan<'_>,
                rows: usize,
                planes: &mut [PlaneMut<'_>],
            ) -> Result<(), Irregular> {
                scan.read_with(rows, planes, |quant, block, end, out, stride| {
                    idct::avx2::inverse(quant, block, end, out, stride);
                })
            }
            // SAFETY: the processor has both.
            #[allow(unsafe_code)]
            return unsafe { read(self, rows, planes) };
        }
        self.read_with(rows, planes, |quant, block, _, out, stride| {
            idct::scalar::inverse(quant, block, out, stride);
        })
    }

    #[inline(always)]
    fn read_with(
        &mut self,
        rows: usize,
        planes: &mut [PlaneMut<'_>],
        inverse: impl Fn(&[u16; 64], &[i16; 64], usize, &mut [u8], usize),
    ) -> Result<(), Irregular> {
        for row in 0..rows.min(self.rows_left) {
            for column in 0..self.mcus_per_row {
                self.restart_when_due()?;
                let mut ends = [0; MAX_BLOCKS_IN_MCU];
                self.mcu(&mut ends)?;
                // All blocks first, then all transforms: a vector cannot be loaded at once from the single coefficients that
                // were stored last, and the entropy decoder keeps its registers.
                let mut nth = 0;
                for component in &self.components {
                    let &ScanComponent { index, h, v, .. } = component;
                    let stride = planes[index].stride;
                    for block in 0..h * v {
                        let (end, coefficients) = (ends[nth], &mut self.coefficients[nth]);
                        nth += 1;
                        let (x, y) = (column * h + block % h, row * v + block / h);
                        // Blocks that only fill up the last MCU are not kept.
                        if (x + 1) * 8 <= stride {
                            let out = &mut planes[index].data[y * 8 * stride + x * 8..];
                            inverse(&component.quant, coefficients.block(), end, out, stride);
                        }
                        coefficients.clear();
                    }
                }
                if self.bits.overrun() {
                    return Err(Irregular);
                }
            }
        }
        self.rows_left = self.rows_left.saturating_sub(rows);
        Ok(())
    }

    #[inline(always)]
    fn restart_when_due(&mut self) -> Result<(), Irregular> {
        if self.restart_interval == 0 {
            return Ok(());
        }
        if self.until_restart == 0 {
            if !self.bits.restart(0xD0 + self.next_restart) {
                return Err(Irregular);
            }
            self.next_restart = (self.next_restart + 1) % 8;
            self.until_restart = self.restart_interval;
            self.predictions = [0; 4];
        }
        self.until_restart -= 1;
        Ok(())
    }

    /// Decodes the blocks of an MCU; the coefficients of each are zero from the place in `ends` on.
    #[inline(always)]
    fn mcu(&mut self, ends: &mut [usize; MAX_BLOCKS_IN_MCU]) -> Result<(), Irregular> {
        let Self {
            bits,
            components,
            dc,
            ac,
            predictions,
            coefficients,
            ..
        } = self;
        // A coefficient has 31 bits at most.
        bits.reserve(MAX_BLOCKS_IN_MCU * 64 * 4);
        bits.with(|window| {
            let mut blocks = coefficients.iter_mut().zip(ends);
            for (component, prediction) in components.iter().zip(predictions) {
                let dc = dc[component.dc & 3].as_ref().ok_or(Irregular)?;
                let ac = ac[component.ac & 3].as_ref().ok_or(Irregular)?;
                for (coefficients, end) in blocks.by_ref().take(component.h * component.v) {
                    window.refill();
                    let size = dc.take(window).filter(|&size| size < 16).ok_or(Irregular)?;
                    *prediction = prediction.wrapping_add(window.value(size.into()));
                    coefficients.set(0, *prediction as i16);
                    *end = ac_coefficients(window, ac, coefficients)?;
                }
            }
            Ok(())
        })
    }
}

/// The most blocks of an MCU (ITU-T T.81, B.2.3).
const MAX_BLOCKS_IN_MCU: usize = 10;
/// Up to this place, the first of two coefficients is not the block's last.
const TWO_FIT: usize = 62;
/// As many steps as a full window has bits for.
const STEPS_IN_A_WINDOW: usize = 56 / PEEK as usize;

/// Decodes the AC coefficients of a block; those from the returned place on are zero.
#[inline(always)]
fn ac_coefficients(
    window: &mut Window<'_>,
    table: &AcTable,
    coefficients: &mut Coefficients,
) -> Result<usize, Irregular> {
    let mut next = 1;
    loop {
        window.refill();
        for _ in 0..STEPS_IN_A_WINDOW {
            let step = table.steps[window.peek::<PEEK>()];
            let (run, value) = step.first();
            let place = next + run;
            // One branch for all that is rare, the end of a full block included.
            if step.is_wide() | (place > TWO_FIT) {
                match next {
                    ..64 => {}
                    64 => return Ok(next),
                    _ => return Err(Irregular),
                }
                match coefficient(window, &table.codes, coefficients, next)? {
                    Some(place) => next = place + 1,
                    None => return Ok(next),
                }
                break;
            }
            window.skip(step.len());
            coefficients.set(place, value);
            let (ahead, value) = step.second();
            let place = place + ahead;
            coefficients.set(place, value);
            next = place + 1;
            if step.is_last() {
                return Ok(next - usize::from(step.is_empty()));
            }
        }
    }
}

/// Decodes one coefficient of any size and tells its place; `None` at the end of the block.
#[inline(always)]
fn coefficient(
    window: &mut Window<'_>,
    codes: &Codes,
    coefficients: &mut Coefficients,
    next: usize,
) -> Result<Option<usize>, Irregular> {
    window.refill();
    let symbol = codes.take(window).ok_or(Irregular)?;
    let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
    if size == 0 && run != 15 {
        return Ok(None);
    }
    let place = next + run;
    coefficients.set(place, window.value(size) as i16);
    Ok(Some(place))
}
