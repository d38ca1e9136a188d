use png::{BitDepth, ColorType, Compression, Encoder};

use super::{encoder_fault, to_rgb};
use crate::{Frame, ImageError};

pub(super) fn encode(frame: &Frame) -> Result<Vec<u8>, ImageError> {
    let fault = |error| encoder_fault("PNG", error);
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, frame.width(), frame.height());
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    let mut writer = encoder.write_header().map_err(fault)?;
    writer.write_image_data(&to_rgb(frame)).map_err(fault)?;
    writer.finish().map_err(fault)?;
    Ok(out)
}
