//! Netpbm's arbitrary map, P7, with OpenCV's reading of it: colour samples stay in their stored order when there are
//! three of them, bitmaps are read as packed bits at the stride of bytes.

use super::pixels::{Bgr, expand_indices, grey_to_bgr, rgb_to_bgr};
use super::pnm::is_space;
use super::reader::Reader;
use crate::{Budget, Format, Frame, ImageError};

pub(super) fn decode(bytes: &[u8], budget: &Budget<'_>) -> Result<Frame, ImageError> {
    let mut reader = Reader::new(bytes, budget);
    reader.skip(2);
    if !is_line_end(reader.u8()?) {
        return Err(corrupt("no line end after P7"));
    }
    let header = Header::read(&mut reader)?;
    let side = |value: i32| u32::try_from(value).unwrap_or(0);
    let (width, height) = (side(header.width), side(header.height));
    let mut frame = Frame::zeroed(width, height, budget)?;
    let sample = if header.max > 255 { 2 } else { 1 };
    let stride = width as usize * header.channels * sample;
    for y in 0..height as usize {
        header.row(frame.row_mut(y), reader.take(stride)?);
    }
    Ok(frame)
}

const BITS: [Bgr; 256] = {
    let mut palette = [[0; 3]; 256];
    palette[1] = [255; 3];
    palette
};

struct Header {
    width: i32,
    height: i32,
    channels: usize,
    max: i32,
}

impl Header {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ImageError> {
        let [mut width, mut height, mut depth, mut max] = [None; 4];
        let mut kind: &[u8] = b"";
        loop {
            let Some((name, value)) = line(reader)? else {
                continue;
            };
            let slot = match name {
                b"WIDTH" => &mut width,
                b"HEIGHT" => &mut height,
                b"DEPTH" => &mut depth,
                b"MAXVAL" => &mut max,
                b"TUPLTYPE" => {
                    kind = value;
                    if !value.is_empty() && tuple_channels(value).is_none() {
                        return Err(corrupt("an unknown tuple type"));
                    }
                    continue;
                }
                b"ENDHDR" => break,
                _ => return Err(corrupt("an unknown header line")),
            };
            if slot.replace(integer(value)?).is_some() {
                return Err(corrupt("a header line occurs twice"));
            }
        }
        let (Some(width), Some(height), Some(depth), Some(max)) = (width, height, depth, max)
        else {
            return Err(corrupt("a header line is missing"));
        };
        let known = match tuple_channels(kind) {
            Some(channels) => channels == depth,
            None => (depth == 1 || depth == 3) && max < 256,
        };
        let channels = usize::try_from(depth).unwrap_or(0);
        if !known || !(1..=4).contains(&channels) || max > 0xFFFF {
            return Err(corrupt(format!("{depth} channels up to {max}")));
        }
        Ok(Self {
            width,
            height,
            channels,
            max,
        })
    }

    fn row(&self, row: &mut [u8], source: &[u8]) {
        if self.max == 1 {
            return expand_indices(row, source, 1, &BITS);
        }
        let high_bytes: Vec<u8>;
        let source = if self.max > 255 {
            high_bytes = source.iter().copied().step_by(2).collect();
            &high_bytes
        } else {
            source
        };
        match self.channels {
            3 => row.copy_from_slice(source),
            4 => rgb_to_bgr::<4>(row, source),
            channels => grey_to_bgr(row, source.iter().copied().step_by(channels)),
        }
    }
}

fn tuple_channels(kind: &[u8]) -> Option<i32> {
    match kind {
        b"BLACKANDWHITE" | b"GRAYSCALE" => Some(1),
        b"GRAYSCALE_ALPHA" => Some(2),
        b"RGB" => Some(3),
        b"RGB_ALPHA" => Some(4),
        _ => None,
    }
}

type Line<'a> = (&'a [u8], &'a [u8]);

/// A header line as name and value; `None` for a comment.
fn line<'a>(reader: &mut Reader<'a>) -> Result<Option<Line<'a>>, ImageError> {
    let mut byte = skip_space(reader)?;
    if byte == b'#' {
        while !is_line_end(reader.u8()?) {}
        return Ok(None);
    }
    let name = word(reader, &mut byte, 8, is_space)?;
    if !is_space(byte) {
        return Err(corrupt("an unknown header line"));
    }
    if is_line_end(byte) {
        return Ok(Some((name, b"")));
    }
    byte = skip_space(reader)?;
    let value = word(reader, &mut byte, 255, is_line_end)?;
    if !is_line_end(byte) {
        return Err(corrupt("a header line is too long"));
    }
    let value = value.split(|&byte| byte == 0).next().unwrap_or_default();
    let end = value.iter().rposition(|&byte| !is_space(byte));
    Ok(Some((name, &value[..end.map_or(0, |end| end + 1)])))
}

fn skip_space(reader: &mut Reader<'_>) -> Result<u8, ImageError> {
    loop {
        let byte = reader.u8()?;
        if !is_space(byte) {
            return Ok(byte);
        }
    }
}

/// The bytes from `byte`, already read, up to one that ends the word or to `longest`; `byte` is then the one after.
fn word<'a>(
    reader: &mut Reader<'a>,
    byte: &mut u8,
    longest: usize,
    ends: impl Fn(u8) -> bool,
) -> Result<&'a [u8], ImageError> {
    let start = reader.position() - 1;
    let mut len = 0;
    while len < longest && !ends(*byte) {
        *byte = reader.u8()?;
        len += 1;
    }
    let after = reader.position();
    reader.seek(start);
    let word = reader.take(len)?;
    reader.seek(after);
    Ok(word)
}

fn integer(text: &[u8]) -> Result<i32, ImageError> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.is_empty() && !negative {
        return Ok(0);
    }
    let number = std::str::from_utf8(digits)
        .ok()
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse::<i32>().ok())
        .filter(|&number| number < i32::MAX)
        .ok_or_else(|| corrupt("not a number"))?;
    Ok(if negative { -number } else { number })
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn corrupt(message: impl Into<std::borrow::Cow<'static, str>>) -> ImageError {
    ImageError::corrupt(Format::Pam, message)
}
