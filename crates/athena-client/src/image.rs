//! What callers hand in: an image, where it comes from and how it is named.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::duration::bounded;
use crate::error::{Error, ErrorKind};
use crate::file;
use crate::payload::Payload;
use crate::prepared::Prepared;
#[cfg(doc)]
use crate::verdict::Verdict;

/// The largest file that [`Image::from_path`] and [`Image::from_file`] read.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// One image to classify.
///
/// The bytes are those of the file as the platform holds it: hashes are taken of them, and the
/// client's [`Preprocess`](crate::Preprocess) makes of them what the service wants.
///
/// ```
/// use athena_client::Image;
///
/// let upload: Vec<u8> = vec![/* the body of a request */];
/// let image = Image::from_bytes(upload).correlation_id("upload-7").affiliate("acme-forum");
/// ```
#[derive(Clone)]
pub struct Image {
    pub(crate) source: Source,
    pub(crate) correlation_id: Option<Arc<str>>,
    pub(crate) affiliate: Option<Arc<str>>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) frames: u32,
}

#[derive(Clone)]
pub(crate) enum Source {
    Bytes(Bytes),
    /// With the bytes that there is room for.
    File(PathBuf, u64),
    Ready(Box<Prepared>),
}

impl Image {
    fn new(source: Source) -> Self {
        Self {
            source,
            correlation_id: None,
            affiliate: None,
            timeout: None,
            frames: 1,
        }
    }

    /// An image file's bytes.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        Self::new(Source::Bytes(bytes.into()))
    }

    /// Reads an image file now.
    ///
    /// # Errors
    /// [`ErrorKind::Unreadable`] when the file cannot be read, [`ErrorKind::TooLarge`] when it has
    /// more than [`MAX_FILE_BYTES`].
    pub async fn from_path(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref().to_owned();
        let bytes = tokio::task::spawn_blocking(move || file::read(&path, MAX_FILE_BYTES))
            .await
            .map_err(|error| {
                Error::new(ErrorKind::Unreadable, "reading the file was aborted").with_source(error)
            })??;
        Ok(Self::from_bytes(bytes))
    }

    /// Names an image file that is read when its turn comes, and not held in memory before.
    ///
    /// A file that cannot be read is the error of this image: the right choice for
    /// [`classify_all`](crate::Client::classify_all). Only regular files are read.
    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        Self::new(Source::File(path.into(), MAX_FILE_BYTES))
    }

    /// An image that needs no preparation: raw frames, or hashes alone.
    pub fn from_payload(payload: Payload) -> Self {
        Self::from_prepared(payload.into())
    }

    /// An image that is prepared already. Lets go of its file: read
    /// [`Provenance::sha256`](crate::Provenance::sha256) before, if it is wanted.
    pub fn from_prepared(prepared: Prepared) -> Self {
        Self::new(Source::Ready(Box::new(prepared.released())))
    }

    /// Names the image: 1 to 64 bytes of UTF-8, unique within the deployment while it is in
    /// flight. Without this call a unique id is made.
    ///
    /// An id names one image: when it is used again after a timeout, a late answer to the first
    /// submission answers the second.
    #[must_use]
    pub fn correlation_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// The affiliate on whose behalf this image is classified, instead of the client's.
    #[must_use]
    pub fn affiliate(mut self, affiliate: impl Into<Arc<str>>) -> Self {
        self.affiliate = Some(affiliate.into());
        self
    }

    /// How long this image may take, instead of the client's or session's setting.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(bounded(timeout));
        self
    }

    /// Judges up to so many frames of an animation, evenly spread, the first included, in place of the first alone: what must not
    /// be missed may be in another. Of a still image there is one.
    ///
    /// All of them are one image, with one result: the worst verdict, which names its
    /// [`frame`](Verdict::frame) and keeps the others' ([`Verdict::frames`]). They are sent one after the other,
    /// each of which may be billed, until the file turns out to be known content. If one of them fails, or cannot be shown, the
    /// image does. For images that are [prepared](Self::from_prepared) already this says nothing.
    #[must_use]
    pub fn frames(mut self, most: u32) -> Self {
        self.frames = most.max(1);
        self
    }

    /// Bytes of its message, as far as they are known before it is prepared.
    pub(crate) fn size(&self) -> Option<usize> {
        match &self.source {
            Source::Ready(prepared) => Some(prepared.payload().data().len()),
            Source::Bytes(_) | Source::File(..) => None,
        }
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("source", &self.source)
            .field("correlation_id", &self.correlation_id)
            .field("affiliate", &self.affiliate)
            .field("timeout", &self.timeout)
            .field("frames", &self.frames)
            .finish()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::File(path, _) => path.fmt(f),
            Self::Ready(prepared) => prepared.payload().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_file_is_unreadable_and_named() {
        let error = Image::from_path("/no/such/file.jpg").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreadable);
        assert!(error.to_string().contains("/no/such/file.jpg"));
        assert!(!error.is_transient());
    }

    #[test]
    fn debug_shows_no_bytes() {
        let image = Image::from_bytes(vec![7u8; 3]);
        let text = format!("{image:?}");
        assert!(text.contains("3 bytes") && !text.contains('7'), "{text}");
    }
}
