//! WebP: alpha dropped, the first frame of an animation, turned as its EXIF block says.
//!
//! Through libwebp, as OpenCV does; without the `native` feature through a decoder in Rust, which is slower.

#[cfg(feature = "native")]
mod libwebp;
#[cfg(not(feature = "native"))]
mod pure;

#[cfg(feature = "native")]
use crate::{Format, Frame, ImageError, Limits};

#[cfg(feature = "native")]
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Frame, ImageError> {
    use super::pixels::bgra_to_bgr;
    use crate::Orientation;

    /// OpenCV tells the format by as many bytes.
    const SIGNATURE: usize = 32;
    let signature = bytes.first_chunk::<SIGNATURE>();
    let features = signature
        .and_then(|signature| libwebp::features(signature))
        .ok_or_else(|| ImageError::corrupt(Format::WebP, "no header, or one that cannot be"))?;
    let (width, height) = (features.width, features.height);
    let mut frame = Frame::zeroed(Format::WebP, width, height, limits)?;
    // The frame and a canvas with alpha; an animation keeps the canvas before this one too.
    let pixels = u64::from(width) * u64::from(height);
    let per_pixel = match (features.animated, features.alpha) {
        (true, _) => 11,
        (false, true) => 7,
        (false, false) => 3,
    };
    limits.check_decoded_bytes(Format::WebP, per_pixel * pixels)?;
    let broken = || ImageError::corrupt(Format::WebP, "damaged or truncated image data");
    if features.animated {
        let mut animation = libwebp::Animation::new(bytes).ok_or_else(broken)?;
        let decoded = animation.with_next_frame(width, height, |canvas| {
            bgra_to_bgr(frame.data_mut(), canvas);
        });
        decoded.ok_or_else(broken)?;
    } else if features.alpha {
        let mut canvas = vec![0; frame.data().len() / 3 * 4];
        libwebp::decode_bgra(bytes, &mut canvas, width).ok_or_else(broken)?;
        bgra_to_bgr(frame.data_mut(), &canvas);
    } else {
        libwebp::decode_bgr(bytes, frame.data_mut(), width).ok_or_else(broken)?;
    }
    let orientation = libwebp::with_exif(bytes, Orientation::from_exif);
    Ok(frame.oriented(orientation.unwrap_or_default()))
}

#[cfg(not(feature = "native"))]
pub(super) use pure::decode;

/// Composes all frames and gives the wanted ones; `wanted` ascends.
#[cfg(feature = "native")]
pub(super) fn sample(
    bytes: &[u8],
    wanted: &[u32],
    limits: &Limits,
) -> Result<Vec<Frame>, ImageError> {
    use super::pixels::bgra_to_bgr;

    let broken = || ImageError::corrupt(Format::WebP, "damaged or truncated image data");
    let features = bytes
        .first_chunk::<32>()
        .and_then(|signature| libwebp::features(signature))
        .ok_or_else(broken)?;
    let (width, height) = (features.width, features.height);
    let mut animation = libwebp::Animation::new(bytes).ok_or_else(broken)?;
    let mut sampled = Vec::with_capacity(wanted.len());
    for index in 0..=wanted.last().copied().unwrap_or(0) {
        let mut frame = Frame::zeroed(Format::WebP, width, height, limits)?;
        let shown = animation.with_next_frame(width, height, |canvas| {
            bgra_to_bgr(frame.data_mut(), canvas)
        });
        shown.ok_or_else(broken)?;
        if wanted.contains(&index) {
            sampled.push(frame);
        }
    }
    Ok(sampled)
}
