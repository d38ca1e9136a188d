//! Netpbm maps P1 to P6; P7 is in [`super::pam`].

use super::pixels::{Bgr, expand_indices, grey_to_bgr, rgb_to_bgr};
use super::reader::Reader;
use crate::{Budget, Format, Frame, ImageError};

pub(super) fn decode(
    bytes: &[u8],
    format: Format,
    budget: &Budget<'_>,
) -> Result<Frame, ImageError> {
    let mut reader = Reader::new(bytes, budget);
    let [_, kind] = reader.array()?;
    let header = Header::read(&mut reader, format, kind)?;
    let mut frame = Frame::zeroed(header.width, header.height, budget)?;
    let width = header.width as usize;
    for y in 0..header.height as usize {
        let row = frame.row_mut(y);
        if kind == b'4' {
            expand_indices(row, reader.take(width.div_ceil(8))?, 1, &BITS);
        } else if kind > b'4' {
            header.binary_row(row, &mut reader)?;
        } else {
            header.text_row(row, &mut reader, format)?;
        }
    }
    Ok(frame)
}

/// A set bit is black.
const BITS: [Bgr; 256] = {
    let mut palette = [[0; 3]; 256];
    palette[0] = [255; 3];
    palette
};

struct Header {
    width: u32,
    height: u32,
    max: u32,
    bitmap: bool,
    channels: usize,
}

impl Header {
    fn read(reader: &mut Reader<'_>, format: Format, kind: u8) -> Result<Self, ImageError> {
        let bitmap = matches!(kind, b'1' | b'4');
        let width = number(reader, format, None)?;
        let height = number(reader, format, None)?;
        let max = if bitmap {
            1
        } else {
            number(reader, format, None)?
        };
        if max == 0 || max > 0xFFFF {
            return Err(ImageError::corrupt(format, format!("a maximum of {max}")));
        }
        Ok(Self {
            width,
            height,
            max,
            bitmap,
            channels: if matches!(kind, b'3' | b'6') { 3 } else { 1 },
        })
    }

    /// Samples as they are; the upper byte of those with two, and no scaling by the maximum.
    fn binary_row(&self, row: &mut [u8], reader: &mut Reader<'_>) -> Result<(), ImageError> {
        let wide = self.max > 255;
        let samples = row.len() / 3 * self.channels;
        let source = reader.take(samples * if wide { 2 } else { 1 })?;
        match (self.channels, wide) {
            (1, false) => grey_to_bgr(row, source.iter().copied()),
            (1, true) => grey_to_bgr(row, source.iter().copied().step_by(2)),
            (_, false) => rgb_to_bgr::<3>(row, source),
            (_, true) => {
                for (pixel, rgb) in row
                    .as_chunks_mut()
                    .0
                    .iter_mut()
                    .zip(source.as_chunks::<6>().0)
                {
                    *pixel = [rgb[4], rgb[2], rgb[0]];
                }
            }
        }
        Ok(())
    }

    fn text_row(
        &self,
        row: &mut [u8],
        reader: &mut Reader<'_>,
        format: Format,
    ) -> Result<(), ImageError> {
        let digits = self.bitmap.then_some(1);
        for pixel in row.as_chunks_mut::<3>().0 {
            let mut sample = || number(reader, format, digits).map(|value| self.scale(value));
            *pixel = if self.channels == 3 {
                let [r, g, b] = [sample()?, sample()?, sample()?];
                [b, g, r]
            } else {
                [sample()?; 3]
            };
        }
        Ok(())
    }

    fn scale(&self, value: u32) -> u8 {
        if self.bitmap {
            return if value == 0 { 255 } else { 0 };
        }
        let value = value.min(self.max);
        if self.max > 255 {
            (value >> 8) as u8
        } else {
            (value * 255 / self.max) as u8
        }
    }
}

/// The next decimal number, and the byte after it unless `digits` ended it: a number at the very end is truncated.
fn number(
    reader: &mut Reader<'_>,
    format: Format,
    digits: Option<usize>,
) -> Result<u32, ImageError> {
    let mut byte = reader.u8()?;
    while !byte.is_ascii_digit() {
        if byte == b'#' {
            while !matches!(reader.u8()?, b'\n' | b'\r') {}
            byte = reader.u8()?;
        } else if is_space(byte) {
            byte = reader.u8()?;
        } else {
            let message = format!("\"{}\" instead of a number", byte.escape_ascii());
            return Err(ImageError::corrupt(format, message));
        }
    }
    let mut value = 0_u32;
    let mut count = 0;
    while byte.is_ascii_digit() {
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(u32::from(byte - b'0')))
            .filter(|&value| value <= i32::MAX as u32)
            .ok_or_else(|| ImageError::corrupt(format, "a number is too large"))?;
        count += 1;
        if digits == Some(count) {
            break;
        }
        byte = reader.u8()?;
    }
    Ok(value)
}

/// C's `isspace`.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}
