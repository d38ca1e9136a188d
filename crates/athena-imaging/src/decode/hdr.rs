//! Radiance pictures (also called PIC): shared exponents, run lengths, and a clip at 1.0 where OpenCV puts it.

use super::pixels::saturate;
use super::reader::Reader;
use crate::{Budget, Format, Frame, ImageError};

pub(super) fn decode(bytes: &[u8], budget: &Budget<'_>) -> Result<Frame, ImageError> {
    let mut reader = Reader::new(bytes, budget);
    let (width, height) = header(&mut reader)?;
    let mut frame = Frame::zeroed(width, height, budget)?;
    let levels = levels();
    let width = width as usize;
    let mut pixels = frame.data_mut().as_chunks_mut::<3>().0;
    if (8..=0x7FFF).contains(&width) {
        let mut planes = vec![0; 4 * width];
        while !pixels.is_empty() {
            let start = reader.position();
            let [first, second, high, low] = reader.array()?;
            if first != 2 || second != 2 || high & 0x80 != 0 {
                reader.seek(start);
                break;
            }
            if usize::from(u16::from_be_bytes([high, low])) != width {
                return Err(corrupt("a scan line of another width"));
            }
            for plane in planes.chunks_exact_mut(width) {
                unpack(&mut reader, plane)?;
            }
            let row = pixels.split_off_mut(..width).unwrap_or_default();
            for (x, pixel) in row.iter_mut().enumerate() {
                let [r, g, b, e] = std::array::from_fn(|plane| planes[plane * width + x]);
                *pixel = to_bgr([r, g, b, e], &levels);
            }
        }
    }
    let flat = reader.take(pixels.len() * 4)?.as_chunks().0;
    for (pixel, &rgbe) in pixels.iter_mut().zip(flat) {
        *pixel = to_bgr(rgbe, &levels);
    }
    Ok(frame)
}

fn header(reader: &mut Reader<'_>) -> Result<(u32, u32), ImageError> {
    line(reader)?;
    let mut has_format = false;
    loop {
        match line(reader)? {
            b"\n" => break,
            [b'\n', ..] => return Err(corrupt("no empty line after the header")),
            b"FORMAT=32-bit_rle_rgbe\n" => has_format = true,
            _ => {}
        }
    }
    if !has_format {
        return Err(corrupt("the header names no format"));
    }
    let size = line(reader)?;
    let parsed = || {
        let (height, rest) = number(size.strip_prefix(b"-Y")?)?;
        let (width, _) = number(rest.trim_ascii_start().strip_prefix(b"+X")?)?;
        Some((u32::try_from(width).ok()?, u32::try_from(height).ok()?))
    };
    parsed().ok_or_else(|| corrupt("no size, or one that is not stored from the top left"))
}

/// A line with its end, in pieces of 127 bytes; what follows a NUL does not count, as with C strings.
fn line<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], ImageError> {
    const LONGEST: usize = 127;
    let start = reader.position();
    let mut len = 0;
    while len < LONGEST {
        match reader.u8() {
            Ok(byte) => {
                len += 1;
                if byte == b'\n' {
                    break;
                }
            }
            Err(end) if len == 0 => return Err(end),
            Err(_) => break,
        }
    }
    reader.seek(start);
    let line = reader.take(len)?;
    let end = line.iter().position(|&byte| byte == 0);
    Ok(&line[..end.unwrap_or(len)])
}

/// What `scanf` reads for ` %d`, and the rest.
fn number(text: &[u8]) -> Option<(i32, &[u8])> {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let len = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    if len == 0 {
        return None;
    }
    let value = digits[..len].iter().fold(0_i64, |value, byte| {
        value
            .saturating_mul(10)
            .saturating_add(i64::from(byte - b'0'))
    });
    let value = if negative { -value } else { value };
    Some((value as i32, &digits[len..]))
}

/// One channel of a scan line: counts above 128 repeat a byte, others introduce as many bytes.
fn unpack(reader: &mut Reader<'_>, mut plane: &mut [u8]) -> Result<(), ImageError> {
    while !plane.is_empty() {
        let [count, value] = reader.array()?;
        let len = usize::from(if count > 128 { count - 128 } else { count });
        let run = plane
            .split_off_mut(..len)
            .filter(|run| !run.is_empty())
            .ok_or_else(|| corrupt("a run that does not fit its scan line"))?;
        if count > 128 {
            run.fill(value);
        } else {
            run[0] = value;
            run[1..].copy_from_slice(reader.take(len - 1)?);
        }
    }
    Ok(())
}

/// Bytes by exponent and mantissa. What a picture uses of it stays in the cache.
fn levels() -> Vec<[u8; 256]> {
    let scale = |exponent: u16| match exponent {
        0 => 0.0,
        _ => 255.0 * (f32::from(exponent) - 136.0).exp2(),
    };
    let row =
        |exponent| std::array::from_fn(|mantissa| saturate(mantissa as f32 * scale(exponent)));
    (0..256).map(row).collect()
}

fn to_bgr([r, g, b, e]: [u8; 4], levels: &[[u8; 256]]) -> [u8; 3] {
    let level = &levels[usize::from(e)];
    [b, g, r].map(|mantissa| level[usize::from(mantissa)])
}

fn corrupt(message: &'static str) -> ImageError {
    ImageError::corrupt(Format::Hdr, message)
}
