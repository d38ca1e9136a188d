use image::{ExtendedColorType, ImageEncoder, codecs::webp::WebPEncoder};

use crate::{Frame, ImageError};

pub(super) fn encode(frame: &Frame) -> Result<Vec<u8>, ImageError> {
    let rgb: Vec<u8> = frame
        .data()
        .chunks_exact(3)
        .flat_map(|p| [p[2], p[1], p[0]])
        .collect();
    let mut out = Vec::new();
    WebPEncoder::new_lossless(&mut out)
        .write_image(&rgb, frame.width(), frame.height(), ExtendedColorType::Rgb8)
        .map_err(|e| super::encoder_fault("WebP", e))?;
    Ok(out)
}
