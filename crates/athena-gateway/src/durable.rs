//! The durable path, for those who say `queue`: an image is in a queue before its caller is told so, whose workers
//! judge it whatever becomes of this server, and its outcome is read from where they leave it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use athena_client::BoxError;
use athena_client::imaging::Hashes;
use athena_outcome::Record;
use axum::body::Body;
use axum::http::request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};

use crate::body::Held;
use crate::classify::{Content, Settled};
use crate::fetch::{literal, without_query};
use crate::gateway::Gateway;
use crate::judge::off_the_runtime;
use crate::keys::Caller;
use crate::options::Options;
use crate::problem::{Kind, Problem};
use crate::trace::{self, TraceContext};

/// When to try again what the queue did not take.
const TRY_AGAIN: Duration = Duration::from_secs(2);
/// How often an image is submitted whose namesake ends at the same moment.
const SUBMISSIONS: usize = 3;

/// Keeps images until they are judged, by whoever takes them, and the outcomes after that.
pub trait Queue: fmt::Debug + Send + Sync {
    /// Bytes that an image in it may have at most.
    fn largest(&self) -> usize;

    /// Whether it can be reached, as far as is known.
    fn is_connected(&self) -> bool;

    /// Queues an image under its key. Answers when it is certain that the image is kept.
    fn submit(&self, image: QueuedImage) -> BoxFuture<'_, Result<Submission, BoxError>>;

    /// How the image of a key stands. While it is pending, waits for its outcome for so long.
    fn find<'a>(
        &'a self,
        key: &'a str,
        wait: Duration,
    ) -> BoxFuture<'a, Result<Standing, BoxError>>;
}

/// An image for the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedImage {
    /// What its outcome is called: of a caller that has a name the name, a colon, and the caller's own key.
    pub key: String,
    /// The image, or where it lies.
    pub source: QueuedSource,
    /// On whose behalf it is judged.
    pub affiliate: Option<String>,
    /// Frames of an animation to judge at most.
    pub frames: u32,
    /// The name of its file, as its sender says: without control characters, and at most 1 KiB.
    pub name: Option<String>,
    /// The trace that it is part of.
    pub trace: Option<TraceContext>,
}

/// Where an image is that is queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueuedSource {
    /// Here.
    Bytes(Bytes),
    /// At a URL that this server's list allows, with the key of an object as it is: see [`literal`](crate::literal).
    Url(String),
}

/// What has come of submitting an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submission {
    /// It is queued: since now, or already.
    Queued,
    /// Another image is queued under its key.
    KeyTaken,
    /// Something was queued under its key, and has ended at this moment: there is an outcome.
    Ended,
}

/// How the image of a key stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// This is its outcome.
    Done(Box<Record>),
    /// It waits, or is being judged.
    Pending,
    /// There is no image of this key, and no outcome.
    Unknown,
}

impl Options {
    /// What only this process could do with an image cannot be promised of a queued one.
    fn check_queueable(&self) -> Result<(), Problem> {
        let without = [
            ("hash_only", self.hash_only),
            ("timeout", self.timeout.is_some()),
            ("webhook", self.webhook.is_some()),
        ];
        match without.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(Problem::bad_request(format!(
                "`{name}` does not apply to images that are queued"
            ))),
            None => Ok(()),
        }
    }
}

impl Gateway {
    fn queue(&self) -> Result<&dyn Queue, Problem> {
        let none = || {
            let detail = "this server has no queue: start it with --queue";
            Problem::new(Kind::Forbidden, detail)
        };
        self.shared.queue.as_deref().ok_or_else(none)
    }

    /// `POST /v1/classify` with `queue`.
    pub(crate) async fn enqueue(
        &self,
        caller: &Arc<Caller>,
        options: &Options,
        head: &request::Parts,
        body: Body,
    ) -> Result<Response, Problem> {
        self.queue().map_err(Problem::closing)?;
        options.check_queueable().map_err(Problem::closing)?;
        self.check_running().map_err(Problem::closing)?;
        let trace = trace::parent(&head.headers);
        let queued = |index, named, source| {
            let image = Sent {
                index,
                named,
                source,
            };
            self.settle_queued(caller, options, &trace, image)
        };
        match Content::of(&head.headers)? {
            Content::Image => {
                caller.take().map_err(Problem::closing)?;
                let image = self.read_image(&head.headers, body).await?;
                let settled = queued(None, None, Source::Bytes(image)).await;
                Ok(self.reply_settled(settled.map_err(|(_, problem)| problem)?))
            }
            Content::Json => {
                caller.take().map_err(Problem::closing)?;
                let (sources, url) = self.read_url(&head.headers, body).await?;
                let url = sources.check(&url)?;
                let settled = queued(None, None, Source::Url(url)).await;
                Ok(self.reply_settled(settled.map_err(|(_, problem)| problem)?))
            }
            Content::Parts(boundary) => {
                let mut parts = self.read_parts(caller, body, boundary).await?;
                if parts.len() == 1
                    && let Some(part) = parts.pop()
                {
                    let settled = queued(None, part.file, Source::Bytes(part.image)).await;
                    return Ok(self.reply_settled(settled.map_err(|(_, problem)| problem)?));
                }
                let settling = parts
                    .into_iter()
                    .enumerate()
                    .map(|(index, part)| queued(Some(index), part.file, Source::Bytes(part.image)));
                self.reply_all(join_all(settling).await)
            }
            Content::Lines => Err(Content::unsupported()),
        }
    }

    /// Queues an image, and waits for its outcome as long as its caller does. A problem comes with the image's key.
    async fn settle_queued(
        &self,
        caller: &Caller,
        options: &Options,
        trace: &Option<TraceContext>,
        sent: Sent,
    ) -> Result<Settled, (Arc<str>, Problem)> {
        let key = options.key_of(sent.index);
        let image = Queueing {
            key: Arc::clone(&key),
            // Nobody has a fresh key but this image.
            may_be_there: options.key.is_some(),
            wait: options.wait.unwrap_or_default(),
            source: sent.source,
        };
        let settled = async {
            let affiliate = caller.affiliate(options.affiliate.as_deref())?;
            let queued = QueuedImage {
                key: caller.scoped(&key),
                source: image.source.to_queue()?,
                affiliate: affiliate.as_deref().map(str::to_owned),
                frames: options.frames,
                name: sent.named,
                trace: trace.clone(),
            };
            self.submit(image, queued).await
        };
        let settled = settled.await;
        self.shared.metrics.submission(match &settled {
            Ok(Settled::Earlier(_)) => "there",
            Ok(Settled::Judged(_) | Settled::Later(_)) => "queued",
            Err(problem) if problem.kind() == Kind::QueueUnavailable => "unavailable",
            Err(_) => "refused",
        });
        settled.map_err(|problem| (key, problem))
    }

    async fn submit(&self, image: Queueing, queued: QueuedImage) -> Result<Settled, Problem> {
        let queue = self.queue()?;
        if let QueuedSource::Bytes(bytes) = &queued.source
            && bytes.len() > queue.largest()
        {
            let detail = format!(
                "the queue takes images of {} bytes at most: put it into a store, and send its URL",
                queue.largest()
            );
            return Err(Problem::new(Kind::TooLarge, detail));
        }
        let name = queued.key.clone();
        for _ in 0..SUBMISSIONS {
            if image.may_be_there
                && let Standing::Done(record) = self.ask(&name, Duration::ZERO).await?
            {
                image.check_is_of(&record, &queued).await?;
                return Ok(Settled::Earlier(self.read(*record, &image.key)));
            }
            match queue.submit(queued.clone()).await {
                Ok(Submission::Queued) => {
                    let wait = image.wait.min(self.limits().image_time);
                    let key = image.key;
                    // The memory is for those who come next, not for those who wait.
                    drop((image.source, queued));
                    return Ok(self.wait_queued(&name, key, wait).await);
                }
                Ok(Submission::KeyTaken) => return Err(key_reused()),
                Ok(Submission::Ended) => {}
                Err(error) => return Err(unavailable(&error)),
            }
        }
        let detail = "images of this key end one after another";
        Err(Problem::new(Kind::QueueUnavailable, detail).retry_after(TRY_AGAIN))
    }

    /// Waits for the outcome of an image that is queued, whatever becomes of the waiting.
    async fn wait_queued(&self, name: &str, key: Arc<str>, wait: Duration) -> Settled {
        if wait.is_zero() {
            return Settled::Later(key);
        }
        match self.ask(name, wait).await {
            Ok(Standing::Done(record)) => Settled::Judged(self.read(*record, &key)),
            _ => Settled::Later(key),
        }
    }

    async fn ask(&self, name: &str, wait: Duration) -> Result<Standing, Problem> {
        let found = self.queue()?.find(name, wait).await;
        found.map_err(|error| unavailable(&error))
    }

    /// The outcome of a key in the queue, for its caller. None where there is no queue, or nothing of this key.
    pub(crate) async fn find_queued(
        &self,
        caller: &Caller,
        key: &Arc<str>,
        wait: Duration,
    ) -> Result<Option<Settled>, Problem> {
        if self.shared.queue.is_none() {
            return Ok(None);
        }
        Ok(match self.ask(&caller.scoped(key), wait).await? {
            Standing::Done(record) => Some(Settled::Judged(self.read(*record, key))),
            Standing::Pending => Some(Settled::Later(Arc::clone(key))),
            Standing::Unknown => None,
        })
    }

    /// A record as its caller knows the image. What a worker's policy has decided stands.
    fn read(&self, mut record: Record, key: &str) -> Arc<Record> {
        record.key = Some(key.to_owned());
        if let (None, Some(policy)) = (record.decision, &self.settings().policy) {
            record.decide(policy);
        }
        Arc::new(record)
    }
}

/// An image as it was sent.
struct Sent {
    /// Which of several.
    index: Option<usize>,
    /// The name of its file.
    named: Option<String>,
    source: Source,
}

/// An image on its way into the queue.
struct Queueing {
    key: Arc<str>,
    may_be_there: bool,
    wait: Duration,
    source: Source,
}

enum Source {
    /// With the memory that is set aside for it.
    Bytes(Held),
    Url(url::Url),
}

impl Source {
    fn to_queue(&self) -> Result<QueuedSource, Problem> {
        match self {
            Self::Bytes(held) if held.bytes.is_empty() => {
                Err(Problem::bad_request("the image has no bytes"))
            }
            Self::Bytes(held) => Ok(QueuedSource::Bytes(held.bytes.clone())),
            Self::Url(url) => (literal(url).map(QueuedSource::Url))
                .ok_or_else(|| Problem::bad_request("the URL: its key is not UTF-8")),
        }
    }
}

impl Queueing {
    /// Whether an outcome is that of this image. Where it says of what it is, that must be this.
    async fn check_is_of(&self, record: &Record, queued: &QueuedImage) -> Result<(), Problem> {
        let same_source = match (&self.source, &record.sha1, &record.url) {
            (Source::Bytes(held), Some(sha1), _) => {
                let bytes = held.bytes.clone();
                let hashes = off_the_runtime(move || Hashes::of(&bytes)).await;
                hashes.is_some_and(|hashes| hashes.sha1_hex() == *sha1)
            }
            (Source::Bytes(held), None, _) => {
                let size = held.bytes.len() as u64;
                record.bytes.is_none_or(|bytes| bytes == size)
            }
            (Source::Url(url), _, Some(judged)) => {
                literal(&without_query(url)).as_ref() == Some(judged)
            }
            (Source::Url(_), _, None) => true,
        };
        match same_source && record.affiliate == queued.affiliate {
            true => Ok(()),
            false => Err(key_reused()),
        }
    }
}

fn key_reused() -> Problem {
    let detail = "this Idempotency-Key names another image, or the same one with other options";
    Problem::new(Kind::KeyReused, detail)
}

/// The queue's own words name its subjects and servers: they are for the operator.
fn unavailable(error: &BoxError) -> Problem {
    tracing::warn!(error = &**error as &dyn std::error::Error, "the queue");
    let detail = "the queue did not answer: send the image again by the same Idempotency-Key";
    Problem::new(Kind::QueueUnavailable, detail).retry_after(TRY_AGAIN)
}
