//! How long the rest of a message may take to come, given what has come of it.

use std::time::Duration;

/// How many bytes of a message earn its sender another second.
const PACE: usize = 64 << 10;

/// The time that the sender of one message has left. It goes while the emulator waits for the sender
/// and comes back with what is sent, up to one whole pause, so that neither silence nor a trickle holds
/// the memory of half a message for long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Patience {
    pause: Duration,
    left: Duration,
}

impl Patience {
    /// For a message of which nothing may come for as long as `pause`.
    pub(super) fn new(pause: Duration) -> Self {
        Self { pause, left: pause }
    }

    pub(super) fn left(&self) -> Duration {
        self.left
    }

    /// Notes that `bytes` came after a wait of so long.
    pub(super) fn received(&mut self, waited: Duration, bytes: usize) {
        let earned = Duration::from_secs_f64(bytes as f64 / PACE as f64);
        let left = self.left.saturating_sub(waited).saturating_add(earned);
        self.left = left.min(self.pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_message_at_the_pace_or_above_may_take_as_long_as_it_is() {
        let mut patience = Patience::new(30 * SECOND);
        for _ in 0..10_000 {
            patience.received(SECOND, PACE);
            assert_eq!(patience.left(), 30 * SECOND);
        }
    }

    #[test]
    fn a_trickle_uses_the_time_up_as_silence_does() {
        let mut patience = Patience::new(30 * SECOND);
        let mut took = Duration::ZERO;
        while patience.left() >= SECOND {
            patience.received(SECOND, 1);
            took += SECOND;
        }
        assert_eq!(took, 30 * SECOND);
    }

    #[test]
    fn what_came_fast_earns_no_longer_pause() {
        let mut patience = Patience::new(30 * SECOND);
        patience.received(Duration::ZERO, 60 << 20);
        assert_eq!(patience.left(), 30 * SECOND);
        patience.received(31 * SECOND, PACE);
        assert_eq!(patience.left(), SECOND);
    }
}
