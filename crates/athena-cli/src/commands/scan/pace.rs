//! `--rate`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets images through at a steady rate.
#[derive(Debug)]
pub(super) struct Pace {
    step: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(rate: Option<f64>) -> Self {
        Self {
            step: rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(rate.recip())),
            next: Mutex::new(Instant::now()),
        }
    }

    pub(super) async fn wait<T>(&self, next_one: T) -> T {
        if self.step > Duration::ZERO {
            let slot = {
                let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
                let slot = (*next).max(Instant::now());
                *next = slot + self.step;
                slot
            };
            tokio::time::sleep_until(slot).await;
        }
        next_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_kept() {
        let pace = Pace::new(Some(50.0));
        let started = Instant::now();
        for _ in 0..101 {
            let _ = pace.wait(()).await;
        }
        let taken = started.elapsed();
        assert!(
            taken >= Duration::from_secs(2) && taken < Duration::from_millis(2_200),
            "{taken:?}"
        );
    }
}
