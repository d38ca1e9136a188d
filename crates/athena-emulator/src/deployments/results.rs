use std::collections::BTreeMap;
use std::time::Duration;

use athena_proto::ClassificationOutput;
use tokio::time::Instant;

/// The results of a deployment that nobody has collected yet, in the order in which they are due.
#[derive(Debug)]
pub(super) struct Results {
    waiting: BTreeMap<(Instant, u64), ClassificationOutput>,
    sequence: u64,
    capacity: usize,
}

impl Results {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            waiting: BTreeMap::new(),
            sequence: 0,
            capacity,
        }
    }

    /// Adds a result that may be handed out from `due` on; returns how many were dropped for it.
    pub(super) fn push(&mut self, output: ClassificationOutput, due: Instant) -> usize {
        let mut dropped = 0;
        while self.waiting.len() >= self.capacity.max(1) {
            self.waiting.pop_first();
            dropped += 1;
        }
        self.waiting.insert((due, self.sequence), output);
        self.sequence += 1;
        dropped
    }

    /// Takes the results that are due, oldest first, at most `limit`.
    pub(super) fn take(&mut self, now: Instant, limit: usize) -> Vec<ClassificationOutput> {
        let mut taken = Vec::new();
        while taken.len() < limit {
            match self.waiting.first_entry() {
                Some(entry) if entry.key().0 <= now => taken.push(entry.remove()),
                _ => break,
            }
        }
        taken
    }

    /// Drops the results that have waited for longer than `retention`; returns how many.
    pub(super) fn expire(&mut self, now: Instant, retention: Duration) -> usize {
        let before = self.waiting.len();
        while let Some(entry) = self.waiting.first_entry() {
            if entry.key().0 + retention >= now {
                break;
            }
            entry.remove();
        }
        before - self.waiting.len()
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.keys().next().map(|(due, _)| *due)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
