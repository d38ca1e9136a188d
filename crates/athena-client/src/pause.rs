//! Waiting, with regard to the times in which the whole process stands still.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// A timer that is this late was not held up by work: the process was stopped, or the machine slept.
const LATE: Duration = Duration::from_millis(250);

/// Time in which what came meanwhile is read from the sockets, at least and at most.
const CATCH_UP: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(2));

/// A timer for what is judged by the time: answers that lie in the socket after a pause of the
/// process are read before anything is found to be late.
#[derive(Debug, Default)]
pub(crate) struct Punctual {
    /// Outlives the future that waits, so that whoever asks anew does not begin anew.
    caught_up: Option<Instant>,
}

impl Punctual {
    /// Waits until then, and a little longer if the process stood still meanwhile.
    pub(crate) async fn until(&mut self, at: Instant) {
        sleep_until(at).await;
        let late = at.elapsed();
        if self.caught_up.is_none() && late > LATE {
            tracing::info!(?late, "the process stood still; catching up");
            self.caught_up = Some(Instant::now() + late.clamp(CATCH_UP.0, CATCH_UP.1));
        }
        if let Some(caught_up) = self.caught_up {
            sleep_until(caught_up).await;
            self.caught_up = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_due_waits_for_the_catch_up_once_however_often_it_is_asked() {
        let begin = Instant::now();
        tokio::time::advance(Duration::from_secs(10)).await;
        let mut timer = Punctual::default();
        for _ in 0..9 {
            let asked = tokio::time::timeout(Duration::from_millis(220), timer.until(begin));
            assert!(asked.await.is_err());
        }
        timer.until(begin).await;
        assert_eq!(begin.elapsed(), Duration::from_secs(12));

        let soon = Instant::now() + Duration::from_secs(1);
        timer.until(soon).await;
        assert_eq!(soon.elapsed(), Duration::ZERO);
    }
}
