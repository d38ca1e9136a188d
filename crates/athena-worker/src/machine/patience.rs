//! How much a worker takes on, from where, and for how long.

use std::time::Duration;

/// Which of two queues a job came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Somebody waits for it.
    Live,
    /// An archive, in its own time.
    Backfill,
}

impl Lane {
    /// Both, the one that goes first at the beginning.
    pub const ALL: [Self; 2] = [Self::Live, Self::Backfill];

    /// Its name in subjects, figures and flags.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Backfill => "backfill",
        }
    }
}

/// How much a worker takes on, and how long it goes on trying.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Patience {
    /// Jobs that are held at the same time. Default: 64. A share of an eighth, and one at least where there are
    /// several, is kept free for live jobs.
    pub window: usize,
    /// Bytes of jobs that are held at the same time. Default: 256 MiB.
    pub bytes: usize,
    /// Bytes of the largest job there may be: no more are asked for while less than this is free. Default: 8 MiB.
    pub largest: usize,
    /// After so many attempts that failed for the time being a job is dead. Default: 10.
    pub attempts: u32,
    /// How long a job waits after its first failure; each time twice as long. Default: 1 s.
    pub retry_first: Duration,
    /// The longest such time. Default: 10 min.
    pub retry_longest: Duration,
    /// How long what is under way may take after the worker was told to stop. Default: 25 s.
    pub drain: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            window: 64,
            bytes: 256 << 20,
            largest: 8 << 20,
            attempts: 10,
            retry_first: Duration::from_secs(1),
            retry_longest: Duration::from_secs(600),
            drain: Duration::from_secs(25),
        }
    }
}
