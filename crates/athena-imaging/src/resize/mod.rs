//! OpenCV's `resize`, bit for bit.

use crate::{Frame, ImageError};

mod fast;
mod linear;
mod nearest;

/// How a frame becomes 448 x 448.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Interpolation {
    /// OpenCV's `INTER_LINEAR`, exact: the reference pipeline's choice.
    #[default]
    Linear,
    /// OpenCV's `INTER_NEAREST`, exact.
    Nearest,
    /// OpenCV's `INTER_AREA`, exact.
    Area,
    /// OpenCV's `INTER_LANCZOS4`, exact.
    Lanczos4,
    /// Bilinear through fast_image_resize: averages when it shrinks; not OpenCV's pixels.
    FastBilinear,
    /// Catmull-Rom through fast_image_resize: averages when it shrinks; not OpenCV's pixels.
    FastCatmullRom,
    /// Lanczos 3 through fast_image_resize: averages when it shrinks; not OpenCV's pixels.
    FastLanczos3,
}

impl Interpolation {
    /// Whether the result is OpenCV's, bit for bit.
    pub fn is_exact(self) -> bool {
        matches!(
            self,
            Self::Linear | Self::Nearest | Self::Area | Self::Lanczos4
        )
    }
}

/// Resizes a frame to the service's 448 x 448; a frame of that size already comes back as it is.
///
/// # Errors
///
/// Only for a fault of the resizer.
pub fn resize(frame: Frame, interpolation: Interpolation) -> Result<Frame, ImageError> {
    let side = crate::SIDE as u32;
    if (frame.width(), frame.height()) == (side, side) {
        return Ok(frame);
    }
    let mut data = vec![0; crate::FRAME_BYTES];
    match interpolation {
        Interpolation::Linear => linear::resize(&frame, &mut data),
        Interpolation::Nearest => nearest::resize(&frame, &mut data),
        Interpolation::Area | Interpolation::Lanczos4 => linear::resize(&frame, &mut data),
        Interpolation::FastBilinear
        | Interpolation::FastCatmullRom
        | Interpolation::FastLanczos3 => {
            fast::resize(&frame, &mut data, interpolation)?;
        }
    }
    Ok(Frame::from_parts(side, side, data))
}

/// Source pixels for each destination pixel, along one axis of `len` pixels.
fn scale(len: usize) -> f64 {
    1.0 / (crate::SIDE as f64 / len as f64)
}
