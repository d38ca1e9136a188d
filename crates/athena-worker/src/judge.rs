//! From a job to its record.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use athena_client::{Client, Error, ErrorKind, Image, Session};
use athena_gateway::operations::ServiceProbe;
use athena_gateway::{FetchError, Fetched};
use athena_outcome::{Policy, Record, RecordError, Status};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::job::{Job, JobLimits, Source};
use crate::trace::Trace;

/// What the session may take beyond the image's own time before we stop waiting for it.
const MARGIN: Duration = Duration::from_secs(5);

/// Judges images.
pub trait Judge: Send + Sync + 'static {
    /// Judges one image.
    fn judge(&self, job: Job) -> impl Future<Output = Judgement> + Send;

    /// Whether the service is there: asked when a job failed for no reason of its own.
    fn probe(&self) -> impl Future<Output = bool> + Send;

    /// Notes what a policy makes of a record that is about to be stored.
    fn decide(&self, record: &mut Record) {
        let _ = record;
    }
}

/// Gets the images that jobs name by URL.
///
/// URLs come from whoever may submit jobs: an implementation goes only where its operator has allowed it to, at
/// redirects and after the resolution of names as well.
pub trait Fetch: fmt::Debug + Send + Sync {
    /// The URL as it may be written down, without what may be a secret in it.
    fn name(&self, url: &str) -> Option<String>;

    /// Gets at most `most` bytes.
    fn fetch<'a>(&'a self, url: &'a str, most: usize)
    -> BoxFuture<'a, Result<Fetched, FetchError>>;
}

/// What came of judging an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The record as it stands: the outcome, or what the last attempt came to.
    pub record: Record,
    /// Whether that is all.
    pub end: End,
}

/// Whether an image is through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The service has answered.
    Answered,
    /// There will be no answer, whoever tries again.
    Final,
    /// It may succeed later; the service is not to blame.
    Failed {
        /// When to come back at the earliest, if somebody has said so.
        after: Option<Duration>,
    },
    /// It may succeed later; the service, or the way to it, may be to blame.
    Away {
        /// When to come back at the earliest, if somebody has said so.
        after: Option<Duration>,
    },
}

/// Asks the service through one session.
#[derive(Debug)]
pub struct SdkJudge {
    client: Client,
    session: Session,
    probe: ServiceProbe,
    policy: Option<Policy>,
    sources: Option<Arc<dyn Fetch>>,
    limits: JobLimits,
    timeout: Duration,
    /// In KiB, since a semaphore hands out fewer permits at once than images have bytes.
    memory: Arc<Semaphore>,
}

/// The configuration of an [`SdkJudge`].
#[derive(Debug)]
#[must_use]
pub struct SdkJudgeBuilder {
    client: Client,
    policy: Option<Policy>,
    sources: Option<Arc<dyn Fetch>>,
    limits: JobLimits,
    timeout: Duration,
    window: usize,
    memory: usize,
    deployment: Option<String>,
}

impl SdkJudgeBuilder {
    /// The policy that decides about every image.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Lets jobs name images by URL, which this one gets.
    pub fn fetch(mut self, fetch: Arc<dyn Fetch>) -> Self {
        self.sources = Some(fetch);
        self
    }

    /// What a job may have.
    pub fn limits(mut self, limits: JobLimits) -> Self {
        self.limits = limits;
        self
    }

    /// How long an image may take, once it is there; as long again to fetch it. Default: 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Images under way at the same time: as many as the worker's [window](crate::Patience::window). Default: 64.
    pub fn window(mut self, window: usize) -> Self {
        self.window = window;
        self
    }

    /// Bytes of images that are fetched or under way. Default: 256 MiB.
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// The deployment to join, instead of one of this process alone.
    pub fn deployment(mut self, id: impl Into<String>) -> Self {
        self.deployment = Some(id.into());
        self
    }

    /// Opens the session, which connects in the background.
    ///
    /// # Errors
    /// When a setting cannot work.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn open(self) -> Result<SdkJudge, Error> {
        let mut session = (self.client.session())
            .max_in_flight(self.window.max(1))
            .image_timeout(self.timeout);
        if let Some(deployment) = self.deployment {
            session = session.deployment(deployment);
        }
        Ok(SdkJudge {
            session: session.open()?,
            client: self.client,
            probe: ServiceProbe::default(),
            policy: self.policy,
            sources: self.sources,
            limits: self.limits,
            timeout: self.timeout,
            // One image has room in any case.
            memory: Arc::new(Semaphore::new(kibibytes(
                self.memory.max(self.limits.image_bytes),
            ))),
        })
    }
}

impl SdkJudge {
    /// Starts the configuration of a judge that asks by this client.
    pub fn builder(client: Client) -> SdkJudgeBuilder {
        SdkJudgeBuilder {
            client,
            policy: None,
            sources: None,
            limits: JobLimits::default(),
            timeout: Duration::from_secs(30),
            window: 64,
            memory: 256 << 20,
            deployment: None,
        }
    }

    /// The session, for its figures.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The probe, which answers for a while by what it has seen.
    pub fn service(&self) -> &ServiceProbe {
        &self.probe
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Fetches an image. The memory is the image's as long as it is held.
    async fn fetch(
        &self,
        url: &str,
        record: &mut Record,
    ) -> Result<(Bytes, OwnedSemaphorePermit), End> {
        let Some(fetch) = &self.sources else {
            record.fail(
                "refused",
                "the job names a URL, and this worker fetches none",
            );
            return Err(End::Final);
        };
        record.url = fetch.name(url);
        let most = self.limits.image_bytes;
        // Set aside before it is known how much comes.
        let permits = u32::try_from(kibibytes(most)).unwrap_or(u32::MAX);
        let memory = Arc::clone(&self.memory).acquire_many_owned(permits).await;
        let Ok(mut memory) = memory else {
            record.fail("closed", "the worker is ending");
            return Err(End::Failed { after: None });
        };
        let later = End::Failed { after: None };
        let (kind, message, end) = match timeout(self.timeout, fetch.fetch(url, most)).await {
            Ok(Ok(fetched)) if fetched.bytes.len() <= most => {
                let excess = kibibytes(most) - kibibytes(fetched.bytes.len());
                drop(memory.split(excess));
                record.etag = fetched.etag;
                record.object_version = fetched.version;
                return Ok((fetched.bytes, memory));
            }
            Ok(Ok(_) | Err(FetchError::TooLarge)) => {
                ("too_large", format!("more than {most} bytes"), End::Final)
            }
            Ok(Err(error @ FetchError::NotFound)) => ("not_found", error.to_string(), End::Final),
            Ok(Err(error @ FetchError::Refused)) => ("refused", error.to_string(), End::Final),
            Ok(Err(error)) => ("unreadable", athena_outcome::text::chain(&error), later),
            Err(_) => (
                "unreadable",
                "the image did not come in time".to_owned(),
                later,
            ),
        };
        record.fail(kind, message);
        Err(end)
    }
}

impl<J: Judge> Judge for Arc<J> {
    async fn judge(&self, job: Job) -> Judgement {
        (**self).judge(job).await
    }

    async fn probe(&self) -> bool {
        (**self).probe().await
    }

    fn decide(&self, record: &mut Record) {
        (**self).decide(record);
    }
}

impl SdkJudge {
    async fn attempt(&self, job: Job) -> Judgement {
        let started = Instant::now();
        let mut record = job.record();
        let (bytes, _memory) = match job.source {
            // The worker counts these.
            Source::Bytes(bytes) => (bytes, None),
            Source::Url(url) => match self.fetch(&url, &mut record).await {
                Ok((bytes, memory)) => (bytes, Some(memory)),
                Err(end) => {
                    record.sends = Some(0);
                    if let (Some(error), End::Failed { .. }) = (&mut record.error, end) {
                        error.transient = Some(true);
                    }
                    return Judgement { record, end };
                }
            },
        };
        record.bytes = Some(bytes.len() as u64);
        // Ids are the session's own: two jobs of the same key may be under way.
        let mut image = Image::from_bytes(bytes)
            .frames(job.frames)
            .timeout(self.timeout);
        if let Some(affiliate) = job.affiliate {
            image = image.affiliate(affiliate);
        }
        let end = match timeout(self.timeout, self.session.submit(image)).await {
            // The session takes on what the service sustains: this one has not been its turn.
            Err(_) => {
                late(
                    &mut record,
                    "overloaded",
                    "the service takes no more for now",
                );
                record.sends = Some(0);
                End::Away { after: None }
            }
            Ok(Err(error)) => unanswered(&mut record, &error),
            Ok(Ok(pending)) => match timeout(self.timeout + MARGIN, pending).await {
                Ok(Ok(verdict)) => {
                    record.answered(&verdict);
                    match record.status {
                        Status::Classified => End::Answered,
                        // The answer has no labels.
                        Status::Failed => End::Failed { after: None },
                    }
                }
                Ok(Err(error)) => unanswered(&mut record, &error),
                Err(_) => {
                    late(&mut record, "timeout", "no answer within the time allowed");
                    End::Away { after: None }
                }
            },
        };
        record.deployment = Some(self.session.deployment().to_owned());
        record.elapsed_ms = Some((started.elapsed().as_secs_f64() * 1e6).round() / 1e3);
        Judgement { record, end }
    }
}

impl Judge for SdkJudge {
    async fn judge(&self, job: Job) -> Judgement {
        let trace = Trace::of(&self.client, &job);
        let judgement = trace.around(self.attempt(job)).await;
        trace.ended(&judgement);
        judgement
    }

    async fn probe(&self) -> bool {
        let service = self.probe.ask_anew(&self.client).await;
        service.token && service.reachable
    }

    fn decide(&self, record: &mut Record) {
        if let Some(policy) = &self.policy {
            record.decide(policy);
        }
    }
}

/// Notes an error, and says whether it is the last word.
fn unanswered(record: &mut Record, error: &Error) -> End {
    record.unanswered(error);
    if error.hash_verdict().is_some() {
        return End::Answered;
    }
    // For a file that cannot be decoded: why nothing is known of its hashes, which is worth another attempt.
    let error = error.hash_error().unwrap_or(error);
    let after = error.retry_after();
    match error.kind() {
        // The job has named an affiliate that the account does not have: nobody else's fault.
        ErrorKind::NotPermitted if record.affiliate.is_some() => End::Final,
        // The service has failed this image, for now as far as anybody knows.
        ErrorKind::Service if error.is_of_image() => End::Failed { after },
        _ if error.is_of_image() => End::Final,
        _ => End::Away { after },
    }
}

/// What failed for want of time may succeed later.
fn late(record: &mut Record, kind: &'static str, message: &str) {
    record.status = Status::Failed;
    record.error = Some(RecordError {
        kind: kind.into(),
        message: message.to_owned(),
        transient: Some(true),
        delivery: None,
    });
}

fn kibibytes(bytes: usize) -> usize {
    bytes.div_ceil(1024)
}
