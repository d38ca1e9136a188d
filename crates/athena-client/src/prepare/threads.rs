//! A bounded number of threads, and the same ones again while there is work.
//!
//! Tokio's pool starts another thread whenever none is idle at that moment, and then passes work round among
//! all of them: a few more than are ever busy, each with large buffers of its own.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::sync::lock;

/// How long a thread waits for its next job before it goes back to the runtime, whose end waits for it.
const LINGER: Duration = Duration::from_millis(20);

/// A thread's place among those that may work.
pub(super) type Place = OwnedSemaphorePermit;

/// Given its place, which it may let somebody else have before its end.
type Job = Box<dyn FnOnce(Place) -> Option<Place> + Send>;

#[derive(Debug, Clone)]
pub(super) struct Threads {
    places: Arc<Semaphore>,
    exchange: Arc<Exchange>,
}

/// Where threads that have finished find what is next.
struct Exchange {
    state: Mutex<State>,
    handed: Condvar,
    linger: Duration,
}

#[derive(Default)]
struct State {
    /// Never more than there are threads that wait for them.
    jobs: VecDeque<(Job, Place)>,
    waiting: usize,
}

impl Threads {
    pub(super) fn new(most: usize) -> Self {
        Self::that_linger(LINGER, most)
    }

    fn that_linger(linger: Duration, most: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(most)),
            exchange: Arc::new(Exchange {
                state: Mutex::default(),
                handed: Condvar::new(),
                linger,
            }),
        }
    }

    /// Runs a job in its turn. Returns as soon as that has begun.
    pub(super) async fn run(&self, job: impl FnOnce(Place) -> Option<Place> + Send + 'static) {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            return;
        };
        let mut state = self.exchange.lock();
        if state.waiting > state.jobs.len() {
            state.jobs.push_back((Box::new(job), place));
            self.exchange.handed.notify_one();
            return;
        }
        drop(state);
        let exchange = Arc::clone(&self.exchange);
        // The job goes along, so that it ends with a runtime that does not start it any more.
        tokio::task::spawn_blocking(move || {
            let mut place = job(place);
            while let Some((job, next)) = exchange.next(place) {
                place = job(next);
            }
        });
    }
}

impl Exchange {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Gives the place of the last job up and waits for another one, for a while.
    fn next(&self, place: Option<Place>) -> Option<(Job, Place)> {
        let mut state = self.lock();
        // Under the lock, so that whoever gets the place finds this thread waiting.
        drop(place);
        state.waiting += 1;
        let none = |state: &mut State| state.jobs.is_empty();
        let waited = self.handed.wait_timeout_while(state, self.linger, none);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state.jobs.pop_front()
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::mpsc;
    use std::thread::{self, ThreadId};

    use super::*;

    #[test]
    fn the_same_threads_do_what_comes_next() {
        let threads = Threads::that_linger(Duration::from_secs(3600), 2);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let (sender, done) = mpsc::channel::<ThreadId>();
        runtime.block_on(async {
            for _ in 0..1000 {
                let sender = sender.clone();
                let job = move |place| {
                    sender.send(thread::current().id()).expect("a receiver");
                    Some(place)
                };
                threads.run(job).await;
            }
        });
        drop(sender);
        let used: HashSet<_> = done.iter().collect();
        assert!(used.len() <= 2, "{used:?}");
        // Its threads still wait for more.
        runtime.shutdown_background();
    }

    #[tokio::test]
    async fn a_job_that_panics_leaves_its_place_to_the_next() {
        let threads = Threads::new(1);
        threads.run(|_| panic!("on purpose")).await;
        let (sender, done) = tokio::sync::oneshot::channel();
        let job = |place| {
            sender.send(()).expect("a receiver");
            Some(place)
        };
        threads.run(job).await;
        done.await.expect("the job was run");
    }

    #[test]
    fn one_runtime_may_end_while_another_goes_on() {
        let threads = Threads::new(1);
        for _ in 0..50 {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.build().expect("a runtime");
            let (sender, done) = mpsc::channel();
            let job = move |place| {
                sender.send(()).expect("a receiver");
                Some(place)
            };
            runtime.block_on(threads.run(job));
            runtime.shutdown_background();
            done.recv().expect("the job was run");
        }
    }
}
