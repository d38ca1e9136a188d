//! WebP: alpha dropped, the first frame of an animation, turned as its EXIF block says.
//!
//! Through libwebp, as OpenCV does; without the `native` feature through a decoder in Rust, which is slower.

#[cfg(feature = "native")]
mod container;
#[cfg(feature = "native")]
mod libwebp;
#[cfg(not(feature = "native"))]
mod pure;
#[cfg(feature = "native")]
mod vp8l;

#[cfg(feature = "native")]
use super::frames::Sampling;
use crate::{Budget, ImageError};
#[cfg(feature = "native")]
use crate::{Format, Frame};

#[cfg(feature = "native")]
pub(super) fn decode(bytes: &[u8], budget: &Budget<'_>) -> Result<Frame, ImageError> {
    use super::pixels::bgra_to_bgr;
    use crate::Orientation;

    /// OpenCV tells the format by as many bytes.
    const SIGNATURE: usize = 32;
    let signature = bytes.first_chunk::<SIGNATURE>();
    let features = signature
        .and_then(|signature| libwebp::features(signature))
        .ok_or_else(|| ImageError::corrupt(Format::WebP, "no header, or one that cannot be"))?;
    let (width, height) = (features.width, features.height);
    budget.check_size(width, height)?;
    let frames = features.animated.then_some(1);
    let held = container::held(bytes, (width, height), frames, budget)?;
    let pixels = u64::from(width) * u64::from(height);
    budget.admit(features.bytes_per_pixel() * pixels + held)?;
    budget.charge(WORK_OF_PIXEL * pixels)?;
    let frame = || Frame::zeroed(width, height, budget);
    let frame = if features.animated {
        let mut animation = libwebp::Animation::new(bytes).ok_or_else(broken)?;
        let decoded = animation.with_next_frame(width, height, |canvas| {
            let mut frame = frame()?;
            bgra_to_bgr(frame.data_mut(), canvas);
            Ok(frame)
        });
        decoded.ok_or_else(broken)??
    } else if features.alpha {
        let mut canvas = vec![0; 4 * pixels as usize];
        libwebp::decode_bgra(bytes, &mut canvas, width).ok_or_else(broken)?;
        let mut frame = frame()?;
        bgra_to_bgr(frame.data_mut(), &canvas);
        frame
    } else {
        let mut frame = frame()?;
        let decoded = if pixels > PIXELS_AT_ONCE && libwebp::is_lossy(bytes) {
            let pieces = (pixels / PIXELS_AT_ONCE) as usize;
            let go_on = || budget.check_patience();
            libwebp::decode_bgr_in_pieces(bytes, frame.data_mut(), width, pieces, go_on)?
        } else {
            libwebp::decode_bgr(bytes, frame.data_mut(), width)
        };
        decoded.ok_or_else(broken)?;
        frame
    };
    budget.check_patience()?;
    let orientation = libwebp::with_exif(bytes, Orientation::from_exif);
    frame.upright(orientation.unwrap_or_default(), budget)
}

/// Work to decode a pixel, in libwebp's hands from its first row to its last: some 10 ns. [`Frame::zeroed`] charges one more.
#[cfg(feature = "native")]
const WORK_OF_PIXEL: u64 = 3;
/// Pixels that a lossy image decodes between two questions whether to go on.
#[cfg(feature = "native")]
const PIXELS_AT_ONCE: u64 = 1 << 19;

/// What is refused by libwebp, or would be.
#[cfg(feature = "native")]
fn broken() -> ImageError {
    ImageError::corrupt(Format::WebP, "damaged or truncated image data")
}

#[cfg(not(feature = "native"))]
pub(super) use pure::decode;

/// Pays for what libwebp reads before the pixels of each of the first `frames`; returns the bytes that it holds for it at most.
#[cfg(feature = "native")]
pub(super) fn held(
    bytes: &[u8],
    size: (u32, u32),
    frames: usize,
    budget: &Budget<'_>,
) -> Result<u64, ImageError> {
    container::held(bytes, size, Some(frames), budget)
}

/// Without libwebp there is nothing to hold.
#[cfg(not(feature = "native"))]
pub(super) fn held(
    _bytes: &[u8],
    _size: (u32, u32),
    _frames: usize,
    _budget: &Budget<'_>,
) -> Result<u64, ImageError> {
    Ok(0)
}

/// Composes all frames, which are [paid for](held) but for their pixels, and takes the wanted ones.
#[cfg(feature = "native")]
pub(super) fn sample(
    bytes: &[u8],
    sampling: &mut Sampling<'_>,
    budget: &Budget<'_>,
) -> Result<(), ImageError> {
    use super::pixels::bgra_to_bgr;

    let features = bytes
        .first_chunk::<32>()
        .and_then(|signature| libwebp::features(signature))
        .ok_or_else(broken)?;
    let (width, height) = (features.width, features.height);
    let pixels = u64::from(width) * u64::from(height);
    let mut animation = libwebp::Animation::new(bytes).ok_or_else(broken)?;
    let mut index = 0;
    while !sampling.is_done(index) {
        budget.charge(WORK_OF_PIXEL * pixels)?;
        let mut frame = match sampling.wants(index) {
            true => Some(Frame::zeroed(width, height, budget)?),
            false => None,
        };
        let shown = animation.with_next_frame(width, height, |canvas| {
            if let Some(frame) = &mut frame {
                bgra_to_bgr(frame.data_mut(), canvas);
            }
        });
        shown.ok_or_else(broken)?;
        if let Some(frame) = &frame {
            sampling.take(index, frame)?;
        }
        index += 1;
    }
    Ok(())
}
