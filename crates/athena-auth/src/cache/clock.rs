//! One time line that neither jumps with the wall clock nor stops while the machine sleeps.
//!
//! The monotonic clock of most systems stands still during a suspend. The wall clock does not,
//! so a sudden lead of the wall clock over the monotonic one is taken for a suspend and added to
//! the time line. A wall clock that was set forward looks the same: it costs one early refresh.
//! A wall clock that is set back changes nothing. Slow drift counts once it adds up to seconds,
//! which makes tokens refresh that much earlier.
//!
//! Reading a clock is most of what a cache hit costs, so the wall clock is read ten times a second
//! at most: for that long after waking up, a sleep may go unnoticed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::sync::lock;

/// How long the wall clock is not looked at again, in nanoseconds.
const CHECK_EVERY: u64 = 100_000_000;
/// A lead below this, in milliseconds, is drift or a correction of the clock.
const TOLERANCE: u64 = 5_000;

#[derive(Debug)]
pub(super) struct Clock {
    started: Instant,
    started_wall: SystemTime,
    /// The lead of the wall clock when it was last taken as normal, in milliseconds.
    lead: AtomicI64,
    /// Time spent asleep, in milliseconds.
    asleep: AtomicU64,
    /// When the wall clock was last read, in nanoseconds awake: a unit that costs no division.
    checked: AtomicU64,
    adjusting: Mutex<()>,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            started_wall: SystemTime::now(),
            lead: AtomicI64::new(0),
            asleep: AtomicU64::new(0),
            checked: AtomicU64::new(0),
            adjusting: Mutex::new(()),
        }
    }

    /// The time since the clock was made, sleep included.
    pub(super) fn now(&self) -> Duration {
        self.at(Instant::now(), SystemTime::now)
    }

    fn at(&self, now: Instant, wall: impl FnOnce() -> SystemTime) -> Duration {
        let awake = now.saturating_duration_since(self.started);
        let awake_ns = nanos(awake);
        // Pairs with the store below: who skips the check sees what it found.
        if awake_ns.saturating_sub(self.checked.load(Ordering::Acquire)) >= CHECK_EVERY {
            self.check(awake, wall());
        }
        match self.asleep.load(Ordering::Relaxed) {
            0 => awake,
            asleep => awake + Duration::from_millis(asleep),
        }
    }

    #[cold]
    fn check(&self, awake: Duration, wall: SystemTime) {
        let slept = {
            let _one_at_a_time = lock(&self.adjusting);
            let lead =
                signed_millis(self.started_wall, wall).saturating_sub_unsigned(millis(awake));
            let step = lead.saturating_sub(self.lead.load(Ordering::Relaxed));
            let jumped = step.unsigned_abs() > TOLERANCE;
            if jumped {
                self.lead.store(lead, Ordering::Relaxed);
            }
            let slept = if jumped {
                u64::try_from(step).unwrap_or(0)
            } else {
                0
            };
            self.asleep.fetch_add(slept, Ordering::Relaxed);
            self.checked.fetch_max(nanos(awake), Ordering::Release);
            slept
        };
        if slept > 0 {
            tracing::debug!(
                ms = slept,
                "the wall clock ran ahead: the machine was suspended, or its clock set"
            );
        }
    }
}

/// Up to five centuries.
fn nanos(span: Duration) -> u64 {
    span.as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::from(span.subsec_nanos()))
}

fn millis(span: Duration) -> u64 {
    span.as_secs()
        .saturating_mul(1_000)
        .saturating_add(u64::from(span.subsec_millis()))
}

fn signed_millis(from: SystemTime, to: SystemTime) -> i64 {
    match to.duration_since(from) {
        Ok(ahead) => 0_i64.saturating_add_unsigned(millis(ahead)),
        Err(behind) => 0_i64.saturating_sub_unsigned(millis(behind.duration())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_suspend_counts_as_elapsed_time() {
        let clock = Clock::new();
        let (mono, wall) = (clock.started, clock.started_wall);
        assert_eq!(clock.at(mono + secs(10), || wall + secs(10)), secs(10));
        assert_eq!(clock.at(mono + secs(11), || wall + secs(3611)), secs(3611));
        assert_eq!(clock.at(mono + secs(12), || wall + secs(3612)), secs(3612));
        assert_eq!(
            clock.at(mono + secs(13), || wall + secs(7213)),
            secs(7213),
            "a second suspend"
        );
    }

    #[test]
    fn a_wall_clock_set_back_changes_nothing() {
        let clock = Clock::new();
        let (mono, wall) = (clock.started, clock.started_wall);
        assert_eq!(clock.at(mono + secs(60), || wall - secs(86_400)), secs(60));
        assert_eq!(clock.at(mono + secs(61), || wall - secs(86_399)), secs(61));
        // Asleep for an hour, while the clock is still wrong.
        assert_eq!(
            clock.at(mono + secs(62), || wall - secs(82_798)),
            secs(3662)
        );
    }

    #[test]
    fn drift_is_not_taken_for_sleep() {
        let clock = Clock::new();
        let (mono, wall) = (clock.started, clock.started_wall);
        assert_eq!(
            clock.at(mono + secs(3600), || wall + secs(3604)),
            secs(3600)
        );
    }

    #[test]
    fn readers_that_notice_together_count_the_sleep_once() {
        let clock = Clock::new();
        let (mono, wall) = (clock.started + secs(1), clock.started_wall + secs(1001));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(clock.at(mono, || wall), secs(1001)));
            }
        });
    }
}
