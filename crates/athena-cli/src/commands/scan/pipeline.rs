//! From found files to finished records: prepare, ask, hand over.
//!
//! An image ends with a line when something is known of it that will not change: a verdict, or an error
//! of its own. What the service, the network or a disk that went away have done to it says nothing about
//! it: it stays *unfinished*, without a line, for a resumed scan.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use athena_client::{Error, ErrorKind, Session};
use futures_util::StreamExt;
use tokio::sync::mpsc::Receiver;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::ScanArgs;
use super::breaker::{Breaker, Event};
use super::dedupe::Dedupe;
use super::frontier::Frontier;
use super::journal::Key;
use super::pace::Pace;
use super::progress::Counters;
use super::room::Room;
use super::step::{Step, content_key, finished, prepare};
use super::tally::is_category;
use super::unfinished::{Cause, Losses, stopped};
use super::writer::{Finished, Writer};
use crate::connect::{Connection, service_failure};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, chain};
use crate::input::{Found, Input, Roots, hopeless};
use crate::judge::{Judged, Route};
use crate::prepare::Preparer;
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
    roots: Arc<Roots>,
    frontier: Option<Frontier>,
    room: Room,
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
    Unfinished(Key, Cause),
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
            room: Room::new(),
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
        let target = &self.connection.target;
        let pace = Pace::new(self.rate);
        let found = ReceiverStream::new(found)
            .then(|found| pace.wait(found))
            .take_until(interrupted.cancelled());
        let outlets = found
            .map(|task| self.judge(task))
            .buffer_unordered(self.in_flight);
        let mut outlets = std::pin::pin!(outlets);
        let mut losses = Losses::default();
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
                Outlet::Unfinished(key, cause) => {
                    self.counters.unfinished.fetch_add(1, Relaxed);
                    // What is left of a listing is left where it stands.
                    let listed = !matches!(cause, Cause::Unlisted(_));
                    if let Some(frontier) = self.frontier.as_ref().filter(|_| listed) {
                        frontier.leave(key);
                    }
                    match cause {
                        Cause::Service(error) if is_final(&error) => {
                            return Err(stopped(&error, target));
                        }
                        Cause::Unlisted(unreadable) => {
                            unlisted.insert(unreadable.reason.clone());
                            losses.unlisted(unreadable)
                        }
                        Cause::Service(error) => losses.by_service(error),
                        Cause::Storage(path, why) => losses.by_storage(path, why),
                    }
                }
            };
            if let Some(trip) = breaker.see(event) {
                return Err(losses.failure(trip, target));
            }
        }
        if interrupted.is_cancelled() {
            return Ok(Ended::Interrupted);
        }
        match losses.at_the_end(&breaker, target) {
            Some(failure) => Err(failure),
            None => Ok(Ended::Finished),
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

    async fn judge(&self, task: Task) -> Outcome<Outlet> {
        self.counters.in_flight.fetch_add(1, Relaxed);
        let outlet = self.judge_counted(task).await;
        self.counters.in_flight.fetch_sub(1, Relaxed);
        outlet
    }

    async fn judge_counted(&self, Task { key, found }: Task) -> Outcome<Outlet> {
        let found = match found {
            Err(unreadable) if unreadable.lost => {
                return Ok(Outlet::Unfinished(key, Cause::Unlisted(unreadable)));
            }
            found => found,
        };
        // Its bytes have their room until they are prepared.
        let (mut fetched, mut room) = (None, None);
        let mut refused = false;
        if let Ok(Input::Object(object)) = &found {
            let most = self.preparer.max_file_bytes();
            let (result, permit) = self.room.fetch(object, most).await;
            if let Err(error) = &result {
                if let Some(failure) = hopeless(error) {
                    return Err(failure.also("--resume continues the scan"));
                }
                if !error.is_of_object() {
                    let path = object.location.to_string().into();
                    return Ok(Outlet::Unfinished(key, Cause::Storage(path, chain(error))));
                }
                refused = error.kind() == athena_sources::SourceErrorKind::Refused;
            }
            (fetched, room) = (Some(self.preparer.loaded(object, result)), permit);
        }
        let (ready, place) = loop {
            let (dedupe, roots) = (Arc::clone(&self.dedupe), Arc::clone(&self.roots));
            let (found, fetched) = (found.clone(), fetched.clone());
            let (step, place) = (self.preparer)
                .run(move |preparer| {
                    let loaded = match (fetched, found) {
                        (Some(loaded), _) => loaded,
                        (None, found) => preparer.load(found),
                    };
                    prepare(preparer, &dedupe, &roots, key, loaded)
                })
                .await?;
            match step.map_err(|error| Failure::output(&error))? {
                Step::Ready(ready) => break (*ready, place),
                Step::Duplicate(finished) => return Ok(known(*finished)),
                Step::Lost(path, why) => {
                    return Ok(Outlet::Unfinished(key, Cause::Storage(path, why)));
                }
                Step::Wait(first, own) => {
                    drop(place);
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
        let Judged { record, error } = self.route.judge(ready, place).await;
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
            return Ok(Outlet::Unfinished(key, Cause::Service(error)));
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
