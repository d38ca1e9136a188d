//! Formats of one image.

use super::{Fields, Found};
use crate::Orientation;

pub(super) fn jpeg(bytes: &[u8]) -> Option<Found> {
    let fields = Fields::big(bytes);
    let mut orientation = None;
    let mut at = 2;
    loop {
        while fields.u8(at)? != 0xFF || matches!(fields.u8(at + 1)?, 0 | 0xFF) {
            at += 1;
        }
        let marker = fields.u8(at + 1)?;
        at += 2;
        match marker {
            // Markers without a segment.
            0x01 | 0xD0..=0xD8 => continue,
            // The end, or image data, before any frame header.
            0xD9 | 0xDA => return None,
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                let (height, width) = (fields.u16(at + 3)?, fields.u16(at + 5)?);
                let found = Found::still(width.into(), height.into(), fields.u8(at + 2)?);
                return Some(Found {
                    orientation: orientation.unwrap_or_default(),
                    ..found
                });
            }
            _ => {}
        }
        let len = usize::from(fields.u16(at)?);
        let segment = fields.at(at + 2, len.checked_sub(2)?)?;
        if let (0xE1, None, Some(exif)) = (marker, orientation, segment.strip_prefix(b"Exif\0\0")) {
            orientation = Some(Orientation::from_exif(exif));
        }
        at += len;
    }
}

pub(super) fn bmp(bytes: &[u8]) -> Option<Found> {
    let fields = Fields::little(bytes);
    if fields.u32(14)? == 12 {
        let (width, height) = (fields.u16(18)?, fields.u16(20)?);
        return Some(Found::still(
            width.into(),
            height.into(),
            fields.u16(24)? as u8,
        ));
    }
    // A negative height says that the rows go down.
    let (width, height) = (fields.u32(18)?, fields.u32(22)? as i32);
    let bits = fields.u16(28)?;
    Some(Found::still(
        width,
        height.unsigned_abs(),
        if bits > 8 { 8 } else { bits as u8 },
    ))
}

pub(super) fn sun(bytes: &[u8]) -> Option<Found> {
    let fields = Fields::big(bytes);
    let depth = fields.u32(12)?;
    Some(Found::still(
        fields.u32(4)?,
        fields.u32(8)?,
        if depth == 1 { 1 } else { 8 },
    ))
}

pub(super) fn netpbm(bytes: &[u8]) -> Option<Found> {
    let mut words = Words { bytes, at: 2 };
    let (width, height) = (words.number()?, words.number()?);
    let depth = match bytes.get(1)? {
        b'1' | b'4' => 1,
        _ => depth_of(words.number()?),
    };
    Some(Found::still(width, height, depth))
}

pub(super) fn pfm(bytes: &[u8]) -> Option<Found> {
    let mut words = Words { bytes, at: 2 };
    Some(Found::still(words.number()?, words.number()?, 32))
}

pub(super) fn pam(bytes: &[u8]) -> Option<Found> {
    let mut words = Words { bytes, at: 2 };
    let (mut width, mut height, mut maximum) = (None, None, 255);
    loop {
        match words.next()? {
            b"WIDTH" => width = Some(words.number()?),
            b"HEIGHT" => height = Some(words.number()?),
            b"MAXVAL" => maximum = words.number()?,
            b"ENDHDR" => return Some(Found::still(width?, height?, depth_of(maximum))),
            _ => {}
        }
    }
}

/// Radiance: a line such as `-Y 200 +X 300` follows the header's empty line.
pub(super) fn hdr(bytes: &[u8]) -> Option<Found> {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n")?;
    let mut words = Words { bytes, at: end + 2 };
    let axis = words.next()?;
    let first = words.number()?;
    words.next()?;
    let second = words.number()?;
    let (width, height) = if axis.ends_with(b"Y") {
        (second, first)
    } else {
        (first, second)
    };
    Some(Found::still(width, height, 32))
}

fn depth_of(maximum: u32) -> u8 {
    if maximum > 255 { 16 } else { 8 }
}

/// Words between white space; `#` begins a comment that ends with its line.
struct Words<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            match self.bytes.get(self.at)? {
                b'#' => {
                    self.at += self.bytes[self.at..]
                        .iter()
                        .position(|&byte| byte == b'\n')?
                }
                byte if byte.is_ascii_whitespace() => self.at += 1,
                _ => break,
            }
        }
        let rest = &self.bytes[self.at..];
        let len = rest
            .iter()
            .position(|byte| byte.is_ascii_whitespace())
            .unwrap_or(rest.len());
        self.at += len;
        Some(&rest[..len])
    }

    fn number(&mut self) -> Option<u32> {
        std::str::from_utf8(self.next()?).ok()?.parse().ok()
    }
}
