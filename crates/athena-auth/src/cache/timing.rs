//! When to refresh, how long to wait, how often to try.

use std::time::Duration;

/// The longest lifetime that is believed; anything above is read as this.
const MAX_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// When a [`Cached`](crate::Cached) source refreshes, waits and gives up.
///
/// The defaults suit tokens that live from seconds to days:
///
/// | what | default |
/// | --- | --- |
/// | background refresh starts before expiry | 5 min, at most 25 % of the lifetime |
/// | callers wait for the new token before expiry | 10 s, at most 10 % of the lifetime |
/// | patience: total time for a call that has no token to fall back on | 30 s |
/// | time limit of one attempt | 10 s |
///
/// ```
/// use std::time::Duration;
/// use athena_auth::Timing;
///
/// let timing = Timing::default()
///     .refresh_before(Duration::from_secs(60))
///     .patience(Duration::from_secs(5));
/// ```
#[derive(Clone, Debug)]
pub struct Timing {
    pub(super) refresh_before: Duration,
    pub(super) wait_before: Duration,
    pub(super) patience: Duration,
    pub(super) attempt: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            refresh_before: Duration::from_secs(5 * 60),
            wait_before: Duration::from_secs(10),
            patience: Duration::from_secs(30),
            attempt: Duration::from_secs(10),
        }
    }
}

impl Timing {
    /// How long before expiry a background refresh starts; never more than 25 % of the lifetime.
    /// A random share of up to a fifth is taken off, so that a fleet does not refresh in step.
    #[must_use]
    pub fn refresh_before(mut self, lead: Duration) -> Self {
        self.refresh_before = lead;
        self
    }

    /// How long before expiry callers stop using the old token and wait for the new one; never
    /// more than 10 % of the lifetime.
    #[must_use]
    pub fn wait_before(mut self, margin: Duration) -> Self {
        self.wait_before = margin;
        self
    }

    /// How long a call without any valid token may take in all, attempts and pauses together.
    /// At least two seconds.
    #[must_use]
    pub fn patience(mut self, total: Duration) -> Self {
        self.patience = total.max(Duration::from_secs(2));
        self
    }

    /// The time limit of a single attempt. At least a tenth of a second.
    #[must_use]
    pub fn attempt_timeout(mut self, limit: Duration) -> Self {
        self.attempt = limit.max(Duration::from_millis(100));
        self
    }

    /// The plan for a token of this lifetime, as offsets from the moment it was asked for.
    /// `share` is a random number from 0 to 1.
    pub(super) fn plan(&self, lifetime: Option<Duration>, share: f64) -> Plan {
        let Some(lifetime) = lifetime else {
            return Plan {
                refresh: Duration::MAX,
                wait: Duration::MAX,
                expiry: Duration::MAX,
            };
        };
        let expiry = lifetime.min(MAX_LIFETIME);
        let lead = self
            .refresh_before
            .min(expiry / 4)
            .mul_f64(1.0 - 0.2 * share);
        let margin = self.wait_before.min(expiry / 10).min(lead);
        Plan {
            refresh: expiry - lead,
            wait: expiry - margin,
            expiry,
        }
    }
}

/// The turning points in the life of a token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plan {
    /// A background refresh may start.
    pub(super) refresh: Duration,
    /// Callers wait for the new token.
    pub(super) wait: Duration,
    /// The token is no longer valid.
    pub(super) expiry: Duration,
}
