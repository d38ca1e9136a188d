//! Whether the service is there.
//!
//! A job that failed for no reason of its own says little: the service may be away, or may fail this one image.
//! So a small call asks. While the service is away no job is begun and no attempt is used up; when the call is
//! answered again, one job is tried before the others. If that one fails, it has used up an attempt: else a few
//! images from which the service always goes away would keep a worker from all others for good.

use std::time::Duration;

use tokio::time::Instant;

use super::Id;

/// The first time between two questions while the service is away, and the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// What to do about what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    /// Nothing new.
    None,
    /// Ask the service.
    Probe,
    /// The service is there: jobs in doubt have failed by themselves.
    Blame,
    /// The service is away: keep what there is.
    Keep,
    /// Try one job.
    Try,
    /// All is well: begin again.
    Begin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The service is there, as far as is known.
    Closed,
    /// It may be away: it is being asked.
    InDoubt,
    /// It is away until then at least.
    Open { until: Instant },
    /// It is asked whether it is back.
    Probing,
    /// It has answered, and no job is tried yet.
    Answered,
    /// One job is tried.
    Trying(Id),
}

#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    /// Jobs in a row that failed for no reason of their own.
    in_a_row: u32,
    limit: u32,
    /// How often it has opened in a row.
    opened: u32,
}

impl Breaker {
    /// So many failures in a row mean that the service is away, though it answers small calls.
    pub(super) fn new(limit: u32) -> Self {
        Self {
            state: State::Closed,
            in_a_row: 0,
            limit,
            opened: 0,
        }
    }

    /// Whether jobs may be begun and taken on.
    pub(super) fn lets_through(&self) -> bool {
        matches!(self.state, State::Closed | State::InDoubt)
    }

    pub(super) fn is_open(&self) -> bool {
        !self.lets_through()
    }

    /// Whether this is the one job that is tried, after the service has answered a small call.
    pub(super) fn is_trying(&self, id: Id) -> bool {
        self.state == State::Trying(id)
    }

    /// The service has answered for a job, or the job had its own fault.
    pub(super) fn answered(&mut self) -> Advice {
        self.in_a_row = 0;
        match self.state {
            State::Closed | State::InDoubt => Advice::None,
            _ => self.close(),
        }
    }

    /// A job ended without a word on the service: if it was the one to try, another must be.
    pub(super) fn ended(&mut self, id: Id) -> Advice {
        match self.state {
            State::Trying(tried) if tried == id => {
                self.state = State::Answered;
                Advice::Try
            }
            _ => Advice::None,
        }
    }

    /// A job failed for no reason of its own.
    pub(super) fn failed(&mut self, id: Id, now: Instant) -> Advice {
        self.in_a_row = self.in_a_row.saturating_add(1);
        match self.state {
            State::Closed | State::InDoubt if self.in_a_row >= self.limit => self.open(now),
            State::Closed => {
                self.state = State::InDoubt;
                Advice::Probe
            }
            State::Trying(tried) if tried == id => self.open(now),
            _ => Advice::None,
        }
    }

    /// The answer to [`Advice::Probe`].
    pub(super) fn probed(&mut self, there: bool, now: Instant) -> Advice {
        match (self.state, there) {
            (State::InDoubt, true) => {
                self.state = State::Closed;
                Advice::Blame
            }
            (State::Probing, true) => {
                self.state = State::Answered;
                Advice::Try
            }
            (State::InDoubt | State::Probing, false) => self.open(now),
            _ => Advice::None,
        }
    }

    /// A job is tried, or there is none to try.
    pub(super) fn trying(&mut self, job: Option<Id>) -> Advice {
        match (self.state, job) {
            (State::Answered, Some(id)) => {
                self.state = State::Trying(id);
                Advice::None
            }
            (State::Answered, None) => self.close(),
            _ => Advice::None,
        }
    }

    pub(super) fn tick(&mut self, now: Instant) -> Advice {
        match self.state {
            State::Open { until } if until <= now => {
                self.state = State::Probing;
                Advice::Probe
            }
            _ => Advice::None,
        }
    }

    pub(super) fn next_wake(&self) -> Option<Instant> {
        match self.state {
            State::Open { until } => Some(until),
            _ => None,
        }
    }

    fn open(&mut self, now: Instant) -> Advice {
        let wait = FIRST.saturating_mul(1 << self.opened.min(6)).min(LONGEST);
        self.opened = self.opened.saturating_add(1);
        self.state = State::Open { until: now + wait };
        Advice::Keep
    }

    fn close(&mut self) -> Advice {
        self.state = State::Closed;
        self.in_a_row = 0;
        self.opened = 0;
        Advice::Begin
    }
}
