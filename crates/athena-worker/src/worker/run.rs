//! One task that waits for everything, and does what the machine says.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use athena_outcome::Record;
use futures_util::FutureExt;
use futures_util::future::{AbortHandle, BoxFuture, abortable};
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep};

use super::Worker;
use crate::job::{Job, JobError};
use crate::judge::{End, Judge, Judgement};
use crate::machine::{Action, Ending, Id, Judged, Lane, Machine, PutEnd};
use crate::seam::{Delivery, Intake, Message, Outcomes, Put, QueueError, Settlement};

/// How long to wait before a queue that has failed is asked for jobs again.
const QUEUE_REST: Duration = Duration::from_secs(1);

/// One thing that has happened.
pub(super) enum Event<I: Intake> {
    Received(Lane, I, Result<Vec<I::Delivery>, QueueError>),
    /// An intake may be asked again.
    Rested(Lane, I),
    Closed(Lane, Vec<I::Delivery>),
    Judged(Id, Judged, Option<Box<Record>>),
    /// Its delivery has been given back.
    Cancelled,
    Stored(Id, Result<Put, QueueError>),
    Settled(Id, Result<(), QueueError>),
    Extended(Result<(), QueueError>),
    Probed(bool),
}

/// A delivery, and what is known of its image so far.
struct Held<D> {
    delivery: Arc<D>,
    /// What its outcome is called.
    key: String,
    job: Result<Job, JobError>,
    record: Option<Box<Record>>,
    /// Ends the work on it.
    abort: Option<AbortHandle>,
}

/// A worker at work.
pub(super) struct Run<'a, I: Intake, O, J> {
    worker: &'a Worker<I, O, J>,
    pub(super) machine: Machine,
    held: HashMap<Id, Held<I::Delivery>>,
    pub(super) work: FuturesUnordered<BoxFuture<'a, Event<I>>>,
    /// Intakes that are not being asked.
    idle: [Option<I>; 2],
    /// Intakes that are not idle: deliveries may be on their way.
    busy: usize,
}

impl<'a, I: Intake, O: Outcomes, J: Judge> Run<'a, I, O, J> {
    pub(super) fn new(
        worker: &'a Worker<I, O, J>,
        machine: Machine,
        intakes: [Option<I>; 2],
    ) -> Self {
        Self {
            worker,
            machine,
            held: HashMap::new(),
            work: FuturesUnordered::new(),
            idle: intakes,
            busy: 0,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        // Whatever is still awaited is of no consequence, but for deliveries that may be on their way.
        self.machine.has_ended() && self.busy == 0 && self.idle.iter().all(Option::is_none)
    }

    /// Starts what is to be done now.
    pub(super) fn act(&mut self) {
        while let Some(action) = self.machine.next_action() {
            match action {
                Action::Judge(id) => self.judge(id),
                Action::Cancel(id) => {
                    if let Some(abort) = self.held.get_mut(&id).and_then(|held| held.abort.take()) {
                        abort.abort();
                    }
                }
                Action::Put { id, dead } => self.put(id, dead),
                Action::Settle(id, ending) => self.settle(id, ending),
                Action::Extend(id) => {
                    if let Some(held) = self.held.get(&id) {
                        let delivery = Arc::clone(&held.delivery);
                        self.work
                            .push(async move { Event::Extended(delivery.extend().await) }.boxed());
                    }
                }
                Action::Probe => {
                    let judge = &self.worker.judge;
                    self.work
                        .push(async { Event::Probed(judge.probe().await) }.boxed());
                }
            }
        }
        for lane in Lane::ALL {
            let room = self.machine.room(lane);
            let Some(mut intake) = self.idle[lane as usize].take() else {
                continue;
            };
            if self.machine.is_stopping() {
                self.busy += 1;
                self.work
                    .push(async move { Event::Closed(lane, intake.close().await) }.boxed());
            } else if let Some(room) = room {
                self.busy += 1;
                self.work.push(
                    async move {
                        let received = intake.receive(room).await;
                        Event::Received(lane, intake, received)
                    }
                    .boxed(),
                );
            } else {
                self.idle[lane as usize] = Some(intake);
            }
        }
    }

    pub(super) fn see(&mut self, event: Event<I>) {
        let now = Instant::now();
        let figures = &self.worker.figures;
        match event {
            Event::Received(lane, intake, received) => {
                figures.queue_answered(received.is_ok());
                match received {
                    Ok(deliveries) => {
                        self.busy -= 1;
                        self.take(lane, deliveries, now);
                        self.idle[lane as usize] = Some(intake);
                    }
                    Err(error) => {
                        tracing::warn!(
                            lane = lane.as_str(),
                            error = &error as &dyn std::error::Error,
                            "no jobs"
                        );
                        self.work.push(
                            async move {
                                sleep(QUEUE_REST).await;
                                Event::Rested(lane, intake)
                            }
                            .boxed(),
                        );
                    }
                }
            }
            Event::Rested(lane, intake) => {
                self.busy -= 1;
                self.idle[lane as usize] = Some(intake);
            }
            Event::Closed(lane, deliveries) => {
                self.busy -= 1;
                self.take(lane, deliveries, now);
            }
            Event::Judged(id, judged, record) => {
                if let Some(held) = self.held.get_mut(&id) {
                    held.abort = None;
                    if let Some(mut record) = record {
                        // An attempt before this one, in this worker: what it sent may be billed as well.
                        let before = held.record.take().and_then(|record| record.sends);
                        if let (Some(sends), Some(before)) = (&mut record.sends, before)
                            && !matches!(judged, Judged::Found { .. })
                        {
                            *sends += before;
                        }
                        held.record = Some(record);
                    }
                }
                self.machine.judged(id, judged, now);
            }
            Event::Cancelled => {}
            Event::Stored(id, put) => {
                figures.queue_answered(put.is_ok());
                let stored = match put {
                    Ok(Put::Stored) => {
                        if let Some(record) =
                            self.held.get(&id).and_then(|held| held.record.as_ref())
                        {
                            figures.stored(record);
                        }
                        PutEnd::Stored
                    }
                    Ok(Put::AlreadyThere(record)) => {
                        figures.already_there();
                        let dead = record.dead == Some(true);
                        if let Some(held) = self.held.get_mut(&id) {
                            held.record = Some(record);
                        }
                        PutEnd::AlreadyThere { dead }
                    }
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "an outcome is not stored yet"
                        );
                        PutEnd::Failed
                    }
                };
                self.machine.stored(id, stored, now);
            }
            Event::Settled(id, settled) => {
                figures.queue_answered(settled.is_ok());
                if let Err(error) = settled {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a job comes again, though it is settled"
                    );
                }
                self.held.remove(&id);
                self.machine.settled(id, now);
            }
            Event::Extended(extended) => {
                if let Err(error) = extended {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a job may be given to another worker, too"
                    );
                }
            }
            Event::Probed(there) => {
                if !there {
                    tracing::warn!(
                        "the service is away: no jobs are begun, and no attempts used up"
                    );
                }
                self.machine.probed(there, now);
            }
        }
    }

    fn take(&mut self, lane: Lane, deliveries: Vec<I::Delivery>, now: Instant) {
        for delivery in deliveries {
            let message = delivery.message();
            let job = Job::read(message, &self.worker.limits);
            let key = match &job {
                Ok(job) => job.key.clone(),
                // What has no key is called as the engine calls it, so that it has an outcome as well.
                Err(error) => error.key.clone().unwrap_or_else(|| message.name.clone()),
            };
            let (bytes, attempt) = (message.body.len(), message.attempt);
            self.worker.figures.received(lane, attempt);
            let id = self.machine.received(lane, bytes, attempt, now);
            let held = Held {
                delivery: Arc::new(delivery),
                key,
                job,
                record: None,
                abort: None,
            };
            self.held.insert(id, held);
        }
    }

    fn judge(&mut self, id: Id) {
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        let (outcomes, judge) = (&*self.worker.outcomes, &*self.worker.judge);
        let (key, job) = (held.key.clone(), held.job.clone());
        let delivery = Arc::clone(&held.delivery);
        let work = async move {
            // Whoever had it before may have done all but the last step.
            match outcomes.find(&key).await {
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot look for an outcome"
                    );
                    return (Judged::QueueFailed, None);
                }
                Ok(Some(record)) => {
                    let dead = record.dead == Some(true);
                    return (Judged::Found { dead }, Some(Box::new(record)));
                }
                Ok(None) => {}
            }
            let message = delivery.message();
            let job = match job {
                Ok(job) => job,
                Err(error) => {
                    let judged = match error.too_large {
                        true => Judged::Final { answered: false },
                        false => Judged::Malformed,
                    };
                    return (judged, Some(Box::new(no_job(&key, &error, message))));
                }
            };
            let Judgement { mut record, end } = judge.judge(job).await;
            complete(&mut record, message);
            let judged = match end {
                End::Answered => Judged::Final { answered: true },
                End::Final => Judged::Final { answered: false },
                End::Failed { after } => Judged::Failed { after },
                End::Away { after } => Judged::Away { after },
            };
            (judged, Some(Box::new(record)))
        };
        let (work, abort) = abortable(work);
        held.abort = Some(abort);
        let event = work.map(move |ended| match ended {
            Ok((judged, record)) => Event::Judged(id, judged, record),
            Err(_) => Event::Cancelled,
        });
        self.work.push(event.boxed());
    }

    fn put(&mut self, id: Id, dead: bool) {
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        let message = held.delivery.message();
        let record = held.record.get_or_insert_with(|| {
            let mut record = match &held.job {
                Ok(job) => job.record(),
                Err(_) => Record::with_key(&*held.key),
            };
            record.fail(
                "abandoned",
                "its workers ended, or gave it back, each time before it was finished",
            );
            complete(&mut record, message);
            Box::new(record)
        });
        record.attempts = self.machine.attempt(id).or(record.attempts);
        if dead {
            record.dead = Some(true);
        }
        self.worker.judge.decide(record);
        let (key, record) = (held.key.clone(), record.clone());
        let delivery = Arc::clone(&held.delivery);
        let outcomes = &*self.worker.outcomes;
        let put = async move {
            let trace = delivery.message().trace.as_ref();
            Event::Stored(id, outcomes.put_once(&key, &record, trace).await)
        };
        self.work.push(put.boxed());
    }

    fn settle(&mut self, id: Id, ending: Ending) {
        let Some(held) = self.held.get(&id) else {
            return;
        };
        let settlement = match ending {
            Ending::Done => Settlement::Done,
            Ending::Retry(after) => Settlement::Retry { after },
            Ending::Dead => {
                let error = held
                    .record
                    .as_ref()
                    .and_then(|record| record.error.as_ref());
                let reason = error.map_or("dead", |error| &error.kind).to_owned();
                Settlement::Dead { reason }
            }
        };
        self.worker.figures.settled(&settlement);
        let delivery = Arc::clone(&held.delivery);
        let settle = async move { Event::Settled(id, delivery.settle(settlement).await) };
        self.work.push(settle.boxed());
    }
}

/// The record of what is not a job.
fn no_job(key: &str, error: &JobError, message: &Message) -> Record {
    let mut record = Record::with_key(key);
    let kind = match error.too_large {
        true => "too_large",
        false => "malformed",
    };
    record.fail(kind, error.to_string());
    record.sends = Some(0);
    complete(&mut record, message);
    record
}

/// What a delivery says of its image.
fn complete(record: &mut Record, message: &Message) {
    record.attempts = Some(message.attempt);
    record.received = Some(humantime::format_rfc3339_millis(message.first_seen).to_string());
    record.time = Some(humantime::format_rfc3339_millis(SystemTime::now()).to_string());
}
