//! The position of a scan of listings, beside its output: what is left to list, and the number of the journal's entries
//! that lie before it. A resumed scan lists that, and keeps none of those entries in memory.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use athena_sources::Location;
use serde::{Deserialize, Serialize};

use super::frontier::{Frontier, Reached};
use super::journal::Key;
use crate::input::Rest;

/// What an interrupted scan leaves for the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    version: u32,
    /// What was listed, and by which rules: it counts for the same only.
    input: String,
    /// What is left to list.
    pub(super) rests: Vec<Rest>,
    /// Entries at the start of the journal that are of keys that are not left.
    pub(super) entries: u64,
    /// Keys do not come in order, so that nothing is left out: all is listed again, page by page.
    #[serde(default)]
    unordered: bool,
}

/// The version of [`Position`]. The first one had a single key.
const VERSION: u32 = 2;

/// The file with the position, beside the output.
#[derive(Debug)]
pub(super) struct PositionFile {
    path: PathBuf,
    input: String,
    /// How many prefixes there are.
    prefixes: usize,
    frontier: Frontier,
    saved: Reached,
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
            prefixes: prefixes.len(),
            frontier,
            saved: Reached::Nothing,
        }
    }

    /// Whether an earlier run with the same input found that keys do not come in order.
    pub(super) fn is_unordered(&self) -> bool {
        self.read().is_some_and(|position| position.unordered)
    }

    /// The position of an earlier run with the same input. What cannot be read is none: all is listed again.
    pub(super) fn load(&self) -> Option<Position> {
        self.read().filter(|position| !position.unordered)
    }

    fn read(&self) -> Option<Position> {
        let text = std::fs::read(&self.path).ok()?;
        let position: Position = serde_json::from_slice(&text).ok()?;
        let ours = position.version == VERSION && position.input == self.input;
        // Somebody may have written into it.
        let sound = position
            .rests
            .iter()
            .all(|rest| rest.source < self.prefixes);
        (ours && sound).then_some(position)
    }

    /// Writes how far the scan is. Everything that it speaks of is on disk.
    pub(super) fn save(&mut self) -> io::Result<()> {
        let reached = self.frontier.reached();
        if reached == self.saved {
            return Ok(());
        }
        let position = |rests: &[Rest], entries, unordered| Position {
            version: VERSION,
            input: self.input.clone(),
            rests: rests.to_vec(),
            entries,
            unordered,
        };
        let position = match &reached {
            Reached::Nothing => None,
            Reached::Rests(rests, entries) => Some(position(rests, *entries, false)),
            Reached::Unordered => Some(position(&[], 0, true)),
            Reached::Void => {
                self.remove()?;
                None
            }
        };
        if let Some(position) = position {
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
    use super::super::frontier::tests::{after, object, started};
    use super::*;

    /// One that has saved that the first object is done, with the folder that it is in.
    fn saved(frontier: &Frontier) -> (tempfile::TempDir, PositionFile) {
        let folder = tempfile::tempdir().expect("folder");
        let mut file = of(&folder, "", frontier.clone());
        assert_eq!(file.load(), None);
        frontier.begin(Some(1), object(0, 0), Some(7));
        frontier.written(1);
        file.save().expect("saved");
        (folder, file)
    }

    fn of(folder: &tempfile::TempDir, rules: &str, frontier: Frontier) -> PositionFile {
        let prefixes = ["s3://b/a/".parse().expect("URL")];
        PositionFile::of(&folder.path().join("out.jsonl"), &prefixes, rules, frontier)
    }

    #[test]
    fn what_is_void_is_removed() {
        let frontier = started();
        let (_folder, mut file) = saved(&frontier);
        assert!(file.load().is_some());
        frontier.void();
        file.save().expect("removed");
        assert_eq!(file.load(), None);
    }

    #[test]
    fn what_has_no_order_has_no_position_and_later_runs_know() {
        let frontier = started();
        let (folder, mut file) = saved(&frontier);
        assert!(!file.is_unordered());
        frontier.unordered();
        frontier.begin(Some(2), object(0, 1), None);
        frontier.written(2);
        file.save().expect("saved");
        assert_eq!(file.load(), None);
        assert!(of(&folder, "", Frontier::new()).is_unordered());
        assert!(!of(&folder, "*.jpg", Frontier::new()).is_unordered());
    }

    #[test]
    fn a_position_counts_for_the_same_input_only() {
        let frontier = started();
        let (folder, mut file) = saved(&frontier);
        let position = file.load().expect("there");
        assert_eq!((position.rests, position.entries), (after(0), 7));
        assert_eq!(of(&folder, "*.jpg", frontier.clone()).load(), None);
        // Of a prefix that is not there.
        frontier.start(&Rest::all(2));
        file.save().expect("saved");
        assert_eq!(file.load(), None);
        file.remove().expect("removed");
        file.remove().expect("nothing to remove");
    }
}
