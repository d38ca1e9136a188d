//! Images out, answers in: what goes into the next request, and whom an answer concerns.

use std::sync::Arc;

use athena_proto::{ClassificationError, ClassificationOutput};
use tokio::time::Instant;

use super::lanes::{Failed, LaneId};
use super::queue::Batch;
use super::{MOST_UNCLAIMED, Machine, Next, Phase, Unclaimed};
use crate::answer::verdict;
use crate::error::Error;

impl<W> Machine<W> {
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
        let error = Error::from_service(error).of_request();
        let Some(lane) = self.lanes.get_mut(&lane) else {
            return;
        };
        let blamed = lane.global_error(error);
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
