//! How far a scan of listings has come: what is left to list so that every object gets its line.
//!
//! Listings come in ranges of keys, each in the order of its keys; images finish in any order. The frontier stands
//! before the first image that is open, in the order in which they were listed. What is left to list from there on, and
//! the number of the journal's entries that lie before it, are its [position](super::position).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::journal::Key;
use crate::input::{Place, Rest};

/// Counts what is open; shared by the walk and the writer.
#[derive(Clone, Debug)]
pub(super) struct Frontier(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What is on its way, in the order of the listing.
    open: VecDeque<Open>,
    /// Where each object is: its number, counted from the first one of the run.
    numbers: HashMap<Key, u64>,
    /// The number of the first one in `open`.
    first: u64,
    /// What is left to list after the frontier, by the numbers of the ranges.
    rests: BTreeMap<usize, Rest>,
    /// And before it: objects that are left for another run, and those beside each other in one.
    left: Vec<Rest>,
    /// Entries of the journal before the frontier; nothing as long as it is where the run began.
    reached: Option<u64>,
    /// Entries in the journal.
    entries: u64,
    stopped: bool,
    /// No position counts, whatever was saved.
    void: bool,
    /// Keys do not come in order, in this run or in a later one.
    unordered: bool,
}

/// How far a run has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// It is where it began.
    Nothing,
    /// What is left to list, and the entries before that.
    Rests(Vec<Rest>, u64),
    /// No position counts.
    Void,
    /// Nor does any of a later run.
    Unordered,
}

/// What the frontier moves past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// An object.
    Object(Place),
    /// The end of a range is a key from here on, and another range has what is after it.
    Divided {
        range: usize,
        at: String,
        rest: usize,
    },
    /// The end of a range.
    Ended { range: usize },
}

#[derive(Debug)]
struct Open {
    mark: Mark,
    /// Entries of the journal that are certainly of what was listed before this.
    entries: u64,
    /// The frontier may move past it.
    done: bool,
    /// It is to be listed again.
    left: bool,
}

impl Open {
    /// Whether it stands for another as well: an earlier run may have done millions of objects in a row.
    fn follows(&self, last: &Self) -> bool {
        let done = self.done && last.done && !last.left && self.entries == last.entries;
        matches!(
            (&last.mark, &self.mark),
            (Mark::Object(before), Mark::Object(after)) if done && before.range == after.range
        )
    }
}

impl State {
    fn advance(&mut self) {
        while self.open.front().is_some_and(|open| open.done)
            && let Some(open) = self.open.pop_front()
        {
            if let (true, Mark::Object(place)) = (open.left, &open.mark)
                && !self.leave(place)
            {
                return self.stop();
            }
            self.first += 1;
            self.reached = Some(open.entries);
            match open.mark {
                Mark::Object(Place { range, key }) => {
                    if let Some(rest) = self.rests.get_mut(&range) {
                        rest.after = Some(key);
                    }
                }
                Mark::Divided { range, at, rest } => {
                    if let Some(before) = self.rests.get_mut(&range) {
                        let after = Rest {
                            source: before.source,
                            after: Some(at.clone()),
                            until: before.until.replace(at),
                        };
                        self.rests.insert(rest, after);
                    }
                }
                Mark::Ended { range } => {
                    self.rests.remove(&range);
                }
            }
        }
    }

    /// Keeps what is between an object and the one before it in its range. False where too much is left already.
    fn leave(&mut self, place: &Place) -> bool {
        let Some(rest) = self.rests.get(&place.range) else {
            return false;
        };
        let (source, after) = (rest.source, rest.after.clone());
        let until = Some(place.key.clone());
        let beside = |left: &&mut Rest| left.source == source && left.until == after;
        if let Some(left) = self.left.iter_mut().find(beside) {
            left.until = until;
            return true;
        }
        let room = self.left.len() < MOST_LEFT;
        if room {
            self.left.push(Rest {
                source,
                after,
                until,
            });
        }
        room
    }

    fn stop(&mut self) {
        self.stopped = true;
        self.open = VecDeque::new();
        self.numbers = HashMap::new();
    }
}

/// Places that a later run lists by themselves, which is a request or two for each.
const MOST_LEFT: usize = 256;

impl Frontier {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// This is listed now.
    pub(super) fn start(&self, rests: &[Rest]) {
        self.lock().rests = rests.iter().cloned().enumerate().collect();
    }

    /// An object of the listing is on its way, or there is none at this mark. `earlier` is the number of entries before
    /// it that an earlier run vouches for, while this run is not past all that the earlier one has done.
    pub(super) fn begin(&self, key: Option<Key>, mark: Mark, earlier: Option<u64>) {
        let mut state = self.lock();
        if state.stopped {
            return;
        }
        let number = state.first + state.open.len() as u64;
        let entries = earlier.unwrap_or(state.entries);
        if let Some(key) = key {
            state.numbers.insert(key, number);
        }
        let open = Open {
            mark,
            entries,
            done: key.is_none(),
            left: false,
        };
        match state.open.back_mut().filter(|last| open.follows(last)) {
            Some(last) => *last = open,
            None => state.open.push_back(open),
        }
        state.advance();
    }

    /// The object has its line.
    pub(super) fn written(&self, key: Key) {
        self.pass(key, false);
    }

    /// The object is left for another run, which lists it again.
    pub(super) fn leave(&self, key: Key) {
        self.pass(key, true);
    }

    fn pass(&self, key: Key, left: bool) {
        let mut state = self.lock();
        let Some(number) = state.numbers.remove(&key) else {
            // Where nobody knows it nothing may be said to lie behind it.
            if left {
                state.stop();
            }
            return;
        };
        let at = number.saturating_sub(state.first) as usize;
        if let Some(open) = state.open.get_mut(at) {
            (open.done, open.left) = (true, left);
        }
        state.advance();
    }

    /// Lines are about to change places, or nobody would tell of them: the frontier stays where it is.
    pub(super) fn stop(&self) {
        self.lock().stop();
    }

    /// No position counts any more, one that was saved before included.
    pub(super) fn void(&self) {
        self.stop();
        let mut state = self.lock();
        state.reached = None;
        state.void = true;
    }

    /// Keys do not come in order: no position counts, and later runs are to know.
    pub(super) fn unordered(&self) {
        self.void();
        self.lock().unordered = true;
    }

    pub(super) fn is_unordered(&self) -> bool {
        self.lock().unordered
    }

    /// The journal has so many entries now.
    pub(super) fn appended(&self, entries: u64) {
        self.lock().entries = entries;
    }

    /// A line is written, as the writer says it.
    #[cfg(test)]
    pub(super) fn finished(&self, entries: u64, key: Key) {
        self.appended(entries);
        self.written(key);
    }

    /// The most objects that were on their way at a time.
    #[cfg(test)]
    pub(super) fn widest(&self) -> usize {
        self.lock().open.capacity()
    }

    /// What is left to list, and the entries before that; nothing where the run began.
    pub(super) fn reached(&self) -> Reached {
        let state = self.lock();
        match (state.unordered, state.void, state.reached) {
            (true, ..) => Reached::Unordered,
            (_, true, _) => Reached::Void,
            (.., None) => Reached::Nothing,
            (.., Some(entries)) => {
                let rests = state.left.iter().chain(state.rests.values());
                Reached::Rests(rests.cloned().collect(), entries)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in super::super) fn object(range: usize, number: usize) -> Mark {
        Mark::Object(Place {
            range,
            key: format!("{number:06}"),
        })
    }

    /// What is left of a single range after an object.
    pub(in super::super) fn after(number: usize) -> Vec<Rest> {
        vec![Rest {
            after: Some(format!("{number:06}")),
            ..Rest::all(1).remove(0)
        }]
    }

    pub(in super::super) fn started() -> Frontier {
        let frontier = Frontier::new();
        frontier.start(&Rest::all(1));
        frontier
    }

    proptest! {
        /// Whatever the order in which images finish: what is not left to list is written, and the entries that are
        /// named are of that. Half of the objects are in a range that comes of the first one after some of them.
        #[test]
        fn nothing_before_the_frontier_is_open(
            order in Just((0..40_usize).collect::<Vec<_>>()).prop_shuffle(),
            ahead in 1..12_usize,
            divided in 0..20_usize,
            unfinished in prop::collection::btree_set(0..40_usize, 0..12),
        ) {
            let frontier = started();
            let mut journal = Vec::new();
            let (mut begun, mut passed, mut waiting) = (0, 0, Vec::new());
            // Range and key of each object, in the order of the listing.
            let mut listing: Vec<(usize, usize)> = (0..divided).map(|key| (0, key)).collect();
            for key in 20..40 {
                listing.push((1, key));
                let first = divided + key - 20;
                listing.extend((first < 20).then_some((0, first)));
            }
            for next in order {
                // No more than some are on their way.
                waiting.push(next);
                while begun < 40 && begun < passed + ahead {
                    if begun == divided {
                        frontier.begin(None, Mark::Divided { range: 0, at: "000019".to_owned(), rest: 1 }, None);
                    }
                    let (range, key) = listing[begun];
                    frontier.begin(Some(begun as Key + 1), object(range, key), None);
                    begun += 1;
                }
                waiting.retain(|number| {
                    if *number >= begun {
                        return true;
                    }
                    passed += 1;
                    if unfinished.contains(number) {
                        frontier.leave(*number as Key + 1);
                        return false;
                    }
                    journal.push(*number);
                    frontier.appended(journal.len() as u64);
                    frontier.written(*number as Key + 1);
                    false
                });
                let Reached::Rests(rests, entries) = frontier.reached() else { continue };
                let left = |key: usize| {
                    let key = format!("{key:06}");
                    let after = |rest: &Rest| rest.after.as_ref().is_none_or(|after| key > *after);
                    rests.iter().any(|rest| after(rest) && rest.until.as_ref().is_none_or(|until| key <= *until))
                };
                for (number, (_, key)) in listing.iter().enumerate() {
                    prop_assert!(left(*key) || journal.contains(&number), "{key} is neither left nor written");
                }
                prop_assert!(journal[..entries as usize].iter().all(|number| !left(listing[*number].1)));
                if passed == 40 {
                    // In the end that is what was not finished, and no more.
                    for (number, (_, key)) in listing.iter().enumerate() {
                        prop_assert_eq!(left(*key), unfinished.contains(&number), "{}", key);
                    }
                }
            }
        }
    }

    #[test]
    fn ranges_that_were_listed_to_their_end_are_not_left() {
        let frontier = started();
        let divided = Mark::Divided {
            range: 0,
            at: "b/".to_owned(),
            rest: 1,
        };
        frontier.begin(Some(1), object(0, 1), None);
        frontier.begin(None, divided, None);
        frontier.begin(None, Mark::Ended { range: 0 }, None);
        assert_eq!(frontier.reached(), Reached::Nothing);
        frontier.written(1);
        let Reached::Rests(rests, 0) = frontier.reached() else {
            panic!("moved");
        };
        let rest = Rest {
            after: Some("b/".to_owned()),
            ..Rest::all(1).remove(0)
        };
        assert_eq!(rests, [rest]);
        frontier.begin(None, Mark::Ended { range: 1 }, None);
        assert_eq!(frontier.reached(), Reached::Rests(Vec::new(), 0));
    }

    #[test]
    fn a_frontier_that_is_stopped_stays_where_it_is() {
        let frontier = started();
        for number in 0..3 {
            frontier.begin(Some(number as Key + 1), object(0, number), None);
        }
        frontier.written(1);
        frontier.stop();
        frontier.written(3);
        frontier.begin(Some(4), object(0, 3), None);
        frontier.written(4);
        assert_eq!(frontier.reached(), Reached::Rests(after(0), 0));
    }

    /// What is left of a range from after one object up to another.
    fn between(after: usize, until: usize) -> Rest {
        Rest {
            source: 0,
            after: Some(format!("{after:06}")),
            until: Some(format!("{until:06}")),
        }
    }

    #[test]
    fn objects_that_are_left_are_listed_again_and_those_beside_each_other_at_once() {
        let frontier = started();
        for number in 0..8 {
            frontier.begin(Some(number as Key + 1), object(0, number), None);
        }
        for number in [2, 3, 6] {
            frontier.leave(number + 1);
        }
        for number in [0, 1, 4, 5, 7] {
            frontier.written(number + 1);
        }
        let left = [vec![between(1, 3), between(5, 6)], after(7)].concat();
        assert_eq!(frontier.reached(), Reached::Rests(left, 0));
    }

    #[test]
    fn where_too_many_are_left_the_frontier_stays() {
        let frontier = started();
        for number in 0..2 * MOST_LEFT + 8 {
            frontier.begin(Some(number as Key + 1), object(0, number), None);
            match number % 2 {
                0 => frontier.written(number as Key + 1),
                _ => frontier.leave(number as Key + 1),
            }
        }
        let Reached::Rests(rests, _) = frontier.reached() else {
            panic!("moved");
        };
        assert_eq!(rests.len(), MOST_LEFT + 1);
        // Nothing after that is said to be done.
        let last = rests.last().expect("the range");
        assert_eq!(last.after, Some(format!("{:06}", 2 * MOST_LEFT)));
    }
}
