//! Formats of several frames or pages.

use super::{Fields, Found};
use crate::Orientation;

#[cfg(feature = "avif")]
pub(super) fn avif(bytes: &[u8]) -> Option<Found> {
    let headers = crate::decode::AvifHeaders::read(bytes).ok()?;
    Some(Found {
        width: headers.width,
        height: headers.height,
        bit_depth: headers.bit_depth,
        orientation: headers.orientation,
        frames: headers.frames,
    })
}

pub(super) fn png(bytes: &[u8]) -> Option<Found> {
    let fields = Fields::big(bytes);
    let mut found = Found::still(fields.u32(16)?, fields.u32(20)?, fields.u8(24)?);
    let mut at = 8;
    // A file that breaks off after its header has been seen has said enough.
    while let (Some(len), Some(kind)) = (fields.u32(at), fields.at(at + 4, 4)) {
        let len = len as usize;
        match (kind, fields.at(at + 8, len)) {
            (b"acTL", _) => found.frames = fields.u32(at + 8).unwrap_or(1),
            (b"eXIf", Some(exif)) => found.orientation = Orientation::from_exif(exif),
            (b"IEND", _) | (_, None) => break,
            _ => {}
        }
        at += len + 12;
    }
    Some(found)
}

pub(super) fn gif(bytes: &[u8]) -> Option<Found> {
    let fields = Fields::little(bytes);
    let (width, height) = (fields.u16(6)?, fields.u16(8)?);
    let table = |flags: u8| {
        if flags & 0x80 != 0 {
            3 << ((flags & 7) + 1)
        } else {
            0
        }
    };
    let flags = fields.u8(10)?;
    let mut found = Found {
        frames: 0,
        ..Found::still(width.into(), height.into(), (flags & 7) + 1)
    };
    let mut at = 13 + table(flags);
    loop {
        match fields.u8(at) {
            Some(0x21) => at += 2,
            Some(0x2C) => {
                let Some(flags) = fields.u8(at + 9) else {
                    break;
                };
                found.frames += 1;
                at += 11 + table(flags);
            }
            _ => break,
        }
        // Blocks of data, each with its length, up to an empty one.
        while let Some(len @ 1..) = fields.u8(at) {
            at += usize::from(len) + 1;
        }
        at += 1;
    }
    Some(found)
}

pub(super) fn webp(bytes: &[u8]) -> Option<Found> {
    let fields = Fields::little(bytes);
    let lossy = |at: usize| {
        Some((
            u32::from(fields.u16(at + 6)? & 0x3FFF),
            u32::from(fields.u16(at + 8)? & 0x3FFF),
        ))
    };
    let lossless = |at: usize| {
        fields
            .u32(at + 1)
            .map(|bits| ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
    };
    if !bytes.starts_with(b"RIFF") {
        // A bare stream.
        let (width, height) = if bytes.starts_with(b"/") {
            lossless(0)?
        } else {
            lossy(0)?
        };
        return Some(Found::still(width, height, 8));
    }
    let mut size = None;
    let mut found = Found {
        frames: 0,
        ..Found::still(0, 0, 8)
    };
    let mut at = 12;
    while let (Some(kind), Some(len)) = (fields.at(at, 4), fields.u32(at + 4)) {
        let data = at + 8;
        match kind {
            b"VP8X" => {
                size = Some((
                    fields.uint(data + 4, 3)? as u32 + 1,
                    fields.uint(data + 7, 3)? as u32 + 1,
                ))
            }
            b"VP8 " => size = size.or(Some(lossy(data)?)),
            b"VP8L" => size = size.or(Some(lossless(data)?)),
            b"ANMF" => found.frames += 1,
            b"EXIF" => {
                if let Some(exif) = fields.at(data, len as usize) {
                    found.orientation =
                        Orientation::from_exif(exif.strip_prefix(b"Exif\0\0").unwrap_or(exif));
                }
            }
            _ => {}
        }
        at = data
            .checked_add(len as usize)?
            .checked_next_multiple_of(2)?;
    }
    (found.width, found.height) = size?;
    Some(found)
}

/// The most pages that are counted: directories may form a ring.
const MAX_PAGES: u32 = 10_000;

pub(super) fn tiff(bytes: &[u8]) -> Option<Found> {
    let fields = Fields {
        bytes,
        little_endian: bytes.starts_with(b"II"),
    };
    let layout = if fields.u16(2)? == 43 {
        Layout::BIG
    } else {
        Layout::CLASSIC
    };
    let mut found = Found {
        frames: 0,
        ..Found::still(0, 0, 1)
    };
    let mut directory = usize::try_from(fields.uint(layout.first, layout.word)?).ok()?;
    while directory != 0 && found.frames < MAX_PAGES {
        let Some(count) = fields.uint(directory, layout.count) else {
            break;
        };
        let entries = directory + layout.count;
        if found.frames == 0 {
            for index in 0..count as usize {
                layout.entry(
                    fields,
                    entries.checked_add(index.checked_mul(layout.entry)?)?,
                    &mut found,
                )?;
            }
        }
        found.frames += 1;
        let next = (count as usize)
            .checked_mul(layout.entry)
            .and_then(|len| entries.checked_add(len));
        directory = next
            .and_then(|next| fields.uint(next, layout.word))
            .map_or(0, |next| next as usize);
    }
    Some(found)
}

/// Sizes within a TIFF or a BigTIFF file.
#[derive(Clone, Copy)]
struct Layout {
    /// Where the first directory's offset is.
    first: usize,
    /// Bytes of an offset.
    word: usize,
    /// Bytes of a directory's number of entries.
    count: usize,
    /// Bytes of an entry.
    entry: usize,
}

impl Layout {
    const CLASSIC: Self = Self {
        first: 4,
        word: 4,
        count: 2,
        entry: 12,
    };
    const BIG: Self = Self {
        first: 8,
        word: 8,
        count: 8,
        entry: 20,
    };

    fn entry(self, fields: Fields<'_>, at: usize, found: &mut Found) -> Option<()> {
        let value_at = at + 4 + self.word;
        let short = fields.u16(at + 2)? == 3;
        let value = || {
            if short {
                fields.u16(value_at).map(u32::from)
            } else {
                fields.u32(value_at)
            }
        };
        match fields.u16(at)? {
            256 => found.width = value()?,
            257 => found.height = value()?,
            258 => {
                // Several samples' depths do not fit into the entry: it tells where they are.
                let inline = fields.uint(at + 4, self.word)? <= self.word as u64 / 2;
                let at = if inline {
                    value_at
                } else {
                    fields.uint(value_at, self.word)? as usize
                };
                found.bit_depth = fields.u16(at)? as u8;
            }
            274 => found.orientation = Orientation::from_tag(value()? as u16),
            _ => {}
        }
        Some(())
    }
}
