use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

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
    let source = ImageRef::new(frame.width(), frame.height(), frame.data(), PixelType::U8x3)
        .map_err(|e| fault(&e))?;
    let side = SIDE as u32;
    let mut target =
        Image::from_slice_u8(side, side, out, PixelType::U8x3).map_err(|e| fault(&e))?;
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(filter))
        .use_alpha(false);
    Resizer::new()
        .resize(&source, &mut target, &options)
        .map_err(|e| fault(&e))
}
