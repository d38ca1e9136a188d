//! From a file to what is sent, and to the part of its record that is known by then.

use std::io;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use athena_client::auth::BoxError;
use athena_client::{Payload, Prepared, Preprocess};
use athena_imaging::{Hashes, Limits, Preprocessor};
use athena_outcome::{Record, RecordError};
use athena_sources::{Error, Fetched, Location};
use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome, chain, reason};
use crate::input::{Found, Input, Object, shown_url};
use crate::pixels::PixelArgs;
use crate::workers::Workers;

/// A file's bytes, or why there are none.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) file: PathBuf,
    pub(crate) record: Record,
    pub(crate) bytes: Option<Bytes>,
    /// Why the file could not be read, when the system said so.
    pub(crate) trouble: Option<Arc<io::Error>>,
    started: Instant,
}

impl Loaded {
    /// The digest of the content, when there is one.
    pub(crate) fn sha256(&self) -> Option<[u8; 32]> {
        self.bytes
            .as_ref()
            .map(|bytes| athena_imaging::sha256(bytes))
    }
}

/// An image on its way to the service.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) file: PathBuf,
    /// Failed already when the file is not an image; it may still be known by its hash.
    pub(crate) record: Record,
    /// What to send; none when there is nothing that could be.
    pub(crate) prepared: Option<Prepared>,
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

/// An image's place among those that are prepared, or are and have not been taken on by a session.
pub(crate) type Place<'a> = SemaphorePermit<'a>;

/// Places for each thread: for the image in work, and for one that waits. More that wait hurry nothing and take
/// memory.
const PLACES: usize = 2;

/// Prepares images on as many threads as there are cores.
#[derive(Clone, Debug)]
pub(crate) struct Preparer {
    preprocess: Arc<dyn Preprocess>,
    limits: Limits,
    /// Frames of an animation that are judged at most.
    frames: u32,
    places: Arc<Semaphore>,
    workers: Arc<Workers>,
}

impl Preparer {
    pub(crate) fn new(pixels: &PixelArgs, hash_only: bool, frames: u32) -> Outcome<Self> {
        let limits = Limits::default();
        let preprocessor = Preprocessor::builder()
            .interpolation(pixels.interpolation.into())
            .payload(pixels.payload.payload)
            .compression(pixels.payload.compression)
            .limits(limits.clone())
            .build()
            .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
        let threads = std::thread::available_parallelism().map_or(2, NonZero::get);
        let workers = Workers::new(threads)
            .map_err(|error| Failure::local(format!("cannot start a thread: {error}")))?;
        Ok(Self {
            preprocess: if hash_only {
                Arc::new(HashOnly)
            } else {
                Arc::new(preprocessor)
            },
            limits,
            frames,
            places: Arc::new(Semaphore::new(PLACES * threads)),
            workers: Arc::new(workers),
        })
    }

    /// Runs a step of this preparer on a thread that may block, when there is a place for its image.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        step: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Outcome<(T, Place<'_>)> {
        let lost = || Failure::new(Exit::Interrupted, "stopped while images were prepared");
        let place = self.places.acquire().await.map_err(|_| lost())?;
        let this = self.clone();
        let result = self.workers.run(move || step(&this)).await;
        Ok((result.ok_or_else(lost)?, place))
    }

    /// An object's bytes, or why there are none; nothing for what lies on this machine.
    pub(crate) async fn fetch(&self, found: &Found) -> Option<Result<Fetched, Error>> {
        match found {
            Ok(Input::Object(object)) => Some(object.fetch(self.limits.max_file_bytes).await),
            _ => None,
        }
    }

    /// The most bytes that an image may have.
    pub(crate) fn max_file_bytes(&self) -> u64 {
        self.limits.max_file_bytes
    }

    /// Reads a file.
    pub(crate) fn load(&self, found: Found) -> Loaded {
        let started = Instant::now();
        let mut trouble = None;
        let (file, mut record, content) = match found {
            Ok(Input::Object(object)) => {
                let fetched = object.fetch_now(self.limits.max_file_bytes);
                return self.loaded(&object, fetched);
            }
            Ok(input) => {
                let content = input.read(self.limits.max_file_bytes);
                let content = content.map_err(|error| reason(trouble.insert(error)));
                let file = input.path().into_owned();
                let record = Record::of_path(&file);
                (file, record, content)
            }
            Err(unreadable) => {
                let file = unreadable.path;
                let record = match file.to_str().filter(|text| Location::is_meant_by(text)) {
                    // It may be no URL at all, and then there is no telling what it holds.
                    Some(url) => Record::of_url(shown_url(url)),
                    None => Record::of_path(&file),
                };
                (file, record, Err(unreadable.reason))
            }
        };
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
            trouble: trouble.map(Arc::new),
            started,
        }
    }

    /// What was fetched of an object.
    pub(crate) fn loaded(&self, object: &Object, fetched: Result<Fetched, Error>) -> Loaded {
        let mut record = object.record();
        let bytes = match fetched {
            Ok(fetched) => Some(fetched.bytes),
            Err(error) => {
                record.fail(error.kind().as_str(), chain(&error));
                None
            }
        };
        Loaded {
            file: object.location.to_string().into(),
            record,
            bytes,
            trouble: None,
            started: Instant::now(),
        }
    }

    /// Decodes, resizes, encodes and hashes; only hashes where that is asked for, or all that can be had.
    pub(crate) fn prepare(&self, loaded: Loaded) -> Ready {
        let Loaded {
            file,
            mut record,
            bytes,
            trouble: _,
            started,
        } = loaded;
        let Some(bytes) = bytes else {
            return Ready {
                file,
                record,
                prepared: None,
                sha256: None,
                started,
            };
        };
        let prepared = match Prepared::of_frames(&*self.preprocess, bytes, self.frames) {
            Ok(prepared) => {
                record.describe(prepared.provenance());
                record.error = prepared.failure().map(RecordError::from);
                Some(prepared)
            }
            Err(error) => {
                record.unanswered(&error);
                None
            }
        };
        Ready {
            file,
            record,
            sha256: prepared
                .as_ref()
                .and_then(|prepared| prepared.provenance().sha256()),
            prepared,
            started,
        }
    }
}

/// Looks at no pixels.
#[derive(Debug)]
struct HashOnly;

impl Preprocess for HashOnly {
    fn prepare(&self, file: Bytes, _: &dyn Fn() -> bool) -> Result<Prepared, BoxError> {
        let hashes = Hashes::of(&file);
        Ok(Payload::hashes_only()
            .md5(hashes.md5)
            .sha1(hashes.sha1)
            .into())
    }
}
