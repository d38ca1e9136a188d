//! Jobs out of their stream.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::pull::Batch;
use async_nats::jetstream::consumer::{Consumer, pull};
use async_nats::jetstream::message::{AckKind, Acker, PublishMessage};
use athena_client::BoxError;
use athena_gateway::TraceContext;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, sleep, timeout};

use super::raw::Raw;
use super::{Lane, PATIENCE, Queue, in_time, token};
use crate::job::{Job, JobLimits};
use crate::seam::{Capabilities, Delivery, Intake, Message, QueueError, Room, Settlement};

/// How long a request for jobs stays with the server: a worker that stops waits for as long, so that nothing is on
/// its way to somebody who has gone.
const ASKED_FOR: Duration = Duration::from_secs(3);
/// After this an answer is not coming: the connection was replaced meanwhile.
const SILENT: Duration = Duration::from_secs(5);
/// Jobs that are out and are looked at at a time, for those that nobody is given.
const LOOKED_AT: usize = 100;

/// Headers of messages.
pub(super) mod header {
    pub(in super::super) const KEY: &str = "Athena-Key";
    pub(in super::super) const AFFILIATE: &str = "Athena-Affiliate";
    pub(in super::super) const FRAMES: &str = "Athena-Frames";
    pub(in super::super) const CONTEXT: &str = "Athena-Context";
    pub(in super::super) const LANE: &str = "Athena-Lane";
    pub(in super::super) const REASON: &str = "Athena-Reason";
    pub(in super::super) const ATTEMPTS: &str = "Athena-Attempts";
    pub(in super::super) const NAME: &str = "Athena-Name";
    pub(in super::super) const TRACE: &str = "traceparent";
    pub(in super::super) const TRACE_STATE: &str = "tracestate";
}

/// The jobs of one lane.
#[derive(Debug)]
pub struct JetStreamIntake {
    queue: Queue,
    lane: Lane,
    consumer: Option<Consumer<pull::Config>>,
    lease: Duration,
    /// What the server was asked for, and has not answered in full.
    asked: Option<Asked>,
    looked: Looked,
}

/// When jobs that are out were last looked at, and up to where.
#[derive(Debug)]
struct Looked {
    /// Nothing: at once.
    at: Option<Instant>,
    /// Connections that had been made until then.
    connects: u64,
    next: u64,
    /// What was found, and may not be settled yet.
    found: Vec<u64>,
}

struct Asked(Batch);

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Asked")
    }
}

impl JetStreamIntake {
    pub(super) async fn open(queue: Queue, lane: Lane) -> Result<Self, QueueError> {
        let consumer = queue.consumer(lane).await?;
        // Somebody may have set another one.
        let config = &consumer.cached_info().config;
        let lease = config.ack_wait;
        if config.max_deliver > 0 {
            tracing::warn!(
                consumer = Queue::consumer_name(lane),
                max_deliver = config.max_deliver,
                "the server gives up jobs after so many deliveries, and they are then in no count: set it to -1"
            );
        }
        let looked = Looked {
            // At once: a worker before this one may have ended by what it was given.
            at: None,
            connects: 0,
            next: 0,
            found: Vec::new(),
        };
        Ok(Self {
            queue,
            lane,
            consumer: Some(consumer),
            lease,
            asked: None,
            looked,
        })
    }

    /// Jobs that the server delivers and nobody is given. They are delivered for ever, so that they come to light among
    /// those that are out: after the loss of a connection, which they may have caused, and from time to time.
    async fn undeliverable(&mut self, room: Room) -> Result<Vec<JetStreamDelivery>, QueueError> {
        let connects = connects(&self.queue);
        let reconnected = connects != self.looked.connects;
        let rests = self.looked.at.is_some_and(|at| at.elapsed() < self.lease);
        if rests && !reconnected {
            return Ok(Vec::new());
        }
        let name = Queue::consumer_name(self.lane);
        let info = in_time(&name, self.queue.jobs.consumer_info(&name)).await?;
        self.looked.at = Some(Instant::now());
        self.looked.connects = connects;
        if info.num_ack_pending == 0 || !(reconnected || info.num_redelivered > 0) {
            return Ok(Vec::new());
        }
        let (first, last) = (
            info.ack_floor.stream_sequence + 1,
            info.delivered.stream_sequence,
        );
        if !(first..=last).contains(&self.looked.next) {
            self.looked.next = first;
        }
        let jobs = self.queue.names.jobs.clone();
        let subject = format!("{jobs}.{}.>", self.lane.as_str());
        let (mut found, mut bytes) = (Vec::new(), 0);
        for _ in 0..LOOKED_AT {
            let raw = self.queue.raw(&jobs, self.looked.next, &subject).await?;
            let Some(raw) = raw.filter(|raw| raw.sequence <= last) else {
                self.looked.next = 0;
                break;
            };
            if raw.headers.is_none() {
                bytes += raw.payload.len();
                if found.len() == room.jobs || (bytes > room.bytes && !found.is_empty()) {
                    break;
                }
                self.looked.at = None;
                self.looked.found.push(raw.sequence);
                found.push(JetStreamDelivery::stored(
                    self.queue.clone(),
                    self.lane,
                    &raw,
                ));
            }
            self.looked.next = raw.sequence + 1;
        }
        Ok(found)
    }

    /// Waits until what was found is settled: the server would deliver it to who asks for jobs.
    async fn settled(&mut self) -> Result<(), QueueError> {
        let until = Instant::now() + SILENT;
        while let Some(&number) = self.looked.found.last() {
            let first = self.queue.raw(&self.queue.names.jobs, number, ">").await?;
            match first {
                Some(raw) if raw.sequence == number && Instant::now() < until => {
                    sleep(Duration::from_millis(50)).await;
                }
                _ => drop(self.looked.found.pop()),
            }
        }
        Ok(())
    }

    async fn ask(&mut self, room: Room) -> Result<&mut Asked, QueueError> {
        if self.asked.is_none() {
            // After a failure it may be gone.
            let consumer = match self.consumer.take() {
                Some(consumer) => consumer,
                None => self.queue.consumer(self.lane).await?,
            };
            let batch = consumer
                .batch()
                .max_messages(room.jobs)
                .max_bytes(room.bytes)
                .expires(ASKED_FOR)
                .messages();
            let batch = in_time("jobs", batch).await?;
            self.consumer = Some(consumer);
            self.asked = Some(Asked(batch));
        }
        self.asked.as_mut().ok_or_else(|| QueueError::new("jobs"))
    }

    /// What there is of an answer: waits for the first, and takes what has come with it.
    async fn next(&mut self) -> Result<Vec<JetStreamDelivery>, QueueError> {
        let mut found = Vec::new();
        let Some(Asked(batch)) = &mut self.asked else {
            return Ok(Vec::new());
        };
        let mut next = timeout(ASKED_FOR + SILENT, batch.next())
            .await
            .ok()
            .flatten();
        loop {
            match next {
                Some(Ok(message)) => found.push(message),
                Some(Err(error)) => {
                    self.asked = None;
                    self.consumer = None;
                    if found.is_empty() {
                        return Err(QueueError::because("jobs", error));
                    }
                    break;
                }
                None => {
                    self.asked = None;
                    break;
                }
            }
            next = match batch.next().now_or_never() {
                Some(next) => next,
                None => break,
            };
        }
        let deliveries = found.into_iter().filter_map(|message| {
            JetStreamDelivery::new(self.queue.clone(), self.lane, message)
                .inspect_err(
                    |error| tracing::error!(%error, "a message that JetStream did not send"),
                )
                .ok()
        });
        Ok(deliveries.collect())
    }
}

fn connects(queue: &Queue) -> u64 {
    queue.client().statistics().connects.load(Ordering::Relaxed)
}

/// In which trace a message is.
pub(super) fn add_trace(headers: &mut HeaderMap, trace: Option<&TraceContext>) {
    if let Some(trace) = trace {
        headers.insert(header::TRACE, trace.parent());
        if let Some(state) = trace.state() {
            headers.insert(header::TRACE_STATE, state);
        }
    }
}

/// A job as the worker takes it.
pub(super) fn message(
    name: String,
    body: Bytes,
    headers: &HeaderMap,
    attempt: u32,
    first_seen: SystemTime,
) -> Message {
    let text = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
    Message {
        name,
        body,
        key: text(header::KEY),
        affiliate: text(header::AFFILIATE),
        frames: text(header::FRAMES),
        context: text(header::CONTEXT),
        // Blanks around it are not kept on the way.
        file: text(header::NAME).filter(|name| !name.is_empty()),
        trace: text(header::TRACE)
            .and_then(|parent| TraceContext::new(&parent, text(header::TRACE_STATE).as_deref())),
        attempt,
        first_seen,
        problem: None,
    }
}

impl Intake for JetStreamIntake {
    type Delivery = JetStreamDelivery;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            lease: Some(self.lease),
            delay: true,
        }
    }

    async fn receive(&mut self, room: Room) -> Result<Vec<JetStreamDelivery>, QueueError> {
        if self.asked.is_none() {
            self.settled().await?;
            let found = self.undeliverable(room).await?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        self.ask(room).await?;
        self.next().await
    }

    async fn close(mut self) -> Vec<JetStreamDelivery> {
        let mut all = Vec::new();
        while self.asked.is_some() {
            match self.next().await {
                Ok(found) => all.extend(found),
                Err(_) => break,
            }
        }
        all
    }
}

/// A job, for as long as its lease.
pub struct JetStreamDelivery {
    queue: Queue,
    lane: Lane,
    message: Message,
    headers: HeaderMap,
    hold: Hold,
}

/// How a job is held.
enum Hold {
    /// It was delivered.
    Lease(Box<Acker>),
    /// It lies in the stream under this number, and is delivered to nobody.
    Number(u64),
}

impl std::fmt::Debug for JetStreamDelivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JetStreamDelivery")
            .field("lane", &self.lane)
            .field("message", &self.message.name)
            .finish_non_exhaustive()
    }
}

impl JetStreamDelivery {
    fn new(
        queue: Queue,
        lane: Lane,
        message: async_nats::jetstream::Message,
    ) -> Result<Self, BoxError> {
        let info = message.info()?;
        let name = format!("{}:{}", info.stream, info.stream_sequence);
        let attempt = u32::try_from(info.delivered).unwrap_or(u32::MAX).max(1);
        let first_seen = SystemTime::from(info.published);
        let (message, acker) = message.split();
        let headers = message.headers.unwrap_or_default();
        let message = self::message(name, message.payload, &headers, attempt, first_seen);
        Ok(Self {
            queue,
            lane,
            message,
            headers,
            hold: Hold::Lease(Box::new(acker)),
        })
    }

    fn stored(queue: Queue, lane: Lane, raw: &Raw) -> Self {
        Self {
            message: raw.message(&queue.names.jobs),
            queue,
            lane,
            headers: HeaderMap::new(),
            hold: Hold::Number(raw.sequence),
        }
    }

    async fn answer(&self, kind: AckKind) -> Result<(), QueueError> {
        let acker = match &self.hold {
            Hold::Lease(acker) => acker,
            Hold::Number(number) if matches!(kind, AckKind::Ack | AckKind::Term) => {
                let removed = self.queue.jobs.delete_message(*number);
                return in_time(&self.message.name, removed).await.map(drop);
            }
            // It lies where it lies.
            Hold::Number(_) => return Ok(()),
        };
        match timeout(PATIENCE, acker.ack_with(kind)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(QueueError::because(self.message.name.clone(), error)),
            Err(_) => Err(QueueError::new(format!(
                "{}: not sent in time",
                self.message.name
            ))),
        }
    }

    /// A copy of the job as it came, with why it was given up. Once for each key.
    async fn bury(&self, reason: &str) -> Result<(), QueueError> {
        let key = match Job::read(&self.message, &JobLimits::default()) {
            Ok(job) => job.key,
            Err(error) => error.key.unwrap_or_else(|| self.message.name.clone()),
        };
        let mut letter = PublishMessage::build().payload(self.message.body.clone());
        for (name, values) in self.headers.iter() {
            let name = name.to_string();
            // What was meant for the server has been done.
            if name.starts_with("Nats-") {
                continue;
            }
            for value in values {
                letter = letter.header(name.as_str(), value.as_str());
            }
        }
        letter = letter
            .header(header::LANE, self.lane.as_str())
            .header(header::REASON, reason)
            .header(header::ATTEMPTS, self.message.attempt.to_string().as_str());
        let subject = format!("{}_DEAD.{}", self.queue.names.jobs, token(&key));
        self.queue.publish_once(subject, letter).await.map(drop)
    }
}

impl Delivery for JetStreamDelivery {
    fn message(&self) -> &Message {
        &self.message
    }

    async fn extend(&self) -> Result<(), QueueError> {
        self.answer(AckKind::Progress).await
    }

    async fn settle(&self, settlement: Settlement) -> Result<(), QueueError> {
        match settlement {
            Settlement::Done => self.answer(AckKind::Ack).await,
            Settlement::Retry { after } if after.is_zero() => self.answer(AckKind::Nak(None)).await,
            Settlement::Retry { after } => self.answer(AckKind::Nak(Some(after))).await,
            Settlement::Dead { reason } => {
                self.bury(&reason).await?;
                self.answer(AckKind::Term).await
            }
        }
    }
}
