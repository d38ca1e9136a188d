//! JPEG, exactly as OpenCV decodes it.
//!
//! libjpeg (mozjpeg's, through a small C shim) parses the headers, and decodes the coefficients of arithmetic and irregular
//! data; those of sound baseline and progressive data, and all that follows, are ours: vectorised without an assembler, and
//! converted only for the rows that are asked for.

use super::decoder::Decoder;
use super::rows::Rows;
use crate::needed::Needed;
use crate::{Budget, Frame, ImageError, Orientation};

pub(in crate::decode) fn decode(bytes: &[u8], budget: &Budget<'_>) -> Result<Frame, ImageError> {
    let (frame, _) = decode_needed(bytes, budget, |_, _| None)?;
    Ok(frame)
}

/// Decodes only the rows and columns that `needed` asks for, given the upright size; also returns that size.
pub(in crate::decode) fn decode_needed(
    bytes: &[u8],
    budget: &Budget<'_>,
    needed: impl FnOnce(u32, u32) -> Option<Needed>,
) -> Result<(Frame, (u32, u32)), ImageError> {
    let (mut decoder, header) = Decoder::open(bytes, budget)?;
    let (width, height) = (header.width as u32, header.height as u32);
    budget.check_size(width, height)?;
    let orientation = Orientation::from_exif(&header.exif);
    let upright = if orientation.swaps_axes() {
        (height, width)
    } else {
        (width, height)
    };
    let needed =
        needed(upright.0, upright.1).map(|needed| needed.stored(orientation, width, height));

    let mut rows = Rows::new(&header, &decoder)?;
    let (columns, count) = match &needed {
        Some(needed) => (needed.columns.len() as u32, needed.rows.len() as u32),
        None => (width, height),
    };
    let frame = 3 * u64::from(columns) * u64::from(count);
    // The coefficients go before the frame is turned.
    let beside = match orientation {
        Orientation::Normal => header.coefficient_bytes(),
        _ => frame.max(header.coefficient_bytes()),
    };
    budget.admit(frame + beside)?;
    decoder.start()?;
    let frame = match needed {
        None => {
            let mut frame = Frame::zeroed(width, height, budget)?;
            rows.decode(&mut decoder, 0..height as usize, |rows, y, index| {
                rows.convert(y, frame.row_mut(index))
            })?;
            frame
        }
        Some(needed) => {
            let mut frame = Frame::zeroed(columns, count, budget)?;
            let mut row = vec![0; header.width * 3];
            let wanted = needed.rows.iter().map(|&y| y as usize);
            let mut converted = None;
            rows.decode(&mut decoder, wanted, |rows, y, index| {
                if converted.replace(y) != Some(y) {
                    rows.convert(y, &mut row);
                }
                needed.pick(&row, frame.row_mut(index));
            })?;
            frame
        }
    };
    drop(decoder);
    Ok((frame.upright(orientation, budget)?, upright))
}
