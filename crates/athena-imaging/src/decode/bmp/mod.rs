//! Windows and OS/2 bitmaps by OpenCV's rules: 5-bit channels shifted left without replication, the end of a bitmap
//! in run lengths treated as it treats it, masks only from headers that contain them.

mod header;
mod rle;

use self::header::{Compression, Header, Masks};
use super::pixels::{bgra_to_bgr, expand_indices};
use super::reader::Reader;
use crate::{Budget, Frame, ImageError};

pub(super) fn decode(bytes: &[u8], budget: &Budget<'_>) -> Result<Frame, ImageError> {
    let mut reader = Reader::new(bytes, budget);
    let header = Header::read(&mut reader)?;
    let mut frame = Frame::zeroed(header.width, header.height, budget)?;
    reader.seek(header.offset);
    match header.compression {
        Compression::Rle4 => rle::decode4(&mut reader, &header, &mut frame, budget)?,
        Compression::Rle8 => rle::decode8(&mut reader, &header, &mut frame, budget)?,
        Compression::None | Compression::Masks => {
            let stride = (header.width as usize * header.bits as usize)
                .div_ceil(8)
                .next_multiple_of(4);
            for line in 0..header.height as usize {
                let source = reader.take(stride)?;
                row(frame.row_mut(header.row(line)), source, &header);
            }
        }
    }
    Ok(frame)
}

fn row(row: &mut [u8], source: &[u8], header: &Header) {
    match (header.bits, &header.masks) {
        (16, Masks::FiveSixFive) => words(row, source, |word| {
            [word << 3, word >> 3 & !3, word >> 8 & !7].map(|channel| channel as u8)
        }),
        (16, _) => words(row, source, |word| {
            [word << 3, word >> 2 & !7, word >> 7 & !7].map(|channel| channel as u8)
        }),
        (24, _) => {
            let len = row.len();
            row.copy_from_slice(&source[..len]);
        }
        (32, Masks::Channels(masks)) => {
            for (pixel, &bytes) in row.as_chunks_mut().0.iter_mut().zip(source.as_chunks().0) {
                let word = u32::from_le_bytes(bytes);
                *pixel = masks.each_ref().map(|mask| mask.extract(word));
            }
        }
        (32, _) => bgra_to_bgr(row, source),
        (bits, _) => expand_indices(row, source, bits, &header.palette),
    }
}

fn words(row: &mut [u8], source: &[u8], convert: impl Fn(u16) -> [u8; 3]) {
    for (pixel, &bytes) in row.as_chunks_mut().0.iter_mut().zip(source.as_chunks().0) {
        *pixel = convert(u16::from_le_bytes(bytes));
    }
}
