//! The thread that walks: every image once, without those that an earlier run has finished.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;

use super::frontier::{Frontier, Mark};
use super::journal::{Key, Keys};
use super::pipeline::Task;
use super::progress::Counters;
use super::shard::Shard;
use crate::commands::seen::Seen;
use crate::failure::Outcome;
use crate::input::{Place, Rest, Selection, Sight};

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

/// What a walk of listings knows besides: the keys of a range come in order, and each once.
#[derive(Debug)]
pub(super) struct Listed {
    frontier: Frontier,
    /// Entries of the journal that lie before what this run lists.
    entries: u64,
    /// Of the ranges in which an earlier run has done something, the last key of that, until this run is past it.
    furthest: HashMap<usize, String>,
    /// The key before, of each range.
    last: HashMap<usize, String>,
    /// Keys do not come in order.
    unordered: bool,
}

impl Listed {
    /// A walk of what is left, while an earlier run vouches for so many entries, and has done more than that in the
    /// ranges that have a key in `furthest`.
    pub(super) fn new(
        frontier: Frontier,
        rests: &[Rest],
        entries: u64,
        furthest: HashMap<usize, String>,
    ) -> Self {
        frontier.start(rests);
        Self {
            frontier,
            entries,
            furthest,
            last: HashMap::new(),
            unordered: false,
        }
    }

    fn begin(&self, key: Option<Key>, mark: Mark) {
        let earlier = (!self.furthest.is_empty()).then_some(self.entries);
        self.frontier.begin(key, mark, earlier);
    }

    fn divided(&mut self, range: usize, at: String, rest: usize) {
        if let Some(furthest) = self.furthest.get_mut(&range)
            && *furthest > at
        {
            let beyond = std::mem::replace(furthest, at.clone());
            self.furthest.insert(rest, beyond);
        }
        self.begin(None, Mark::Divided { range, at, rest });
    }

    fn ended(&mut self, range: usize) {
        self.last.remove(&range);
        self.furthest.remove(&range);
        self.begin(None, Mark::Ended { range });
    }
}

impl Walk {
    /// Whether there is something to do.
    fn is_new(&mut self, key: Key, place: Option<Place>) -> bool {
        let (Some(listed), Some(place)) = (&mut self.listed, place) else {
            return self.seen.insert(key);
        };
        let last = listed.last.get_mut(&place.range);
        if listed.unordered || last.as_ref().is_some_and(|last| place.key <= **last) {
            // Not every server that speaks a store's protocol lists in order: then no key says what came before it.
            listed.unordered = true;
            listed.frontier.unordered();
            return self.seen.insert(key);
        }
        match last {
            Some(last) => last.clone_from(&place.key),
            None => {
                listed.last.insert(place.range, place.key.clone());
            }
        }
        if (listed.furthest.get(&place.range)).is_some_and(|furthest| place.key > *furthest) {
            listed.furthest.remove(&place.range);
        }
        // Each key comes once: none must be kept. What is left before and after it does not have it in it.
        if self.seen.remove(key) {
            listed.begin(None, Mark::Object(place));
            return false;
        }
        listed.begin(Some(key), Mark::Object(place));
        true
    }
}

/// Starts the walk. It ends when the receiver is dropped.
pub(super) fn start(
    sights: impl Iterator<Item = Sight> + Send + 'static,
    mut walk: Walk,
) -> mpsc::Receiver<Task> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        for sight in sights {
            let (place, found) = match (sight, &mut walk.listed) {
                (Sight::Found(place, found), _) => (place, found),
                (Sight::Divided { range, at, rest }, Some(listed)) => {
                    listed.divided(range, at, rest);
                    continue;
                }
                (Sight::Ended { range }, Some(listed)) => {
                    listed.ended(range);
                    continue;
                }
                (Sight::Unordered(unreadable), listed) => {
                    if let Some(listed) = listed {
                        listed.frontier.unordered();
                    }
                    (None, Err(unreadable))
                }
                (_, None) => continue,
            };
            if walk.shard.is_some_and(|shard| !shard.takes(&found)) {
                continue;
            }
            let key = walk.keys.of(&found);
            // Several ranges of a prefix may fail, each for itself. What is left of them stays so.
            let failed = walk.listed.is_some() && found.is_err();
            if !failed && !walk.is_new(key, place) {
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
    use super::super::frontier::Reached;
    use super::*;
    use crate::input::{Input, Object};

    /// A listing of so many objects, as a store gives it.
    fn listing(objects: u64) -> impl Iterator<Item = Sight> + Send {
        let remote = Object::nowhere();
        (0..objects).map(move |number| {
            let key = format!("2026/01/{number:012}/upload-of-somebody.jpg");
            let object = remote.object(&key, number);
            let place = Place { range: 0, key };
            Sight::Found(Some(place), Ok(Input::Object(Box::new(object))))
        })
    }

    /// The same in 16 ranges at a time, as a store lists a long prefix.
    fn divided(objects: u64) -> impl Iterator<Item = Sight> + Send {
        let remote = Object::nowhere();
        let divisions = (1..16).map(|rest| Sight::Divided {
            range: rest - 1,
            at: format!("{rest:02}/"),
            rest,
        });
        let objects = (0..objects).map(move |number| {
            let range = (number % 16) as usize;
            let key = format!("{range:02}/{number:012}/upload-of-somebody.jpg");
            let object = remote.object(&key, number);
            let place = Place { range, key };
            Sight::Found(Some(place), Ok(Input::Object(Box::new(object))))
        });
        let ends = (0..16).map(|range| Sight::Ended { range });
        divisions.chain(objects).chain(ends)
    }

    /// A walk of a single range, of which an earlier run has come up to a key.
    fn whole(frontier: &Frontier, seen: Seen, furthest: Option<String>) -> Walk {
        let furthest = furthest.map(|key| (0, key)).into_iter().collect();
        Walk {
            keys: Keys::AsGiven,
            shard: None,
            seen,
            listed: Some(Listed::new(frontier.clone(), &Rest::all(1), 0, furthest)),
            counters: Arc::default(),
        }
    }

    /// Walks a listing while images finish, somewhat out of order; gives how many were done.
    fn walk(
        sights: impl Iterator<Item = Sight> + Send + 'static,
        seen: Seen,
        furthest: Option<String>,
    ) -> (u64, Frontier) {
        let frontier = Frontier::new();
        let mut tasks = start(sights, whole(&frontier, seen, furthest));
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
        let (done, frontier) = walk(listing(30_000), Seen::default(), None);
        assert_eq!(done, 30_000);
        assert!(frontier.widest() <= 4 * AHEAD, "{}", frontier.widest());
        let (done, frontier) = walk(divided(30_000), Seen::default(), None);
        assert_eq!(done, 30_000);
        assert!(frontier.widest() <= 4 * AHEAD, "{}", frontier.widest());
    }

    #[test]
    fn a_listing_without_order_voids_the_position_and_loses_nothing() {
        let frontier = Frontier::new();
        let walk = whole(&frontier, Seen::default(), None);
        let mut mixed: Vec<_> = listing(10).collect();
        mixed.swap(3, 8);
        let mut tasks = start(mixed.into_iter(), walk);
        let mut done = 0;
        while let Some(task) = tasks.blocking_recv() {
            done += 1;
            frontier.finished(done, task.key);
        }
        assert_eq!(done, 10);
        assert!(frontier.is_unordered());
    }

    #[test]
    fn what_an_earlier_run_has_done_is_left_out_once() {
        let key = |number: u64| match listing(number + 1).last() {
            Some(Sight::Found(_, found)) => Keys::AsGiven.of(&found),
            other => panic!("{other:?}"),
        };
        // Of the first ten some are done; one that was done is gone from the store meanwhile.
        let seen = Seen::from([key(3), key(7), 42]);
        let furthest = "2026/01/000000000007/upload-of-somebody.jpg".to_owned();
        assert_eq!(walk(listing(1000), seen, Some(furthest)).0, 998);
    }

    #[test]
    fn what_an_earlier_run_has_done_is_in_nothing_that_is_left() {
        let path = |number: u64| format!("2026/01/{number:012}/upload-of-somebody.jpg");
        let keys: Vec<Key> = (listing(20))
            .map(|sight| match sight {
                Sight::Found(_, found) => Keys::AsGiven.of(&found),
                other => panic!("{other:?}"),
            })
            .collect();
        let frontier = Frontier::new();
        frontier.appended(3);
        let seen = Seen::from([keys[3], keys[4], keys[5]]);
        let mut tasks = start(listing(20), whole(&frontier, seen, Some(path(5))));
        let mut entries = 3;
        while let Some(task) = tasks.blocking_recv() {
            match keys.iter().position(|key| *key == task.key) {
                Some(6 | 7) => frontier.leave(task.key),
                _ => {
                    entries += 1;
                    frontier.finished(entries, task.key);
                }
            }
        }
        let Reached::Rests(rests, covered) = frontier.reached() else {
            panic!("it has come on");
        };
        assert!(
            covered >= 3,
            "nothing of what is left has a line: {covered}"
        );
        let ends: Vec<_> = rests
            .iter()
            .map(|rest| (rest.after.clone(), rest.until.clone()))
            .collect();
        assert_eq!(
            ends,
            [(Some(path(5)), Some(path(7))), (Some(path(19)), None)]
        );
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
        let (done, _) = walk(divided(objects), Seen::default(), None);
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
