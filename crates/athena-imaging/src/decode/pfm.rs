//! Portable float maps: values are bytes already, rounded half to even; rows go from the bottom.

use super::pixels::saturate;
use super::pnm::is_space;
use super::reader::Reader;
use crate::{Budget, Format, Frame, ImageError};

pub(super) fn decode(bytes: &[u8], budget: &Budget<'_>) -> Result<Frame, ImageError> {
    let mut reader = Reader::new(bytes, budget);
    let [_, kind, line_end] = reader.array()?;
    if line_end != b'\n' {
        return Err(corrupt("no line end after the signature"));
    }
    let width = integer(word(&mut reader)?);
    let height = integer(word(&mut reader)?);
    let scale = float(word(&mut reader)?);
    let side = |value: i32| u32::try_from(value).unwrap_or(0);
    let (width, height) = (side(width), side(height));
    let mut frame = Frame::zeroed(width, height, budget)?;
    if scale == 0.0 || scale.is_nan() {
        return Err(corrupt("the scale is zero or not a number"));
    }
    let factor = (1.0 / scale.abs()) as f32;
    let big_endian = scale >= 0.0;
    let sample = |bytes: [u8; 4]| {
        let value = if big_endian {
            f32::from_be_bytes(bytes)
        } else {
            f32::from_le_bytes(bytes)
        };
        saturate(value * factor)
    };
    let channels = if kind == b'F' { 3 } else { 1 };
    let stride = width as usize * channels * 4;
    for y in (0..height as usize).rev() {
        let source = reader.take(stride)?.as_chunks::<4>().0;
        let row = frame.row_mut(y).as_chunks_mut::<3>().0;
        for (pixel, samples) in row.iter_mut().zip(source.chunks_exact(channels)) {
            *pixel = match *samples {
                [r, g, b] => [sample(b), sample(g), sample(r)],
                _ => [sample(samples[0]); 3],
            };
        }
    }
    Ok(frame)
}

/// Up to 2,048 bytes before a white space, which is consumed.
fn word<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], ImageError> {
    const LONGEST: usize = 2048;
    let start = reader.position();
    let mut len = 0;
    while len < LONGEST {
        let byte = reader.u8()?;
        if !byte.is_ascii() {
            return Err(corrupt("the header is not text"));
        }
        if is_space(byte) {
            break;
        }
        len += 1;
    }
    let after = reader.position();
    reader.seek(start);
    let word = reader.take(len)?;
    reader.seek(after);
    Ok(word)
}

/// C's `atoi`: as many digits as there are, nothing is 0.
fn integer(text: &[u8]) -> i32 {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    let value =
        digits
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .fold(0_i64, |value, byte| {
                value
                    .saturating_mul(10)
                    .saturating_add(i64::from(byte - b'0'))
            });
    (sign * value) as i32
}

/// C's `atof`, but for hexadecimal floats: the longest prefix that is a number, nothing is 0.
fn float(text: &[u8]) -> f64 {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let text = std::str::from_utf8(text).unwrap_or_default();
    (1..=text.len())
        .rev()
        .find_map(|end| text[..end].parse().ok())
        .unwrap_or(0.0)
}

fn corrupt(message: &'static str) -> ImageError {
    ImageError::corrupt(Format::Pfm, message)
}
