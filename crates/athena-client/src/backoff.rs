//! How long to wait before another attempt, and whether to make one.

use std::time::Duration;

/// However long a service asks to wait.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Exponential backoff with full jitter: a random wait between zero and a ceiling that doubles.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(first: Duration, most: Duration) -> Self {
        Self {
            first,
            most,
            failures: 0,
        }
    }

    /// The wait after one more failure. `random` is uniform in 0..=1.
    pub(crate) fn next(&mut self, random: f64) -> Duration {
        let ceiling = self
            .first
            .saturating_mul(1 << self.failures.min(20))
            .min(self.most);
        self.failures += 1;
        ceiling.mul_f64(random.clamp(0.0, 1.0))
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Limits retries to a fraction of the calls, so that an outage is not answered with a storm.
///
/// The token bucket of gRPC's retry throttling
/// (<https://github.com/grpc/proposal/blob/master/A6-client-retries.md>): a failure takes a token,
/// a success gives a tenth back, and retries stop while half of the tokens or fewer are left.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    tenths: u32,
}

impl RetryBudget {
    const MOST: u32 = 100;

    pub(crate) fn new() -> Self {
        Self { tenths: Self::MOST }
    }

    pub(crate) fn success(&mut self) {
        self.tenths = (self.tenths + 1).min(Self::MOST);
    }

    /// Records a failure; says whether a retry is allowed.
    pub(crate) fn failure(&mut self) -> bool {
        self.tenths = self.tenths.saturating_sub(10);
        self.tenths > Self::MOST / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_most() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(1000));
        let waits: Vec<_> = (0..6).map(|_| backoff.next(1.0)).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000].map(ms));
        assert_eq!(backoff.next(0.25), ms(250));
        assert_eq!(backoff.next(0.0), Duration::ZERO);
        backoff.reset();
        assert_eq!(backoff.next(1.0), ms(100));
    }

    #[test]
    fn the_budget_stops_a_storm_and_recovers() {
        let mut budget = RetryBudget::new();
        let allowed = (0..20).filter(|_| budget.failure()).count();
        assert_eq!(allowed, 4);
        for _ in 0..61 {
            budget.success();
        }
        assert!(budget.failure());
    }
}
