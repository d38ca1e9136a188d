//! The bytes that travel: a frame encoded, perhaps compressed, and how the service must be told.

use bytes::Bytes;

use crate::{Format, Frame, ImageError, Limits};

mod brotli;
mod jpeg;
mod png;
mod webp;

/// What is sent for an image. By default lossless WebP with [`WebpEffort::Default`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PayloadKind {
    /// The 448 x 448 frame as raw BGR bytes, 602,112 of them.
    RawBgr,
    /// The frame as lossless WebP: the same pixels in the fewest bytes.
    WebpLossless {
        /// What the encoder does for fewer bytes.
        effort: WebpEffort,
    },
    /// The frame as PNG: the same pixels.
    Png,
    /// The frame as JPEG. Lossy: scores move.
    Jpeg {
        /// 1 to 100.
        quality: u8,
        /// Resolution of the colour.
        subsampling: Subsampling,
    },
    /// The file as it is, when the service would decode it to the same frame (448 x 448 already, a format it names);
    /// otherwise the frame as lossless WebP.
    Original,
}

impl Default for PayloadKind {
    fn default() -> Self {
        Self::WebpLossless {
            effort: WebpEffort::Default,
        }
    }
}

/// What the lossless WebP encoder does for fewer bytes. The pixels are the same with each.
///
/// The bytes depend on the pixels and on the effort, and on nothing else: they are the same on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum WebpEffort {
    /// Of repetitions in drawings one place is looked at for each pixel, and all of a drawing has the same codes: 5 % more
    /// bytes in about 0.7 of the time. Photographs take 1 % more bytes in 0.8 to 0.9 of the time.
    Fastest,
    /// Photographs in about the time of PNG, drawings in less than one and a half times that.
    #[default]
    Default,
    /// Every predictor, colours taken from each other, more codes, and of drawings the smallest of up to three ways: 4 to
    /// 7 % fewer bytes in three to four times the time, which is about that of libwebp's quickest level. Never more bytes than
    /// [`Default`](Self::Default) takes.
    Small,
}

/// The resolution of colour in a JPEG.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Subsampling {
    /// Full resolution.
    #[default]
    S444,
    /// Half the columns.
    S422,
    /// Half the columns and rows.
    S420,
}

/// Compression on top of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Compression {
    /// As it is.
    #[default]
    None,
    /// Brotli.
    Brotli {
        /// 0 (fastest) to 11 (over a second of CPU for a frame).
        quality: u8,
    },
}

/// The format that the service must be told: the contract's `ImageFormat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum PayloadFormat {
    /// `IMAGE_FORMAT_GIF`
    Gif = 1,
    /// `IMAGE_FORMAT_JPEG`
    Jpeg = 2,
    /// `IMAGE_FORMAT_BMP`
    Bmp = 3,
    /// `IMAGE_FORMAT_PNG`
    Png = 5,
    /// `IMAGE_FORMAT_WEBP`
    WebP = 6,
    /// `IMAGE_FORMAT_PBM`
    Pbm = 7,
    /// `IMAGE_FORMAT_PGM`
    Pgm = 8,
    /// `IMAGE_FORMAT_PPM`
    Ppm = 9,
    /// `IMAGE_FORMAT_PXM`
    Pxm = 10,
    /// `IMAGE_FORMAT_PFM`
    Pfm = 12,
    /// `IMAGE_FORMAT_SR`
    SunRaster = 13,
    /// `IMAGE_FORMAT_TIFF`
    Tiff = 15,
    /// `IMAGE_FORMAT_HDR`
    Hdr = 16,
    /// `IMAGE_FORMAT_RAW_UINT8_BGR`
    RawUint8Bgr = 19,
}

impl PayloadFormat {
    /// The number of the contract's `ImageFormat`.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// The number by which the contract names a file format; none for AVIF and JPEG 2000.
    pub const fn of(format: Format) -> Option<Self> {
        Some(match format {
            Format::Gif => Self::Gif,
            Format::Jpeg => Self::Jpeg,
            Format::Bmp => Self::Bmp,
            Format::Png => Self::Png,
            Format::WebP => Self::WebP,
            Format::Pbm => Self::Pbm,
            Format::Pgm => Self::Pgm,
            Format::Ppm => Self::Ppm,
            Format::Pam => Self::Pxm,
            Format::Pfm => Self::Pfm,
            Format::Sun => Self::SunRaster,
            Format::Tiff => Self::Tiff,
            Format::Hdr => Self::Hdr,
            Format::Avif | Format::Jpeg2000 => return None,
        })
    }
}

/// The encoding that the service must be told: the contract's `RequestEncoding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum PayloadEncoding {
    /// `REQUEST_ENCODING_UNCOMPRESSED`
    Uncompressed = 1,
    /// `REQUEST_ENCODING_BROTLI`
    Brotli = 2,
}

impl PayloadEncoding {
    /// The number of the contract's `RequestEncoding`.
    pub const fn number(self) -> i32 {
        self as i32
    }
}

impl PayloadKind {
    pub(crate) fn check(self) -> Result<(), ImageError> {
        match self {
            Self::Jpeg { quality, .. } if !(1..=100).contains(&quality) => Err(
                ImageError::invalid_setting(format!("JPEG quality is 1 to 100, not {quality}")),
            ),
            _ => Ok(()),
        }
    }

    /// Encodes a 448 x 448 frame.
    ///
    /// # Errors
    ///
    /// For a frame of another size, a quality out of its range or a fault of the encoder.
    pub fn encode(self, frame: Frame) -> Result<(Bytes, PayloadFormat), ImageError> {
        self.check()?;
        let side = crate::SIDE as u32;
        if (frame.width(), frame.height()) != (side, side) {
            return Err(ImageError::invalid_frame(
                frame.width(),
                frame.height(),
                frame.data().len(),
            ));
        }
        Ok(match self {
            Self::RawBgr => (frame.into_data().into(), PayloadFormat::RawUint8Bgr),
            Self::WebpLossless { effort } => {
                (webp::encode(&frame, effort).into(), PayloadFormat::WebP)
            }
            Self::Original => return Self::default().encode(frame),
            Self::Png => (png::encode(&frame)?.into(), PayloadFormat::Png),
            Self::Jpeg {
                quality,
                subsampling,
            } => (
                jpeg::encode(&frame, quality, subsampling)?.into(),
                PayloadFormat::Jpeg,
            ),
        })
    }
}

impl Compression {
    pub(crate) fn check(self) -> Result<(), ImageError> {
        match self {
            Self::Brotli { quality } if quality > 11 => Err(ImageError::invalid_setting(format!(
                "Brotli quality is 0 to 11, not {quality}"
            ))),
            _ => Ok(()),
        }
    }

    /// Compresses a payload.
    ///
    /// # Errors
    ///
    /// For a quality out of its range or a fault of the compressor.
    pub fn compress(self, data: Bytes) -> Result<(Bytes, PayloadEncoding), ImageError> {
        self.check()?;
        Ok(match self {
            Self::None => (data, PayloadEncoding::Uncompressed),
            Self::Brotli { quality } => (
                brotli::compress(&data, quality)?.into(),
                PayloadEncoding::Brotli,
            ),
        })
    }
}

/// Encodes a frame of any size up to WebP's own limit, 16,384 pixels a side, as lossless WebP.
///
/// ```
/// use athena_imaging::{Frame, Limits, WebpEffort, decode, encode_webp};
///
/// # fn main() -> Result<(), athena_imaging::ImageError> {
/// # if !cfg!(feature = "native") { return Ok(()); }
/// let frame = Frame::from_bgr(2, 1, vec![0, 0, 255, 255, 0, 0])?;
/// let file = encode_webp(&frame, WebpEffort::Default)?;
/// assert_eq!(decode(&file, &Limits::default())?, frame);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// For a frame that is wider or higher.
pub fn encode_webp(frame: &Frame, effort: WebpEffort) -> Result<Vec<u8>, ImageError> {
    let (width, height, most) = (frame.width(), frame.height(), webp::LARGEST_SIDE);
    if width.max(height) > most {
        return Err(ImageError::invalid_setting(format!(
            "a WebP picture has at most {most} pixels a side, not {width} x {height}"
        )));
    }
    Ok(webp::encode(frame, effort))
}

/// Undoes Brotli, as far as `limits.max_payload_bytes`.
///
/// # Errors
///
/// When the data is not Brotli, ends too early, or grows over the limit.
pub fn decompress_brotli(data: &[u8], limits: &Limits) -> Result<Bytes, ImageError> {
    brotli::decompress(data, limits).map(Bytes::from)
}

fn encoder_fault(encoder: &str, error: impl std::fmt::Display) -> ImageError {
    ImageError::internal(None, format!("the {encoder} encoder failed: {error}"))
}

fn to_rgb(frame: &Frame) -> Vec<u8> {
    frame
        .data()
        .chunks_exact(3)
        .flat_map(|p| [p[2], p[1], p[0]])
        .collect()
}
