use super::{admit, contain, decode_as, gif};
use crate::{Budget, Format, Frame, ImageError, Limits, inspect};

/// Up to `count` frames of an animated GIF or WebP, evenly spread, the first included; one frame of anything else.
///
/// What must not be missed may not be in the first frame, which is all that the service and the reference pipeline look at.
/// Frames are composed as a viewer shows them. An animated PNG gives its first frame only.
///
/// # Errors
///
/// As [`decode`](crate::decode()); also when a later frame is broken, or the frames together exceed a limit.
pub fn frames(bytes: &[u8], count: u32, limits: &Limits) -> Result<Vec<Frame>, ImageError> {
    let format = admit(bytes, limits)?;
    let found = inspect(bytes)?;
    let available = found.frames.min(limits.max_frames);
    let count = count.clamp(1, available);
    let budget = &Budget::new(format, limits, &|| false, None);
    if count == 1 || !matches!(format, Format::Gif | Format::WebP) {
        return decode_as(format, bytes, budget).map(|frame| vec![frame]);
    }
    budget.check_size(found.width, found.height)?;
    // The frames that are kept, and a canvas or two.
    let pixels = u64::from(found.width) * u64::from(found.height);
    budget.admit((u64::from(count) + 4) * 3 * pixels)?;
    let wanted: Vec<u32> = (0..count)
        .map(|i| (u64::from(i) * u64::from(available) / u64::from(count)) as u32)
        .collect();
    contain(format, || match format {
        Format::Gif => gif::sample(bytes, &wanted, budget),
        _ => webp_frames(bytes, &wanted, budget),
    })
}

#[cfg(feature = "native")]
fn webp_frames(
    bytes: &[u8],
    wanted: &[u32],
    budget: &Budget<'_>,
) -> Result<Vec<Frame>, ImageError> {
    super::webp::sample(bytes, wanted, budget)
}

/// Without libwebp there is the first frame only.
#[cfg(not(feature = "native"))]
fn webp_frames(
    bytes: &[u8],
    _wanted: &[u32],
    budget: &Budget<'_>,
) -> Result<Vec<Frame>, ImageError> {
    decode_as(Format::WebP, bytes, budget).map(|frame| vec![frame])
}
