//! What the headers say: a walk over each format's skeleton that never touches pixels.

use crate::{Format, ImageError, Orientation};

mod animated;
mod fields;
mod still;

use fields::Fields;

/// What a file's headers say, without any pixel decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// The format, told from the content.
    pub format: Format,
    /// Width in pixels as stored, before orientation.
    pub width: u32,
    /// Height in pixels as stored, before orientation.
    pub height: u32,
    /// How the stored pixels must be turned.
    pub orientation: Orientation,
    /// Bits of one sample, or of one palette index.
    pub bit_depth: u8,
    /// Frames or pages; 1 for a still image.
    pub frames: u32,
}

impl Inspection {
    /// Width and height once turned upright.
    pub fn upright_size(&self) -> (u32, u32) {
        if self.orientation.swaps_axes() {
            (self.height, self.width)
        } else {
            (self.width, self.height)
        }
    }
}

/// The parts of an [`Inspection`] that a format's own reader finds.
struct Found {
    width: u32,
    height: u32,
    bit_depth: u8,
    orientation: Orientation,
    frames: u32,
}

impl Found {
    /// A still, upright image.
    fn still(width: u32, height: u32, bit_depth: u8) -> Self {
        Self {
            width,
            height,
            bit_depth,
            orientation: Orientation::Normal,
            frames: 1,
        }
    }
}

/// Reads format, size, orientation, bit depth and number of frames from a file's headers.
///
/// A file that can be inspected may still fail to decode: pixels are not looked at.
///
/// ```
/// let bitmap = b"P4 300 200 ";
/// let inspection = athena_imaging::inspect(bitmap)?;
/// assert_eq!((inspection.width, inspection.height, inspection.bit_depth), (300, 200, 1));
/// # Ok::<(), athena_imaging::ImageError>(())
/// ```
///
/// # Errors
///
/// When the format is unknown or the headers cannot be read.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, ImageError> {
    let format = Format::detect(bytes).ok_or_else(|| ImageError::unknown_format(bytes))?;
    let found = match format {
        Format::Bmp => still::bmp(bytes),
        Format::Gif => animated::gif(bytes),
        Format::Hdr => still::hdr(bytes),
        Format::Jpeg => still::jpeg(bytes),
        Format::Pbm | Format::Pgm | Format::Ppm => still::netpbm(bytes),
        Format::Pam => still::pam(bytes),
        Format::Pfm => still::pfm(bytes),
        Format::Png => animated::png(bytes),
        Format::Sun => still::sun(bytes),
        Format::Tiff => animated::tiff(bytes),
        Format::WebP => animated::webp(bytes),
        #[cfg(feature = "avif")]
        Format::Avif => animated::avif(bytes),
        #[cfg(not(feature = "avif"))]
        Format::Avif => return Err(ImageError::no_decoder(format)),
        Format::Jpeg2000 => return Err(ImageError::no_decoder(format)),
    };
    let Found {
        width,
        height,
        bit_depth,
        orientation,
        frames,
    } = found
        .ok_or_else(|| ImageError::corrupt(format, "the headers are broken or end too early"))?;
    if width == 0 || height == 0 {
        return Err(ImageError::corrupt(format, "width or height is zero"));
    }
    Ok(Inspection {
        format,
        width,
        height,
        orientation,
        bit_depth,
        frames: frames.max(1),
    })
}
