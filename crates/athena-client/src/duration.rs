//! Durations that can be added to any time.

use std::time::Duration;

/// Longer than anybody waits, short enough for every platform's clock.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Callers say `Duration::MAX` for "never"; adding that to a time would overflow.
pub(crate) fn bounded(duration: Duration) -> Duration {
    duration.min(FOREVER)
}
