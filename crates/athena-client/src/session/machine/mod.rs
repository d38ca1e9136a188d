//! The session's state: every image that was accepted, and what becomes of it.
//!
//! Pure: no IO, no clock, no task. Whoever holds the lock reports what happened and at what time,
//! and carries out what follows: results to hand over, senders and timers to wake.

mod lanes;
mod queue;
mod recent;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use athena_proto::{ClassificationError, ClassificationInput, ClassificationOutput};
use prost::Message;
use tokio::time::Instant;

pub(crate) use lanes::LaneId;
pub(crate) use queue::BatchLimits;

use super::stats::Stats;
use crate::client::verdict;
use crate::error::{Delivery, Error, ErrorKind};
use crate::id::Mint;
use crate::verdict::Verdict;
use lanes::{BatchId, Failed, Lane};
use queue::{Batch, Place, Queue};
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
    pub(crate) ended: Vec<(W, Result<Verdict, Error>)>,
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
            Some(closed())
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

    /// Whether the image still waits to be prepared.
    pub(crate) fn wants_preparation(&self, seq: Seq) -> bool {
        self.entries.contains_key(&seq)
    }

    /// The image is ready to be sent. With `undecodable` only its hashes are, and that is its
    /// result. Gives the waiter, to be told the size.
    pub(crate) fn prepared(
        &mut self,
        now: Instant,
        seq: Seq,
        input: ClassificationInput,
        undecodable: Option<Error>,
    ) -> Option<&mut W> {
        let entry = self.entries.get_mut(&seq)?;
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
    pub(crate) fn cancel(&mut self, seq: Seq) {
        if self.remove(seq).is_some() {
            self.stats.cancelled += 1;
        }
    }

    /// A connection was made. It gets results for images of earlier ones.
    pub(crate) fn lane_up(&mut self, now: Instant) -> LaneId {
        let lane = self.next_lane;
        self.next_lane += 1;
        self.lanes.insert(lane, Lane::default());
        self.stats.connects += 1;
        let resend_at = now + self.rules.grace;
        while let Some(&(None, seq)) = self.stranded.first() {
            self.strand(seq, Some(resend_at));
        }
        lane
    }

    /// A connection broke. What was sent on it waits for another chance, unless the failure is
    /// one that another connection cannot mend.
    pub(crate) fn lane_down(&mut self, now: Instant, lane: LaneId, error: &Error, fatal: bool) {
        let Some(lane) = self.lanes.remove(&lane) else {
            return;
        };
        let has_sent = lane.has_sent;
        let resend_at = (!self.lanes.is_empty()).then(|| now + self.rules.grace);
        for seq in lane.into_open() {
            if fatal {
                self.end(seq, Err(error.clone().with_delivery(Delivery::Unknown)));
            } else {
                self.strand(seq, resend_at);
            }
        }
        if self.lanes.is_empty() {
            for seq in self
                .stranded
                .iter()
                .map(|(_, seq)| *seq)
                .collect::<Vec<_>>()
            {
                self.strand(seq, None);
            }
        }
        self.failed(error, fatal && !has_sent);
    }

    /// No connection could be made. With `hopeless` nothing waits for one any longer.
    pub(crate) fn no_connection(&mut self, error: &Error, hopeless: bool) {
        self.failed(error, hopeless);
    }

    fn failed(&mut self, error: &Error, hopeless: bool) {
        self.stats.disconnects += 1;
        self.last_failure = Some(error.clone());
        if !hopeless || !self.lanes.is_empty() {
            return;
        }
        let waiting: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| matches!(entry.phase, Phase::Queued(_) | Phase::Stranded(_)))
            .map(|(seq, entry)| (*seq, entry.delivery()))
            .collect();
        for (seq, delivery) in waiting {
            self.end(seq, Err(error.clone().with_delivery(delivery)));
        }
    }

    /// The next request for a lane.
    pub(crate) fn next_request(&mut self, now: Instant, lane: LaneId) -> Next {
        let company_expected = self.company_expected();
        let drained = self.has_drained();
        let Some(under_way) = self.lanes.get_mut(&lane) else {
            return Next::End;
        };
        let seqs = match self.queue.poll(now, company_expected) {
            Batch::Take(seqs) => seqs,
            Batch::Linger(until) => return Next::Wait(Some(until)),
            Batch::Empty if drained => return Next::End,
            Batch::Empty => return Next::Wait(None),
        };
        let batch = self.next_batch;
        self.next_batch += 1;
        let mut inputs = Vec::with_capacity(seqs.len());
        for seq in &seqs {
            let Some(entry) = self.entries.get_mut(seq) else {
                continue;
            };
            entry.phase = Phase::Sent(lane, batch);
            if entry.sends > 0 {
                self.stats.resent += 1;
            }
            entry.sends += 1;
            if entry.first_sent.is_none() {
                entry.first_sent = Some(now);
                self.stats.queue_time.record(now - entry.accepted);
            }
            self.stats.bytes_sent += entry.bytes as u64;
            inputs.push(entry.input.clone());
        }
        self.sent += seqs.len();
        self.stats.batches += 1;
        under_way.sent(now, batch, seqs);
        // With more than a batch in the queue there is work for another lane as well.
        self.queue_changed();
        Next::Send(inputs)
    }

    /// The service answered for one image, ours or not.
    pub(crate) fn answer(&mut self, now: Instant, output: ClassificationOutput) {
        let known = self
            .ids
            .get(output.correlation_id.as_str())
            .and_then(|seq| Some((*seq, self.entries.get(seq)?)))
            // What was not sent cannot have been answered: somebody else's image.
            .filter(|(_, entry)| entry.sends > 0);
        let Some((seq, entry)) = known else {
            return self.stray_answer(output);
        };
        let first_sent = entry.first_sent.unwrap_or(now);
        self.stats.service_time.record(now - first_sent);
        let result = verdict(&entry.id, output);
        let blamed = match entry.phase {
            Phase::Sent(lane, batch) => self
                .lanes
                .get_mut(&lane)
                .and_then(|lane| lane.answered(batch, seq)),
            _ => None,
        };
        self.end(seq, result);
        self.fail_batch(blamed);
    }

    fn stray_answer(&mut self, output: ClassificationOutput) {
        let id = output.correlation_id.as_str();
        if self.mint.made(id) || self.recent.contains(id) {
            self.stats.duplicates += 1;
            return;
        }
        self.stats.unclaimed += 1;
        if self.unclaimed.len() == MOST_UNCLAIMED {
            self.unclaimed.pop_front();
            self.stats.unclaimed_dropped += 1;
        }
        let id: Arc<str> = id.into();
        let result = verdict(&id, output);
        self.unclaimed.push_back(Unclaimed::new(&id, result));
        self.effects.wake_unclaimed = true;
    }

    pub(crate) fn pop_unclaimed(&mut self) -> Option<Unclaimed> {
        self.unclaimed.pop_front()
    }

    /// The service failed a whole request of this lane.
    pub(crate) fn global_error(&mut self, lane: LaneId, error: &ClassificationError) {
        let error = Error::from_service(error);
        let Some(lane) = self.lanes.get_mut(&lane) else {
            return;
        };
        let blamed = lane.global_error(error);
        if blamed.as_ref().is_some_and(|(seqs, _)| seqs.is_empty()) {
            self.stats.stray_errors += 1;
        }
        self.fail_batch(blamed);
    }

    fn fail_batch(&mut self, failed: Failed) {
        let Some((seqs, error)) = failed else { return };
        for seq in seqs {
            self.end(seq, Err(error.clone()));
        }
    }

    /// Lets time pass: images whose time is up, and stranded ones to be sent again.
    pub(crate) fn tick(&mut self, now: Instant) {
        while let Some(&(deadline, seq)) = self.deadlines.first()
            && deadline <= now
        {
            let error = self.timed_out(seq);
            self.end(seq, Err(error));
        }
        let due: Vec<_> = self
            .stranded
            .iter()
            .filter(|(at, _)| at.is_some_and(|at| at <= now))
            .map(|(_, seq)| *seq)
            .collect();
        for seq in due {
            self.resend(now, seq);
        }
    }

    fn resend(&mut self, now: Instant, seq: Seq) {
        let Some(entry) = self.entries.get_mut(&seq) else {
            return;
        };
        if entry.sends > self.rules.resends {
            let message = format!(
                "the connection broke after the image was sent ({} times), and no result came",
                entry.sends
            );
            let error =
                Error::new(ErrorKind::Unavailable, message).with_delivery(Delivery::Unknown);
            let error = with_cause(error, self.last_failure.clone());
            return self.end(seq, Err(error));
        }
        let Phase::Stranded(at) = entry.phase else {
            return;
        };
        self.stranded.remove(&(at, seq));
        let place = self.queue.push_front(now, seq, entry.bytes);
        entry.phase = Phase::Queued(place);
        self.queue_changed();
    }

    fn timed_out(&self, seq: Seq) -> Error {
        let Some(entry) = self.entries.get(&seq) else {
            return closed();
        };
        let (stage, cause) = match entry.phase {
            Phase::Preparing => ("prepared", None),
            Phase::Queued(_) => ("sent", self.last_failure.clone()),
            Phase::Stranded(_) => ("answered", self.last_failure.clone()),
            Phase::Sent(lane, batch) => {
                let suspicion = self.lanes.get(&lane).and_then(|lane| lane.suspicion(batch));
                if let Some(error) = suspicion {
                    let message = "not answered in time; meanwhile the service failed a request \
                                   without saying which, and it may have been this image's";
                    return Error::new(ErrorKind::Service, message)
                        .with_delivery(Delivery::Unknown)
                        .with_source(error.clone());
                }
                ("answered", None)
            }
        };
        let message = format!("not {stage} within {:?}", entry.timeout);
        let error = Error::new(ErrorKind::Timeout, message).with_delivery(entry.delivery());
        with_cause(error, cause)
    }

    /// When [`tick`](Self::tick) has something to do.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        let deadline = self.deadlines.first().map(|(at, _)| *at);
        // Those without a time sort first, and are all of them or none.
        let resend = self.stranded.first().and_then(|(at, _)| *at);
        deadline.into_iter().chain(resend).min()
    }

    /// Since when the oldest request of a lane waits for an answer.
    pub(crate) fn waiting_since(&self, lane: LaneId) -> Option<Instant> {
        self.lanes.get(&lane)?.waiting_since()
    }

    /// Accepts nothing more. What was accepted goes on.
    pub(crate) fn close(&mut self) {
        self.closing = true;
        self.effects.wake_senders = true;
        self.effects.wake_unclaimed = true;
    }

    /// Ends everything now. Gives the ids that had no result, and what the service may know.
    pub(crate) fn abort(&mut self) -> Vec<(Arc<str>, Delivery)> {
        self.close();
        self.lanes.clear();
        let mut seqs: Vec<_> = self.entries.keys().copied().collect();
        seqs.sort_unstable();
        let mut undelivered = Vec::with_capacity(seqs.len());
        for seq in seqs {
            let Some(entry) = self.entries.get(&seq) else {
                continue;
            };
            let delivery = entry.delivery();
            undelivered.push((Arc::clone(&entry.id), delivery));
            self.end(seq, Err(closed().with_delivery(delivery)));
        }
        undelivered
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

    /// Whether images that could join a batch are likely within the linger time: some are being
    /// prepared, or answers under way will make room for more.
    fn company_expected(&self) -> bool {
        let has_room = self.entries.len() < self.rules.capacity;
        self.preparing > 0 || (self.sent > 0 && has_room && !self.closing)
    }

    /// Wakes the senders when the queue may give something that it did not give before.
    fn queue_changed(&mut self) {
        let first = self.queue.len() == 1;
        let ready = self.queue.is_full() || !self.company_expected();
        self.effects.wake_senders |= self.queue.len() > 0 && (first || ready);
    }

    fn strand(&mut self, seq: Seq, resend_at: Option<Instant>) {
        let Some(entry) = self.entries.get_mut(&seq) else {
            return;
        };
        match entry.phase {
            Phase::Sent(..) => self.sent -= 1,
            Phase::Stranded(at) => drop(self.stranded.remove(&(at, seq))),
            Phase::Preparing | Phase::Queued(_) => {}
        }
        entry.phase = Phase::Stranded(resend_at);
        self.stranded.insert((resend_at, seq));
        self.effects.wake_timer = true;
    }

    /// The one way in which an accepted image ends with a result.
    fn end(&mut self, seq: Seq, result: Result<Verdict, Error>) {
        let Some(entry) = self.remove(seq) else {
            return;
        };
        let result = match entry.undecodable {
            None => result,
            // Looked up by hash or not: an undecodable image is an error.
            Some(error) => Err(match result {
                Ok(verdict) => error
                    .with_delivery(Delivery::Answered)
                    .with_hash_verdict(verdict),
                Err(lookup) => error.with_delivery(lookup.delivery()),
            }),
        };
        let result = result.map_err(|error| error.with_id(&entry.id));
        match &result {
            Ok(_) => self.stats.verdicts += 1,
            Err(error) => self.stats.count_error(error.kind()),
        }
        self.effects.ended.push((entry.waiter, result));
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

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the session is closed")
}

fn with_cause(error: Error, cause: Option<Error>) -> Error {
    match cause {
        Some(cause) => error.with_source(cause),
        None => error,
    }
}
