//! The session's state: every image that was accepted, and what becomes of it.
//!
//! Pure: no IO, no clock, no task. Whoever holds the lock reports what happened and at what time,
//! and carries out what follows: results to hand over, senders and timers to wake.

mod delivery;
mod lanes;
mod queue;
mod recent;
mod recovery;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use athena_proto::ClassificationInput;
use prost::Message;
use tokio::time::Instant;

pub(crate) use lanes::LaneId;
pub(crate) use queue::BatchLimits;

use super::stats::Stats;
use crate::answer::outcome;
use crate::error::{Delivery, Error, ErrorKind};
use crate::id::Mint;
use crate::prepared::Provenance;
use crate::verdict::Verdict;
use lanes::{BatchId, Lane};
use queue::{Place, Queue};
use recent::Recent;

/// Names one submission, whatever its correlation id.
pub(crate) type Seq = u64;

/// Results for ids that are not ours, kept for whoever reads them.
const MOST_UNCLAIMED: usize = 1024;

#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) batch: BatchLimits,
    /// Images pending at most.
    pub(crate) capacity: usize,
    /// How often an image is sent again.
    pub(crate) resends: u32,
    /// How long results for stranded images are waited for before they are sent again.
    pub(crate) grace: Duration,
}

/// A result for an id that is not of this session: another process of a shared deployment sent
/// the image, or an earlier life of this one.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Unclaimed {
    /// The id under which the image was sent.
    pub correlation_id: String,
    /// The service's answer.
    pub result: Result<Verdict, Error>,
}

impl Unclaimed {
    pub(crate) fn new(id: &Arc<str>, result: Result<Verdict, Error>) -> Self {
        Self {
            correlation_id: id.to_string(),
            result: result.map_err(|error| error.with_id(id)),
        }
    }
}

/// What a connection that could send should do.
#[derive(Debug)]
pub(crate) enum Next {
    Send(Vec<ClassificationInput>),
    /// Nothing yet; look again then, or when woken.
    Wait(Option<Instant>),
    /// Nothing more, ever: the lane is over or the session has drained.
    End,
}

/// What the holder of the lock must see to after it.
#[derive(Debug)]
pub(crate) struct Effects<W> {
    /// Results to hand over.
    pub(crate) ended: Vec<(Seq, W, Result<Verdict, Error>)>,
    pub(crate) wake_senders: bool,
    pub(crate) wake_timer: bool,
    pub(crate) wake_unclaimed: bool,
}

#[derive(Debug)]
struct Entry<W> {
    id: Arc<str>,
    own_id: bool,
    waiter: W,
    accepted: Instant,
    deadline: Instant,
    timeout: Duration,
    phase: Phase,
    input: ClassificationInput,
    bytes: usize,
    sends: u32,
    first_sent: Option<Instant>,
    /// Set for an image of which only the hashes are looked up.
    undecodable: Option<Error>,
    provenance: Option<Arc<Provenance>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Preparing,
    Queued(Place),
    Sent(LaneId, BatchId),
    /// On a lane that broke. Sent again at that time, which is set while a lane is up.
    Stranded(Option<Instant>),
}

#[derive(Debug)]
pub(crate) struct Machine<W> {
    rules: Rules,
    mint: Arc<Mint>,
    entries: HashMap<Seq, Entry<W>>,
    ids: HashMap<Arc<str>, Seq>,
    deadlines: BTreeSet<(Instant, Seq)>,
    stranded: BTreeSet<(Option<Instant>, Seq)>,
    queue: Queue,
    lanes: BTreeMap<LaneId, Lane>,
    recent: Recent,
    unclaimed: VecDeque<Unclaimed>,
    stats: Stats,
    preparing: usize,
    sent: usize,
    next_seq: Seq,
    next_lane: LaneId,
    next_batch: BatchId,
    closing: bool,
    /// What ended the session, if its owner did not.
    cause: Option<Error>,
    /// Images that an abort ended, and what the service may know of them.
    abandoned: Vec<(Arc<str>, Delivery)>,
    last_failure: Option<Error>,
    effects: Effects<W>,
}

impl<W> Machine<W> {
    pub(crate) fn new(rules: Rules, mint: Arc<Mint>) -> Self {
        Self {
            queue: Queue::new(rules.batch.clone()),
            rules,
            mint,
            entries: HashMap::new(),
            ids: HashMap::new(),
            deadlines: BTreeSet::new(),
            stranded: BTreeSet::new(),
            lanes: BTreeMap::new(),
            recent: Recent::default(),
            unclaimed: VecDeque::new(),
            stats: Stats::default(),
            preparing: 0,
            sent: 0,
            next_seq: 0,
            next_lane: 0,
            next_batch: 0,
            closing: false,
            cause: None,
            abandoned: Vec::new(),
            last_failure: None,
            effects: Effects::default(),
        }
    }

    /// Takes an image on. From here on it ends exactly once.
    pub(crate) fn accept(
        &mut self,
        now: Instant,
        id: Arc<str>,
        timeout: Duration,
        waiter: W,
    ) -> Result<Seq, Error> {
        let refusal = if self.closing {
            Some(self.closed())
        } else if self.ids.contains_key(&id) {
            let message = "an image with this correlation id is in flight already";
            Some(Error::new(ErrorKind::InvalidRequest, message))
        } else {
            None
        };
        if let Some(error) = refusal {
            self.refuse();
            return Err(error.with_id(&id));
        }
        let seq = self.next_seq;
        self.next_seq += 1;
        let deadline = now + timeout;
        self.deadlines.insert((deadline, seq));
        self.effects.wake_timer |= self.deadlines.first() == Some(&(deadline, seq));
        self.ids.insert(Arc::clone(&id), seq);
        self.entries.insert(
            seq,
            Entry {
                own_id: self.mint.made(&id),
                id,
                waiter,
                accepted: now,
                deadline,
                timeout,
                phase: Phase::Preparing,
                input: ClassificationInput::default(),
                bytes: 0,
                sends: 0,
                first_sent: None,
                undecodable: None,
                provenance: None,
            },
        );
        self.preparing += 1;
        self.stats.accepted += 1;
        Ok(seq)
    }

    /// Counts an image that was not taken on.
    pub(crate) fn refuse(&mut self) {
        self.stats.refused += 1;
    }

    /// The image is ready to be sent. With `undecodable` only its hashes are, and that is its
    /// result. Gives the waiter, to be told the size.
    pub(crate) fn prepared(
        &mut self,
        now: Instant,
        seq: Seq,
        input: ClassificationInput,
        provenance: Provenance,
        undecodable: Option<Error>,
    ) -> Option<&mut W> {
        let entry = self.entries.get_mut(&seq)?;
        entry.provenance = Some(Arc::new(provenance));
        let length = input.encoded_len();
        // As a field of the request: a tag of one byte, the length, the bytes.
        let bytes = 1 + prost::length_delimiter_len(length) + length;
        if bytes > self.queue.limit() {
            let message = format!(
                "the prepared image takes {bytes} bytes of a message, which may hold {}: \
                 choose a smaller payload or raise `max_message_bytes`",
                self.queue.limit()
            );
            self.end(seq, Err(Error::new(ErrorKind::TooLarge, message)));
            return None;
        }
        entry.input = input;
        entry.bytes = bytes;
        entry.undecodable = undecodable;
        let place = self.queue.push_back(now, seq, bytes);
        entry.phase = Phase::Queued(place);
        self.preparing -= 1;
        self.queue_changed();
        self.entries.get_mut(&seq).map(|entry| &mut entry.waiter)
    }

    /// The image cannot be sent.
    pub(crate) fn not_prepared(&mut self, seq: Seq, error: Error) {
        self.end(seq, Err(error));
    }

    /// Nobody wants the result any more.
    pub(crate) fn cancel(&mut self, seq: Seq) -> Option<W> {
        let entry = self.remove(seq)?;
        self.stats.cancelled += 1;
        Some(entry.waiter)
    }

    /// Accepts nothing more. What was accepted goes on.
    pub(crate) fn close(&mut self) {
        self.closing = true;
        self.effects.wake_senders = true;
        self.effects.wake_unclaimed = true;
    }

    /// Ends everything now; with a cause if it was not the owner's wish.
    pub(crate) fn abort(&mut self, cause: Option<Error>) {
        self.close();
        self.cause = self.cause.take().or(cause);
        self.lanes.clear();
        let mut seqs: Vec<_> = self.entries.keys().copied().collect();
        seqs.sort_unstable();
        for seq in seqs {
            let Some(entry) = self.entries.get(&seq) else {
                continue;
            };
            let delivery = entry.delivery();
            self.abandoned.push((Arc::clone(&entry.id), delivery));
            self.end(seq, Err(self.closed().with_delivery(delivery)));
        }
    }

    /// The images that an abort ended, and what the service may know of them.
    pub(crate) fn abandoned(&self) -> &[(Arc<str>, Delivery)] {
        &self.abandoned
    }

    /// The error of what comes after the end.
    pub(crate) fn closed(&self) -> Error {
        with_cause(
            Error::new(ErrorKind::Closed, "the session is closed"),
            self.cause.clone(),
        )
    }

    /// Whether nothing will ever be sent or received again.
    pub(crate) fn has_drained(&self) -> bool {
        self.closing && self.entries.is_empty()
    }

    /// Whether images wait for a connection.
    pub(crate) fn needs_connection(&self) -> bool {
        self.queue.len() > 0 || !self.stranded.is_empty()
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            pending: self.entries.len() as u64,
            preparing: self.preparing as u64,
            queued: self.queue.len() as u64,
            in_flight: self.sent as u64,
            stranded: self.stranded.len() as u64,
            connections: self.lanes.len() as u64,
            ..self.stats.clone()
        }
    }

    pub(crate) fn take_effects(&mut self) -> Effects<W> {
        std::mem::take(&mut self.effects)
    }

    /// The one way in which an accepted image ends with a result.
    fn end(&mut self, seq: Seq, result: Result<Verdict, Error>) {
        let Some(entry) = self.remove(seq) else {
            return;
        };
        let result = match &entry.provenance {
            None => result,
            Some(provenance) => outcome(result, entry.undecodable, provenance),
        };
        let result = result.map_err(|error| error.with_id(&entry.id));
        match &result {
            Ok(_) => self.stats.verdicts += 1,
            Err(error) => self.stats.count_error(error.kind()),
        }
        self.effects.ended.push((seq, entry.waiter, result));
    }

    fn remove(&mut self, seq: Seq) -> Option<Entry<W>> {
        let entry = self.entries.remove(&seq)?;
        self.ids.remove(&entry.id);
        self.deadlines.remove(&(entry.deadline, seq));
        match entry.phase {
            Phase::Preparing => self.preparing -= 1,
            Phase::Queued(place) => self.queue.remove(place),
            Phase::Sent(lane, batch) => {
                self.sent -= 1;
                if let Some(lane) = self.lanes.get_mut(&lane) {
                    lane.closed(batch, seq);
                }
            }
            Phase::Stranded(at) => drop(self.stranded.remove(&(at, seq))),
        }
        if entry.sends > 0 && !entry.own_id {
            self.recent.insert(Arc::clone(&entry.id));
        }
        if self.has_drained() {
            self.effects.wake_senders = true;
            self.effects.wake_unclaimed = true;
        } else {
            self.queue_changed();
        }
        Some(entry)
    }
}

impl<W> Entry<W> {
    fn delivery(&self) -> Delivery {
        if self.sends == 0 {
            Delivery::NotSent
        } else {
            Delivery::Unknown
        }
    }
}

impl<W> Default for Effects<W> {
    fn default() -> Self {
        Self {
            ended: Vec::new(),
            wake_senders: false,
            wake_timer: false,
            wake_unclaimed: false,
        }
    }
}

fn with_cause(error: Error, cause: Option<Error>) -> Error {
    match cause {
        Some(cause) => error.with_source(cause),
        None => error,
    }
}
