//! The thread that owns the output: lines, journal, what is due of actions, and now and then a mark.

mod acting;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use athena_outcome::{PathText, Policy, Record};

use super::action::evidence::ActionLog;
use super::action::intents::Intent;
use super::action::{Acted, Action, Actions, Job};
use super::dedupe::Dedupe;
use super::journal::{Earlier, Key, Keys, Line, Span};
use super::progress::Counters;
use super::sink::Sink;
use super::tally::Tally;
use super::threshold::{Threshold, matches};
use crate::failure::{Failure, Outcome};
use crate::input::Remote;

/// Finished images that may wait for the disk.
const QUEUE: usize = 1024;
/// How often the files are synchronised: the most that a power failure can cost.
const MARK_EVERY: Duration = Duration::from_secs(2);
/// How often actions are asked for while no image comes.
const ACTIONS_EVERY: Duration = Duration::from_millis(50);

/// A finished image.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) key: Key,
    pub(super) file: PathBuf,
    pub(super) content: Key,
    pub(super) record: Record,
}

/// What the writer needs besides the output.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) keys: Keys,
    pub(super) policy: Option<Policy>,
    pub(super) thresholds: Vec<Threshold>,
    pub(super) action: Option<Acting>,
}

/// The action, and how it is taken.
#[derive(Debug)]
pub(super) struct Acting {
    pub(super) action: Action,
    /// Where the action needs stores.
    pub(super) remote: Option<Arc<Remote>>,
    pub(super) jobs: usize,
    pub(super) timeout: Duration,
    pub(super) log: Option<ActionLog>,
}

/// What stands in the output in the end.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// What this run has added.
    pub(super) run: Tally,
    /// The whole output, earlier runs included.
    pub(super) whole: Tally,
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
        sink: Sink,
        remains: Remains,
        rules: Rules,
        dedupe: Arc<Dedupe>,
        counters: Arc<Counters>,
    ) -> Self {
        let (sender, receiver) = sync_channel(QUEUE);
        let (results, acted) = channel();
        let (actions, log) = match rules.action {
            Some(acting) => {
                let (jobs, timeout) = (acting.jobs, acting.timeout);
                let actions = Actions::new(acting.action, acting.remote, jobs, timeout, results);
                (Some(actions), acting.log)
            }
            None => (None, None),
        };
        let thread = std::thread::spawn(move || {
            let mut writing = Writing {
                sink,
                keys: rules.keys,
                retry: remains.retry,
                policy: rules.policy,
                thresholds: rules.thresholds,
                actions,
                log,
                acted,
                under_way: 0,
                dedupe,
                counters,
                written: Written {
                    whole: remains.tally,
                    ..Written::default()
                },
            };
            writing.take_up(remains.due, remains.intents)?;
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
    due: Vec<Span>,
    intents: Vec<Intent>,
}

impl Remains {
    /// From what a resumed scan has found. Images whose action was begun count as finished: they were
    /// judged, and their files may have been moved.
    pub(super) fn of(earlier: &mut Earlier, mut intents: Vec<Intent>, keys: Keys) -> Self {
        intents.retain(|intent| {
            let path = keys.of_record(&intent.record);
            path.is_some_and(|path| earlier.paths.insert(path))
        });
        Self {
            tally: std::mem::take(&mut earlier.tally),
            retry: std::mem::take(&mut earlier.retry),
            due: std::mem::take(&mut earlier.due),
            intents,
        }
    }
}

struct Writing {
    sink: Sink,
    keys: Keys,
    /// Lines that go once their images have new ones.
    retry: HashMap<Key, Span>,
    policy: Option<Policy>,
    thresholds: Vec<Threshold>,
    actions: Option<Actions>,
    log: Option<ActionLog>,
    acted: Receiver<Acted>,
    under_way: usize,
    dedupe: Arc<Dedupe>,
    counters: Arc<Counters>,
    written: Written,
}

/// A line that is to be written.
struct Row {
    path: Key,
    content: Key,
    record: Record,
    /// The line of an earlier run that it is the successor of.
    replaces: Option<Span>,
}

impl Writing {
    fn run(&mut self, receiver: &Receiver<Finished>) -> io::Result<()> {
        let mut marked = Instant::now();
        loop {
            let mut batch = Vec::new();
            let patience = match self.under_way {
                0 => MARK_EVERY,
                _ => ACTIONS_EVERY,
            };
            match receiver.recv_timeout(patience) {
                Ok(finished) => batch.push(finished),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            batch.extend(receiver.try_iter().take(QUEUE));
            self.take(batch)?;
            let acted = self.acted.try_iter().collect();
            self.have_acted(acted)?;
            if marked.elapsed() >= MARK_EVERY {
                self.mark()?;
                marked = Instant::now();
            }
        }
        while self.under_way > 0 {
            self.wait_for_an_action()?;
        }
        self.mark()
    }

    /// Finished images: those that have an action coming get their lines after it.
    fn take(&mut self, batch: Vec<Finished>) -> io::Result<()> {
        let (mut rows, mut jobs) = (Vec::with_capacity(batch.len()), Vec::new());
        for mut finished in batch {
            if let Some(policy) = &self.policy {
                finished.record.decide(policy);
            }
            let path = finished.key;
            if self.actions.is_some() && matches(&self.thresholds, &finished.record) {
                jobs.push(Job {
                    path,
                    content: finished.content,
                    file: finished.file,
                    record: finished.record,
                    replaces: None,
                });
            } else {
                rows.push(Row {
                    path,
                    content: finished.content,
                    record: finished.record,
                    replaces: None,
                });
            }
        }
        self.write(rows)?;
        self.begin(jobs)
    }

    /// Writes lines and counts them.
    fn write(&mut self, rows: Vec<Row>) -> io::Result<()> {
        let mut lines = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut text = serde_json::to_vec(&row.record)?;
            text.push(b'\n');
            lines.push(Line {
                path: row.path,
                content: row.content,
                text,
            });
        }
        let spans = self.sink.append(&lines)?;
        for (index, row) in rows.iter().enumerate() {
            if let Some(span) = spans.get(index)
                && row.content != 0
            {
                self.dedupe.written(row.content, *span);
            }
            if let Some(old) = row.replaces {
                self.sink.supersede(old)?;
                self.written.run.add_action(&row.record);
                self.written.whole.add_action(&row.record);
                continue;
            }
            if let Some(old) = self.retry.remove(&row.path) {
                self.sink.supersede(old)?;
            }
            let matched = matches(&self.thresholds, &row.record);
            self.counters.matched.fetch_add(u64::from(matched), Relaxed);
            self.written.run.add(&row.record, matched);
            self.written.whole.add(&row.record, matched);
        }
        Ok(())
    }

    fn mark(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Kept(kept) => {
                kept.mark()?;
                if self.under_way == 0 {
                    kept.intents.clear()?;
                }
                Ok(())
            }
            Sink::Parts(parts) => parts.mark(),
            Sink::Stream(_) => Ok(()),
        }
    }

    /// Images that were to be done again and were not keep their lines.
    fn finish(mut self) -> io::Result<Written> {
        for span in std::mem::take(&mut self.retry).into_values() {
            let text = self.sink.read(span)?;
            let Ok(record) = serde_json::from_slice::<Record>(&text) else {
                continue;
            };
            if is_readable_folder(&record) {
                // What could not be listed could be this time, and its images have lines of their own.
                self.sink.supersede(span)?;
                continue;
            }
            let matched = matches(&self.thresholds, &record);
            self.written.whole.add(&record, matched);
        }
        match self.sink {
            Sink::Kept(kept) => kept.finish()?,
            Sink::Parts(mut parts) => parts.write()?,
            Sink::Stream(_) => {}
        }
        Ok(self.written)
    }
}

fn is_readable_folder(record: &Record) -> bool {
    let path = record.path.as_ref().and_then(PathText::to_path);
    path.is_some_and(|path| path.is_dir() && path.read_dir().is_ok())
}
