//! The thread that walks: every image once, without those that an earlier run has finished.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;

use super::frontier::Frontier;
use super::journal::{Key, Keys};
use super::pipeline::Task;
use super::progress::Counters;
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
    pub(super) seen: HashSet<Key>,
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
}

impl Walk {
    /// Whether there is something to do.
    fn is_new(&mut self, key: Key, place: Option<Place>) -> bool {
        let (Some(listed), Some(place)) = (&self.listed, place) else {
            return self.seen.insert(key);
        };
        let past = listed
            .furthest
            .as_ref()
            .is_none_or(|furthest| place > *furthest);
        if past && !self.seen.is_empty() {
            // No earlier run has come as far.
            self.seen = HashSet::new();
        }
        // Each key comes once: none must be kept.
        if self.seen.remove(&key) {
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
