//! How many calls one connection carries at the same time.

use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::sync::lock;

/// Lets calls in, in the order in which they came.
///
/// HTTP/2 itself waits where the server has announced how many streams it allows. Where it refuses
/// streams all the same, a refusal tells the number: those in flight beside the refused one. Calls
/// that are answered raise it again, slowly.
#[derive(Debug)]
pub(super) struct Turns {
    semaphore: Arc<Semaphore>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    in_flight: usize,
    /// Unknown until the first refusal.
    limit: Option<usize>,
    /// Answers since the limit was changed.
    answers: usize,
}

/// One call's turn, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    permit: Option<OwnedSemaphorePermit>,
    state: Arc<Mutex<State>>,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            semaphore: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            state: Arc::default(),
        }
    }

    /// Waits for a turn; `None` when the connection takes no more calls.
    pub(super) async fn next(&self) -> Option<Turn> {
        let permit = Arc::clone(&self.semaphore).acquire_owned().await.ok()?;
        lock(&self.state).in_flight += 1;
        Some(Turn {
            permit: Some(permit),
            state: Arc::clone(&self.state),
        })
    }

    /// Lets nobody in any more: those who wait are told.
    pub(super) fn close(&self) {
        self.semaphore.close();
    }

    /// The server refused this call, and may take it once another has ended.
    pub(super) fn refused(&self, mut turn: Turn) {
        let mut state = lock(&self.state);
        let others = state.in_flight - 1;
        state.limit = Some(others.max(1));
        state.answers = 0;
        // What remains are the permits of the calls in flight.
        self.semaphore
            .forget_permits(self.semaphore.available_permits());
        if others > 0
            && let Some(permit) = turn.permit.take()
        {
            permit.forget();
        }
        drop(state);
    }

    /// The server answered a call.
    pub(super) fn answered(&self) {
        let mut state = lock(&self.state);
        let Some(limit) = state.limit else { return };
        state.answers += 1;
        if state.answers >= limit {
            state.answers = 0;
            state.limit = Some(limit + 1);
            self.semaphore.add_permits(1);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.state).in_flight -= 1;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn take(turns: &Turns) -> Option<Turn> {
        turns.next().now_or_never().flatten()
    }

    #[test]
    fn refusals_tell_the_limit_and_answers_raise_it() {
        let turns = Turns::new();
        let mut held: Vec<_> = (0..10).filter_map(|_| take(&turns)).collect();
        for refused in held.split_off(4) {
            turns.refused(refused);
        }
        assert!(take(&turns).is_none(), "four are in flight");
        held.pop();
        held.push(take(&turns).expect("one has ended"));
        for _ in 0..4 {
            assert!(take(&turns).is_none());
            turns.answered();
        }
        assert!(take(&turns).is_some(), "a fifth is tried");
    }

    #[test]
    fn one_call_at_a_time_is_the_least() {
        let turns = Turns::new();
        for _ in 0..3 {
            turns.refused(take(&turns).expect("nobody is in flight"));
        }
        let held = take(&turns).expect("one");
        assert!(take(&turns).is_none());
        drop(held);
        assert!(take(&turns).is_some());
    }

    #[tokio::test]
    async fn those_who_wait_are_told_of_the_end() {
        let turns = Turns::new();
        let held = (take(&turns), take(&turns));
        turns.refused(held.1.expect("a turn"));
        let (next, ()) = tokio::join!(turns.next(), async { turns.close() });
        assert!(next.is_none());
    }
}
