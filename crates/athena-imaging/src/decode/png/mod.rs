//! PNG as libpng reads it for OpenCV: alpha dropped, 16 bits cut to 8, gamma and profiles ignored; broken ancillary
//! chunks and what follows the image data are forgiven, other faults are not.

mod apng;
mod chunks;
mod filter;
mod header;
mod inflate;
mod rows;

use self::chunks::{Chunk, Chunks};
use self::header::{Ancillary, Header};
use self::rows::{Raster, decode_rows};
use crate::{Format, Frame, ImageError, Limits, Orientation};

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Frame, ImageError> {
    let mut chunks = Chunks::new(bytes);
    let first = chunks.next()?;
    let header = Header::read(&first)?;
    header.check_size(limits)?;
    let animation = apng::Control::scan(chunks.clone(), &header)?;
    let mut ancillary = Ancillary::default();
    let first_data = loop {
        let chunk = chunks.next()?;
        if chunk.name == *b"IDAT" {
            break chunk;
        }
        ancillary.read(&chunk, &header)?;
    };
    ancillary.check_before_data(&header)?;
    let palette = &ancillary.palette;
    if let Some(control) = animation {
        return apng::first_frame(first_data, chunks, &control, &header, palette, limits);
    }
    let mut frame = Frame::zeroed(Format::Png, header.width, header.height, limits)?;
    let mut data = inflate::ImageData::new(first_data, chunks);
    let mut raster = Raster::new(&mut frame, rows::SixteenBits::Cut);
    decode_rows(&mut data, &header, palette, &mut raster)?;
    ancillary.read_rest(data.finish()?, &header)?;
    Ok(frame.oriented(ancillary.orientation.unwrap_or(Orientation::Normal)))
}

fn corrupt(message: impl Into<std::borrow::Cow<'static, str>>) -> ImageError {
    ImageError::corrupt(Format::Png, message)
}
