//! The cell under the model checker loom, which runs every interleaving of the threads with up to
//! three preemptions each.
//!
//! Only the primitives differ from the real thing: `Published` stands for `ArcSwapOption`, whose
//! loads and stores are single, sequentially consistent steps.

use std::sync::Arc;
use std::time::Duration;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use self::cell::{Cell, Quiet};
use super::machine::{Decision, FlightId, Machine};
use super::timing::Timing;

#[allow(
    clippy::duplicate_mod,
    reason = "compiled a second time over the model's primitives"
)]
#[path = "cell.rs"]
mod cell;

mod sync {
    use std::sync::Arc;

    pub(super) use loom::sync::Mutex;
    use loom::sync::RwLock;

    #[derive(Debug)]
    pub(super) struct Published<T>(RwLock<Option<Arc<T>>>);

    impl<T> Published<T> {
        pub(super) fn new(value: Option<Arc<T>>) -> Self {
            Self(RwLock::new(value))
        }

        pub(super) fn load(&self) -> Box<Option<Arc<T>>> {
            Box::new(self.0.read().expect("no panic").clone())
        }

        pub(super) fn store(&self, value: Option<Arc<T>>) {
            *self.0.write().expect("no panic") = value;
        }
    }
}

type State = Machine<usize, usize, &'static str>;

impl Quiet for State {
    type Token = usize;

    fn quiet(&self) -> Option<(usize, Duration)> {
        Self::quiet(self)
    }
}

const NOW: Duration = Duration::from_secs(1_000);
const LIFETIME: Option<Duration> = Some(Duration::from_secs(3_600));

fn check(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(run);
}

fn flight_of(decision: &Decision<usize, &'static str>) -> Option<FlightId> {
    match decision {
        Decision::Use(_, Some(launch)) | Decision::Wait(Some(launch), _) => Some(launch.id),
        _ => None,
    }
}

/// A caller: takes the published token, or asks; makes the fetch itself if it has to launch one.
fn caller(cell: &Cell<State>, fetches: &AtomicUsize) -> Option<usize> {
    if let Some(token) = cell.peek(NOW) {
        return Some(token);
    }
    let decision = cell.change(|state| state.call(NOW));
    if let Some(id) = flight_of(&decision) {
        let token = fetches.fetch_add(1, Ordering::SeqCst) + 1;
        cell.change(|state| {
            state.attempt(id, NOW).expect("nobody else launched one");
            assert!(state.succeeded(id, NOW, (token, token), LIFETIME, 0.0));
        });
        return cell.peek(NOW);
    }
    match decision {
        Decision::Use(token, _) => Some(token),
        _ => None,
    }
}

#[test]
fn cold_callers_make_one_fetch() {
    check(|| {
        let cell = Arc::new(Cell::new(State::new(Timing::default())));
        let fetches = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let (cell, fetches) = (Arc::clone(&cell), Arc::clone(&fetches));
                thread::spawn(move || caller(&cell, &fetches))
            })
            .collect();
        for thread in threads {
            let token = thread.join().expect("no panic");
            assert!(token.is_none_or(|token| token == 1));
        }
        assert_eq!(fetches.load(Ordering::SeqCst), 1);
        assert_eq!(cell.peek(NOW), Some(1));
    });
}

#[test]
fn a_dropped_token_is_never_seen_again_and_costs_one_fetch() {
    check(|| {
        let cell = Arc::new(Cell::new(State::new(Timing::default())));
        let fetches = Arc::new(AtomicUsize::new(0));
        let rejected = caller(&cell, &fetches).expect("the first token");
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (cell, fetches) = (Arc::clone(&cell), Arc::clone(&fetches));
                thread::spawn(move || {
                    cell.change(|state| state.invalidate(&rejected, NOW));
                    assert_ne!(cell.peek(NOW), Some(rejected));
                    assert_ne!(caller(&cell, &fetches), Some(rejected));
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
        assert_eq!(
            fetches.load(Ordering::SeqCst),
            2,
            "the second rejection came too late to drop the new token"
        );
        assert_eq!(cell.peek(NOW), Some(2));
    });
}

#[test]
fn a_reader_beside_the_refresher_sees_the_old_token_or_the_new_one() {
    check(|| {
        let cell = Arc::new(Cell::new(State::new(Timing::default())));
        let fetches = Arc::new(AtomicUsize::new(0));
        caller(&cell, &fetches).expect("the first token");
        let due = NOW + Duration::from_secs(3_400);
        let refresher = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || {
                let id = flight_of(&cell.change(|state| state.call(due)));
                if let Some(id) = id {
                    cell.change(|state| state.attempt(id, due));
                    cell.change(|state| state.succeeded(id, due, (2, 2), LIFETIME, 0.0));
                }
                id.is_some()
            })
        };
        let first = cell.peek(due);
        let asked = cell.change(|state| state.call(due));
        let second = cell.peek(due);
        let launched_here = flight_of(&asked).is_some();
        assert!(
            matches!(asked, Decision::Use(1 | 2, _)),
            "a valid token never makes anybody wait"
        );
        assert!(
            first <= second || second.is_none(),
            "the new token came before the old one"
        );
        assert!(
            refresher.join().expect("no panic") != launched_here,
            "exactly one of them refreshes"
        );
    });
}
