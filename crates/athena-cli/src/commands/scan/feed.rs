//! The thread that walks: every image once, without those that an earlier run has finished.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;

use super::frontier::Frontier;
use super::journal::{Key, Keys};
use super::pipeline::Task;
use super::progress::Counters;
use super::seen::Seen;
use super::shard::Shard;
use crate::failure::Outcome;
use crate::input::{Found, Place, Selection};

/// Images found ahead of the work.
const AHEAD: usize = 4096;

/// What the walk goes by.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) keys: Keys,
    pub(super) shard: Option<Shard>,
    /// Images that an earlier run has finished.
    pub(super) seen: Seen,
    /// Where the input is listings alone.
    pub(super) listed: Option<Listed>,
    pub(super) counters: Arc<Counters>,
}

/// What a walk of listings knows besides: their keys come in order, and each once.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) frontier: Frontier,
    /// Entries of the journal that lie before where this run begins to list.
    pub(super) entries: u64,
    /// The last place that an earlier run has done something at.
    pub(super) furthest: Option<Place>,
    /// The place before.
    pub(super) last: Option<Place>,
    /// Places do not come in order.
    pub(super) unordered: bool,
}

impl Walk {
    /// Whether there is something to do.
    fn is_new(&mut self, key: Key, place: Option<Place>) -> bool {
        let (Some(listed), Some(place)) = (&mut self.listed, place) else {
            return self.seen.insert(key);
        };
        if listed.unordered || listed.last.as_ref().is_some_and(|last| place <= *last) {
            // Not every server that speaks a store's protocol lists in order: then no key says what came before it.
            listed.unordered = true;
            listed.frontier.void();
            return self.seen.insert(key);
        }
        listed.last = Some(place.clone());
        let past = listed
            .furthest
            .as_ref()
            .is_none_or(|furthest| place > *furthest);
        // Each key comes once: none must be kept.
        if self.seen.remove(key) {
            return false;
        }
        let earlier = (!past).then_some(listed.entries);
        listed.frontier.begin(key, place, earlier);
        true
    }
}

/// Starts the walk. It ends when the receiver is dropped.
pub(super) fn start(
    inputs: impl Iterator<Item = (Option<Place>, Found)> + Send + 'static,
    mut walk: Walk,
) -> mpsc::Receiver<Task> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        for (place, found) in inputs {
            if walk.shard.is_some_and(|shard| !shard.takes(&found)) {
                continue;
            }
            if let (Some(listed), Err(_)) = (&walk.listed, &found) {
                // Nothing is known of what this listing lacks: a later run must begin before that.
                listed.frontier.stop();
            }
            let key = walk.keys.of(&found);
            if !walk.is_new(key, place) {
                walk.counters.earlier.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if sender.blocking_send(Task { key, found }).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Counts the images beside the scan, for the time that is left. `selection` must be one of its own.
pub(super) fn count(
    selection: &Selection,
    shard: Option<Shard>,
    counters: Arc<Counters>,
) -> Outcome<()> {
    let inputs = selection.inputs()?;
    std::thread::spawn(move || {
        let mut total = 0;
        for found in inputs {
            total += u64::from(shard.is_none_or(|shard| shard.takes(&found)));
        }
        counters.total.store(total, Ordering::Relaxed);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Input, Object};

    /// A listing of so many objects, as a store gives it.
    fn listing(objects: u64) -> impl Iterator<Item = (Option<Place>, Found)> + Send {
        let remote = Object::nowhere();
        (0..objects).map(move |number| {
            let key = format!("2026/01/{number:012}/upload-of-somebody.jpg");
            let object = remote.object(&key, number);
            let place = Place { source: 0, key };
            (Some(place), Ok(Input::Object(Box::new(object))))
        })
    }

    /// Walks a listing while images finish, somewhat out of order; gives how many were done.
    fn walk(objects: u64, seen: Seen, furthest: Option<Place>) -> (u64, Frontier) {
        let frontier = Frontier::new();
        let walk = Walk {
            keys: Keys::AsGiven,
            shard: None,
            seen,
            listed: Some(Listed {
                frontier: frontier.clone(),
                entries: 0,
                furthest,
                last: None,
                unordered: false,
            }),
            counters: Arc::default(),
        };
        let mut tasks = start(listing(objects), walk);
        let (mut done, mut under_way) = (0, std::collections::VecDeque::new());
        loop {
            let task = tasks.blocking_recv();
            let ended = task.is_none();
            under_way.extend(task.map(|task| task.key));
            while under_way.len() > 256 || (ended && !under_way.is_empty()) {
                // The one in the middle is often the first to finish.
                let at = if done % 3 == 0 {
                    under_way.len() / 2
                } else {
                    0
                };
                if let Some(key) = under_way.remove(at) {
                    done += 1;
                    frontier.finished(done, key);
                }
            }
            if ended {
                return (done, frontier);
            }
        }
    }

    #[test]
    fn a_walk_of_a_listing_keeps_what_is_under_way_and_no_more() {
        let (done, frontier) = walk(30_000, Seen::default(), None);
        assert_eq!(done, 30_000);
        assert!(frontier.widest() <= 4 * AHEAD, "{}", frontier.widest());
    }

    #[test]
    fn a_listing_without_order_voids_the_position_and_loses_nothing() {
        let frontier = Frontier::new();
        let walk = Walk {
            keys: Keys::AsGiven,
            shard: None,
            seen: Seen::default(),
            listed: Some(Listed {
                frontier: frontier.clone(),
                entries: 0,
                furthest: None,
                last: None,
                unordered: false,
            }),
            counters: Arc::default(),
        };
        let mut mixed: Vec<_> = listing(10).collect();
        mixed.swap(3, 8);
        let mut tasks = start(mixed.into_iter(), walk);
        let mut done = 0;
        while let Some(task) = tasks.blocking_recv() {
            done += 1;
            frontier.finished(done, task.key);
        }
        assert_eq!(done, 10);
        assert!(frontier.is_void());
    }

    #[test]
    fn what_an_earlier_run_has_done_is_left_out_once() {
        let key = |number: u64| {
            let (_, found) = listing(number + 1).last().expect("some");
            Keys::AsGiven.of(&found)
        };
        // Of the first ten some are done; one that was done is gone from the store meanwhile.
        let seen = Seen::from([key(3), key(7), 42]);
        let furthest = Place {
            source: 0,
            key: "2026/01/000000000007/upload-of-somebody.jpg".to_owned(),
        };
        assert_eq!(walk(1000, seen, Some(furthest)).0, 998);
    }

    /// `ATHENA_KEYS=100000000 cargo test --release -p athena-cli --bin athena memory_of_a_listing -- --ignored --nocapture`
    #[cfg(target_os = "linux")]
    #[test]
    #[ignore = "a measurement, in a process of its own"]
    fn memory_of_a_listing() {
        let objects = std::env::var("ATHENA_KEYS")
            .ok()
            .and_then(|text| text.parse().ok());
        let objects = objects.unwrap_or(1_000_000);
        let (done, _) = walk(objects, Seen::default(), None);
        assert_eq!(done, objects);
        let status = std::fs::read_to_string("/proc/self/status").expect("status");
        let peak = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .expect("peak");
        println!("{objects} keys: {peak}");
        let kib: u64 = peak
            .split_whitespace()
            .nth(1)
            .and_then(|kib| kib.parse().ok())
            .expect("KiB");
        assert!(kib < 200 * 1024, "{peak}");
    }
}
