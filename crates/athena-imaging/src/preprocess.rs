use std::sync::Arc;

use bytes::Bytes;

use crate::budget::Budget;
use crate::decode::{admit, decode_needed, sample};
use crate::memory::Memory;
use crate::resize::{Sparse, is_ready, resize};
use crate::{
    Compression, FRAME_BYTES, Format, Frame, Hashes, ImageError, Interpolation, Limits,
    PayloadEncoding, PayloadFormat, PayloadKind, inspect, sha256,
};

/// Turns image files into what the service takes. Cheap to clone, safe to share between threads, pure CPU.
#[derive(Debug, Clone, Default)]
pub struct Preprocessor {
    interpolation: Interpolation,
    payload: PayloadKind,
    compression: Compression,
    limits: Limits,
    frame_digest: bool,
    memory: Arc<Memory>,
}

/// Settings of a [`Preprocessor`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct PreprocessorBuilder {
    settings: Preprocessor,
}

/// An image ready to be sent.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Prepared {
    /// The bytes to send.
    pub data: Bytes,
    /// The format to tell the service.
    pub format: PayloadFormat,
    /// The encoding to tell the service.
    pub encoding: PayloadEncoding,
    /// Digests of the original file.
    pub hashes: Hashes,
    /// What the original file was.
    pub source: SourceInfo,
    /// The SHA-256 of the 448 x 448 frame, if [`PreprocessorBuilder::frame_digest`] asks for it.
    pub frame_sha256: Option<[u8; 32]>,
    /// The frame's place in its animation, from 0.
    pub frame: u32,
}

/// What an original file was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceInfo {
    /// Its format.
    pub format: Format,
    /// Its width in pixels, upright.
    pub width: u32,
    /// Its height in pixels, upright.
    pub height: u32,
    /// Its size in bytes.
    pub bytes: u64,
}

impl SourceInfo {
    fn new(format: Format, frame: &Frame, bytes: &[u8]) -> Self {
        Self {
            format,
            width: frame.width(),
            height: frame.height(),
            bytes: bytes.len() as u64,
        }
    }
}

impl Preprocessor {
    /// Starts with the reference pipeline's pixels and the cheapest lossless payload.
    pub fn builder() -> PreprocessorBuilder {
        PreprocessorBuilder::default()
    }

    /// Decodes, turns upright, resizes, encodes, compresses and hashes one file.
    ///
    /// # Errors
    ///
    /// When the file cannot be decoded or exceeds a limit.
    pub fn prepare(&self, bytes: impl Into<Bytes>) -> Result<Prepared, ImageError> {
        self.prepare_until(bytes, || false)
    }

    /// Like [`prepare`](Self::prepare), but asks every few milliseconds whether the caller has given up, also while it decodes.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use athena_imaging::{ImageErrorKind, Preprocessor};
    ///
    /// let preprocessor = Preprocessor::default();
    /// let deadline = Instant::now();
    /// let result = preprocessor.prepare_until(&b"P6 1 1 255 abc"[..], || Instant::now() >= deadline);
    /// assert_eq!(result.unwrap_err().kind(), ImageErrorKind::Cancelled);
    /// ```
    ///
    /// # Errors
    ///
    /// When the caller has given up, the file cannot be decoded or exceeds a limit.
    pub fn prepare_until(
        &self,
        bytes: impl Into<Bytes>,
        given_up: impl Fn() -> bool,
    ) -> Result<Prepared, ImageError> {
        let bytes = bytes.into();
        let hashes = self.hashes(&bytes, &given_up)?;
        let (frame, source) = self.resized(&bytes, &given_up)?;
        check(&given_up)?;
        let original = PayloadFormat::of(source.format).filter(|_| {
            self.payload == PayloadKind::Original && is_same_for_service(&source, &bytes)
        });
        let original = original.map(|format| (bytes, format));
        self.pack(frame, 0, original, source, hashes, &given_up)
    }

    /// Prepares up to `count` frames of an animation, evenly spread, the first included: see [`frames`](crate::frames()). Of
    /// what is not an animation there is one, that of [`prepare_until`](Self::prepare_until).
    ///
    /// Each frame is sent on its own; the worst verdict is the image's.
    ///
    /// # Errors
    ///
    /// As [`prepare_until`](Self::prepare_until); also when a later frame is broken, or the frames together exceed a limit.
    pub fn prepare_frames_until(
        &self,
        bytes: impl Into<Bytes>,
        count: u32,
        given_up: impl Fn() -> bool,
    ) -> Result<Vec<Prepared>, ImageError> {
        let bytes = bytes.into();
        if count <= 1 || inspect(&bytes).is_ok_and(|found| found.frames <= 1) {
            return Ok(vec![self.prepare_until(bytes, given_up)?]);
        }
        let hashes = self.hashes(&bytes, &given_up)?;
        let format = admit(&bytes, &self.limits)?;
        let budget = Budget::new(format, &self.limits, &given_up, Some(&self.memory));
        let mut prepared = Vec::new();
        let kept = Some(FRAME_BYTES as u64);
        sample(&bytes, count, kept, &budget, &mut |index, frame| {
            let source = SourceInfo::new(format, frame, &bytes);
            budget.charge(FRAME_BYTES as u64)?;
            let frame = match is_ready(source.width, source.height) {
                true => frame.clone(),
                false => resize(frame, self.interpolation)?,
            };
            prepared.push(self.pack(frame, index, None, source, hashes, &given_up)?);
            Ok(())
        })?;
        Ok(prepared)
    }

    fn hashes(&self, bytes: &Bytes, given_up: &dyn Fn() -> bool) -> Result<Hashes, ImageError> {
        check(given_up)?;
        self.limits.check_file(bytes.len())?;
        Hashes::while_wanted(bytes, || check(given_up))
    }

    /// Packs a frame, unless the original file goes in its place.
    fn pack(
        &self,
        frame: Frame,
        index: u32,
        original: Option<(Bytes, PayloadFormat)>,
        source: SourceInfo,
        hashes: Hashes,
        given_up: &dyn Fn() -> bool,
    ) -> Result<Prepared, ImageError> {
        let frame_sha256 = self.frame_digest.then(|| sha256(frame.data()));
        let (data, format) = match original {
            Some(original) => original,
            None => self.payload.encode(frame)?,
        };
        check(given_up)?;
        let (data, encoding) = self.compression.compress(data)?;
        self.limits.check_payload(data.len())?;
        Ok(Prepared {
            data,
            format,
            encoding,
            hashes,
            source,
            frame_sha256,
            frame: index,
        })
    }

    /// The 448 x 448 frame alone, for those who bring their own model.
    ///
    /// # Errors
    ///
    /// When the file cannot be decoded or exceeds a limit.
    pub fn frame(&self, bytes: &[u8]) -> Result<Frame, ImageError> {
        self.resized(bytes, &|| false).map(|(frame, _)| frame)
    }

    fn resized(
        &self,
        bytes: &[u8],
        given_up: &dyn Fn() -> bool,
    ) -> Result<(Frame, SourceInfo), ImageError> {
        let format = admit(bytes, &self.limits)?;
        let budget = Budget::new(format, &self.limits, given_up, Some(&self.memory));
        let mut sparse = None;
        let (frame, (width, height)) = decode_needed(bytes, &budget, |width, height| {
            let (resize, needed) = Sparse::plan(self.interpolation, width, height)?;
            sparse = Some(resize);
            Some(needed)
        })?;
        budget.check_patience()?;
        let frame = match sparse {
            Some(sparse) => sparse.resize(&frame),
            None if is_ready(width, height) => frame,
            None => resize(&frame, self.interpolation)?,
        };
        Ok((
            frame,
            SourceInfo {
                format,
                width,
                height,
                bytes: bytes.len() as u64,
            },
        ))
    }
}

fn check(given_up: &dyn Fn() -> bool) -> Result<(), ImageError> {
    if given_up() {
        Err(ImageError::cancelled())
    } else {
        Ok(())
    }
}

/// Whether the service would decode the file itself to the frame that was decoded here.
fn is_same_for_service(source: &SourceInfo, bytes: &[u8]) -> bool {
    // A grey PFM stays of one channel in OpenCV, which the model does not take.
    is_ready(source.width, source.height) && !bytes.starts_with(b"Pf")
}

impl PreprocessorBuilder {
    /// How frames become 448 x 448. Default: [`Interpolation::Linear`].
    pub fn interpolation(mut self, interpolation: Interpolation) -> Self {
        self.settings.interpolation = interpolation;
        self
    }

    /// What is sent. Default: [`PayloadKind::WebpLossless`] with [`WebpEffort::Default`](crate::WebpEffort).
    pub fn payload(mut self, payload: PayloadKind) -> Self {
        self.settings.payload = payload;
        self
    }

    /// Compression on top. Default: none.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.settings.compression = compression;
        self
    }

    /// What an image may cost.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Whether to compute the SHA-256 of the 448 x 448 frame, which tells in a record which pixels were
    /// judged, whatever they were packed into. Default: no.
    pub fn frame_digest(mut self, yes: bool) -> Self {
        self.settings.frame_digest = yes;
        self
    }

    /// Bytes that this preprocessor and its clones may hold for decoders at one time, on however many threads. An image that
    /// finds no room waits for others to end; one that needs more than all has it alone. Default: 2 GiB.
    ///
    /// What one image may need is [`Limits::max_decoded_bytes`].
    pub fn shared_memory(mut self, bytes: u64) -> Self {
        self.settings.memory = Arc::new(Memory::new(bytes));
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// When a quality is out of its range.
    pub fn build(self) -> Result<Preprocessor, ImageError> {
        self.settings.payload.check()?;
        self.settings.compression.check()?;
        Ok(self.settings)
    }
}
