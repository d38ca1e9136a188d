//! The markers between scans, and whether the scans together make a whole image.

use super::super::entropy::Irregular;
use super::super::header::{Definition, FrameHeader};

/// Coefficients from this place on do not count for libjpeg's smoothing (`SAVED_COEFS` in jdcoefct.c).
const SMOOTHED: usize = 10;
/// The most blocks of an MCU (ITU-T T.81, B.2.3).
const MAX_BLOCKS_IN_MCU: usize = 10;
/// The lowest bit that a scan may begin with, as libjpeg has it.
const MAX_LOW: u8 = 13;

const DHT: u8 = 0xC4;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const DRI: u8 = 0xDD;
const APP: std::ops::RangeInclusive<u8> = 0xE0..=0xEF;
const COM: u8 = 0xFE;

/// What the next scan brings.
#[derive(Debug, Clone)]
pub(super) struct ScanSpec {
    pub(super) components: Vec<ScanComponent>,
    /// The first and the last coefficient, in zigzag order.
    pub(super) start: usize,
    pub(super) end: usize,
    /// Whether it adds a bit to what has been sent.
    pub(super) refines: bool,
    /// The place of the lowest bit sent.
    pub(super) low: u8,
}

/// A component of a scan: its place in the frame, and its tables.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScanComponent {
    pub(super) index: usize,
    pub(super) dc: usize,
    pub(super) ac: usize,
}

/// What comes next in a file.
#[derive(Debug)]
pub(super) enum Segment {
    Scan(ScanSpec),
    End,
}

/// Follows the markers of a file and what its scans have sent so far.
#[derive(Debug)]
pub(super) struct Script {
    ids: Vec<u8>,
    blocks_in_mcu: Vec<usize>,
    /// By component and coefficient: the lowest bit sent, -1 before the first.
    sent: Vec<[i8; 64]>,
    dc: [Option<Definition>; 4],
    ac: [Option<Definition>; 4],
    restart_interval: u32,
    /// Whether the header of the first scan comes next, whose marker libjpeg has read.
    first: bool,
}

impl Script {
    pub(super) fn new(header: &FrameHeader<'_>) -> Self {
        Self {
            ids: header
                .components
                .iter()
                .map(|component| component.id)
                .collect(),
            blocks_in_mcu: header.components.iter().map(|c| c.h * c.v).collect(),
            sent: vec![[-1; 64]; header.components.len()],
            dc: header.dc,
            ac: header.ac,
            restart_interval: header.restart_interval,
            first: true,
        }
    }

    pub(super) fn dc(&self, table: usize) -> Result<&Definition, Irregular> {
        self.dc[table & 3].as_ref().ok_or(Irregular)
    }

    pub(super) fn ac(&self, table: usize) -> Result<&Definition, Irregular> {
        self.ac[table & 3].as_ref().ok_or(Irregular)
    }

    /// MCUs between restart markers, or 0.
    pub(super) fn restarts(&self) -> u32 {
        self.restart_interval
    }

    /// Reads markers up to the next scan or the end of the image; also returns what follows.
    pub(super) fn next<'a>(
        &mut self,
        mut data: &'a [u8],
    ) -> Result<(Segment, &'a [u8]), Irregular> {
        if std::mem::take(&mut self.first) {
            return self.scan(data);
        }
        loop {
            let [0xFF, marker, rest @ ..] = data else {
                return Err(Irregular);
            };
            match *marker {
                // Any number of fill bytes may precede a marker.
                0xFF => data = &data[1..],
                EOI => return Ok((Segment::End, rest)),
                SOS => return self.scan(rest),
                kind => {
                    let (body, after) = split(rest)?;
                    match kind {
                        DHT => self.tables(body)?,
                        DRI => {
                            let &[high, low] = body else {
                                return Err(Irregular);
                            };
                            self.restart_interval = u16::from_be_bytes([high, low]).into();
                        }
                        COM => {}
                        kind if APP.contains(&kind) => {}
                        _ => return Err(Irregular),
                    }
                    data = after;
                }
            }
        }
    }

    /// Huffman tables (ITU-T T.81, B.2.4.2).
    fn tables(&mut self, mut body: &[u8]) -> Result<(), Irregular> {
        while let Some((&kind, rest)) = body.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or(Irregular)?;
            let count = counts.iter().map(|&count| usize::from(count)).sum();
            if count > 256 || rest.len() < count {
                return Err(Irregular);
            }
            let mut symbols = [0; 256];
            symbols[..count].copy_from_slice(&rest[..count]);
            body = &rest[count..];
            let tables = match kind >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return Err(Irregular),
            };
            let place = tables.get_mut(usize::from(kind & 15)).ok_or(Irregular)?;
            *place = Some(Definition {
                counts: *counts,
                symbols,
            });
        }
        Ok(())
    }

    /// The header of a scan (ITU-T T.81, B.2.3) and what it means after those before it.
    fn scan<'a>(&mut self, data: &'a [u8]) -> Result<(Segment, &'a [u8]), Irregular> {
        let (body, after) = split(data)?;
        let (&count, body) = body.split_first().ok_or(Irregular)?;
        let count = usize::from(count);
        if count == 0 || body.len() != 2 * count + 3 {
            return Err(Irregular);
        }
        let (selectors, last) = body.split_at(2 * count);
        let mut components: Vec<ScanComponent> = Vec::with_capacity(count);
        for selector in selectors.chunks_exact(2) {
            let mut named = (0..self.ids.len()).filter(|&index| self.ids[index] == selector[0]);
            let index = named.next().ok_or(Irregular)?;
            // In the frame's order, as they must be.
            let in_order = components.last().is_none_or(|before| before.index < index);
            if named.next().is_some() || !in_order {
                return Err(Irregular);
            }
            let (dc, ac) = (usize::from(selector[1] >> 4), usize::from(selector[1] & 15));
            if dc > 3 || ac > 3 {
                return Err(Irregular);
            }
            components.push(ScanComponent { index, dc, ac });
        }
        let blocks: usize = components.iter().map(|c| self.blocks_in_mcu[c.index]).sum();
        let (start, end) = (usize::from(last[0]), usize::from(last[1]));
        let (before, low) = (last[2] >> 4, last[2] & 15);
        let is_band = match start {
            0 => end == 0 && (count == 1 || blocks <= MAX_BLOCKS_IN_MCU),
            _ => start <= end && end < 64 && count == 1,
        };
        let refines = before != 0;
        if !is_band || low > MAX_LOW || (refines && low != before - 1) {
            return Err(Irregular);
        }
        for component in &components {
            let sent = &mut self.sent[component.index];
            if start > 0 && sent[0] < 0 {
                return Err(Irregular);
            }
            for place in &mut sent[start..=end] {
                let expected = if refines { before as i8 } else { -1 };
                if *place != expected {
                    return Err(Irregular);
                }
                *place = low as i8;
            }
        }
        let scan = ScanSpec {
            components,
            start,
            end,
            refines,
            low,
        };
        Ok((Segment::Scan(scan), after))
    }

    /// Whether all that has been sent is exact, as far as libjpeg would smooth otherwise.
    pub(super) fn is_complete(&self) -> bool {
        let low = |sent: &[i8; 64]| sent[..SMOOTHED].iter().all(|&low| low == 0);
        self.sent.iter().all(low)
    }
}

/// The body of a marker segment, and what follows.
fn split(data: &[u8]) -> Result<(&[u8], &[u8]), Irregular> {
    let (length, rest) = data.split_first_chunk::<2>().ok_or(Irregular)?;
    let length = usize::from(u16::from_be_bytes(*length));
    let body = length.checked_sub(2).ok_or(Irregular)?;
    rest.split_at_checked(body).ok_or(Irregular)
}
