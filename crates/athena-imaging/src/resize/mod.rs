//! OpenCV's `resize`, bit for bit.
//!
//! Each mode reproduces the arithmetic of OpenCV's own kernels: their fixed-point widths, the order of their sums, their
//! rounding. Loops come in versions for several instruction sets, which agree on every bit.

use std::borrow::{Borrow, Cow};

use crate::needed::Needed;
use crate::{Frame, ImageError, SIDE};

mod area;
mod fast;
mod lanczos;
mod linear;
mod nearest;
mod taps;

use taps::Taps;

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

/// Resizes a frame to the service's 448 x 448; a frame of that size already is copied.
///
/// # Errors
///
/// Only for a fault of fast_image_resize.
pub fn resize(
    frame: impl Borrow<Frame>,
    interpolation: Interpolation,
) -> Result<Frame, ImageError> {
    let frame = frame.borrow();
    if is_ready(frame.width(), frame.height()) {
        return Ok(frame.clone());
    }
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let mut data = crate::scratch::to_overwrite(crate::FRAME_BYTES);
    match interpolation {
        Interpolation::Linear => linear::resize(frame, &Taps::linear(width, height), &mut data),
        Interpolation::Nearest => nearest::resize(frame, &mut data),
        Interpolation::Area => area::resize(frame, &mut data),
        Interpolation::Lanczos4 => lanczos::resize(frame, &mut data),
        Interpolation::FastBilinear
        | Interpolation::FastCatmullRom
        | Interpolation::FastLanczos3 => {
            fast::resize(frame, &mut data, interpolation)?;
        }
    }
    Ok(Frame::from_parts(SIDE as u32, SIDE as u32, data))
}

/// A resize by which most pixels of a large image are never read, prepared for the few that are.
#[derive(Debug)]
pub(crate) struct Sparse {
    taps: Taps,
}

impl Sparse {
    /// The resize of an image of this size, if it does not need most of the pixels.
    pub(crate) fn plan(
        interpolation: Interpolation,
        width: u32,
        height: u32,
    ) -> Option<(Self, Needed)> {
        let (width, height) = (width as usize, height as usize);
        let taps = match interpolation {
            Interpolation::Linear => Taps::linear(width, height),
            Interpolation::Nearest => Taps::nearest(width, height),
            _ => return None,
        };
        if width < 2 * SIDE || height < 2 * SIDE || taps.halves {
            return None;
        }
        let (taps, needed) = taps.compact();
        Some((Self { taps }, needed))
    }

    /// Resizes a frame of only the needed pixels.
    pub(crate) fn resize(&self, frame: &Frame) -> Frame {
        let mut data = crate::scratch::to_overwrite(crate::FRAME_BYTES);
        linear::resize(frame, &self.taps, &mut data);
        Frame::from_parts(SIDE as u32, SIDE as u32, data)
    }
}

/// Whether an image of this size is what the service takes, without any resize.
pub(crate) fn is_ready(width: u32, height: u32) -> bool {
    (width as usize, height as usize) == (SIDE, SIDE)
}

/// A row that goes on for `reach` bytes: into what follows it or, at the end of a frame, into zeroes.
fn reaching(row: &[u8], reach: usize) -> Cow<'_, [u8]> {
    if row.len() >= reach {
        return Cow::Borrowed(row);
    }
    let mut padded = row.to_vec();
    padded.resize(reach, 0);
    Cow::Owned(padded)
}

/// Source pixels for each destination pixel, along an axis of `len` pixels.
fn scale(len: usize) -> f64 {
    1.0 / (SIDE as f64 / len as f64)
}
