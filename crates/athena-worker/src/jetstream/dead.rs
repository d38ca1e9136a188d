//! Dead letters, and how they come back.

use async_nats::jetstream::message::PublishMessage;

use super::intake::header;
use super::reader::{Reader, Stored};
use super::{Lane, Queue, in_time};
use crate::seam::QueueError;

/// A job that was given up.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    stored: Stored,
}

impl DeadLetter {
    /// The token of its key.
    pub fn token(&self) -> &str {
        &self.stored.token
    }

    /// Why it was given up: the kind of its last error.
    pub fn reason(&self) -> &str {
        self.stored.reason.as_deref().unwrap_or("")
    }

    /// The lane that it came by.
    pub fn lane(&self) -> Lane {
        match self.stored.lane.as_deref() {
            Some("backfill") => Lane::Backfill,
            _ => Lane::Live,
        }
    }
}

/// Reads dead letters.
#[expect(missing_debug_implementations, reason = "the consumer has none")]
pub struct DeadLetters(Reader);

impl DeadLetters {
    /// The next one.
    ///
    /// # Errors
    /// When the server does not go on.
    pub async fn next(&mut self) -> Result<Option<DeadLetter>, QueueError> {
        let next = self.0.next().await?;
        Ok(next.map(|stored| DeadLetter { stored }))
    }
}

impl Queue {
    /// The dead letters there are now.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn dead_letters(&self) -> Result<DeadLetters, QueueError> {
        let name = format!("{}_DEAD", self.names.jobs);
        let reader = Reader::open(self.dead.clone(), &name, 1, false, false).await?;
        Ok(DeadLetters(reader))
    }

    /// Gives a dead job another life: its outcome is taken back, then the job is queued, then the letter removed. If it
    /// breaks off in between, the letter is still there and the same can be done again.
    ///
    /// # Errors
    /// When the server does not do one of these.
    pub async fn revive(&self, letter: &DeadLetter) -> Result<(), QueueError> {
        self.outcomes().forget(letter.token()).await?;
        let mut message = PublishMessage::build().payload(letter.stored.body.clone());
        for (name, values) in letter.stored.headers.iter() {
            let name = name.to_string();
            let ours = [header::LANE, header::REASON, header::ATTEMPTS];
            if name.starts_with("Nats-") || ours.contains(&name.as_str()) {
                continue;
            }
            for value in values {
                message = message.header(name.as_str(), value.as_str());
            }
        }
        self.queue(letter.lane(), letter.token(), message).await?;
        let removed = self.dead.delete_message(letter.stored.sequence);
        in_time("a dead letter", removed).await.map(drop)
    }
}
