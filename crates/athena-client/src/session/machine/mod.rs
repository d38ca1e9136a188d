//! The session's state: every image that was accepted, and what becomes of it.
//!
//! Pure: no IO, no clock, no task. Whoever holds the lock reports what happened and at what time,
//! and carries out what follows: results to hand over, senders and timers to wake.

mod admission;
mod connections;
mod delivery;
mod frames;
mod ghosts;
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

pub(crate) use connections::ConnectionId;
pub(crate) use queue::BatchLimits;
pub(crate) use recovery::Down;

use super::stats::Stats;
use crate::answer::outcome;
use crate::error::{Delivery, Error, ErrorKind};
use crate::id::Mint;
use crate::prepared::Provenance;
use crate::verdict::Verdict;
use admission::{Admission, Load, Ticket};
use connections::{BatchId, Connection};
use frames::Frames;
use ghosts::Ghosts;
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
    /// How long a connection may take for one request.
    pub(crate) request_time: Duration,
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
    /// Nothing more, ever: the connection is over or the session has drained.
    End,
}

/// An image that has ended, and with what.
#[derive(Debug)]
pub(crate) struct Ended<W> {
    pub(crate) seq: Seq,
    pub(crate) waiter: W,
    pub(crate) result: Result<Verdict, Error>,
    /// From its acceptance to the first time it was sent, if it ever was.
    pub(crate) queue_time: Option<Duration>,
    /// From then to the answer, if there was one.
    pub(crate) service_time: Option<Duration>,
}

/// What the holder of the lock must see to after it.
#[derive(Debug)]
pub(crate) struct Effects<W> {
    /// Results to hand over.
    pub(crate) ended: Vec<Ended<W>>,
    pub(crate) wake_senders: bool,
    pub(crate) wake_timer: bool,
    pub(crate) wake_unclaimed: bool,
    /// There may be room for another image, to be accepted or to be prepared.
    pub(crate) wake_room: bool,
}

#[derive(Debug)]
struct Entry<W> {
    id: Arc<str>,
    /// The id under which the input is sent: the image's own, but for frames of an animation.
    sent_as: Arc<str>,
    own_id: bool,
    waiter: W,
    accepted: Instant,
    accepted_bytes: usize,
    deadline: Instant,
    timeout: Duration,
    /// As it was sent last.
    ticket: Option<Ticket>,
    /// Bytes that it is counted with: expected ones until it is prepared.
    weight: usize,
    phase: Phase,
    input: ClassificationInput,
    bytes: usize,
    /// Of the input.
    sends: u32,
    /// Of frames that were judged before.
    earlier_sends: u32,
    /// Of the input's: on connections that ended because their token had expired.
    excused: u32,
    first_sent: Option<Instant>,
    answered: Option<Instant>,
    /// Set for an image of which only the hashes are looked up.
    undecodable: Option<Error>,
    provenance: Option<Arc<Provenance>>,
    /// Set for an animation of which several frames are judged.
    frames: Option<Frames>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Preparing,
    Queued(Place),
    Sent(ConnectionId, BatchId),
    /// On a connection that broke. Sent again at that time, which is set while a connection is up.
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
    connections: BTreeMap<ConnectionId, Connection>,
    /// Images that ended while the service works on them.
    ghosts: Ghosts,
    admission: Admission,
    /// Bytes of all entries.
    weight: usize,
    recent: Recent,
    unclaimed: VecDeque<Unclaimed>,
    stats: Stats,
    preparing: usize,
    sent: usize,
    /// Of those: their bytes.
    sent_bytes: usize,
    next_seq: Seq,
    next_connection: ConnectionId,
    next_batch: BatchId,
    /// When so much waited to be sent that no more was prepared, last.
    held_up: Option<Instant>,
    closing: bool,
    /// What ended the session, if its owner did not.
    cause: Option<Error>,
    /// Images that an abort ended, and what the service may know of them.
    abandoned: Vec<(Arc<str>, Delivery)>,
    last_failure: Option<Error>,
    /// Why no connection is to be had, while that is so.
    hopeless: Option<Error>,
    effects: Effects<W>,
}

impl<W> Machine<W> {
    pub(crate) fn new(rules: Rules, mint: Arc<Mint>) -> Self {
        Self {
            queue: Queue::new(rules.batch.clone()),
            admission: Admission::new(rules.capacity),
            rules,
            mint,
            entries: HashMap::new(),
            ids: HashMap::new(),
            deadlines: BTreeSet::new(),
            stranded: BTreeSet::new(),
            connections: BTreeMap::new(),
            ghosts: Ghosts::default(),
            weight: 0,
            recent: Recent::default(),
            unclaimed: VecDeque::new(),
            stats: Stats::default(),
            preparing: 0,
            sent: 0,
            sent_bytes: 0,
            next_seq: 0,
            next_connection: 0,
            next_batch: 0,
            held_up: None,
            closing: false,
            cause: None,
            abandoned: Vec::new(),
            last_failure: None,
            hopeless: None,
            effects: Effects::default(),
        }
    }

    /// What the service has to do, as far as is known: images that wait here, and those that it
    /// works on although nobody waits any longer.
    fn load(&self) -> Load {
        Load {
            images: self.entries.len() + self.ghosts.len(),
            bytes: self.weight + self.ghosts.weight(),
        }
    }

    /// Whether now is the time to take another image on, of so many bytes if that is known.
    pub(crate) fn admits(&self, now: Instant, bytes: Option<usize>) -> bool {
        let bytes = bytes.unwrap_or_else(|| self.admission.expected_size());
        let fits = self.entries.len() < self.rules.capacity && self.prepares();
        self.closing || (fits && self.admission.accepts(now, self.load(), bytes))
    }

    /// Whether now is the time to prepare another image: prepared ones take memory while they wait to be sent.
    pub(crate) fn prepares(&self) -> bool {
        // Without a connection to be had they end as soon as they are prepared.
        self.hopeless.is_some() || !self.queue.has_enough()
    }

    /// When [`admits`](Self::admits) may say yes without anything else happening.
    pub(crate) fn next_admission(&self, now: Instant) -> Option<Instant> {
        self.admission.next_change(now)
    }

    /// Images that the service has to answer, as far as is known.
    fn under_way(&self) -> usize {
        self.sent + self.ghosts.len()
    }

    /// Why an image of this id is not taken on.
    pub(crate) fn refusal(&self, id: &Arc<str>) -> Option<Error> {
        let error = if self.closing {
            self.closed()
        } else if self.ids.contains_key(id) {
            let message = "an image with this correlation id is in flight already";
            Error::new(ErrorKind::InvalidRequest, message)
        } else {
            return None;
        };
        Some(error.with_id(id).with_sends(0))
    }

    /// Takes an image on. From here on it ends exactly once.
    pub(crate) fn accept(
        &mut self,
        now: Instant,
        id: Arc<str>,
        timeout: Duration,
        bytes: Option<usize>,
        waiter: W,
    ) -> Result<Seq, Error> {
        if let Some(error) = self.refusal(&id) {
            self.refuse();
            return Err(error);
        }
        let seq = self.next_seq;
        self.next_seq += 1;
        let deadline = now + timeout;
        let weight = bytes.unwrap_or_else(|| self.admission.expected_size());
        self.weight += weight;
        self.deadlines.insert((deadline, seq));
        self.effects.wake_timer |= self.deadlines.first() == Some(&(deadline, seq));
        self.ids.insert(Arc::clone(&id), seq);
        self.entries.insert(
            seq,
            Entry {
                own_id: self.mint.made(&id),
                sent_as: Arc::clone(&id),
                id,
                waiter,
                accepted: now,
                accepted_bytes: self.weight + self.ghosts.weight(),
                deadline,
                timeout,
                ticket: None,
                weight,
                phase: Phase::Preparing,
                input: ClassificationInput::default(),
                bytes: 0,
                sends: 0,
                earlier_sends: 0,
                excused: 0,
                first_sent: None,
                answered: None,
                undecodable: None,
                provenance: None,
                frames: None,
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
        mut input: ClassificationInput,
        further: Vec<(u32, ClassificationInput)>,
        provenance: Provenance,
        undecodable: Option<Error>,
    ) -> Option<&mut W> {
        let entry = self.entries.get_mut(&seq)?;
        entry.provenance = Some(Arc::new(provenance));
        if !further.is_empty() {
            entry.frames = Some(Frames::new(further));
            entry.send_as(self.mint.next(), &mut input, &mut self.ids, seq);
        }
        let bytes = message_bytes(&input);
        let frames = entry.frames.iter().flat_map(Frames::left);
        let largest = frames.map(message_bytes).fold(bytes, usize::max);
        if largest > self.queue.limit() {
            let message = format!(
                "the prepared image takes {largest} bytes of a message, which may hold {}: \
                 choose a smaller payload, or raise `max_message_bytes` if that is the limit",
                self.queue.limit()
            );
            self.end(seq, Err(Error::new(ErrorKind::TooLarge, message)));
            return None;
        }
        entry.input = input;
        entry.bytes = bytes;
        self.admission.prepared(bytes);
        self.weight = self.weight - entry.weight + bytes;
        entry.weight = bytes;
        self.effects.wake_room = true;
        entry.undecodable = undecodable;
        let place = self.queue.push_back(now, seq, bytes);
        entry.phase = Phase::Queued(place);
        self.preparing -= 1;
        if !self.prepares() {
            self.held_up = Some(now);
        }
        self.queue_changed();
        self.entries.get_mut(&seq).map(|entry| &mut entry.waiter)
    }

    /// The image cannot be sent.
    pub(crate) fn not_prepared(&mut self, seq: Seq, error: Error) {
        self.end(seq, Err(error));
    }

    /// Nobody wants the result any more.
    pub(crate) fn cancel(&mut self, now: Instant, seq: Seq) -> Option<W> {
        self.haunt(now, seq);
        let entry = self.remove(seq)?;
        self.stats.cancelled += 1;
        Some(entry.waiter)
    }

    /// Accepts nothing more. What was accepted goes on.
    pub(crate) fn close(&mut self) {
        self.closing = true;
        self.effects.wake_senders = true;
        self.effects.wake_unclaimed = true;
        self.effects.wake_room = true;
    }

    /// Ends everything now; with a cause if it was not the owner's wish.
    pub(crate) fn abort(&mut self, cause: Option<Error>) {
        self.close();
        self.cause = self.cause.take().or(cause);
        self.connections.clear();
        self.ghosts = Ghosts::default();
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
            connections: self.connections.len() as u64,
            window: self.admission.window() as u64,
            ..self.stats.clone()
        }
    }

    pub(crate) fn take_effects(&mut self) -> Effects<W> {
        std::mem::take(&mut self.effects)
    }

    /// Whether images wait only because enough are under way.
    fn gate_is_shut(&self) -> bool {
        let batch = self.rules.batch.images;
        self.queue.len() > 0 && self.admission.sends(self.under_way(), batch) == 0
    }

    /// The one way in which an accepted image ends with a result.
    fn end(&mut self, seq: Seq, result: Result<Verdict, Error>) {
        let Some(entry) = self.remove(seq) else {
            return;
        };
        let provenance = entry.provenance.as_ref();
        let sends = entry.earlier_sends + entry.sends;
        let result = outcome(result, entry.undecodable, provenance, sends)
            .map_err(|error| error.with_id(&entry.id));
        match &result {
            Ok(_) => self.stats.verdicts += 1,
            Err(error) => self.stats.count_error(error.kind()),
        }
        let until_answered = |sent| entry.answered.map(|answered| answered - sent);
        self.effects.ended.push(Ended {
            seq,
            waiter: entry.waiter,
            result,
            queue_time: entry.first_sent.map(|sent| sent - entry.accepted),
            service_time: entry.first_sent.and_then(until_answered),
        });
    }

    /// Leaves a phase for another, or for good.
    fn leave(&mut self, seq: Seq, phase: Phase, bytes: usize) {
        match phase {
            Phase::Preparing => self.preparing -= 1,
            Phase::Queued(place) => self.queue.remove(place),
            Phase::Sent(connection, batch) => {
                self.sent -= 1;
                self.sent_bytes -= bytes;
                if let Some(connection) = self.connections.get_mut(&connection) {
                    connection.closed(batch, seq);
                }
            }
            Phase::Stranded(at) => drop(self.stranded.remove(&(at, seq))),
        }
    }

    fn remove(&mut self, seq: Seq) -> Option<Entry<W>> {
        let gate_was_shut = self.gate_is_shut();
        let entry = self.entries.remove(&seq)?;
        self.ids.remove(&entry.id);
        self.ids.remove(&entry.sent_as);
        self.deadlines.remove(&(entry.deadline, seq));
        self.weight -= entry.weight;
        self.effects.wake_room = true;
        self.leave(seq, entry.phase, entry.bytes);
        self.effects.wake_senders |= gate_was_shut && !self.gate_is_shut();
        if entry.sends > 0 && !entry.own_id && entry.sent_as == entry.id {
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

/// Bytes of an input as a field of the request: a tag of one byte, the length, the bytes.
fn message_bytes(input: &ClassificationInput) -> usize {
    let length = input.encoded_len();
    1 + prost::length_delimiter_len(length) + length
}

impl<W> Entry<W> {
    fn delivery(&self) -> Delivery {
        if self.sends + self.earlier_sends == 0 {
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
            wake_room: false,
        }
    }
}

fn with_cause(error: Error, cause: Option<Error>) -> Error {
    match cause {
        Some(cause) => error.with_source(cause),
        None => error,
    }
}
