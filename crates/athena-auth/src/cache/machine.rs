//! The decisions of the cache, free of IO, tasks and clocks: the time is an argument, on a line
//! that starts when the source is made, and so is every random number.

use std::time::Duration;

use super::timing::{Plan, Timing};

/// No two attempts start closer together than this.
const SPACING: Duration = Duration::from_secs(1);
/// The pause between attempts grows up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Calls that wait are not held longer than this after the endpoint refused the credentials:
/// the answer will hardly change, and they should hear it.
const LONGEST_PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(5);
/// No more is believed of a Retry-After.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(120);
/// An attempt with less time than this left is not worth making.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(500);
/// An attempt that overran its limit by this much is lost: its runtime no longer runs it.
const GRACE: Duration = Duration::from_secs(2);
/// A token rejected younger than this counts as one more in a row.
const YOUNG: Duration = Duration::from_secs(60);

/// The state of one cache: `T` is the token, `K` tells tokens apart, `E` is an error.
#[derive(Clone, Debug)]
pub(super) struct Machine<T, K, E> {
    timing: Timing,
    current: Option<Current<T, K>>,
    flight: Option<Flight>,
    pause: Option<Pause<E>>,
    /// Failed attempts since the last success.
    failures: u32,
    /// Young tokens rejected in a row.
    rejections: u32,
    last_attempt: Option<Duration>,
    last_flight: u64,
}

#[derive(Clone, Debug)]
struct Current<T, K> {
    token: T,
    key: K,
    from: Duration,
    refresh: Duration,
    wait: Duration,
    expiry: Duration,
}

/// The one fetch that may be under way, retries included.
#[derive(Clone, Debug)]
struct Flight {
    id: FlightId,
    /// Set once callers wait: when they give up.
    deadline: Option<Duration>,
    /// When the flight must have reported, if anything still runs it.
    lost: Duration,
}

/// The time after a failure during which no attempt starts.
#[derive(Clone, Debug)]
struct Pause<E> {
    error: E,
    /// With a valid token at hand.
    until: Duration,
    /// With callers waiting.
    until_if_waiting: Duration,
}

/// Names one flight, so that a report of an earlier one is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlightId(u64);

impl FlightId {
    pub(super) fn is_after(self, other: Self) -> bool {
        self.0 > other.0
    }
}

/// A flight to be launched now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Launch {
    pub(super) id: FlightId,
    pub(super) first_attempt: Duration,
}

/// What a caller has to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decision<T, E> {
    /// Use this token, and launch a background refresh if there is one.
    Use(T, Option<Launch>),
    /// Launch the flight if there is one, then wait for the flight under way: until it reports,
    /// or until the time given, then ask again.
    Wait(Option<Launch>, Duration),
    /// Give up: the endpoint asked for more time than this caller has.
    Fail(E),
}

/// What a flight has to do after a failed attempt.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum AfterFailure<E> {
    /// Try again at this time.
    Retry(Duration),
    /// End, and tell those who wait: there is a valid token still, or there is none. The time is
    /// when a next attempt may start.
    Settle(Result<(), E>, Duration),
    /// End: the flight was replaced.
    Superseded,
}

/// What the machine needs to know of a failure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Failure {
    pub(super) transient: bool,
    pub(super) retry_after: Option<Duration>,
}

impl<T: Clone, K: PartialEq, E: Clone> Machine<T, K, E> {
    pub(super) fn new(timing: Timing) -> Self {
        Self {
            timing,
            current: None,
            flight: None,
            pause: None,
            failures: 0,
            rejections: 0,
            last_attempt: None,
            last_flight: 0,
        }
    }

    /// A caller asks for a token.
    pub(super) fn call(&mut self, now: Duration) -> Decision<T, E> {
        self.flight.take_if(|flight| now >= flight.lost);
        let failing = self.failures > 0;
        match self.valid(now) {
            Some(current) if now < current.refresh => Decision::Use(current.token.clone(), None),
            Some(current) if now < current.wait || failing => {
                let token = current.token.clone();
                let start = self.flight.is_none() && self.earliest(now, false) <= now;
                Decision::Use(token, start.then(|| self.launch(now, None)))
            }
            _ => self.wait(now),
        }
    }

    fn wait(&mut self, now: Duration) -> Decision<T, E> {
        let deadline = now.saturating_add(self.timing.patience);
        if let Some(flight) = &mut self.flight {
            flight.deadline.get_or_insert(deadline);
            return Decision::Wait(None, flight.lost);
        }
        let first_attempt = self.earliest(now, true);
        match &self.pause {
            Some(pause) if first_attempt.saturating_add(SHORTEST_ATTEMPT) > deadline => {
                Decision::Fail(pause.error.clone())
            }
            _ => {
                let launch = self.launch(first_attempt, Some(deadline));
                Decision::Wait(Some(launch), self.lost_after(first_attempt))
            }
        }
    }

    fn launch(&mut self, first_attempt: Duration, deadline: Option<Duration>) -> Launch {
        self.last_flight += 1;
        let id = FlightId(self.last_flight);
        let lost = self.lost_after(first_attempt);
        self.flight = Some(Flight { id, deadline, lost });
        Launch { id, first_attempt }
    }

    /// A flight is about to make an attempt. Returns the attempt's time limit, or `None` if the
    /// flight was replaced and has to end.
    pub(super) fn attempt(&mut self, id: FlightId, now: Duration) -> Option<Duration> {
        let limit = self.timing.attempt;
        let flight = self.flight.as_mut().filter(|flight| flight.id == id)?;
        let limit = match flight.deadline {
            Some(deadline) => limit
                .min(deadline.saturating_sub(now))
                .max(SHORTEST_ATTEMPT),
            None => limit,
        };
        flight.lost = now.saturating_add(limit + GRACE);
        self.last_attempt = Some(now);
        Some(limit)
    }

    /// The attempt that began at `asked` brought a token. Returns false if the flight had been
    /// replaced; the token is not used then.
    pub(super) fn succeeded(
        &mut self,
        id: FlightId,
        asked: Duration,
        (token, key): (T, K),
        lifetime: Option<Duration>,
        share: f64,
    ) -> bool {
        if self.flight.take_if(|flight| flight.id == id).is_none() {
            return false;
        }
        let Plan {
            refresh,
            wait,
            expiry,
        } = self.timing.plan(lifetime, share);
        self.current = Some(Current {
            token,
            key,
            from: asked,
            refresh: asked.saturating_add(refresh),
            wait: asked.saturating_add(wait),
            expiry: asked.saturating_add(expiry),
        });
        self.failures = 0;
        self.pause = None;
        true
    }

    /// The attempt failed.
    pub(super) fn failed(
        &mut self,
        id: FlightId,
        now: Duration,
        error: E,
        failure: Failure,
        share: f64,
    ) -> AfterFailure<E> {
        let Some(deadline) = self
            .flight
            .as_ref()
            .filter(|flight| flight.id == id)
            .map(|flight| flight.deadline)
        else {
            return AfterFailure::Superseded;
        };
        self.failures = self.failures.saturating_add(1);
        let pause = self.pause_after(now, error.clone(), failure, share);
        let until = pause.until;
        self.pause = Some(pause);
        if self.valid(now).is_some() {
            self.flight = None;
            return AfterFailure::Settle(Ok(()), until);
        }
        let next = self.earliest(now, true);
        let in_time =
            deadline.is_some_and(|deadline| next.saturating_add(SHORTEST_ATTEMPT) <= deadline);
        if failure.transient && in_time {
            let lost = self.lost_after(next);
            if let Some(flight) = &mut self.flight {
                flight.lost = lost;
            }
            return AfterFailure::Retry(next);
        }
        self.flight = None;
        AfterFailure::Settle(Err(error), next)
    }

    /// The flight ended without a report: its task was dropped with its runtime.
    pub(super) fn abandoned(&mut self, id: FlightId) {
        self.flight.take_if(|flight| flight.id == id);
    }

    /// The server rejected the token of this key. Returns whether it was the current one.
    pub(super) fn invalidate(&mut self, key: &K, now: Duration) -> bool {
        let Some(current) = self.current.take_if(|current| current.key == *key) else {
            return false;
        };
        let young = now.saturating_sub(current.from) < YOUNG;
        self.rejections = if young {
            self.rejections.saturating_add(1)
        } else {
            1
        };
        true
    }

    /// The token that callers may use up to the time returned without asking the machine.
    pub(super) fn quiet(&self) -> Option<(T, Duration)> {
        let current = self.current.as_ref()?;
        let end = if self.failures > 0 {
            current.expiry
        } else {
            current.wait
        };
        let until = match &self.flight {
            Some(flight) => flight.lost,
            None => self.earliest(current.refresh, false),
        };
        Some((current.token.clone(), until.min(end)))
    }

    fn valid(&self, now: Duration) -> Option<&Current<T, K>> {
        self.current.as_ref().filter(|current| now < current.expiry)
    }

    /// When the next attempt may start.
    fn earliest(&self, now: Duration, waiting: bool) -> Duration {
        let spacing = self
            .last_attempt
            .map_or(Duration::ZERO, |last| last.saturating_add(self.spacing()));
        let pause = self.pause.as_ref().map_or(Duration::ZERO, |pause| {
            if waiting {
                pause.until_if_waiting
            } else {
                pause.until
            }
        });
        now.max(spacing).max(pause)
    }

    /// Doubles with every young token that the server rejects, so that a server which rejects
    /// them all does not turn into a storm at the token endpoint.
    fn spacing(&self) -> Duration {
        doubled(SPACING, self.rejections.saturating_sub(1)).min(self.longest_wait())
    }

    fn pause_after(&self, now: Duration, error: E, failure: Failure, share: f64) -> Pause<E> {
        if let Some(wait) = failure.retry_after {
            let wait = wait.clamp(SPACING, LONGEST_RETRY_AFTER);
            let until = now.saturating_add(wait + wait.mul_f64(0.1 * share));
            return Pause {
                error,
                until,
                until_if_waiting: until,
            };
        }
        let widest = doubled(SPACING, self.failures).min(LONGEST_PAUSE);
        let wait = widest.mul_f64(0.5 + 0.5 * share);
        let longest = if failure.transient {
            self.longest_wait()
        } else {
            LONGEST_PAUSE_AFTER_REFUSAL.min(self.longest_wait())
        };
        Pause {
            error,
            until: now.saturating_add(wait),
            until_if_waiting: now.saturating_add(wait.min(longest)),
        }
    }

    /// A new call gets at least one attempt within its patience: half of it is for waiting.
    fn longest_wait(&self) -> Duration {
        (self.timing.patience / 2).clamp(SPACING, LONGEST_PAUSE)
    }

    fn lost_after(&self, attempt: Duration) -> Duration {
        attempt.saturating_add(self.timing.attempt + GRACE)
    }
}

fn doubled(base: Duration, times: u32) -> Duration {
    base.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
