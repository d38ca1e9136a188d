//! One module for each format, behind one door.
//!
//! A decoder takes the whole file and gives the upright BGR frame that OpenCV would give, or an error where OpenCV
//! gives none. It asks its [`Budget`] before it allocates ([`Frame::zeroed`] does so for the frame itself) and pays for its work
//! in pieces of at most a few milliseconds, before each.

use std::panic::{AssertUnwindSafe, catch_unwind};

#[cfg(feature = "avif")]
pub(crate) use avif::Headers as AvifHeaders;
pub(crate) use frames::sample;
pub use frames::{frames, frames_until};

use crate::needed::Needed;
use crate::{Budget, Format, Frame, ImageError, Limits};

mod frames;

#[cfg(feature = "avif")]
mod avif;
mod bmp;
mod gif;
mod hdr;
mod jpeg;
mod pam;
mod pfm;
mod pixels;
mod png;
mod pnm;
mod reader;
mod strings;
mod sun;
mod tiff;
mod webp;

/// Decodes the first frame or page of an image file, upright, as OpenCV's `imdecode(bytes, IMREAD_COLOR)` does.
///
/// # Errors
///
/// When the format is unknown or not decoded, the file is broken in a way that OpenCV refuses, or a limit is exceeded.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Frame, ImageError> {
    let format = admit(bytes, limits)?;
    decode_as(format, bytes, &Budget::new(format, limits, &|| false, None))
}

fn decode_as(format: Format, bytes: &[u8], budget: &Budget<'_>) -> Result<Frame, ImageError> {
    contain(format, || match format {
        Format::Bmp => bmp::decode(bytes, budget),
        Format::Gif => gif::decode(bytes, budget),
        Format::Hdr => hdr::decode(bytes, budget),
        Format::Jpeg => jpeg::decode(bytes, budget),
        Format::Pam => pam::decode(bytes, budget),
        Format::Pbm | Format::Pgm | Format::Ppm => pnm::decode(bytes, format, budget),
        Format::Pfm => pfm::decode(bytes, budget),
        Format::Png => png::decode(bytes, budget),
        Format::Sun => sun::decode(bytes, budget),
        Format::Tiff => tiff::decode(bytes, budget),
        Format::WebP => webp::decode(bytes, budget),
        #[cfg(feature = "avif")]
        Format::Avif => avif::decode(bytes, budget),
        #[cfg(not(feature = "avif"))]
        Format::Avif => Err(ImageError::no_decoder(format)),
        Format::Jpeg2000 => Err(ImageError::no_decoder(format)),
    })
}

/// Decodes without the pixels that nobody needs, where the decoder can leave them out; `needed` is then asked with the upright size.
///
/// Also gives the upright size of the image.
pub(crate) fn decode_needed(
    bytes: &[u8],
    budget: &Budget<'_>,
    needed: impl FnOnce(u32, u32) -> Option<Needed>,
) -> Result<(Frame, (u32, u32)), ImageError> {
    let format = budget.format();
    if format == Format::Jpeg {
        return contain(format, || jpeg::decode_needed(bytes, budget, needed));
    }
    let frame = decode_as(format, bytes, budget)?;
    let size = (frame.width(), frame.height());
    Ok((frame, size))
}

pub(crate) fn admit(bytes: &[u8], limits: &Limits) -> Result<Format, ImageError> {
    limits.check_file(bytes.len())?;
    Format::detect(bytes).ok_or_else(|| ImageError::unknown_format(bytes))
}

/// Turns a decoder's panic into an error: one hostile file must not take a worker down.
fn contain<T>(
    format: Format,
    decode: impl FnOnce() -> Result<T, ImageError>,
) -> Result<T, ImageError> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(ImageError::internal(Some(format), "the decoder panicked")))
}
