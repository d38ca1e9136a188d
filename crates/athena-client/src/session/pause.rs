//! Waiting, with regard to the times in which the whole process stands still.

use std::time::Duration;

use tokio::time::Instant;

/// A timer that is this late was not held up by work: the process was stopped, or the machine slept.
const LATE: Duration = Duration::from_millis(250);

/// Time in which what came meanwhile is read from the sockets.
const CATCH_UP: Duration = Duration::from_millis(500);

/// Waits until then. After a pause of the process it waits a little longer, so that answers that lie
/// in the socket are read before anything is found to be late.
pub(super) async fn punctual(at: Instant) {
    tokio::time::sleep_until(at).await;
    if at.elapsed() > LATE {
        tracing::info!(late = ?at.elapsed(), "the process stood still; catching up");
        tokio::time::sleep(CATCH_UP).await;
    }
}
