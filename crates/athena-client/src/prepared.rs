//! What preparation made of an image, and what is known of the file that it came from.

use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind};
use crate::payload::Payload;
use crate::prepare::Preprocess;

/// An image ready to be sent: its payload, and what is known of its file.
///
/// A client makes one of each file that it classifies, and keeps the [`Provenance`] with the
/// [`Verdict`](crate::Verdict) or the [`Error`]. [`Client::prepare`](crate::Client::prepare) gives
/// one to look at before anything is sent; [`Prepared::of`] makes one without a client.
///
/// ```
/// # #[cfg(feature = "imaging")]
/// # fn main() -> Result<(), athena_client::Error> {
/// use athena_client::{Image, Prepared, imaging::Preprocessor};
///
/// let prepared = Prepared::of(&Preprocessor::default(), &b"P6 2 1 255 abcdef"[..])?;
/// let provenance = prepared.provenance();
/// assert_eq!(provenance.format(), Some("ppm"));
/// assert_eq!(provenance.dimensions(), Some((2, 1)));
/// assert_eq!(provenance.bytes(), Some(17));
/// let image = Image::from_prepared(prepared); // to `classify` or `submit`
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "imaging"))]
/// # fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Prepared {
    payload: Payload,
    further: Vec<(u32, Payload)>,
    provenance: Provenance,
    failure: Option<Error>,
}

/// What a prepared image is taken apart into.
pub(crate) struct Parts {
    pub(crate) payload: Payload,
    /// Frames after the first, and their places in the animation.
    pub(crate) further: Vec<(u32, Payload)>,
    pub(crate) provenance: Provenance,
    /// Why the payload is hashes only.
    pub(crate) failure: Option<Error>,
}

/// What is known of an image's file: for records and audits.
///
/// Hangs on every verdict and every error of an image that was prepared. Whatever is not known is
/// `None`: a [`Payload`] of the caller's has hashes at most.
#[derive(Clone, Default, PartialEq)]
pub struct Provenance {
    format: Option<Cow<'static, str>>,
    dimensions: Option<(u32, u32)>,
    bytes: Option<u64>,
    md5: Option<[u8; 16]>,
    sha1: Option<[u8; 20]>,
    sha256: OnceLock<[u8; 32]>,
    frame_sha256: Option<[u8; 32]>,
    /// Held until the image is submitted, for a digest that nobody has asked for yet.
    file: Option<Bytes>,
}

impl Prepared {
    /// A payload of which nothing else is known: the start for a [`Preprocess`] of your own.
    pub fn new(payload: Payload) -> Self {
        let (md5, sha1) = payload.digests();
        Self {
            provenance: Provenance {
                md5,
                sha1,
                ..Provenance::default()
            },
            payload,
            further: Vec::new(),
            failure: None,
        }
    }

    /// Adds another frame of the same animation, of which the first is prepared: see [`Image::frames`](crate::Image::frames).
    /// `place` counts from 0, and ascends.
    #[must_use]
    pub fn further_frame(mut self, place: u32, payload: Payload) -> Self {
        self.further.push((place, payload));
        self
    }

    /// Adds the file's format, in lower case such as `jpeg`, and its width and height in pixels,
    /// upright.
    #[must_use]
    pub fn source(mut self, format: impl Into<Cow<'static, str>>, width: u32, height: u32) -> Self {
        self.provenance.format = Some(format.into());
        self.provenance.dimensions = Some((width, height));
        self
    }

    /// Adds the SHA-256 of the frame of 448 x 448 pixels that the payload holds.
    #[must_use]
    pub fn frame_sha256(mut self, digest: [u8; 32]) -> Self {
        self.provenance.frame_sha256 = Some(digest);
        self
    }

    /// Prepares a file here and now, as a client does on its threads.
    ///
    /// A file that cannot be decoded becomes its hashes, and has a [`failure`](Self::failure).
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] when there is nothing to send, not even hashes.
    pub fn of(preprocess: &dyn Preprocess, file: impl Into<Bytes>) -> Result<Self, Error> {
        Self::of_frames(preprocess, file, 1)
    }

    /// As [`of`](Self::of), for up to so many frames of an animation: see [`Image::frames`](crate::Image::frames).
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn of_frames(
        preprocess: &dyn Preprocess,
        file: impl Into<Bytes>,
        most: u32,
    ) -> Result<Self, Error> {
        Self::until(preprocess, file.into(), most, &|| false)
    }

    /// As [`of`](Self::of); stops soon after the caller has given up.
    pub(crate) fn until(
        preprocess: &dyn Preprocess,
        file: Bytes,
        frames: u32,
        given_up: &dyn Fn() -> bool,
    ) -> Result<Self, Error> {
        // A panic must not lose the image: it fails like one that cannot be decoded.
        let prepared = catch_unwind(AssertUnwindSafe(|| match frames {
            0 | 1 => preprocess.prepare(file.clone(), given_up),
            most => preprocess.prepare_frames(file.clone(), most, given_up),
        }))
        .unwrap_or_else(|_| Err("the preprocessor panicked".into()));
        let source = match prepared {
            Ok(prepared) => {
                prepared.validate()?;
                return Ok(prepared.with_file(file));
            }
            Err(source) => source,
        };
        let error =
            Error::new(ErrorKind::Undecodable, "the image cannot be prepared").with_source(source);
        let hashes = catch_unwind(AssertUnwindSafe(|| preprocess.hashes(&file)))
            .ok()
            .flatten()
            .filter(|hashes| hashes.validate().is_ok());
        let failed = Self::new(hashes.clone().unwrap_or_else(Payload::hashes_only)).with_file(file);
        if hashes.is_none() {
            return Err(error.with_provenance(failed.provenance.released()));
        }
        Ok(Self {
            failure: Some(error),
            ..failed
        })
    }

    fn with_file(mut self, file: Bytes) -> Self {
        self.provenance.bytes = Some(file.len() as u64);
        self.provenance.file = Some(file);
        self
    }

    /// What is sent: of an animation, its first frame.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Further frames of an animation, and their places in it.
    pub fn further_frames(&self) -> &[(u32, Payload)] {
        &self.further
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        self.payloads().try_for_each(Payload::validate)
    }

    /// Bytes of all payloads.
    pub(crate) fn size(&self) -> usize {
        self.payloads().map(|payload| payload.data().len()).sum()
    }

    fn payloads(&self) -> impl Iterator<Item = &Payload> {
        let further = self.further.iter().map(|(_, payload)| payload);
        std::iter::once(&self.payload).chain(further)
    }

    /// What is known of the file.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// Why only the file's hashes are sent: it cannot be decoded. Submitted, such an image ends
    /// with this error, which then carries the word on its hashes.
    pub fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// Lets go of the file, and of what can be known only from it.
    pub(crate) fn released(self) -> Self {
        Self {
            provenance: self.provenance.released(),
            ..self
        }
    }

    pub(crate) fn into_parts(self) -> Parts {
        Parts {
            payload: self.payload,
            further: self.further,
            provenance: self.provenance.released(),
            failure: self.failure,
        }
    }
}

impl From<Payload> for Prepared {
    fn from(payload: Payload) -> Self {
        Self::new(payload)
    }
}

impl Provenance {
    /// The file's format in lower case, such as `jpeg`: the service's own word where it has one.
    pub fn format(&self) -> Option<&str> {
        self.format.as_deref()
    }

    /// The file's width and height in pixels, upright.
    pub fn dimensions(&self) -> Option<(u32, u32)> {
        self.dimensions
    }

    /// The file's size.
    pub fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// The file's MD5, which the service looks up.
    pub fn md5(&self) -> Option<[u8; 16]> {
        self.md5
    }

    /// The file's SHA-1, which the service looks up.
    pub fn sha1(&self) -> Option<[u8; 20]> {
        self.sha1
    }

    /// The file's SHA-256, computed when it is first read.
    ///
    /// That takes the file, which an image lets go of when it is submitted. With a verdict or an
    /// error there is a digest only if it was read before, or if
    /// [`ClientBuilder::sha256`](crate::ClientBuilder::sha256) says that it will be.
    pub fn sha256(&self) -> Option<[u8; 32]> {
        if let Some(file) = &self.file {
            self.sha256.get_or_init(|| Sha256::digest(file).into());
        }
        self.sha256.get().copied()
    }

    /// The SHA-256 of the 448 x 448 pixels that were judged, blue first: for the standard
    /// preprocessor if its `frame_digest` is on.
    pub fn frame_sha256(&self) -> Option<[u8; 32]> {
        self.frame_sha256
    }

    pub(crate) fn released(mut self) -> Self {
        self.file = None;
        self
    }
}

impl fmt::Debug for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provenance")
            .field("format", &self.format)
            .field("dimensions", &self.dimensions)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
