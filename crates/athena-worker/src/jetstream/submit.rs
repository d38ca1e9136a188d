//! Jobs into their stream.

use async_nats::jetstream::message::PublishMessage;

use super::intake::header;
use super::{Lane, Queue, token};
use crate::job::{Job, Source};
use crate::seam::QueueError;

/// What came of submitting a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is queued.
    Queued,
    /// It was queued already, and is not done yet.
    AlreadyQueued,
}

impl Queue {
    /// Queues a job, unless it is queued. What has an outcome already is queued again, and found to have it.
    ///
    /// # Errors
    /// When it is larger than a message may be, or the server does not confirm it.
    pub async fn submit(&self, lane: Lane, job: &Job) -> Result<Submitted, QueueError> {
        let message = match &job.source {
            // An image as it is: base64 takes a third more.
            Source::Bytes(bytes) => {
                let mut message = PublishMessage::build()
                    .payload(bytes.clone())
                    .header(header::KEY, job.key.as_str());
                if let Some(affiliate) = &job.affiliate {
                    message = message.header(header::AFFILIATE, affiliate.as_str());
                }
                if job.frames > 1 {
                    message = message.header(header::FRAMES, job.frames.to_string().as_str());
                }
                if let Some(context) = &job.context {
                    message = message.header(header::CONTEXT, context.to_string().as_str());
                }
                message
            }
            Source::Url(_) => PublishMessage::build().payload(job.to_json().into()),
        };
        self.queue(lane, &token(&job.key), message).await
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
}
