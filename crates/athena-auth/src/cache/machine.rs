//! The decisions of the cache, free of IO, tasks and clocks: the time is an argument, on a line
//! that starts when the source is made, and so is every random number.

use std::time::Duration;

use super::timing::{Plan, Timing};

/// No two attempts start closer together than this.
const SPACING: Duration = Duration::from_secs(1);
/// The pause between attempts grows up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// With callers waiting, the pause after a failure that may pass grows up to this: the first call
/// after an outage must not sit out a pause that the outage has earned.
const LONGEST_PAUSE_IF_WAITING: Duration = Duration::from_secs(2);
/// No more is believed of a Retry-After.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(120);
/// An attempt with less time than this left is not worth making.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(500);
/// An attempt that overran its limit by this much is lost: its runtime no longer runs it.
const GRACE: Duration = Duration::from_secs(2);
/// A token rejected younger than this counts as one more in a row. Short, since tokens may live
/// for seconds; longer than a server takes to look at one.
const YOUNG: Duration = Duration::from_secs(5);

/// The state of one cache: `T` is the token, `K` tells tokens apart, `E` is an error.
#[derive(Clone, Debug)]
pub(super) struct Machine<T, K, E> {
    timing: Timing,
    current: Option<Current<T, K>>,
    flight: Option<Flight>,
    pause: Option<Pause<E>>,
    /// Failed attempts since the last success.
    failures: u32,
    /// When an attempt last ended an outage's claim on a caller's whole patience.
    exhausted: Option<Duration>,
    /// Young tokens rejected in a row, the last one included.
    rejections: u32,
    /// Whether the last token ended by rejection, and not by age.
    rejected: bool,
    /// The time after a rejection during which no attempt starts.
    penalty: Duration,
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
    /// Whether a failed attempt may be followed by another one.
    retries: bool,
}

/// The time after a failure during which no attempt starts.
#[derive(Clone, Debug)]
struct Pause<E> {
    error: E,
    /// Whether asking again can hardly help: callers get the error at once.
    is_final: bool,
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
    /// Give up: the endpoint just refused, or asked for more time than this caller has.
    Fail(E),
}

/// What a flight has to do after a failed attempt.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum AfterFailure<T, E> {
    /// Try again at this time.
    Retry(Duration),
    /// End, and give this to those who wait: the token that is still valid, or the error. The time
    /// is when a next attempt may start.
    Settle(Result<T, E>, Duration),
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
            exhausted: None,
            rejections: 0,
            rejected: false,
            penalty: Duration::ZERO,
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
                Decision::Use(token, start.then(|| self.launch(now, None, true)))
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
        if let Some(pause) = &self.pause {
            let refused = pause.is_final && now < pause.until_if_waiting;
            if refused || first_attempt.saturating_add(SHORTEST_ATTEMPT) > deadline {
                return Decision::Fail(pause.error.clone());
            }
        }
        let retries = !self.outage_outlasts_patience(now);
        let launch = self.launch(first_attempt, Some(deadline), retries);
        Decision::Wait(Some(launch), self.lost_after(first_attempt))
    }

    /// Whether a caller has just waited for its whole patience in vain. Those who come after it
    /// wait for one attempt, and hear what became of that.
    fn outage_outlasts_patience(&self, now: Duration) -> bool {
        self.exhausted
            .is_some_and(|at| now.saturating_sub(at) < self.timing.patience)
    }

    fn launch(
        &mut self,
        first_attempt: Duration,
        deadline: Option<Duration>,
        retries: bool,
    ) -> Launch {
        self.last_flight += 1;
        let id = FlightId(self.last_flight);
        let lost = self.lost_after(first_attempt);
        self.flight = Some(Flight {
            id,
            deadline,
            lost,
            retries,
        });
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
        self.exhausted = None;
        if !std::mem::take(&mut self.rejected) {
            self.rejections = 0;
        }
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
    ) -> AfterFailure<T, E> {
        let Some((deadline, retries)) = self
            .flight
            .as_ref()
            .filter(|flight| flight.id == id)
            .map(|flight| (flight.deadline, flight.retries))
        else {
            return AfterFailure::Superseded;
        };
        self.failures = self.failures.saturating_add(1);
        let pause = self.pause_after(now, error.clone(), failure, share);
        let until = pause.until;
        self.pause = Some(pause);
        if let Some(token) = self.valid(now).map(|current| current.token.clone()) {
            self.flight = None;
            return AfterFailure::Settle(Ok(token), until);
        }
        let next = self.earliest(now, true);
        let in_time =
            deadline.is_some_and(|deadline| next.saturating_add(SHORTEST_ATTEMPT) <= deadline);
        if failure.transient && retries && in_time {
            let lost = self.lost_after(next);
            if let Some(flight) = &mut self.flight {
                flight.lost = lost;
            }
            return AfterFailure::Retry(next);
        }
        if failure.transient && deadline.is_some() {
            self.exhausted = Some(now);
        }
        self.flight = None;
        AfterFailure::Settle(Err(error), next)
    }

    /// The last failure, as long as no attempt has succeeded since.
    pub(super) fn last_error(&self) -> Option<&E> {
        self.pause.as_ref().map(|pause| &pause.error)
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
        self.rejected = true;
        // Doubles with every young token, so that a server which rejects them all does not turn
        // into a storm at the token endpoint; tokens that are accepted know nothing of it.
        let penalty = doubled(SPACING, self.rejections - 1).min(self.longest_wait());
        self.penalty = self.last_attempt.unwrap_or(now).saturating_add(penalty);
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

    /// The token that callers get now, if any.
    pub(super) fn token(&self, now: Duration) -> Option<&T> {
        self.valid(now).map(|current| &current.token)
    }

    fn valid(&self, now: Duration) -> Option<&Current<T, K>> {
        self.current.as_ref().filter(|current| now < current.expiry)
    }

    /// When the next attempt may start.
    fn earliest(&self, now: Duration, waiting: bool) -> Duration {
        let spacing = self
            .last_attempt
            .map_or(Duration::ZERO, |last| last.saturating_add(SPACING))
            .max(self.penalty);
        let pause = self.pause.as_ref().map_or(Duration::ZERO, |pause| {
            if waiting {
                pause.until_if_waiting
            } else {
                pause.until
            }
        });
        now.max(spacing).max(pause)
    }

    fn pause_after(&self, now: Duration, error: E, failure: Failure, share: f64) -> Pause<E> {
        let is_final = !failure.transient;
        if let Some(wait) = failure.retry_after {
            let wait = wait.clamp(SPACING, LONGEST_RETRY_AFTER);
            let until = now.saturating_add(wait + wait.mul_f64(0.1 * share));
            return Pause {
                error,
                is_final,
                until,
                until_if_waiting: until,
            };
        }
        let widest = doubled(SPACING, self.failures).min(LONGEST_PAUSE);
        let until = |widest: Duration| now.saturating_add(widest.mul_f64(0.5 + 0.5 * share));
        Pause {
            error,
            is_final,
            until: until(widest),
            until_if_waiting: if is_final {
                until(widest)
            } else {
                until(widest.min(LONGEST_PAUSE_IF_WAITING))
            },
        }
    }

    /// After rejections, a call waits for half of its patience at most: the rest is for the attempt.
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
