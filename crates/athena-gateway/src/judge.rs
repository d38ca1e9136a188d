//! One image, from its bytes to its record.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use athena_client::imaging::Hashes;
use athena_client::{Image, Payload};
use athena_outcome::{PathText, Record};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout};

use crate::admission::Place;
use crate::body::Held;
use crate::gateway::Gateway;
use crate::keys::Caller;
use crate::options::Options;
use crate::outcomes::Fingerprint;
use crate::problem::{Kind, Problem};

/// What the session may take beyond the image's own time before we stop waiting for it.
const MARGIN: Duration = Duration::from_secs(5);

/// An image that was taken on.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) image: Held,
    /// The name of its outcome.
    pub(crate) key: Arc<str>,
    /// The id under which it is sent; the session's own where the caller has named none.
    correlation_id: Option<Arc<str>>,
    affiliate: Option<Arc<str>>,
    hash_only: bool,
    frames: u32,
    timeout: Duration,
    /// The record as far as the source is known.
    record: Record,
    started: Instant,
    received: SystemTime,
}

impl Job {
    /// An image as its caller wants it judged. `index` tells images of one request apart.
    pub(crate) fn new(
        gateway: &Gateway,
        caller: &Caller,
        options: &Options,
        index: Option<usize>,
        image: Held,
    ) -> Result<Self, Problem> {
        if image.bytes.is_empty() {
            return Err(Problem::bad_request("the image has no bytes"));
        }
        let affiliate = caller.affiliate(options.affiliate.as_deref())?;
        let key = options.key_of(index);
        let correlation_id = options.key.is_some().then(|| correlation_id(caller, &key));
        let most = gateway.limits().image_time;
        let mut record = Record::with_key(&*key);
        record.bytes = Some(image.bytes.len() as u64);
        record.affiliate = affiliate.as_deref().map(str::to_owned);
        Ok(Self {
            image,
            key,
            correlation_id,
            affiliate,
            hash_only: options.hash_only,
            frames: options.frames,
            timeout: options.timeout.map_or(most, |wanted| wanted.min(most)),
            record,
            started: Instant::now(),
            received: SystemTime::now(),
        })
    }

    /// The name of the file, as its sender says.
    pub(crate) fn named(mut self, file: Option<String>) -> Self {
        self.record.path = file.map(|path| PathText {
            path,
            path_bytes: None,
        });
        self
    }

    /// Where it was fetched from.
    pub(crate) fn fetched(
        mut self,
        url: String,
        etag: Option<String>,
        version: Option<String>,
    ) -> Self {
        self.record.url = Some(url);
        self.record.etag = etag;
        self.record.object_version = version;
        self
    }

    /// What tells this image, and what is wanted of it, from others of the same key.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let mut digest = Sha256::new();
        digest.update([u8::from(self.hash_only)]);
        digest.update(self.frames.to_le_bytes());
        digest.update(self.affiliate.as_deref().unwrap_or("").as_bytes());
        digest.update([0]);
        digest.update(&self.image.bytes);
        digest.finalize().into()
    }
}

/// An id that another caller's image cannot have: an answer that comes late must not be taken for the
/// answer to somebody else's image.
fn correlation_id(caller: &Caller, key: &str) -> Arc<str> {
    let id = caller.scoped(key);
    if id.len() <= athena_client::MAX_ID_BYTES {
        return id.into();
    }
    HEXLOWER.encode(&Sha256::digest(id)).into()
}

impl Gateway {
    /// Judges an image. Dropping the future cancels it.
    pub(crate) async fn judge(self, job: Job, place: Place) -> Record {
        let mut record = job.record;
        // The bytes go with the image; the memory is theirs until the end.
        let Held { bytes, memory } = job.image;
        let left = job.timeout.saturating_sub(job.started.elapsed());
        let mut image = match job.hash_only {
            true => Image::from_payload(hashes(bytes).await),
            false => Image::from_bytes(bytes).frames(job.frames),
        };
        if let Some(id) = job.correlation_id {
            image = image.correlation_id(id);
        }
        if let Some(affiliate) = job.affiliate {
            image = image.affiliate(affiliate);
        }
        match timeout(left, self.shared.session.submit(image.timeout(left))).await {
            // The session takes on what the service sustains: this one has not been its turn.
            Err(_) => {
                give_up(
                    &mut record,
                    "overloaded",
                    "the service takes no more for now",
                );
                record.sends = Some(0);
            }
            Ok(Err(error)) => record.unanswered(&error),
            Ok(Ok(pending)) => match timeout(left + MARGIN, pending).await {
                Ok(Ok(verdict)) => record.answered(&verdict),
                Ok(Err(error)) => record.unanswered(&error),
                Err(_) => give_up(&mut record, "timeout", "no answer within the time allowed"),
            },
        }
        drop((memory, place));
        record.deployment = Some(self.shared.session.deployment().to_owned());
        record.elapsed_ms = Some((job.started.elapsed().as_secs_f64() * 1e6).round() / 1e3);
        record.received = Some(humantime::format_rfc3339_millis(job.received).to_string());
        record.time = Some(humantime::format_rfc3339_millis(SystemTime::now()).to_string());
        if let Some(policy) = &self.settings().policy {
            record.decide(policy);
        }
        self.shared.metrics.outcome(&record);
        record
    }
}

impl Gateway {
    /// The record of an image that was not taken on.
    pub(crate) fn refused(&self, key: Option<&str>, problem: &Problem) -> Record {
        let mut record = Record::with_key(key.unwrap_or("?"));
        if key.is_none() {
            record.key = None;
        }
        record.fail(problem.kind().as_str().replace('-', "_"), problem.detail());
        let transient = problem.status().is_server_error() || problem.kind() == Kind::RateLimited;
        if let Some(error) = &mut record.error {
            error.transient = Some(transient);
        }
        record.sends = Some(0);
        if let Some(policy) = &self.settings().policy {
            record.decide(policy);
        }
        record
    }
}

/// What failed for want of time may succeed later.
fn give_up(record: &mut Record, kind: &'static str, message: &'static str) {
    record.fail(kind, message);
    if let Some(error) = &mut record.error {
        error.transient = Some(true);
    }
}

/// Digests take a millisecond for a large file: not on the runtime's threads. None when it is shut down.
pub(crate) async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

async fn hashes(bytes: Bytes) -> Payload {
    match off_the_runtime(move || Hashes::of(&bytes)).await {
        Some(hashes) => Payload::hashes_only().md5(hashes.md5).sha1(hashes.sha1),
        // Refused by the session, as the image's error.
        None => Payload::hashes_only(),
    }
}
