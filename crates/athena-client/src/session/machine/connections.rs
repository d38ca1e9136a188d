//! What is under way on each connection, and which batch a global error belongs to.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::Seq;
use crate::error::Error;

/// One connection of a session; a reconnect makes a new one.
pub(crate) type ConnectionId = u64;
pub(super) type BatchId = u64;

#[derive(Debug)]
struct Sent {
    at: Instant,
    /// The images without an answer.
    open: Vec<Seq>,
    /// Some image of it was answered, so the request as a whole did not fail.
    answered: bool,
    /// A global error arrived while it was unanswered.
    suspect: bool,
}

/// The requests of one connection that are not wholly answered.
#[derive(Debug, Default)]
pub(super) struct Connection {
    batches: BTreeMap<BatchId, Sent>,
    /// Global errors that could belong to more than one of the suspects.
    unplaced: Vec<Error>,
    pub(super) has_sent: bool,
    /// A request that the connection is taking, of so many bytes, since then.
    pub(super) taking: Option<(Instant, usize)>,
}

/// Images that failed together, with the reason.
pub(super) type Failed = Option<(Vec<Seq>, Error)>;

impl Connection {
    pub(super) fn sent(&mut self, at: Instant, batch: BatchId, seqs: Vec<Seq>) {
        self.has_sent = true;
        let sent = Sent {
            at,
            open: seqs,
            answered: false,
            suspect: false,
        };
        self.batches.insert(batch, sent);
    }

    /// The service answered one image of the batch.
    pub(super) fn answered(&mut self, batch: BatchId, seq: Seq) -> Failed {
        let sent = self.batches.get_mut(&batch)?;
        sent.answered = true;
        sent.suspect = false;
        self.closed(batch, seq);
        self.place()
    }

    /// Nobody waits for the image any longer.
    pub(super) fn closed(&mut self, batch: BatchId, seq: Seq) {
        if let Some(sent) = self.batches.get_mut(&batch) {
            sent.open.retain(|open| *open != seq);
            // A suspect stays until an answer clears it: the error may have been its own.
            if sent.open.is_empty() && !sent.suspect {
                self.batches.remove(&batch);
            }
        }
    }

    /// The service failed a whole request without saying which. `None` when there is no telling,
    /// yet; the error is then placed as soon as answers have cleared the other requests.
    pub(super) fn global_error(&mut self, error: Error) -> Failed {
        for sent in self.batches.values_mut() {
            sent.suspect |= !sent.answered;
        }
        self.unplaced.push(error);
        self.place()
    }

    /// As many suspects as errors: every suspect failed.
    fn place(&mut self) -> Failed {
        let suspects = self.batches.values().filter(|sent| sent.suspect).count();
        if suspects > self.unplaced.len() {
            return None;
        }
        let error = self.unplaced.pop()?;
        self.unplaced.clear();
        let mut failed = Vec::new();
        self.batches.retain(|_, sent| {
            if sent.suspect {
                failed.append(&mut sent.open);
            }
            !sent.suspect
        });
        Some((failed, error))
    }

    /// The images of each request that are without an answer.
    pub(super) fn open(&self) -> impl Iterator<Item = &[Seq]> {
        self.batches.values().map(|sent| sent.open.as_slice())
    }

    /// A global error that may concern this batch.
    pub(super) fn suspicion(&self, batch: BatchId) -> Option<&Error> {
        let suspect = self.batches.get(&batch)?.suspect;
        self.unplaced.last().filter(|_| suspect)
    }

    /// Since when the oldest request waits for an answer.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.batches
            .values()
            .filter(|sent| !sent.open.is_empty())
            .map(|sent| sent.at)
            .min()
    }

    pub(super) fn into_open(self) -> impl Iterator<Item = Seq> {
        self.batches.into_values().flat_map(|sent| sent.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn connection(batches: &[&[Seq]]) -> Connection {
        let mut connection = Connection::default();
        for (batch, seqs) in (0..).zip(batches) {
            connection.sent(Instant::now(), batch, seqs.to_vec());
        }
        connection
    }

    fn error() -> Error {
        Error::new(ErrorKind::Service, "overheated")
    }

    #[test]
    fn the_only_batch_takes_the_blame() {
        let mut connection = connection(&[&[1, 2]]);
        assert_eq!(connection.global_error(error()).unwrap().0, [1, 2]);
        assert_eq!(connection.waiting_since(), None);
    }

    #[test]
    fn a_batch_with_an_answer_is_not_blamed() {
        let mut connection = connection(&[&[1, 2], &[3]]);
        assert!(connection.answered(0, 1).is_none());
        assert_eq!(connection.global_error(error()).unwrap().0, [3]);
        assert_eq!(connection.into_open().collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn among_several_batches_answers_clear_the_innocent() {
        let mut connection = connection(&[&[1, 2], &[3], &[4]]);
        assert!(connection.global_error(error()).is_none());
        assert!(connection.suspicion(1).is_some());
        assert!(connection.answered(2, 4).is_none());
        // A batch that is sent after the error is not a suspect.
        connection.sent(Instant::now(), 9, vec![5]);
        assert_eq!(connection.answered(0, 1).unwrap().0, [3]);
        assert!(connection.suspicion(0).is_none());
        assert_eq!(connection.into_open().collect::<Vec<_>>(), [2, 5]);
    }

    #[test]
    fn as_many_errors_as_batches_fail_them_all() {
        let mut connection = connection(&[&[1], &[2]]);
        assert!(connection.global_error(error()).is_none());
        assert_eq!(connection.global_error(error()).unwrap().0, [1, 2]);
    }

    #[test]
    fn an_error_with_nothing_under_way_concerns_nobody() {
        assert_eq!(connection(&[]).global_error(error()).unwrap().0, [0; 0]);
    }
}
