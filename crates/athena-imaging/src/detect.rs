use std::fmt;

/// An image format, told from a file's content and never from its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// GIF 87a or 89a.
    Gif,
    /// JPEG, baseline or progressive.
    Jpeg,
    /// Windows or OS/2 bitmap with its file header.
    Bmp,
    /// PNG, animated or not.
    Png,
    /// WebP, lossy, lossless or animated.
    WebP,
    /// Netpbm bitmap (P1, P4).
    Pbm,
    /// Netpbm greymap (P2, P5).
    Pgm,
    /// Netpbm pixmap (P3, P6).
    Ppm,
    /// Netpbm arbitrary map (P7).
    Pam,
    /// Portable float map.
    Pfm,
    /// Sun raster.
    Sun,
    /// TIFF or BigTIFF.
    Tiff,
    /// Radiance HDR, also called PIC.
    Hdr,
    /// AVIF.
    Avif,
    /// JPEG 2000, file or bare code stream.
    Jpeg2000,
}

impl Format {
    /// Recognises a format by its signature, as OpenCV does.
    ///
    /// ```
    /// use athena_imaging::Format;
    ///
    /// assert_eq!(Format::detect(b"GIF89a..."), Some(Format::Gif));
    /// assert_eq!(Format::detect(b"hello"), None);
    /// ```
    pub fn detect(bytes: &[u8]) -> Option<Self> {
        let format = match bytes {
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Self::Gif,
            [0xFF, 0xD8, 0xFF, ..] => Self::Jpeg,
            [b'B', b'M', ..] => Self::Bmp,
            [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => Self::Png,
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'E',
                b'B',
                b'P',
                ..,
            ] => Self::WebP,
            [b'P', b'1' | b'4', space, ..] if is_space(*space) => Self::Pbm,
            [b'P', b'2' | b'5', space, ..] if is_space(*space) => Self::Pgm,
            [b'P', b'3' | b'6', space, ..] if is_space(*space) => Self::Ppm,
            [b'P', b'7', space, ..] if is_space(*space) => Self::Pam,
            [b'P', b'F' | b'f', space, ..] if is_space(*space) => Self::Pfm,
            [0x59, 0xA6, 0x6A, 0x95, ..] => Self::Sun,
            [b'I', b'I', 0x2A | 0x2B, 0, ..] | [b'M', b'M', 0, 0x2A | 0x2B, ..] => Self::Tiff,
            [
                0,
                0,
                0,
                12,
                b'j',
                b'P',
                b' ',
                b' ',
                0x0D,
                0x0A,
                0x87,
                0x0A,
                ..,
            ]
            | [0xFF, 0x4F, 0xFF, 0x51, ..] => Self::Jpeg2000,
            [
                _,
                _,
                _,
                _,
                b'f',
                b't',
                b'y',
                b'p',
                b'a',
                b'v',
                b'i',
                b'f' | b's',
                ..,
            ] => Self::Avif,
            _ if bytes.starts_with(b"#?RGBE") || bytes.starts_with(b"#?RADIANCE") => Self::Hdr,
            _ if is_bare_webp(bytes) => Self::WebP,
            _ => return None,
        };
        Some(format)
    }

    /// The name that people use, such as `JPEG`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gif => "GIF",
            Self::Jpeg => "JPEG",
            Self::Bmp => "BMP",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Pbm => "PBM",
            Self::Pgm => "PGM",
            Self::Ppm => "PPM",
            Self::Pam => "PAM",
            Self::Pfm => "PFM",
            Self::Sun => "Sun raster",
            Self::Tiff => "TIFF",
            Self::Hdr => "Radiance HDR",
            Self::Avif => "AVIF",
            Self::Jpeg2000 => "JPEG 2000",
        }
    }

    /// A stable name for records: the service's own word for the format where it has one, in lower case.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gif => "gif",
            Self::Jpeg => "jpeg",
            Self::Bmp => "bmp",
            Self::Png => "png",
            Self::WebP => "webp",
            Self::Pbm => "pbm",
            Self::Pgm => "pgm",
            Self::Ppm => "ppm",
            Self::Pam => "pam",
            Self::Pfm => "pfm",
            Self::Sun => "sr",
            Self::Tiff => "tiff",
            Self::Hdr => "hdr",
            Self::Avif => "avif",
            Self::Jpeg2000 => "jp2",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// C's `isspace`, which OpenCV asks.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Whether a file is a VP8L or VP8 stream without WebP's container, as libwebp tells it from the first 32 bytes.
fn is_bare_webp(bytes: &[u8]) -> bool {
    const SIGNATURE: u32 = 32;
    match bytes.first_chunk::<{ SIGNATURE as usize }>() {
        Some([0x2F, _, _, _, version, ..]) if version >> 5 == 0 => true,
        Some([a, b, c, 0x9D, 0x01, 0x2A, size @ ..]) => {
            let tag = u32::from_le_bytes([*a, *b, *c, 0]);
            let (key_frame, profile, shown) = (tag & 1 == 0, tag >> 1 & 7, tag >> 4 & 1 == 1);
            let has_size = [0, 2]
                .iter()
                .all(|&i| (size[i], size[i + 1] & 0x3F) != (0, 0));
            key_frame && profile <= 3 && shown && tag >> 5 < SIGNATURE && has_size
        }
        _ => false,
    }
}
