use std::borrow::Cow;
use std::fmt;

use crate::{Format, foreign};

/// Why an image could not be prepared.
///
/// The message names the cause and the figures; [`kind`](Self::kind) is for code. The same bytes fail in
/// the same way every time, so no image error is worth a retry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", .format.map(Prefix).map(|p| p.to_string()).unwrap_or_default())]
pub struct ImageError {
    kind: ImageErrorKind,
    format: Option<Format>,
    message: Cow<'static, str>,
}

/// The sort of an [`ImageError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImageErrorKind {
    /// The content is of no format that the service names.
    UnknownFormat,
    /// The format is known by name, but it, or this variant of it, is not decoded.
    Unsupported,
    /// The file ends too early.
    Truncated,
    /// The file contradicts its format.
    Corrupt,
    /// A limit of [`Limits`](crate::Limits) is exceeded.
    TooLarge,
    /// The caller gave up.
    Cancelled,
    /// A setting that cannot work, such as a frame whose bytes do not fit its size.
    InvalidInput,
    /// A fault of this crate or of a decoder, contained.
    Internal,
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    FileBytes,
    Width,
    Height,
    Pixels,
    DecodedBytes,
    Work,
    PayloadBytes,
}

impl ImageError {
    /// What sort of failure this is.
    pub fn kind(&self) -> ImageErrorKind {
        self.kind
    }

    /// The format, once it was recognised.
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    pub(crate) fn unknown_format(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::new(ImageErrorKind::UnknownFormat, None, "the file is empty");
        }
        if let Some((name, advice)) = foreign::recognise(bytes) {
            let message = format!(
                "{name}: not decoded by the service's reference pipeline; {advice}, or send hashes only"
            );
            return Self::new(ImageErrorKind::Unsupported, None, message);
        }
        let first = &bytes[..bytes.len().min(8)];
        let message = format!(
            "unknown image format: the file starts with \"{}\"",
            first.escape_ascii()
        );
        Self::new(ImageErrorKind::UnknownFormat, None, message)
    }

    pub(crate) fn unsupported(format: Format, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ImageErrorKind::Unsupported, Some(format), message)
    }

    /// A format that is recognised and has no decoder here.
    pub(crate) fn no_decoder(format: Format) -> Self {
        let message = match format {
            Format::Avif => {
                "no decoder is built in, which the feature `avif` brings; convert it, or send hashes only"
            }
            _ => "no decoder is built in; convert it, or send hashes only",
        };
        Self::unsupported(format, message)
    }

    pub(crate) fn truncated(format: Format, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ImageErrorKind::Truncated, Some(format), message)
    }

    pub(crate) fn corrupt(format: Format, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ImageErrorKind::Corrupt, Some(format), message)
    }

    pub(crate) fn too_large(
        format: Option<Format>,
        quantity: Quantity,
        actual: u64,
        limit: u64,
    ) -> Self {
        let what = match quantity {
            Quantity::FileBytes => "bytes of file",
            Quantity::Width => "pixels of width",
            Quantity::Height => "pixels of height",
            Quantity::Pixels => "pixels",
            Quantity::DecodedBytes => "bytes of memory to decode",
            Quantity::Work => "units of work to decode",
            Quantity::PayloadBytes => "bytes of payload",
        };
        Self::new(
            ImageErrorKind::TooLarge,
            format,
            format!("{actual} {what}, the limit is {limit}"),
        )
    }

    pub(crate) fn invalid_frame(width: u32, height: u32, len: usize) -> Self {
        let message = format!("a frame of {width} x {height} BGR pixels cannot have {len} bytes");
        Self::new(ImageErrorKind::InvalidInput, None, message)
    }

    pub(crate) fn invalid_setting(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ImageErrorKind::InvalidInput, None, message)
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(ImageErrorKind::Cancelled, None, "preparation was cancelled")
    }

    pub(crate) fn internal(format: Option<Format>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ImageErrorKind::Internal, format, message)
    }

    fn new(
        kind: ImageErrorKind,
        format: Option<Format>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            kind,
            format,
            message: message.into(),
        }
    }
}

struct Prefix(Format);

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.0)
    }
}
