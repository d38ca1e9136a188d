//! Places for images: a bounded number under way, a bounded number waiting, the rest turned away.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::limits::Limits;
use crate::problem::{Kind, Problem};
use crate::sync::lock;

/// The places of a server.
#[derive(Debug)]
pub(crate) struct Admission {
    places: Arc<Semaphore>,
    most: usize,
    waiting: AtomicUsize,
    most_waiting: usize,
    waiting_time: Duration,
    held: Arc<Semaphore>,
    turned_away: AtomicU64,
    under_way: Mutex<UnderWay>,
}

#[derive(Debug, Default)]
struct UnderWay {
    next: u64,
    since: BTreeMap<u64, Instant>,
}

/// A place: whoever holds it may judge one image.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    number: u64,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.admission.under_way).since.remove(&self.number);
    }
}

/// One that waits for a place: counted while it does.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limits.in_flight)),
            most: limits.in_flight,
            waiting: AtomicUsize::new(0),
            most_waiting: limits.waiting,
            waiting_time: limits.waiting_time,
            held: Arc::new(Semaphore::new(units(limits.held_bytes))),
            turned_away: AtomicU64::new(0),
            under_way: Mutex::default(),
        }
    }

    /// A place, at once or soon. Callers beyond those that may wait are turned away.
    pub(crate) async fn place(self: &Arc<Self>) -> Result<Place, Problem> {
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(self.taken(permit));
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.most_waiting {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(self.full("all places are taken, and as many wait as may"));
        }
        let _waiting = Waiting(&self.waiting);
        match timeout(self.waiting_time, Arc::clone(&self.places).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(self.taken(permit)),
            Ok(Err(_)) => Err(Problem::new(Kind::Stopping, "the server is stopping")),
            Err(_) => Err(self.full("no place has become free in time")),
        }
    }

    /// A place, whenever one is free: for a caller whose next image is only read then.
    pub(crate) async fn place_in_turn(self: &Arc<Self>) -> Result<Place, Problem> {
        match Arc::clone(&self.places).acquire_owned().await {
            Ok(permit) => Ok(self.taken(permit)),
            Err(_) => Err(Problem::new(Kind::Stopping, "the server is stopping")),
        }
    }

    fn taken(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Place {
        let mut under_way = lock(&self.under_way);
        let number = under_way.next;
        under_way.next += 1;
        under_way.since.insert(number, Instant::now());
        Place {
            admission: Arc::clone(self),
            number,
            _permit: permit,
        }
    }

    /// Room in memory, which is never waited for: who waits holds what came before.
    pub(crate) fn hold(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let units = u32::try_from(units(bytes)).unwrap_or(u32::MAX);
        (Arc::clone(&self.held).try_acquire_many_owned(units))
            .map_err(|_| self.full("the images that are held fill the memory set aside for them"))
    }

    fn full(&self, detail: &'static str) -> Problem {
        self.turned_away.fetch_add(1, Ordering::Relaxed);
        // Others come back at the same time otherwise.
        let wait = Duration::from_secs(1 + fastrand::u64(0..3));
        Problem::new(Kind::Overloaded, detail)
            .retry_after(wait)
            .closing()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.places.available_permits() > 0
            || self.waiting.load(Ordering::Relaxed) < self.most_waiting
    }

    /// No more places are given.
    pub(crate) fn close(&self) {
        self.places.close();
    }

    pub(crate) fn figures(&self) -> Figures {
        let oldest = {
            let under_way = lock(&self.under_way);
            under_way.since.first_key_value().map(|(_, since)| *since)
        };
        Figures {
            places: self.most,
            under_way: lock(&self.under_way).since.len(),
            waiting: self.waiting.load(Ordering::Relaxed),
            turned_away: self.turned_away.load(Ordering::Relaxed),
            oldest: oldest.map(|since| since.elapsed()),
        }
    }
}

/// How full a server is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) places: usize,
    pub(crate) under_way: usize,
    pub(crate) waiting: usize,
    pub(crate) turned_away: u64,
    /// Age of the image that has been under way for longest.
    pub(crate) oldest: Option<Duration>,
}

/// Memory is counted in KiB, since a semaphore hands out fewer permits at once than images have bytes.
fn units(bytes: usize) -> usize {
    bytes.div_ceil(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(in_flight: usize, waiting: usize) -> Arc<Admission> {
        Arc::new(Admission::new(&Limits {
            in_flight,
            waiting,
            held_bytes: 4096,
            ..Limits::default()
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_may_wait_are_turned_away_at_once() {
        let admission = admission(1, 1);
        let first = admission.place().await.expect("a place");
        let waiting = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.place().await.map(drop) }
        });
        tokio::task::yield_now().await;
        let refused = admission.place().await.expect_err("full");
        assert_eq!(refused.kind(), Kind::Overloaded);
        drop(first);
        waiting.await.expect("no panic").expect("a place in turn");
        assert_eq!(admission.figures().waiting, 0);
        assert_eq!(admission.figures().under_way, 0);
        assert_eq!(admission.figures().turned_away, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_longer_than_said() {
        let admission = admission(1, 9);
        let _first = admission.place().await.expect("a place");
        let before = Instant::now();
        admission.place().await.expect_err("no place");
        assert_eq!(before.elapsed(), Limits::default().waiting_time);
        assert_eq!(admission.figures().oldest, Some(before.elapsed()));
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let admission = admission(1, 1);
        let held = admission.hold(4096).expect("room");
        assert!(admission.hold(1).is_err());
        drop(held);
        assert!(admission.hold(1).is_ok());
    }
}
