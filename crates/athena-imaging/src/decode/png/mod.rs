//! PNG as libpng reads it for OpenCV: alpha dropped, 16 bits cut to 8, gamma and profiles ignored; broken ancillary
//! chunks and what follows the image data are forgiven, other faults are not.

mod alpha;
mod animation;
mod apng;
mod chunks;
mod filter;
mod header;
mod inflate;
mod quick;
mod rows;

pub(super) use self::animation::{count, sample};
use self::chunks::{Chunk, Chunks};
use self::header::{Ancillary, Header};
use self::rows::{Raster, decode_rows};
use crate::{Budget, Format, Frame, ImageError, Orientation};

pub(super) fn decode(bytes: &[u8], budget: &Budget<'_>) -> Result<Frame, ImageError> {
    let mut chunks = Chunks::new(bytes, budget);
    let first = chunks.next()?;
    let header = Header::read(&first)?;
    header.check_size(budget)?;
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
        return apng::first_frame(first_data, chunks, &control, &header, palette, budget);
    }
    let len = rows::data_len(&header);
    budget.admit(len as u64 + u64::from(header.width) * u64::from(header.height) * 3)?;
    let mut frame = Frame::zeroed(header.width, header.height, budget)?;
    let mut raster = Raster::new(&mut frame, rows::SixteenBits::Cut);
    let rest = match quick::inflate(&first_data, &chunks, len, budget)? {
        Some((mut data, rest)) => {
            decode_rows(&mut data, &header, palette, &mut raster, budget)?;
            rest
        }
        None => {
            let mut data = inflate::ImageData::new(first_data, chunks, budget);
            decode_rows(&mut data, &header, palette, &mut raster, budget)?;
            data.finish()?
        }
    };
    ancillary.read_rest(rest, &header)?;
    frame.upright(ancillary.orientation.unwrap_or(Orientation::Normal), budget)
}

fn corrupt(message: impl Into<std::borrow::Cow<'static, str>>) -> ImageError {
    ImageError::corrupt(Format::Png, message)
}
