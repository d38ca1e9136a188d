//! Frames of an animation, spread over it.

use super::{admit, contain, decode_as, gif, png, webp};
use crate::{Budget, Format, Frame, ImageError, Limits, inspect};

/// Up to `count` frames of an animated AVIF, GIF, PNG or WebP, evenly spread, the first included; one frame of anything else.
///
/// What must not be missed may not be in the first frame, which is all that the service and the reference pipeline look at.
/// Frames are composed as a viewer shows them; alpha is dropped in the end, as everywhere.
///
/// # Errors
///
/// As [`decode`](crate::decode()); also when a later frame is broken, or the frames together exceed a limit.
pub fn frames(bytes: &[u8], count: u32, limits: &Limits) -> Result<Vec<Frame>, ImageError> {
    frames_until(bytes, count, limits, || false)
}

/// Like [`frames`], but asks every few milliseconds whether the caller has given up.
///
/// # Errors
///
/// As [`frames`], and when the caller has given up.
pub fn frames_until(
    bytes: &[u8],
    count: u32,
    limits: &Limits,
    given_up: impl Fn() -> bool,
) -> Result<Vec<Frame>, ImageError> {
    let format = admit(bytes, limits)?;
    let budget = Budget::new(format, limits, &given_up, None);
    let mut frames = Vec::new();
    sample(bytes, count, None, &budget, &mut |_, frame| {
        frames.push(frame.clone());
        Ok(())
    })?;
    Ok(frames)
}

/// Gives each of up to `count` frames to `take`, with its place in the animation. `kept` is what `take` holds of each, in bytes: all
/// of it, if it is not told.
pub(crate) fn sample(
    bytes: &[u8],
    count: u32,
    kept: Option<u64>,
    budget: &Budget<'_>,
    take: &mut Take<'_>,
) -> Result<(), ImageError> {
    let format = budget.format();
    let found = inspect(bytes)?;
    let most = budget.limits().max_frames;
    let available = match format {
        Format::Avif | Format::Gif | Format::WebP => found.frames.min(most),
        Format::Png if found.frames > 1 => png::count(bytes, most, budget),
        _ => 1,
    };
    // Not a short animation: a short patience.
    budget.check_patience()?;
    let count = count.clamp(1, available.max(1));
    if count == 1 {
        return take(0, &decode_as(format, bytes, budget)?);
    }
    budget.check_size(found.width, found.height)?;
    let pixels = u64::from(found.width) * u64::from(found.height);
    let wanted =
        (0..count).map(|i| (u64::from(i) * u64::from(available) / u64::from(count)) as u32);
    let wanted: Vec<u32> = wanted.collect();
    // Canvases with and without alpha, what lies below a frame, and the frame.
    let working = match format {
        Format::Avif | Format::Png => 20 * pixels,
        Format::WebP => {
            let composed = wanted.last().map_or(0, |&last| last as usize + 1);
            12 * pixels + webp::held(bytes, (found.width, found.height), composed, budget)?
        }
        _ => 12 * pixels,
    };
    budget.admit(u64::from(count) * kept.unwrap_or(3 * pixels) + working)?;
    let mut sampling = Sampling { wanted, take };
    contain(format, || match format {
        #[cfg(feature = "avif")]
        Format::Avif => super::avif::sample(bytes, &mut sampling, budget),
        Format::Gif => gif::sample(bytes, &mut sampling, budget),
        Format::Png => png::sample(bytes, &mut sampling, budget),
        _ => webp_frames(bytes, &mut sampling, budget),
    })
}

/// What becomes of a frame, and of its place in the animation.
pub(crate) type Take<'a> = dyn FnMut(u32, &Frame) -> Result<(), ImageError> + 'a;

/// Which frames of an animation are wanted, and by whom.
pub(super) struct Sampling<'a> {
    /// Ascends.
    wanted: Vec<u32>,
    take: &'a mut Take<'a>,
}

impl Sampling<'_> {
    pub(super) fn wants(&self, index: u32) -> bool {
        self.wanted.binary_search(&index).is_ok()
    }

    pub(super) fn take(&mut self, index: u32, frame: &Frame) -> Result<(), ImageError> {
        (self.take)(index, frame)
    }

    /// Whether nothing is wanted from frame `index` on.
    pub(super) fn is_done(&self, index: u32) -> bool {
        self.wanted.last().is_none_or(|&last| index > last)
    }
}

#[cfg(feature = "native")]
fn webp_frames(
    bytes: &[u8],
    sampling: &mut Sampling<'_>,
    budget: &Budget<'_>,
) -> Result<(), ImageError> {
    webp::sample(bytes, sampling, budget)
}

/// Without libwebp there is the first frame only.
#[cfg(not(feature = "native"))]
fn webp_frames(
    bytes: &[u8],
    sampling: &mut Sampling<'_>,
    budget: &Budget<'_>,
) -> Result<(), ImageError> {
    sampling.take(0, &decode_as(Format::WebP, bytes, budget)?)
}
