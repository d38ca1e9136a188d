//! From found files to finished records: prepare, ask, hand over.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use athena_client::{Error, ErrorKind, Session};
use futures_util::StreamExt;
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::ScanArgs;
use super::dedupe::{Dedupe, Turn, duplicate};
use super::journal::{Key, digest_key};
use super::progress::Counters;
use super::writer::{Finished, Writer};
use crate::connect::{Connection, service_failure};
use crate::failure::{Failure, Outcome};
use crate::input::Found;
use crate::judge::{Judged, Route};
use crate::prepare::{Loaded, Preparer, Ready};
use athena_outcome::Record;

/// How the work ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Finished,
    Interrupted,
}

/// The work on one image, and what it uses.
#[derive(Debug)]
pub(super) struct Pipeline<'a> {
    connection: &'a Connection,
    session: Session,
    route: Route,
    preparer: Preparer,
    dedupe: Arc<Dedupe>,
    counters: Arc<Counters>,
    in_flight: usize,
    rate: Option<u32>,
}

/// An image at the end of the pipeline.
#[derive(Debug)]
enum Outlet {
    Finished(Box<Finished>),
    /// The network or the service failed it in a way that may pass: no line, so that a resumed scan
    /// does it again.
    Unfinished(Error),
}

impl<'a> Pipeline<'a> {
    pub(super) fn new(
        args: &ScanArgs,
        connection: &'a Connection,
        preparer: Preparer,
        dedupe: Arc<Dedupe>,
        counters: Arc<Counters>,
    ) -> Outcome<Self> {
        let in_flight = args.in_flight as usize;
        let mut session = connection
            .client
            .session()
            .max_in_flight(in_flight)
            .image_timeout(args.connect.timeout);
        if let Some(id) = &args.deployment {
            session = session.deployment(id.as_str());
        }
        let session = session
            .open()
            .map_err(|error| service_failure(&error, &connection.target))?;
        Ok(Self {
            connection,
            route: Route::Stream(session.clone()),
            session,
            preparer,
            dedupe,
            counters,
            in_flight,
            rate: args.rate,
        })
    }

    pub(super) async fn close(&self) {
        // Every image has its line by now, or is to have none.
        let _ = self.session.close().await;
    }

    /// Runs until the input ends, the user interrupts, or nothing works any more.
    pub(super) async fn run(
        &self,
        found: Receiver<Found>,
        writer: &Writer,
        interrupted: &CancellationToken,
    ) -> Outcome<Ended> {
        let pace = Pace::new(self.rate);
        let found = ReceiverStream::new(found)
            .then(|found| pace.wait(found))
            .take_until(interrupted.cancelled());
        let outlets = found
            .map(|found| self.judge(found))
            .buffer_unordered(self.in_flight);
        let mut outlets = std::pin::pin!(outlets);
        let mut in_a_row = 0;
        while let Some(outlet) = outlets.next().await {
            match outlet? {
                Outlet::Finished(finished) => {
                    in_a_row = 0;
                    self.count(&finished.record);
                    let accepted = tokio::task::block_in_place(|| writer.write(*finished));
                    if !accepted {
                        // Its own error is the one that counts.
                        return Ok(Ended::Interrupted);
                    }
                }
                Outlet::Unfinished(error) => {
                    in_a_row += 1;
                    self.counters.unfinished.fetch_add(1, Relaxed);
                    if is_final(&error) || in_a_row >= self.in_flight.max(32) {
                        return Err(self.stopped(&error));
                    }
                }
            }
        }
        Ok(if interrupted.is_cancelled() {
            Ended::Interrupted
        } else {
            Ended::Finished
        })
    }

    fn stopped(&self, error: &Error) -> Failure {
        service_failure(error, &self.connection.target).also("--resume continues the scan")
    }

    fn count(&self, record: &Record) {
        self.counters.finished.fetch_add(1, Relaxed);
        self.counters
            .failed
            .fetch_add(u64::from(record.error.is_some()), Relaxed);
        self.counters
            .bytes
            .fetch_add(record.bytes.unwrap_or(0), Relaxed);
    }

    async fn judge(&self, found: Found) -> Outcome<Outlet> {
        self.counters.in_flight.fetch_add(1, Relaxed);
        let outlet = self.judge_counted(found).await;
        self.counters.in_flight.fetch_sub(1, Relaxed);
        outlet
    }

    async fn judge_counted(&self, found: Found) -> Outcome<Outlet> {
        let ready = loop {
            let (dedupe, found) = (Arc::clone(&self.dedupe), found.clone());
            let step = (self.preparer)
                .run(move |preparer| prepare(preparer, &dedupe, found))
                .await?;
            match step.map_err(|error| Failure::output(&error))? {
                Step::Ready(ready) => break *ready,
                Step::Duplicate(finished) => return Ok(Outlet::Finished(finished)),
                Step::Wait(first, own) => {
                    if let Ok(Some(first)) = first.await {
                        let finished = own.with_record_of(first);
                        return Ok(Outlet::Finished(Box::new(finished)));
                    }
                }
            }
        };
        let file = ready.file.clone();
        let content = content_key(ready.sha256.as_ref());
        let Judged { record, error } = self.route.judge(ready).await;
        let unfinished = error.filter(|error| error.is_transient() || is_final(error));
        let record_for_others = unfinished.is_none().then_some(&record);
        self.dedupe.finished(content, record_for_others);
        Ok(match unfinished {
            Some(error) => Outlet::Unfinished(error),
            None => Outlet::Finished(Box::new(finished(file, content, record))),
        })
    }
}

/// What the first, blocking step makes of a file. All of it happens in one turn on the pool, so that
/// no more files are held in memory than there are threads.
#[derive(Debug)]
enum Step {
    Ready(Box<Ready>),
    /// The content has been judged under another path.
    Duplicate(Box<Finished>),
    /// The content is being judged under another path.
    Wait(oneshot::Receiver<Option<Record>>, Box<Duplicate>),
}

/// A file whose content is that of another one.
#[derive(Debug)]
struct Duplicate {
    file: PathBuf,
    content: Key,
    record: Record,
}

impl Duplicate {
    fn with_record_of(self, first: Record) -> Finished {
        let record = duplicate(first, self.record);
        finished(self.file, self.content, record)
    }
}

fn prepare(preparer: &Preparer, dedupe: &Dedupe, found: Found) -> io::Result<Step> {
    let loaded = preparer.load(found);
    let sha256 = dedupe.is_on().then(|| loaded.sha256()).flatten();
    let content = content_key(sha256.as_ref());
    let turn = dedupe.turn(content)?;
    let own = |loaded: Loaded| Duplicate {
        content,
        file: loaded.file,
        record: loaded.record,
    };
    Ok(match turn {
        Turn::First => Step::Ready(Box::new(preparer.prepare(loaded))),
        Turn::Known(first) => Step::Duplicate(Box::new(own(loaded).with_record_of(*first))),
        Turn::Wait(first) => Step::Wait(first, Box::new(own(loaded))),
    })
}

/// The key of a content; zero when there is none.
fn content_key(sha256: Option<&[u8; 32]>) -> Key {
    sha256.map_or(0, digest_key)
}

fn finished(file: PathBuf, content: Key, mut record: Record) -> Finished {
    record.time = Some(humantime::format_rfc3339_millis(SystemTime::now()).to_string());
    Finished {
        file,
        content,
        record,
    }
}

/// An error that no other image can escape: the scan stops, and its images stay to be done.
fn is_final(error: &Error) -> bool {
    let everyone = matches!(
        error.kind(),
        ErrorKind::Authentication | ErrorKind::NotPermitted | ErrorKind::Tls | ErrorKind::Closed
    );
    everyone && !error.is_transient()
}

/// Lets images through at a steady rate.
#[derive(Debug)]
struct Pace {
    step: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    fn new(rate: Option<u32>) -> Self {
        Self {
            step: rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate),
            next: Mutex::new(Instant::now()),
        }
    }

    async fn wait(&self, found: Found) -> Found {
        if self.step > Duration::ZERO {
            let slot = {
                let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
                let slot = (*next).max(Instant::now());
                *next = slot + self.step;
                slot
            };
            tokio::time::sleep_until(slot).await;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Input;

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_kept() {
        let pace = Pace::new(Some(50));
        let started = Instant::now();
        for _ in 0..101 {
            let _ = pace.wait(Ok(Input::StandardInput)).await;
        }
        let taken = started.elapsed();
        assert!(
            taken >= Duration::from_secs(2) && taken < Duration::from_millis(2_200),
            "{taken:?}"
        );
    }
}
