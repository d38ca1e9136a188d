//! The thread that walks: every path once, without those that an earlier run has finished.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;

use super::journal::{Key, Keys};
use super::pipeline::Task;
use super::progress::Counters;
use crate::failure::Outcome;
use crate::input::{Found, Selection};

/// Paths found ahead of the work.
const AHEAD: usize = 4096;

/// Starts the walk. It ends when the receiver is dropped.
pub(super) fn start(
    inputs: impl Iterator<Item = Found> + Send + 'static,
    keys: Keys,
    mut seen: HashSet<Key>,
    counters: Arc<Counters>,
) -> mpsc::Receiver<Task> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        for found in inputs {
            let path = match &found {
                Ok(input) => input.path(),
                Err(unreadable) => &unreadable.path,
            };
            let key = keys.of(path);
            if !seen.insert(key) {
                counters.earlier.fetch_add(1, Ordering::Relaxed);
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
pub(super) fn count(selection: &Selection, counters: Arc<Counters>) -> Outcome<()> {
    let inputs = selection.inputs()?;
    std::thread::spawn(move || {
        let mut total = 0;
        for _ in inputs {
            total += 1;
        }
        counters.total.store(total, Ordering::Relaxed);
    });
    Ok(())
}
