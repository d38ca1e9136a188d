//! Images out, answers in: what goes into the next request, and whom an answer concerns.

use std::sync::Arc;

use athena_proto::{ClassificationError, ClassificationOutput};
use tokio::time::Instant;

use super::admission::{Load, Ticket};
use super::connections::{ConnectionId, Failed};
use super::queue::Batch;
use super::{MOST_UNCLAIMED, Machine, Next, Phase, Unclaimed};
use crate::answer::verdict;
use crate::error::Error;

/// Bytes of a request whose way into a connection tells how fast it is.
const TELLING: usize = 64 << 10;

impl<W> Machine<W> {
    /// The next request for a connection.
    pub(crate) fn next_request(&mut self, now: Instant, connection: ConnectionId) -> Next {
        self.connection_has_room(now, connection);
        let company_expected = self.company_expected();
        let drained = self.has_drained();
        if !self.connections.contains_key(&connection) {
            return Next::End;
        }
        let carried = self.admission.carries(self.rules.request_time);
        self.queue.set_carried(carried);
        let room = self
            .admission
            .sends(self.under_way(), self.rules.batch.images);
        let held_up = !self.prepares();
        let seqs = match self.queue.poll(now, company_expected, room) {
            Batch::Take(seqs) => seqs,
            Batch::Linger(until) => return Next::Wait(Some(until)),
            Batch::Empty if drained => return Next::End,
            Batch::Empty => return Next::Wait(None),
        };
        let bytes: usize = (seqs.iter().filter_map(|seq| self.entries.get(seq)))
            .map(|entry| entry.bytes)
            .sum();
        self.sent += seqs.len();
        self.sent_bytes += bytes;
        let load = self.load_under_way();
        let batch = self.next_batch;
        self.next_batch += 1;
        let mut inputs = Vec::with_capacity(seqs.len());
        for seq in &seqs {
            let Some(entry) = self.entries.get_mut(seq) else {
                continue;
            };
            entry.phase = Phase::Sent(connection, batch);
            entry.ticket = Some(Ticket {
                sent: now,
                timeout: entry.timeout,
                accepted: entry.accepted,
                accepted_bytes: entry.accepted_bytes,
                load,
            });
            self.admission.sent(now, entry.timeout);
            if entry.sends > 0 {
                self.stats.resent += 1;
            }
            entry.sends += 1;
            if entry.first_sent.is_none() {
                entry.first_sent = Some(now);
                self.stats.queue_time.record(now - entry.accepted);
            }
            inputs.push(entry.input.clone());
        }
        self.stats.bytes_sent += bytes as u64;
        self.stats.batches += 1;
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.sent(now, batch, seqs);
            connection.taking = Some((now, bytes));
        }
        self.effects.wake_room |= held_up && self.prepares();
        // With more than a batch in the queue there is work for another connection as well.
        self.queue_changed();
        Next::Send(inputs)
    }

    /// What is on its way to the service, or at work there.
    fn load_under_way(&self) -> Load {
        Load {
            images: self.under_way(),
            bytes: self.sent_bytes + self.ghosts.weight(),
        }
    }

    /// Learns from a connection that took a request how fast it is.
    fn connection_has_room(&mut self, now: Instant, connection: ConnectionId) {
        let taking = self
            .connections
            .get_mut(&connection)
            .and_then(|connection| connection.taking.take());
        // Less says more about buffers than about the network.
        if let Some((since, bytes)) = taking
            && bytes >= TELLING
        {
            let time = now.saturating_duration_since(since);
            self.admission.carried(bytes, time);
        }
    }

    /// The service answered for one image, ours or not.
    pub(crate) fn answer(&mut self, now: Instant, output: ClassificationOutput) {
        let known = self
            .ids
            .get(output.correlation_id.as_str())
            .and_then(|seq| Some((*seq, self.entries.get_mut(seq)?)))
            // What was not sent cannot have been answered: somebody else's image.
            .filter(|(_, entry)| entry.sends > 0 && *entry.sent_as == *output.correlation_id);
        let Some((seq, entry)) = known else {
            return self.stray_answer(now, output);
        };
        entry.answered = Some(now);
        let result = verdict(&entry.id, output);
        let (phase, bytes) = (entry.phase, entry.bytes);
        if let Some(ticket) = entry.ticket {
            self.admission.answered(now, ticket, bytes, self.load());
        }
        let blamed = match phase {
            Phase::Sent(connection, batch) => self
                .connections
                .get_mut(&connection)
                .and_then(|connection| connection.answered(batch, seq)),
            _ => None,
        };
        if let Some(result) = self.judged(now, seq, result) {
            let sent = self.entries.get(&seq).and_then(|entry| entry.first_sent);
            let service_time = now - sent.unwrap_or(now);
            self.stats.service_time.record(service_time);
            self.end(seq, result);
        }
        self.fail_batch(blamed);
    }

    fn stray_answer(&mut self, now: Instant, output: ClassificationOutput) {
        let id = output.correlation_id.as_str();
        if let Some((ticket, bytes)) = self.ghosts.answered(id) {
            self.stats.late += 1;
            self.admission.answered(now, ticket, bytes, self.load());
            self.effects.wake_room = true;
            self.effects.wake_senders = true;
        }
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

    /// The service failed a whole request of this connection.
    pub(crate) fn global_error(&mut self, connection: ConnectionId, error: &ClassificationError) {
        let error = Error::from_service(error).of_request();
        let Some(connection) = self.connections.get_mut(&connection) else {
            return;
        };
        let blamed = connection.global_error(error);
        if blamed.as_ref().is_some_and(|(seqs, _)| seqs.is_empty()) {
            self.stats.stray_errors += 1;
        }
        self.fail_batch(blamed);
    }

    pub(super) fn fail_batch(&mut self, failed: Failed) {
        let Some((seqs, error)) = failed else { return };
        for seq in seqs {
            self.end(seq, Err(error.clone()));
        }
    }

    /// Whether images that could join a batch are likely within the linger time: some are being
    /// prepared, or answers under way will make room for more.
    pub(super) fn company_expected(&self) -> bool {
        let has_room = self.entries.len() < self.rules.capacity;
        self.preparing > 0 || (self.sent > 0 && has_room && !self.closing)
    }

    /// Wakes the senders when the queue may give something that it did not give before.
    pub(super) fn queue_changed(&mut self) {
        let first = self.queue.len() == 1;
        let ready = self.queue.is_full() || !self.company_expected();
        self.effects.wake_senders |= self.queue.len() > 0 && (first || ready);
    }
}
