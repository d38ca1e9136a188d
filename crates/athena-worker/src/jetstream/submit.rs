//! Jobs into their stream.

use async_nats::HeaderMap;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;

use super::intake::{add_trace, header};
use super::{Lane, Queue, token};
use crate::job::{Job, JobLimits, Source};
use crate::seam::QueueError;

/// What came of submitting a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is queued.
    Queued,
    /// It was queued already, and is not done yet.
    AlreadyQueued,
}

/// A job as it lies in the queue.
pub(super) struct Queued {
    headers: HeaderMap,
    body: Bytes,
}

impl Queued {
    pub(super) fn of(job: &Job) -> Self {
        let mut headers = HeaderMap::new();
        add_trace(&mut headers, job.trace.as_ref());
        let body = match &job.source {
            // An image as it is: base64 takes a third more.
            Source::Bytes(bytes) => {
                headers.insert(header::KEY, job.key.as_str());
                if let Some(affiliate) = &job.affiliate {
                    headers.insert(header::AFFILIATE, affiliate.as_str());
                }
                if job.frames > 1 {
                    headers.insert(header::FRAMES, job.frames.to_string());
                }
                if let Some(context) = &job.context {
                    headers.insert(header::CONTEXT, context.to_string());
                }
                if let Some(name) = &job.name {
                    headers.insert(header::NAME, name.as_str());
                }
                bytes.clone()
            }
            Source::Url(_) => job.to_json().into(),
        };
        Self { headers, body }
    }

    /// Whether both ask for the same: what the file is called, in which trace it is, and what the server has noted,
    /// does not matter.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let said = [
            header::KEY,
            header::AFFILIATE,
            header::FRAMES,
            header::CONTEXT,
        ];
        let same = |name: &str| self.headers.get(name) == other.headers.get(name);
        self.body == other.body && said.into_iter().all(same)
    }
}

impl Queue {
    /// Queues a job, unless it is queued. What has an outcome already is queued again, and found to have it.
    ///
    /// # Errors
    /// When it is larger than a message may be, has [texts](Job::check) that no job has, or the server does not confirm it.
    pub async fn submit(&self, lane: Lane, job: &Job) -> Result<Submitted, QueueError> {
        job.check(&JobLimits::default())
            .map_err(|error| QueueError::because("no job", error))?;
        let Queued { headers, body } = Queued::of(job);
        let message = PublishMessage::build().payload(body).headers(headers);
        self.queue(lane, &token(&job.key), message).await
    }

    /// Queues a job, unless it is queued by this lane or another one. A job in another lane is read, with its image.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub async fn submit_once(&self, lane: Lane, job: &Job) -> Result<Submitted, QueueError> {
        for other in Lane::ALL.into_iter().filter(|other| *other != lane) {
            if self.queued(other, &job.key).await?.is_some() {
                return Ok(Submitted::AlreadyQueued);
            }
        }
        self.submit(lane, job).await
    }

    /// Queues a message as it is.
    pub(super) async fn queue(
        &self,
        lane: Lane,
        token: &str,
        message: PublishMessage,
    ) -> Result<Submitted, QueueError> {
        let subject = format!("{}.{}.{token}", self.names.jobs, lane.as_str());
        Ok(match self.publish_once(subject, message).await? {
            true => Submitted::Queued,
            false => Submitted::AlreadyQueued,
        })
    }

    /// The job that is queued by this lane under a key, while it is not done.
    pub(super) async fn queued(&self, lane: Lane, key: &str) -> Result<Option<Queued>, QueueError> {
        let subject = format!("{}.{}.{}", self.names.jobs, lane.as_str(), token(key));
        let found = self.last_raw(&self.names.jobs, &subject).await?;
        Ok(found.map(|found| Queued {
            headers: found.headers.unwrap_or_default(),
            body: found.payload,
        }))
    }
}
