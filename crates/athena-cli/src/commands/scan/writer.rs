//! The thread that owns the files: lines, journal, actions, and now and then a mark.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::action::Action;
use super::dedupe::Dedupe;
use super::journal::{Journal, Key, Line, path_key};
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

/// What the writer has done in the end.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) tally: Tally,
    pub(super) matched: u64,
    pub(super) failed_actions: u64,
}

/// The running thread.
#[derive(Debug)]
pub(super) struct Writer {
    sender: SyncSender<Finished>,
    thread: JoinHandle<io::Result<Written>>,
}

impl Writer {
    /// Starts the thread. `unmarked` lines of an earlier run get their actions first.
    pub(super) fn start(
        journal: Journal,
        unmarked: Vec<Vec<u8>>,
        rules: Rules,
        dedupe: Arc<Dedupe>,
    ) -> Self {
        let (sender, receiver) = sync_channel(QUEUE);
        let thread = std::thread::spawn(move || {
            let mut writing = Writing {
                journal,
                rules,
                dedupe,
                written: Written::default(),
            };
            writing.take_up(unmarked);
            writing.run(&receiver)?;
            Ok(writing.written)
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

struct Writing {
    journal: Journal,
    rules: Rules,
    dedupe: Arc<Dedupe>,
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
            self.written.tally.add(&finished.record);
            if finished.content != 0 {
                self.dedupe.written(finished.content, span);
            }
            if matches(&self.rules.thresholds, &finished.record) {
                self.written.matched += 1;
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
