//! One module for each format, behind one door.
//!
//! A decoder takes the whole file and gives the upright BGR frame that OpenCV would give, or an error where OpenCV
//! gives none. It checks [`Limits`] before it allocates ([`Frame::zeroed`] does so for the frame itself).

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use frames::frames;
pub(crate) use needed::Needed;

use crate::resize::{Sparse, is_ready, resize};
use crate::{Format, Frame, ImageError, Interpolation, Limits};

mod frames;
mod needed;

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
    contain(format, || match format {
        Format::Bmp => bmp::decode(bytes, limits),
        Format::Gif => gif::decode(bytes, limits),
        Format::Hdr => hdr::decode(bytes, limits),
        Format::Jpeg => jpeg::decode(bytes, limits),
        Format::Pam => pam::decode(bytes, limits),
        Format::Pbm | Format::Pgm | Format::Ppm => pnm::decode(bytes, format, limits),
        Format::Pfm => pfm::decode(bytes, limits),
        Format::Png => png::decode(bytes, limits),
        Format::Sun => sun::decode(bytes, limits),
        Format::Tiff => tiff::decode(bytes, limits),
        Format::WebP => webp::decode(bytes, limits),
        Format::Avif | Format::Jpeg2000 => {
            Err(ImageError::unsupported(format, "no decoder is built in"))
        }
    })
}

/// Decodes and resizes, without the pixels that the resize does not read where the decoder can leave them out.
///
/// Also gives the upright size of the image.
pub(crate) fn decode_and_resize(
    bytes: &[u8],
    interpolation: Interpolation,
    limits: &Limits,
) -> Result<(Frame, (u32, u32)), ImageError> {
    let format = admit(bytes, limits)?;
    let mut sparse = None;
    let (frame, size) = if format == Format::Jpeg {
        contain(format, || {
            jpeg::decode_needed(bytes, limits, |width, height| {
                let (resize, needed) = Sparse::plan(interpolation, width, height)?;
                sparse = Some(resize);
                Some(needed)
            })
        })?
    } else {
        let frame = decode(bytes, limits)?;
        let size = (frame.width(), frame.height());
        (frame, size)
    };
    match sparse {
        Some(sparse) => Ok((sparse.resize(&frame), size)),
        None if is_ready(size.0, size.1) => Ok((frame, size)),
        None => Ok((resize(&frame, interpolation)?, size)),
    }
}

fn admit(bytes: &[u8], limits: &Limits) -> Result<Format, ImageError> {
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
