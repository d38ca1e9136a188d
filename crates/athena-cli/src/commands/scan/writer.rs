//! The thread that owns the files: lines, journal, actions, and now and then a mark.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::action::Action;
use super::dedupe::Dedupe;
use super::journal::{Earlier, Journal, Key, Line, Span, path_key};
use super::progress::Counters;
use super::tally::Tally;
use super::threshold::{Threshold, matches};
use crate::failure::{Failure, Outcome};
use athena_outcome::{PathText, Policy, Record};

/// Finished images that may wait for the disk.
const QUEUE: usize = 1024;
/// How often the files are synchronised: the most that a power failure can cost.
const MARK_EVERY: Duration = Duration::from_secs(2);

/// A finished image.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) file: PathBuf,
    pub(super) content: Key,
    pub(super) record: Record,
}

/// What the writer needs besides the files.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) policy: Option<Policy>,
    pub(super) thresholds: Vec<Threshold>,
    pub(super) action: Option<Action>,
}

/// What stands in the output in the end.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// What this run has added.
    pub(super) run: Tally,
    /// The whole output, earlier runs included.
    pub(super) whole: Tally,
    pub(super) failed_actions: u64,
}

/// The running thread.
#[derive(Debug)]
pub(super) struct Writer {
    sender: SyncSender<Finished>,
    thread: JoinHandle<io::Result<Written>>,
}

impl Writer {
    /// Starts the thread. What an earlier run has left gets its actions first.
    pub(super) fn start(
        journal: Journal,
        earlier: Remains,
        rules: Rules,
        dedupe: Arc<Dedupe>,
        counters: Arc<Counters>,
    ) -> Self {
        let (sender, receiver) = sync_channel(QUEUE);
        let thread = std::thread::spawn(move || {
            let mut writing = Writing {
                journal,
                retry: earlier.retry,
                rules,
                dedupe,
                counters,
                written: Written {
                    whole: earlier.tally,
                    ..Written::default()
                },
            };
            writing.take_up(earlier.unmarked);
            writing.run(&receiver)?;
            writing.finish()
        });
        Self { sender, thread }
    }

    /// Hands a finished image over; waits while the disk is behind. False when the thread has failed.
    pub(super) fn write(&self, finished: Finished) -> bool {
        self.sender.send(finished).is_ok()
    }

    /// Waits until everything is on disk.
    pub(super) fn finish(self) -> Outcome<Written> {
        drop(self.sender);
        match self.thread.join() {
            Ok(written) => written.map_err(|error| Failure::output(&error)),
            Err(_) => Err(Failure::local("the writer failed")),
        }
    }
}

/// What the writer takes over from an earlier run.
#[derive(Debug, Default)]
pub(super) struct Remains {
    tally: Tally,
    retry: HashMap<Key, Span>,
    unmarked: Vec<Vec<u8>>,
}

impl From<&mut Earlier> for Remains {
    fn from(earlier: &mut Earlier) -> Self {
        Self {
            tally: std::mem::take(&mut earlier.tally),
            retry: std::mem::take(&mut earlier.retry),
            unmarked: std::mem::take(&mut earlier.unmarked),
        }
    }
}

struct Writing {
    journal: Journal,
    /// Lines that go once their images have new ones.
    retry: HashMap<Key, Span>,
    rules: Rules,
    dedupe: Arc<Dedupe>,
    counters: Arc<Counters>,
    written: Written,
}

impl Writing {
    fn run(&mut self, receiver: &Receiver<Finished>) -> io::Result<()> {
        let mut marked = Instant::now();
        loop {
            let mut batch = Vec::new();
            match receiver.recv_timeout(MARK_EVERY) {
                Ok(finished) => batch.push(finished),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            batch.extend(receiver.try_iter().take(QUEUE));
            self.write(batch)?;
            if marked.elapsed() >= MARK_EVERY {
                self.journal.mark()?;
                marked = Instant::now();
            }
        }
        self.journal.mark()
    }

    /// Images that were to be done again and were not keep their lines.
    fn finish(mut self) -> io::Result<Written> {
        for span in std::mem::take(&mut self.retry).into_values() {
            let text = self.journal.read(span)?;
            if let Ok(record) = serde_json::from_slice::<Record>(&text) {
                let matched = matches(&self.rules.thresholds, &record);
                self.written.whole.add(&record, matched);
            }
        }
        self.journal.finish()?;
        Ok(self.written)
    }

    fn write(&mut self, mut batch: Vec<Finished>) -> io::Result<()> {
        let mut lines = Vec::with_capacity(batch.len());
        for finished in &mut batch {
            if let Some(policy) = &self.rules.policy {
                finished.record.decide(policy);
            }
            let mut text = serde_json::to_vec(&finished.record)?;
            text.push(b'\n');
            lines.push(Line {
                path: path_key(&finished.file),
                content: finished.content,
                text,
            });
        }
        let spans = self.journal.append(&lines)?;
        for ((finished, line), span) in batch.iter().zip(&lines).zip(spans) {
            if let Some(old) = self.retry.remove(&line.path) {
                self.journal.supersede(old);
            }
            let matched = matches(&self.rules.thresholds, &finished.record);
            self.written.run.add(&finished.record, matched);
            self.written.whole.add(&finished.record, matched);
            if finished.content != 0 {
                self.dedupe.written(finished.content, span);
            }
            if matched {
                self.counters.matched.fetch_add(1, Relaxed);
                self.act(&finished.file, &line.text);
            }
        }
        Ok(())
    }

    /// Actions that an earlier run may not have come to.
    fn take_up(&mut self, unmarked: Vec<Vec<u8>>) {
        for text in unmarked {
            let Ok(record) = serde_json::from_slice::<Record>(&text) else {
                continue;
            };
            if matches(&self.rules.thresholds, &record)
                && let Some(path) = record.path.as_ref().and_then(PathText::to_path)
            {
                self.act(&path, &text);
            }
        }
    }

    fn act(&mut self, file: &std::path::Path, line: &[u8]) {
        let Some(action) = &self.rules.action else {
            return;
        };
        if let Err(why) = action.take(file, line) {
            self.written.failed_actions += 1;
            tracing::warn!(file = %file.display(), "--on-match: {why}");
        }
    }
}
