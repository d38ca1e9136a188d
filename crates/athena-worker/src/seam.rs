//! What a queue has to be able to do, whichever engine it is.
//!
//! The laws that the worker relies on, and that `worker::laws` tries over a fake with every fault:
//!
//! 1. A delivery that is neither settled nor extended comes again, to anybody.
//! 2. [`Outcomes::put_once`] stores one record for a key. Once it has answered, every later call finds that one.
//! 3. A delivery is settled as done or dead only after its outcome was confirmed.

use std::future::Future;
use std::time::{Duration, SystemTime};

use athena_client::BoxError;
use athena_gateway::TraceContext;
use athena_outcome::Record;
use bytes::Bytes;

/// How much may be handed out now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Deliveries.
    pub jobs: usize,
    /// Bytes of all their bodies together.
    pub bytes: usize,
}

/// What an engine can do, as far as the worker acts on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// How long a delivery is its worker's before it comes again, unless it is extended. `None`: as long as the
    /// connection lasts, and there is nothing to extend.
    pub lease: Option<Duration>,
    /// Whether [`Settlement::Retry`] can wait. Where it cannot, the worker keeps the delivery for that time.
    pub delay: bool,
}

/// A job as it came, before anybody has looked into it.
#[derive(Clone, Debug)]
pub struct Message {
    /// The engine's own name for it: what a job without a key of its own is called.
    pub name: String,
    /// JSON, or the image where [`key`](Self::key) is given beside it.
    pub body: Bytes,
    /// The key, from a header: then the body is the image itself.
    pub key: Option<String>,
    /// On whose behalf, from a header.
    pub affiliate: Option<String>,
    /// How many frames, from a header.
    pub frames: Option<String>,
    /// What comes back with the outcome, from a header: JSON.
    pub context: Option<String>,
    /// The name of the file, from a header.
    pub file: Option<String>,
    /// The trace context that the outcome continues.
    pub trace: Option<TraceContext>,
    /// How often it has been delivered, this time included.
    pub attempt: u32,
    /// When it was submitted.
    pub first_seen: SystemTime,
    /// Why it cannot be a job, where the engine could not hand out all of it.
    pub problem: Option<String>,
}

/// What becomes of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// There is an outcome: it never comes again.
    Done,
    /// It comes again, not before this time is over.
    Retry {
        /// From now.
        after: Duration,
    },
    /// There is an outcome that gives it up: a copy is kept among the dead letters, and it never comes again.
    Dead {
        /// Why, in a word.
        reason: String,
    },
}

/// A job that is this worker's for now.
pub trait Delivery: Send + Sync + 'static {
    /// What came.
    fn message(&self) -> &Message;

    /// Keeps it for another lease.
    fn extend(&self) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Gives it up. A failure is no harm: it comes again, and its outcome is found.
    fn settle(&self, settlement: Settlement)
    -> impl Future<Output = Result<(), QueueError>> + Send;
}

/// Where jobs come from.
pub trait Intake: Send + 'static {
    /// A job.
    type Delivery: Delivery;

    /// What the engine can do.
    fn capabilities(&self) -> Capabilities;

    /// Waits for a few seconds at most until there is something, and gives what there is.
    fn receive(
        &mut self,
        room: Room,
    ) -> impl Future<Output = Result<Vec<Self::Delivery>, QueueError>> + Send;

    /// Asks for nothing more, and gives what was on its way already.
    fn close(self) -> impl Future<Output = Vec<Self::Delivery>> + Send;
}

/// What [`Outcomes::put_once`] has done.
#[derive(Clone, Debug, PartialEq)]
pub enum Put {
    /// The record is stored.
    Stored,
    /// There was an outcome of this key already: this one.
    AlreadyThere(Box<Record>),
}

/// Where records go.
pub trait Outcomes: Send + Sync + 'static {
    /// The outcome of a key, if there is one.
    fn find(&self, key: &str) -> impl Future<Output = Result<Option<Record>, QueueError>> + Send;

    /// Stores the record unless there is one of this key, and answers when that is certain.
    fn put_once(
        &self,
        key: &str,
        record: &Record,
        trace: Option<&TraceContext>,
    ) -> impl Future<Output = Result<Put, QueueError>> + Send;
}

/// The queue does not play along.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct QueueError {
    what: String,
    #[source]
    source: Option<BoxError>,
}

impl QueueError {
    /// What could not be done.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            source: None,
        }
    }

    /// And why.
    pub fn because(what: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self {
            what: what.into(),
            source: Some(source.into()),
        }
    }
}
