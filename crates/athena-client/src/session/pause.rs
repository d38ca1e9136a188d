//! Waiting, with regard to the times in which the whole process stands still.

use std::time::Duration;

use tokio::time::Instant;

/// A timer that is this late was not held up by work: the process was stopped, or the machine slept.
const LATE: Duration = Duration::from_millis(250);

/// Time in which what came meanwhile is read from the sockets, at least and at most.
const CATCH_UP: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(2));

/// Waits until then. After a pause of the process it waits a little longer, so that answers that lie
/// in the socket are read before anything is found to be late.
pub(super) async fn punctual(at: Instant) {
    tokio::time::sleep_until(at).await;
    let late = at.elapsed();
    if late > LATE {
        tracing::info!(?late, "the process stood still; catching up");
        tokio::time::sleep(late.clamp(CATCH_UP.0, CATCH_UP.1)).await;
    }
}
