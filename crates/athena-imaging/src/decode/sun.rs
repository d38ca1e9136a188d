//! Sun rasters. OpenCV decodes the old and the standard type and refuses run lengths and RGB order, so do we.

use super::pixels::{Bgr, expand_indices};
use super::reader::Reader;
use crate::{Budget, Format, Frame, ImageError};

pub(super) fn decode(bytes: &[u8], budget: &Budget<'_>) -> Result<Frame, ImageError> {
    let mut reader = Reader::new(bytes, budget);
    reader.skip(4);
    let mut field = || reader.i32_be();
    let [width, height, depth, _length, kind, map_kind, map_length] = [
        field()?,
        field()?,
        field()?,
        field()?,
        field()?,
        field()?,
        field()?,
    ];
    let (Ok(width), Ok(height)) = (u32::try_from(width), u32::try_from(height)) else {
        return Err(ImageError::corrupt(Format::Sun, "a negative size"));
    };
    if !matches!(depth, 1 | 8 | 24 | 32) {
        return Err(unsupported(format!("{depth} bits per pixel")));
    }
    let depth = depth as u32;
    if !matches!(kind, 0 | 1) {
        return Err(unsupported(format!("raster type {kind}")));
    }
    let longest_map = if depth <= 8 { 3 << depth } else { 0 };
    let palette = match (map_kind, map_length) {
        (0, 0) => grey_palette(depth),
        (1, length) if (1..=longest_map).contains(&length) => {
            colour_palette(reader.take(length as usize)?)
        }
        _ => return Err(unsupported(format!("a colour map of type {map_kind}"))),
    };
    let mut frame = Frame::zeroed(width, height, budget)?;
    let stride = (width as usize * depth as usize)
        .div_ceil(8)
        .next_multiple_of(2);
    for y in 0..height as usize {
        let source = reader.take(stride)?;
        let row = frame.row_mut(y);
        match depth {
            24 => row.copy_from_slice(&source[..row.len()]),
            32 => xbgr_to_bgr(row, source),
            _ => expand_indices(row, source, depth, &palette),
        }
    }
    Ok(frame)
}

fn grey_palette(depth: u32) -> [Bgr; 256] {
    match depth {
        1 => std::array::from_fn(|index| if index == 1 { [255; 3] } else { [0; 3] }),
        _ => std::array::from_fn(|index| [index as u8; 3]),
    }
}

/// All reds, then all greens, then all blues.
fn colour_palette(map: &[u8]) -> [Bgr; 256] {
    let count = map.len() / 3;
    let mut palette = [[0; 3]; 256];
    for (index, colour) in palette.iter_mut().enumerate().take(count) {
        *colour = [map[2 * count + index], map[count + index], map[index]];
    }
    palette
}

/// The unused byte comes first.
fn xbgr_to_bgr(row: &mut [u8], source: &[u8]) {
    for (pixel, &[_, b, g, r]) in row.as_chunks_mut().0.iter_mut().zip(source.as_chunks().0) {
        *pixel = [b, g, r];
    }
}

fn unsupported(message: String) -> ImageError {
    ImageError::unsupported(Format::Sun, message)
}
