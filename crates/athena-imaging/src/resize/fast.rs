use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use super::Interpolation;
use crate::{Frame, ImageError, SIDE};

/// Resizes with fast_image_resize: not OpenCV's pixels.
pub(super) fn resize(
    frame: &Frame,
    out: &mut [u8],
    interpolation: Interpolation,
) -> Result<(), ImageError> {
    let filter = match interpolation {
        Interpolation::FastCatmullRom => FilterType::CatmullRom,
        Interpolation::FastLanczos3 => FilterType::Lanczos3,
        _ => FilterType::Bilinear,
    };
    let fault = |error: &dyn std::fmt::Display| {
        ImageError::internal(None, format!("fast_image_resize: {error}"))
    };
    let side = SIDE as u32;
    let source = TypedImageRef::<U8x3>::from_buffer(frame.width(), frame.height(), frame.data())
        .map_err(|e| fault(&e))?;
    let mut target = TypedImage::<U8x3>::from_buffer(side, side, out).map_err(|e| fault(&e))?;
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(filter))
        .use_alpha(false);
    Resizer::new()
        .resize_typed(&source, &mut target, &options)
        .map_err(|e| fault(&e))
}
