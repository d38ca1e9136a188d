//! A job that is held, and how it stands.

use std::time::Duration;

use tokio::time::Instant;

use super::Lane;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) lane: Lane,
    pub(super) bytes: usize,
    pub(super) attempt: u32,
    pub(super) phase: Phase,
    pub(super) extend_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// For its turn.
    Waiting,
    Judging {
        since: Instant,
    },
    /// Until this time, since the queue cannot delay it or did not answer.
    Resting {
        until: Instant,
    },
    /// It failed, and whether by its own fault is being asked.
    InDoubt {
        after: Option<Duration>,
    },
    /// For the service.
    Kept,
    Putting {
        dead: bool,
    },
    /// Storing it has failed: again at this time.
    PutAgain {
        at: Instant,
        dead: bool,
    },
    Settling,
}
