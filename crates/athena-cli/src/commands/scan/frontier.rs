//! How far a scan of listings has come: the key up to which every object has its line.
//!
//! Listings come in the order of their keys, images finish in any order. The frontier is the last key before
//! which none is open. It is written beside the output now and then, with the number of the journal's entries
//! that lie before it: a resumed scan lists from there on, and keeps none of those entries in memory.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use athena_sources::Location;
use serde::{Deserialize, Serialize};

use super::journal::Key;
use crate::input::Place;

/// What an interrupted scan leaves for the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    version: u32,
    /// What was listed, and by which rules: it counts for the same only.
    input: String,
    #[serde(flatten)]
    pub(super) place: Place,
    /// Entries at the start of the journal that are of keys up to that one.
    pub(super) entries: u64,
}

/// The version of [`Position`].
const VERSION: u32 = 1;

/// Counts what is open; shared by the walk and the writer.
#[derive(Clone, Debug)]
pub(super) struct Frontier(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Objects on their way, in the order of the listing.
    open: VecDeque<Open>,
    /// Where each is: its number, counted from the first one of the run.
    numbers: HashMap<Key, u64>,
    /// The number of the first one in `open`.
    first: u64,
    reached: Option<(Place, u64)>,
    /// Entries in the journal.
    entries: u64,
    stopped: bool,
    /// No position counts, whatever was saved.
    void: bool,
}

#[derive(Debug)]
struct Open {
    place: Place,
    /// Entries of the journal that are certainly of keys before this one.
    entries: u64,
    done: bool,
}

impl Frontier {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// An object of the listing is on its way. `earlier` is the number of entries before it that an earlier run
    /// vouches for, while this run is not past all that the earlier one has done.
    pub(super) fn begin(&self, key: Key, place: Place, earlier: Option<u64>) {
        let mut state = self.lock();
        if state.stopped {
            return;
        }
        let number = state.first + state.open.len() as u64;
        let entries = earlier.unwrap_or(state.entries);
        state.numbers.insert(key, number);
        state.open.push_back(Open {
            place,
            entries,
            done: false,
        });
    }

    /// The object has its line.
    fn written(&self, key: Key) {
        let mut state = self.lock();
        let Some(number) = state.numbers.remove(&key) else {
            return;
        };
        let at = number.saturating_sub(state.first) as usize;
        if let Some(open) = state.open.get_mut(at) {
            open.done = true;
        }
        while state.open.front().is_some_and(|open| open.done)
            && let Some(open) = state.open.pop_front()
        {
            state.first += 1;
            state.reached = Some((open.place, open.entries));
        }
    }

    /// An object is left for another run, or lines are about to change places: the frontier stays where it is.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.open = VecDeque::new();
        state.numbers = HashMap::new();
    }

    /// No position counts any more, one that was saved before included.
    pub(super) fn void(&self) {
        self.stop();
        let mut state = self.lock();
        state.reached = None;
        state.void = true;
    }

    pub(super) fn is_void(&self) -> bool {
        self.lock().void
    }

    /// The journal has so many entries now.
    fn appended(&self, entries: u64) {
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

    fn reached(&self) -> Option<(Place, u64)> {
        self.lock().reached.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file with the position, beside the output.
#[derive(Debug)]
pub(super) struct PositionFile {
    path: PathBuf,
    input: String,
    frontier: Frontier,
    saved: Option<(Place, u64)>,
}

impl PositionFile {
    /// For a scan of these prefixes by these rules.
    pub(super) fn of(
        output: &Path,
        prefixes: &[Location],
        rules: &str,
        frontier: Frontier,
    ) -> Self {
        let names: Vec<String> = prefixes.iter().map(Location::to_string).collect();
        Self {
            path: beside(output),
            input: format!("{} {rules}", names.join(" ")),
            frontier,
            saved: None,
        }
    }

    /// The position of an earlier run with the same input. What cannot be read is none: all is listed again.
    pub(super) fn load(&self) -> Option<Position> {
        let text = std::fs::read(&self.path).ok()?;
        let position: Position = serde_json::from_slice(&text).ok()?;
        (position.version == VERSION && position.input == self.input).then_some(position)
    }

    /// Writes how far the scan is. Everything that it speaks of is on disk.
    pub(super) fn save(&mut self) -> io::Result<()> {
        if self.frontier.is_void() {
            return self.remove();
        }
        let reached = self.frontier.reached();
        if reached == self.saved {
            return Ok(());
        }
        if let Some((place, entries)) = &reached {
            let position = Position {
                version: VERSION,
                input: self.input.clone(),
                place: place.clone(),
                entries: *entries,
            };
            let mut name = OsString::from(&self.path);
            name.push(".new");
            // It takes the place of the old one in one step; what a power failure leaves of it is not JSON, and
            // then all is listed again.
            std::fs::write(&name, serde_json::to_vec(&position)?)?;
            std::fs::rename(&name, &self.path)?;
        }
        self.saved = reached;
        Ok(())
    }

    /// The journal has so many entries, and these images have their lines.
    pub(super) fn written(&self, entries: u64, keys: impl Iterator<Item = Key>) {
        self.frontier.appended(entries);
        for key in keys {
            self.frontier.written(key);
        }
    }

    /// Lines change their places in this run: no position counts any more.
    pub(super) fn void(&mut self) -> io::Result<()> {
        self.frontier.void();
        self.remove()
    }

    /// The scan has come to its end: the next one lists all again, for what has come in meanwhile.
    pub(super) fn remove(&mut self) -> io::Result<()> {
        remove(&self.path)
    }
}

/// A scan of listings has come to its end with this output.
pub(super) fn forget(output: &Path) -> io::Result<()> {
    remove(&beside(output))
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn beside(output: &Path) -> PathBuf {
    let mut name = OsString::from(output);
    name.push(".position");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(number: usize) -> Place {
        Place {
            source: 0,
            key: format!("{number:06}"),
        }
    }

    proptest! {
        /// Whatever the order in which images finish: all before the frontier are written, and the entries
        /// that it names are of these.
        #[test]
        fn nothing_before_the_frontier_is_open(order in Just((0..40_usize).collect::<Vec<_>>()).prop_shuffle(), ahead in 1..12_usize) {
            let frontier = Frontier::new();
            let mut journal = Vec::new();
            let (mut begun, mut waiting) = (0, Vec::new());
            for next in order {
                // No more than some are on their way.
                waiting.push(next);
                while begun < 40 && begun < journal.len() + ahead {
                    frontier.begin(begun as Key + 1, place(begun), None);
                    begun += 1;
                }
                waiting.retain(|number| {
                    if *number >= begun {
                        return true;
                    }
                    journal.push(*number);
                    frontier.appended(journal.len() as u64);
                    frontier.written(*number as Key + 1);
                    false
                });
                let Some((reached, entries)) = frontier.reached() else { continue };
                let reached: usize = reached.key.parse().expect("a number");
                prop_assert!((0..=reached).all(|number| journal.contains(&number)));
                prop_assert!(journal[..entries as usize].iter().all(|number| *number <= reached));
            }
        }
    }

    #[test]
    fn what_is_left_for_another_run_holds_the_frontier() {
        let frontier = Frontier::new();
        for number in 0..3 {
            frontier.begin(number as Key + 1, place(number), None);
        }
        frontier.written(1);
        frontier.stop();
        frontier.written(3);
        frontier.begin(4, place(3), None);
        frontier.written(4);
        assert_eq!(frontier.reached(), Some((place(0), 0)));
    }

    #[test]
    fn what_is_void_is_removed() {
        let folder = tempfile::tempdir().expect("folder");
        let output = folder.path().join("out.jsonl");
        let frontier = Frontier::new();
        let mut file = PositionFile::of(&output, &[], "", frontier.clone());
        frontier.begin(1, place(0), None);
        frontier.written(1);
        file.save().expect("saved");
        assert!(file.load().is_some());
        frontier.void();
        file.save().expect("removed");
        assert_eq!(file.load(), None);
    }

    #[test]
    fn a_position_counts_for_the_same_input_only() {
        let folder = tempfile::tempdir().expect("folder");
        let output = folder.path().join("out.jsonl");
        let prefixes = ["s3://b/a/".parse().expect("URL")];
        let frontier = Frontier::new();
        let mut file = PositionFile::of(&output, &prefixes, "", frontier.clone());
        assert_eq!(file.load(), None);
        frontier.begin(1, place(0), Some(7));
        frontier.written(1);
        file.save().expect("saved");
        let position = file.load().expect("there");
        assert_eq!((position.place, position.entries), (place(0), 7));
        let other = PositionFile::of(&output, &prefixes, "*.jpg", frontier);
        assert_eq!(other.load(), None);
        file.remove().expect("removed");
        assert_eq!(file.load(), None);
        file.remove().expect("nothing to remove");
    }
}
