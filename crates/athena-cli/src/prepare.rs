//! From a file to what is sent, and to the part of its record that is known by then.

use std::borrow::Cow;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use athena_client::{ImageFormat, Payload, RequestEncoding};
use athena_imaging::{Hashes, ImageError, Limits, Prepared, Preprocessor};
use athena_outcome::{Record, error_word, format_word};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome, reason};
use crate::input::Found;
use crate::pixels::PixelArgs;

/// A file's bytes, or why there are none.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) file: PathBuf,
    pub(crate) record: Record,
    pub(crate) bytes: Option<Bytes>,
    started: Instant,
}

impl Loaded {
    /// The digest of the content, when there is one.
    pub(crate) fn sha256(&self) -> Option<[u8; 32]> {
        self.bytes
            .as_ref()
            .map(|bytes| Sha256::digest(bytes).into())
    }
}

/// An image on its way to the service.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) file: PathBuf,
    /// Failed already when the file is no image; it may still be known by its hash.
    pub(crate) record: Record,
    /// What to send; none when there is nothing that could be.
    pub(crate) payload: Option<Payload>,
    pub(crate) sha256: Option<[u8; 32]>,
    started: Instant,
}

impl Ready {
    /// Milliseconds since the file was opened.
    pub(crate) fn elapsed_ms(&self) -> f64 {
        // Microseconds are as fine as anybody needs.
        (self.started.elapsed().as_secs_f64() * 1e6).round() / 1e3
    }
}

/// Prepares images on as many threads as there are cores.
#[derive(Clone, Debug)]
pub(crate) struct Preparer {
    preprocessor: Arc<Preprocessor>,
    limits: Limits,
    hash_only: bool,
    threads: Arc<Semaphore>,
}

impl Preparer {
    pub(crate) fn new(pixels: &PixelArgs, hash_only: bool) -> Outcome<Self> {
        let limits = Limits::default();
        let preprocessor = Preprocessor::builder()
            .interpolation(pixels.interpolation.into())
            .payload(pixels.payload.payload)
            .compression(pixels.payload.compression)
            .limits(limits.clone())
            .build()
            .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
        let threads = std::thread::available_parallelism().map_or(2, NonZero::get);
        Ok(Self {
            preprocessor: Arc::new(preprocessor),
            limits,
            hash_only,
            threads: Arc::new(Semaphore::new(threads)),
        })
    }

    /// Runs a step of this preparer on a thread that may block.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        step: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Outcome<T> {
        let lost = || Failure::new(Exit::Interrupted, "stopped while images were prepared");
        let permit = (self.threads.clone().acquire_owned().await).map_err(|_| lost())?;
        let this = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let result = step(&this);
            drop(permit);
            result
        });
        task.await.map_err(|_| lost())
    }

    /// Reads a file.
    pub(crate) fn load(&self, found: Found) -> Loaded {
        let started = Instant::now();
        let (file, content) = match found {
            Ok(input) => {
                let content = input.read(self.limits.max_file_bytes);
                (
                    input.path().to_owned(),
                    content.map_err(|error| reason(&error)),
                )
            }
            Err(unreadable) => (unreadable.path, Err(unreadable.reason)),
        };
        let mut record = Record::of_path(&file);
        let bytes = match content {
            Err(why) => {
                record.fail("unreadable", why);
                None
            }
            Ok(bytes) if bytes.len() as u64 > self.limits.max_file_bytes => {
                let why = format!(
                    "the file has more than {} bytes",
                    self.limits.max_file_bytes
                );
                record.fail("too_large", why);
                None
            }
            Ok(bytes) => Some(Bytes::from(bytes)),
        };
        Loaded {
            file,
            record,
            bytes,
            started,
        }
    }

    /// Decodes, resizes, encodes and hashes; only hashes where that is asked for, or all that can be had.
    pub(crate) fn prepare(&self, loaded: Loaded) -> Ready {
        let Loaded {
            file,
            mut record,
            bytes,
            started,
        } = loaded;
        let Some(bytes) = bytes else {
            return Ready {
                file,
                record,
                payload: None,
                sha256: None,
                started,
            };
        };
        record.bytes = Some(bytes.len() as u64);
        let (hashes, payload) = if self.hash_only {
            let hashes = Hashes::of(&bytes);
            (hashes, Payload::hashes_only())
        } else {
            match self.pixels(&bytes) {
                Ok((prepared, payload)) => {
                    record.format = Some(format_word(prepared.source.format));
                    record.width = Some(prepared.source.width);
                    record.height = Some(prepared.source.height);
                    (prepared.hashes, payload)
                }
                Err((kind, message)) => {
                    record.fail(kind, message);
                    (Hashes::of(&bytes), Payload::hashes_only())
                }
            }
        };
        record.md5 = Some(hashes.md5_hex());
        record.sha1 = Some(hashes.sha1_hex());
        record.sha256 = Some(hashes.sha256_hex());
        Ready {
            file,
            record,
            payload: Some(payload.md5(hashes.md5).sha1(hashes.sha1)),
            sha256: Some(hashes.sha256),
            started,
        }
    }

    fn pixels(&self, bytes: &Bytes) -> Result<(Prepared, Payload), (Cow<'static, str>, String)> {
        let image_error =
            |error: ImageError| (Cow::from(error_word(error.kind())), error.to_string());
        let prepared = self
            .preprocessor
            .prepare(bytes.clone())
            .map_err(image_error)?;
        let unnamed = || {
            let message = "the payload has no number in the service's contract";
            (Cow::from("internal"), message.to_owned())
        };
        let format = ImageFormat::try_from(prepared.format.number()).map_err(|_| unnamed())?;
        let encoding =
            RequestEncoding::try_from(prepared.encoding.number()).map_err(|_| unnamed())?;
        let payload = Payload::new(format, encoding, prepared.data.clone());
        Ok((prepared, payload))
    }
}
