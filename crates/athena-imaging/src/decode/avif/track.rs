//! Image sequences: the track of a `moov` box.

use super::boxes::{Boxes, Fields, IsoBox, find};
use super::{Colour, Properties, bit_depth, corrupt};
use crate::{Budget, ImageError};

/// Bytes of a visual sample entry before its boxes.
const SAMPLE_ENTRY: usize = 78;
/// Work for a sample's place.
const WORK_OF_SAMPLE: u64 = 16;

pub(super) struct Track<'a> {
    pub(super) properties: Properties,
    pub(super) samples: Vec<&'a [u8]>,
    pub(super) has_alpha: bool,
}

impl<'a> Track<'a> {
    /// The first track of pictures, with its first samples.
    pub(super) fn read(
        file: &'a [u8],
        moov: &'a [u8],
        most: u32,
        budget: &Budget<'_>,
    ) -> Result<Option<Self>, ImageError> {
        let mut colour = None;
        let mut has_alpha = false;
        for trak in Boxes(moov).filter(|found| found.kind == *b"trak") {
            budget.charge(WORK_OF_SAMPLE)?;
            let Some(found) = Description::read(&trak) else {
                continue;
            };
            match found.is_alpha {
                true => has_alpha = true,
                false if colour.is_none() => colour = Some(found),
                false => {}
            }
        }
        let Some(found) = colour else {
            return Ok(None);
        };
        let samples = samples(file, found.stbl, most, budget)?;
        Ok(Some(Self {
            properties: found.properties,
            samples,
            has_alpha,
        }))
    }
}

struct Description<'a> {
    stbl: &'a [u8],
    properties: Properties,
    is_alpha: bool,
}

impl<'a> Description<'a> {
    fn read(trak: &IsoBox<'a>) -> Option<Self> {
        let tkhd = find(trak.body, b"tkhd")?;
        // 16.16 fixed point, at the end.
        let mut size = Fields(tkhd.get(tkhd.len().checked_sub(8)?..)?);
        let (width, height) = (size.u32()? >> 16, size.u32()? >> 16);
        let mdia = find(trak.body, b"mdia")?;
        let handler = find(mdia, b"hdlr")?.get(8..12)?;
        let stbl = find(find(mdia, b"minf")?, b"stbl")?;
        let entry = find(find(stbl, b"stsd")?.get(8..)?, b"av01")?;
        let boxes = entry.get(SAMPLE_ENTRY..)?;
        let colours = Boxes(boxes).filter(|found| found.kind == *b"colr");
        Some(Self {
            stbl,
            properties: Properties {
                width,
                height,
                bit_depth: bit_depth(find(boxes, b"av1C")),
                colour: colours.filter_map(|colr| Colour::read(colr.body)).next(),
                operating_point: 0,
            },
            is_alpha: handler == b"auxv" || find(boxes, b"auxi").is_some(),
        })
    }
}

/// The data of up to so many samples.
fn samples<'a>(
    file: &'a [u8],
    stbl: &[u8],
    most: u32,
    budget: &Budget<'_>,
) -> Result<Vec<&'a [u8]>, ImageError> {
    let table = |kind: &[u8; 4]| {
        find(stbl, kind)
            .and_then(|table| table.get(4..))
            .map(Fields)
            .ok_or_else(|| corrupt("a track without tables"))
    };
    let broken = || corrupt("a track whose tables break off");
    let mut sizes = table(b"stsz")?;
    let (fixed, count) = sizes.u32().zip(sizes.u32()).ok_or_else(broken)?;
    let (mut offsets, offset_len) = match table(b"stco") {
        Ok(offsets) => (offsets, 4),
        Err(_) => (table(b"co64")?, 8),
    };
    let mut chunks = offsets.u32().ok_or_else(broken)?;
    let mut runs = table(b"stsc")?;
    let mut run_count = runs.u32().ok_or_else(broken)?;
    // First chunk and samples of each of its run; the run after it.
    let mut next_run = |count: &mut u32| {
        *count = count.checked_sub(1)?;
        let (first, samples) = runs.u32().zip(runs.u32())?;
        runs.u32()?;
        Some((first, samples))
    };
    let mut run = next_run(&mut run_count).ok_or_else(broken)?;
    let mut after = next_run(&mut run_count);
    let mut samples = Vec::new();
    let mut chunk = 0;
    while (samples.len() as u32) < count.min(most) && chunks > 0 {
        chunk += 1;
        chunks -= 1;
        budget.charge(WORK_OF_SAMPLE)?;
        let mut at = offsets.uint(offset_len).ok_or_else(broken)?;
        if let Some((_, samples)) = after.filter(|(first, _)| *first <= chunk) {
            run = (chunk, samples);
            after = next_run(&mut run_count);
        }
        for _ in 0..run.1 {
            if samples.len() as u32 >= count.min(most) {
                break;
            }
            budget.charge(WORK_OF_SAMPLE)?;
            let len = match fixed {
                0 => sizes.u32().ok_or_else(broken)?,
                fixed => fixed,
            };
            let start = usize::try_from(at).unwrap_or(usize::MAX);
            at = at.saturating_add(len.into());
            let end = usize::try_from(at).unwrap_or(usize::MAX);
            let sample = file.get(start..end).filter(|sample| !sample.is_empty());
            samples.push(sample.ok_or_else(|| corrupt("a sample outside the file"))?);
        }
    }
    Ok(samples)
}
