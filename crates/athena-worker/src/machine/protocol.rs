//! What the machine is told, and what it says is to be done.

use std::time::Duration;

use tokio::time::Instant;

/// A delivery that the worker holds.
pub(crate) type Id = u64;

/// What came of looking at a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// There is a record that will not change.
    Final {
        /// Whether the service has answered for it.
        answered: bool,
    },
    /// It is not a job at all.
    Malformed,
    /// There is an outcome already.
    Found { dead: bool },
    /// It failed for now, by its own fault or its store's.
    Failed { after: Option<Duration> },
    /// It failed for now, and the service or the way to it may be the reason.
    Away { after: Option<Duration> },
    /// The queue did not answer.
    QueueFailed,
}

/// What came of storing an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PutEnd {
    Stored,
    AlreadyThere { dead: bool },
    Failed,
}

/// How a delivery ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Done,
    Retry(Duration),
    Dead,
}

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Judge(Id),
    /// Stop judging it.
    Cancel(Id),
    /// Store its record; one that says that it is given up, where it is dead.
    Put {
        id: Id,
        dead: bool,
    },
    Settle(Id, Ending),
    Extend(Id),
    Probe,
}

/// Figures of what is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) live: usize,
    pub(crate) backfill: usize,
    /// Being judged.
    pub(crate) under_way: usize,
    /// Since when the one that is judged for longest is.
    pub(crate) oldest: Option<Instant>,
    pub(crate) away: bool,
}
