use image_webp::{ColorType, WebPEncoder};

use super::super::{encoder_fault, to_rgb};
use crate::{Frame, ImageError};

/// Encodes losslessly, with image-webp.
pub(in super::super) fn encode(frame: &Frame) -> Result<Vec<u8>, ImageError> {
    let mut out = Vec::new();
    WebPEncoder::new(&mut out)
        .encode(
            &to_rgb(frame),
            frame.width(),
            frame.height(),
            ColorType::Rgb8,
        )
        .map_err(|e| encoder_fault("WebP", e))?;
    Ok(out)
}
