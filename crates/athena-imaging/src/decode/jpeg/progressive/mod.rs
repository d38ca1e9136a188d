//! Progressive entropy decoding: the quick way through files that are in order.
//!
//! libjpeg parses the headers; from the first scan on the markers and the entropy-coded data are read here. What costs libjpeg
//! most is to visit every coefficient of every block in every scan. Here each block has a mask of the AC coefficients that are
//! not zero: a scan looks at the masks, finds from them how many bits it needs and where they go, and touches only coefficients
//! that change. DC coefficients lie apart, so that a block without others is never touched at all.
//!
//! Whatever is out of the ordinary ([`Irregular`]) is not dealt with: libjpeg then decodes the file from its first scan. That
//! includes scans which send again what has been sent, so that the work is bounded by the size of the image, and scripts that
//! leave low coefficients inexact, for which libjpeg smooths the blocks' edges.

mod band;
mod blocks;
mod scan;
mod script;
mod table;

pub(super) use blocks::Blocks;

use super::entropy::{Bits, Irregular};
use super::header::FrameHeader;
use crate::{Budget, ImageError};
use scan::Reader;
use script::{Script, Segment};

/// Why decoding ends early.
#[derive(Debug)]
enum Stop {
    Irregular,
    Refused(ImageError),
}

impl From<Irregular> for Stop {
    fn from(_: Irregular) -> Self {
        Self::Irregular
    }
}

impl From<ImageError> for Stop {
    fn from(error: ImageError) -> Self {
        Self::Refused(error)
    }
}

/// Decodes all scans to coefficients; `None` if libjpeg has to.
pub(super) fn decode(
    header: FrameHeader<'_>,
    budget: &Budget<'_>,
) -> Result<Option<Blocks>, ImageError> {
    match decode_scans(header, budget) {
        Ok(blocks) => Ok(Some(blocks)),
        Err(Stop::Irregular) => Ok(None),
        Err(Stop::Refused(error)) => Err(error),
    }
}

fn decode_scans(header: FrameHeader<'_>, budget: &Budget<'_>) -> Result<Blocks, Stop> {
    let mut blocks = Blocks::new(&header);
    let mut script = Script::new(&header);
    let mut rest = header.data;
    loop {
        let (segment, after) = script.next(rest)?;
        let Segment::Scan(scan) = segment else {
            return if script.is_complete() {
                Ok(blocks)
            } else {
                Err(Stop::Irregular)
            };
        };
        let mut reader = Reader {
            bits: Bits::new(after),
            restarts: script.restarts(),
            budget,
        };
        reader.read(&scan, &script, &mut blocks)?;
        rest = reader.bits.finish().ok_or(Irregular)?;
    }
}
