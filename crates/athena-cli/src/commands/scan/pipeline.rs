//! From found files to finished records: prepare, ask, hand over.
//!
//! An image ends with a line when something is known of it that will not change: a verdict, or an error
//! of its own. What the service, the network or a disk that went away have done to it says nothing about
//! it: it stays *unfinished*, without a line, for a resumed scan.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use athena_client::{Error, ErrorKind, Session};
use athena_sources::{Error as SourceError, Fetched};
use futures_util::StreamExt;
use tokio::sync::mpsc::Receiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::ScanArgs;
use super::breaker::{Breaker, Event, Trip};
use super::dedupe::Dedupe;
use super::frontier::Frontier;
use super::journal::Key;
use super::pace::Pace;
use super::progress::Counters;
use super::step::{Step, content_key, finished, prepare};
use super::tally::is_category;
use super::writer::{Finished, Writer};
use crate::connect::{Connection, service_failure};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, chain, one_line};
use crate::input::{Found, Input, Object, Roots, Unreadable, hopeless};
use crate::judge::{Judged, Route};
use crate::prepare::Preparer;
use athena_outcome::{Record, text};

/// The room for the bytes of objects.
const ROOM_KIB: u32 = 256 * 1024;
/// What is set aside for an object of which nobody has said how large it is.
const EXPECTED_BYTES: u64 = 16 << 20;

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
    roots: Arc<Roots>,
    frontier: Option<Frontier>,
    /// Bytes of objects that may be in memory, in KiB.
    room: Arc<Semaphore>,
    /// Categories that the output knows already; empty for a new one.
    categories: BTreeSet<String>,
    breaker: Breaker,
    in_flight: usize,
    rate: Option<f64>,
}

/// An image to come to.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) key: Key,
    pub(super) found: Found,
}

/// What a pipeline works with besides its connection.
#[derive(Debug)]
pub(super) struct Means {
    pub(super) preparer: Preparer,
    pub(super) dedupe: Arc<Dedupe>,
    pub(super) counters: Arc<Counters>,
    pub(super) roots: Arc<Roots>,
    /// Where the input is listings alone.
    pub(super) frontier: Option<Frontier>,
    /// Categories of earlier runs' answers.
    pub(super) categories: BTreeSet<String>,
}

/// An image at the end of the pipeline.
#[derive(Debug)]
enum Outlet {
    Finished(Box<Finished>, Event),
    Unfinished(Cause),
}

/// Why an image has no line.
#[derive(Debug)]
enum Cause {
    Service(Error),
    /// The file and what the system said.
    Storage(PathBuf, String),
    /// It is not even known what there is.
    Unlisted(Unreadable),
}

impl<'a> Pipeline<'a> {
    pub(super) fn new(args: &ScanArgs, connection: &'a Connection, means: Means) -> Outcome<Self> {
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
            preparer: means.preparer,
            dedupe: means.dedupe,
            counters: means.counters,
            roots: means.roots,
            frontier: means.frontier,
            room: Arc::new(Semaphore::new(ROOM_KIB as usize)),
            categories: means.categories,
            // All that were under way when the service went away fail together: that is one failure.
            breaker: Breaker::new(u64::from(args.in_flight.max(32)), args.max_failures),
            in_flight,
            rate: args.rate,
        })
    }

    pub(super) async fn close(&self) {
        // Every image has its line by now, or is to have none.
        let _ = self.session.close().await;
    }

    /// Runs until the input ends, the user interrupts, or nothing works any more. Why some of the input could not be
    /// listed is added to `unlisted`.
    pub(super) async fn run(
        &mut self,
        found: Receiver<Task>,
        writer: &Writer,
        interrupted: &CancellationToken,
        unlisted: &mut BTreeSet<String>,
    ) -> Outcome<Ended> {
        let Self {
            categories,
            breaker,
            ..
        } = self;
        let mut categories = std::mem::take(categories);
        let mut breaker = std::mem::replace(breaker, Breaker::new(u64::MAX, None));
        let pace = Pace::new(self.rate);
        let found = ReceiverStream::new(found)
            .then(|found| pace.wait(found))
            .take_until(interrupted.cancelled());
        let outlets = found
            .map(|task| self.judge(task))
            .buffer_unordered(self.in_flight);
        let mut outlets = std::pin::pin!(outlets);
        let mut last_error = None;
        let mut last_loss = None;
        // Something that could not be listed, and will not be as things are.
        let mut refused = None;
        while let Some(outlet) = outlets.next().await {
            let event = match outlet? {
                Outlet::Finished(finished, event) => {
                    self.same_classifier(&mut categories, &finished.record)?;
                    self.count(&finished.record);
                    let accepted = tokio::task::block_in_place(|| writer.write(*finished));
                    if !accepted {
                        // Its own error is the one that counts.
                        return Ok(Ended::Interrupted);
                    }
                    event
                }
                Outlet::Unfinished(cause) => {
                    self.counters.unfinished.fetch_add(1, Relaxed);
                    // What is left of a listing is left where it stands.
                    let listed = !matches!(cause, Cause::Unlisted(_));
                    if let Some(frontier) = self.frontier.as_ref().filter(|_| listed) {
                        frontier.stop();
                    }
                    match cause {
                        Cause::Service(error) if is_final(&error) => {
                            return Err(self.stopped(&error));
                        }
                        Cause::Service(error) => {
                            tracing::warn!("unfinished: {}", text::sdk_error(&error));
                            last_error = Some(error);
                            Event::Service
                        }
                        Cause::Storage(path, why) => {
                            let file = one_line(&path.to_string_lossy());
                            tracing::warn!(file, "unfinished: {why}");
                            last_loss = Some((path, why));
                            Event::Storage
                        }
                        Cause::Unlisted(Unreadable {
                            path,
                            reason,
                            hopeless,
                            ..
                        }) => {
                            let place = one_line(&path.to_string_lossy());
                            tracing::warn!(place, "unfinished: {reason}");
                            // Whatever else is listed is done first.
                            let failure = hopeless.map(|exit| {
                                Failure::new(exit, reason.clone())
                                    .remedy("--resume continues the scan")
                            });
                            refused = refused.or(failure);
                            unlisted.insert(reason.clone());
                            last_loss = Some((path, reason));
                            Event::Storage
                        }
                    }
                }
            };
            if let Some(trip) = breaker.see(event) {
                if let (Trip::Storage, Some(failure)) = (trip, refused) {
                    return Err(failure);
                }
                return Err(self.tripped(trip, last_error.as_ref(), last_loss.as_ref()));
            }
        }
        if interrupted.is_cancelled() {
            return Ok(Ended::Interrupted);
        }
        if let Some(failure) = refused {
            return Err(failure);
        }
        match breaker.at_the_end(last_error.is_some()) {
            Some(trip) => Err(self.tripped(trip, last_error.as_ref(), last_loss.as_ref())),
            None => Ok(Ended::Finished),
        }
    }

    fn stopped(&self, error: &Error) -> Failure {
        service_failure(error, &self.connection.target).also("--resume continues the scan")
    }

    fn tripped(
        &self,
        trip: Trip,
        error: Option<&Error>,
        loss: Option<&(PathBuf, String)>,
    ) -> Failure {
        match (trip, error, loss) {
            (Trip::Service, Some(error), _) => self.stopped(error),
            (Trip::Service, None, _) => Failure::new(
                Exit::Service,
                format!(
                    "{}: the service fails one image after the other",
                    self.connection.target.endpoint
                ),
            )
            .remedy("--resume continues the scan, with --retry-failed=service to do those again"),
            (Trip::Storage, _, Some((path, why))) => {
                let path = path.display().to_string();
                // What a store's error is about stands in it.
                let cause = match why.contains(&path) {
                    true => why.clone(),
                    false => format!("cannot read {path}: {why}"),
                };
                Failure::local(cause).remedy(
                    "is the disk, the network drive or the store still there? --resume continues the scan",
                )
            }
            (
                Trip::Failures {
                    by_service: true, ..
                },
                Some(error),
                _,
            ) => self.stopped(error).also("--max-failures was exceeded"),
            (Trip::Failures { failed, done, .. }, ..) => Failure::new(
                Exit::SomeFailed,
                format!("{failed} of {done} images failed, more than --max-failures allows"),
            )
            .remedy("--resume continues the scan"),
            (Trip::Storage, _, None) => Failure::local("the files can no longer be read"),
        }
    }

    /// Holds the first categories that are answered against those of earlier runs: lines of two
    /// classifiers in one output would not mean the same. Any label may be missing from an answer.
    fn same_classifier(&self, known: &mut BTreeSet<String>, record: &Record) -> Outcome<()> {
        let mut answered = record
            .scores
            .weights
            .keys()
            .filter(|label| is_category(label));
        if known.is_empty() || answered.clone().next().is_none() {
            return Ok(());
        }
        if answered.any(|label| known.contains(label)) {
            known.clear();
            return Ok(());
        }
        let list = |labels: Vec<&str>| labels.join(", ");
        let answered = record
            .scores
            .weights
            .keys()
            .filter(|label| is_category(label));
        Err(Failure::new(
            Exit::Usage,
            format!(
                "the output is of another classifier: it has {}, {} answers {}",
                list(known.iter().map(String::as_str).collect()),
                self.connection.target.endpoint,
                list(answered.map(String::as_str).collect()),
            ),
        )
        .remedy("resume with the service of the first run, or choose another --output"))
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

    /// An object's bytes, and the room that they take. What is known of its size may be nothing, or wrong.
    async fn fetch(
        &self,
        object: &Object,
    ) -> (Result<Fetched, SourceError>, Option<OwnedSemaphorePermit>) {
        let most = self.preparer.max_file_bytes();
        let expected = object.size.unwrap_or(EXPECTED_BYTES).min(most);
        let room = self.room(expected).await;
        match object.fetch(expected).await {
            Err(error)
                if error.kind() == athena_sources::ErrorKind::TooLarge && expected < most =>
            {
                drop(room);
                let room = self.room(most).await;
                (object.fetch(most).await, room)
            }
            result => (result, room),
        }
    }

    async fn room(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room);
        // It is never closed.
        room.acquire_many_owned(kib.clamp(1, ROOM_KIB)).await.ok()
    }

    async fn judge(&self, task: Task) -> Outcome<Outlet> {
        self.counters.in_flight.fetch_add(1, Relaxed);
        let outlet = self.judge_counted(task).await;
        self.counters.in_flight.fetch_sub(1, Relaxed);
        outlet
    }

    async fn judge_counted(&self, Task { key, found }: Task) -> Outcome<Outlet> {
        let found = match found {
            Err(unreadable) if unreadable.lost => {
                return Ok(Outlet::Unfinished(Cause::Unlisted(unreadable)));
            }
            found => found,
        };
        // Its bytes have their room until they are prepared.
        let (mut fetched, mut room) = (None, None);
        let mut refused = false;
        if let Ok(Input::Object(object)) = &found {
            let (result, permit) = self.fetch(object).await;
            if let Err(error) = &result {
                if let Some(failure) = hopeless(error) {
                    return Err(failure.also("--resume continues the scan"));
                }
                if !error.is_of_object() {
                    let path = object.location.to_string().into();
                    return Ok(Outlet::Unfinished(Cause::Storage(path, chain(error))));
                }
                refused = error.kind() == athena_sources::ErrorKind::Refused;
            }
            (fetched, room) = (Some(self.preparer.loaded(object, result)), permit);
        }
        let ready = loop {
            let (dedupe, roots) = (Arc::clone(&self.dedupe), Arc::clone(&self.roots));
            let (found, fetched) = (found.clone(), fetched.clone());
            let step = (self.preparer)
                .run(move |preparer| {
                    let loaded = match (fetched, found) {
                        (Some(loaded), _) => loaded,
                        (None, found) => preparer.load(found),
                    };
                    prepare(preparer, &dedupe, &roots, key, loaded)
                })
                .await?;
            match step.map_err(|error| Failure::output(&error))? {
                Step::Ready(ready) => break *ready,
                Step::Duplicate(finished) => return Ok(known(*finished)),
                Step::Lost(path, why) => return Ok(Outlet::Unfinished(Cause::Storage(path, why))),
                Step::Wait(first, own) => {
                    if let Ok(Some(first)) = first.await {
                        return Ok(known(own.with_record_of(first)));
                    }
                }
            }
        };
        drop((fetched, room));
        let file = ready.file.clone();
        let content = content_key(ready.sha256.as_ref());
        let asked = ready.prepared.is_some();
        let Judged { record, error } = self.route.judge(ready).await;
        let (unfinished, failed_by_service) = match error {
            Some(error) if !error.is_of_image() => (Some(error), false),
            Some(error) => (None, error.kind() == ErrorKind::Service),
            None => (
                None,
                record
                    .error
                    .as_ref()
                    .is_some_and(|error| error.kind == "protocol"),
            ),
        };
        let record_for_others = unfinished.is_none().then_some(&record);
        self.dedupe.finished(content, record_for_others);
        if let Some(error) = unfinished {
            return Ok(Outlet::Unfinished(Cause::Service(error)));
        }
        let failed = record.error.is_some();
        let event = match (asked, failed_by_service) {
            // One may be locked away from us; when all are, it is not their fault.
            _ if refused => Event::Storage,
            (_, true) => Event::FailedByService,
            (true, false) => Event::Answered { failed },
            (false, false) => Event::Alone { failed },
        };
        let finished = finished(key, file, content, record);
        Ok(Outlet::Finished(Box::new(finished), event))
    }
}

/// What is finished by the verdict of another file.
fn known(finished: Finished) -> Outlet {
    let failed = finished.record.error.is_some();
    Outlet::Finished(Box::new(finished), Event::Alone { failed })
}

/// An error that no other image can escape: the scan stops, and its images stay to be done.
fn is_final(error: &Error) -> bool {
    let everyone = matches!(
        error.kind(),
        ErrorKind::Authentication | ErrorKind::NotPermitted | ErrorKind::Tls | ErrorKind::Closed
    );
    everyone && !error.is_transient()
}
