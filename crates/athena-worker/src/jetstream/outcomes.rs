//! Outcomes in their stream: one for a key.

use async_nats::HeaderMap;
use async_nats::jetstream::message::PublishMessage;
use athena_gateway::TraceContext;
use athena_outcome::Record;

use super::intake::add_trace;
use super::reader::{Reader, Stored};
use super::{Queue, token};
use crate::seam::{Outcomes, Put, QueueError};

/// The stream of outcomes.
#[derive(Clone, Debug)]
pub struct JetStreamOutcomes {
    queue: Queue,
}

/// An outcome as it is stored.
#[derive(Clone, Debug)]
pub struct StoredOutcome {
    /// Its number in the stream.
    pub sequence: u64,
    /// The token of its key.
    pub token: String,
    /// The record's JSON.
    pub json: bytes::Bytes,
}

impl JetStreamOutcomes {
    pub(super) fn new(queue: Queue) -> Self {
        Self { queue }
    }

    pub(super) fn subject(&self, key: &str) -> String {
        format!("{}.{}", self.queue.names.outcomes, token(key))
    }

    /// Takes an outcome back, so that its job can have another one.
    ///
    /// # Errors
    /// When the server does not do it.
    pub async fn forget(&self, token: &str) -> Result<(), QueueError> {
        let subject = format!("{}.{token}", self.queue.names.outcomes);
        let purge = self.queue.outcomes.purge().filter(subject);
        super::in_time("an outcome", std::future::IntoFuture::into_future(purge))
            .await
            .map(drop)
    }

    /// Every outcome from this number on, in their order. Ends with the last one, or follows.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn read(&self, from: u64, follow: bool) -> Result<Reader, QueueError> {
        let stream = self.queue.outcomes.clone();
        Reader::open(stream, &self.queue.names.outcomes, from, follow, false).await
    }

    /// The tokens of all keys that have an outcome.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn tokens(&self) -> Result<Reader, QueueError> {
        let stream = self.queue.outcomes.clone();
        Reader::open(stream, &self.queue.names.outcomes, 1, false, true).await
    }
}

impl From<Stored> for StoredOutcome {
    fn from(stored: Stored) -> Self {
        Self {
            sequence: stored.sequence,
            token: stored.token,
            json: stored.body,
        }
    }
}

impl Outcomes for JetStreamOutcomes {
    async fn find(&self, key: &str) -> Result<Option<Record>, QueueError> {
        let subject = self.subject(key);
        let stream = &self.queue.names.outcomes;
        let found = self.queue.last_raw(stream, &subject).await?;
        // Somebody else's record, or of a later version: an outcome all the same.
        Ok(found.map(|found| {
            serde_json::from_slice(&found.payload).unwrap_or_else(|_| Record::with_key(key))
        }))
    }

    async fn put_once(
        &self,
        key: &str,
        record: &Record,
        trace: Option<&TraceContext>,
    ) -> Result<Put, QueueError> {
        let json = serde_json::to_vec(record)
            .map_err(|error| QueueError::because("a record that is not JSON", error))?;
        let mut headers = HeaderMap::new();
        add_trace(&mut headers, trace);
        let message = PublishMessage::build()
            .payload(json.into())
            .headers(headers);
        if self.queue.publish_once(self.subject(key), message).await? {
            return Ok(Put::Stored);
        }
        match self.find(key).await? {
            Some(there) => Ok(Put::AlreadyThere(Box::new(there))),
            None => Err(QueueError::new("an outcome was taken back at this moment")),
        }
    }
}
