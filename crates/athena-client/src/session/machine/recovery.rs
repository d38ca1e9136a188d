//! Connections that come and go, and time that passes.

use std::time::Duration;

use tokio::time::Instant;

use super::connections::{Connection, ConnectionId};
use super::{Machine, Phase, Seq, with_cause};
use crate::error::{Delivery, Error, ErrorKind, Oversized};

/// What a request has beside its inputs: the deployment's id of 64 bytes at most, tags and lengths.
const REQUEST_OVERHEAD: usize = 96;

/// How a connection ended.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Down {
    /// Another connection cannot help.
    pub(crate) fatal: bool,
    /// Its token was no longer accepted.
    pub(crate) rejected: bool,
}

impl<W> Machine<W> {
    /// A connection was made. It gets results for images of earlier ones.
    pub(crate) fn connection_up(&mut self, now: Instant) -> ConnectionId {
        let connection = self.next_connection;
        self.next_connection += 1;
        self.connections.insert(connection, Connection::default());
        self.stats.connects += 1;
        self.hopeless = None;
        self.effects.wake_senders = true;
        let resend_at = now + self.rules.grace;
        while let Some(&(None, seq)) = self.stranded.first() {
            self.strand(seq, Some(resend_at));
        }
        connection
    }

    /// A connection broke. What was sent on it waits for another chance, unless the failure is
    /// one that another connection cannot mend.
    pub(crate) fn connection_down(
        &mut self,
        now: Instant,
        id: ConnectionId,
        error: &Error,
        how: Down,
    ) {
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        let has_sent = connection.has_sent;
        let oversized = error.oversized();
        if let Some(oversized) = oversized {
            self.refused_for_size(&connection, oversized, error);
        }
        self.ghosts.connection_down(id);
        self.effects.wake_room = true;
        let resend_at = (!self.connections.is_empty()).then(|| now + self.rules.grace);
        for seq in connection.into_open() {
            if how.fatal {
                self.end(seq, Err(error.clone().with_delivery(Delivery::Unknown)));
            } else {
                let excused = how.rejected || oversized.is_some();
                if let Some(entry) = self.entries.get_mut(&seq).filter(|_| excused) {
                    entry.excused += 1;
                }
                self.strand(seq, resend_at);
            }
        }
        if self.connections.is_empty() {
            for seq in self
                .stranded
                .iter()
                .map(|(_, seq)| *seq)
                .collect::<Vec<_>>()
            {
                self.strand(seq, None);
            }
        }
        self.failed(error, how.fatal && !has_sent);
        // The connection may have been the one that watched the linger time.
        self.effects.wake_senders = true;
    }

    /// The service took a request of this connection to be too large. Batches are kept smaller from here on,
    /// or, where the largest is a single image, that image ends: so each refusal brings on.
    fn refused_for_size(&mut self, connection: &Connection, oversized: Oversized, error: &Error) {
        let bytes = |seq: &Seq| self.entries.get(seq).map_or(0, |entry| entry.bytes);
        let size = |seqs: &&[Seq]| seqs.iter().map(bytes).sum::<usize>();
        let Some(largest) = connection.open().max_by_key(size).map(<[Seq]>::to_vec) else {
            return;
        };
        let sent: usize = largest.iter().map(bytes).sum();
        // A limit that admits what was refused tells nothing.
        let told = oversized
            .limit
            .map(|limit| limit.saturating_sub(REQUEST_OVERHEAD))
            .filter(|limit| *limit < sent);
        match (told, &largest[..]) {
            (Some(told), _) => self.queue.lower_limit(told),
            (None, [_]) => self.queue.lower_limit(sent.saturating_sub(1)),
            (None, _) => self.queue.lower_batches(sent / 2),
        }
        // What exceeds it, here and in the queue, is never taken.
        let too_large: Vec<Seq> = (self.entries.iter())
            .filter(|(seq, entry)| match told {
                Some(told) => entry.bytes > told,
                None => largest == [**seq],
            })
            .map(|(seq, _)| *seq)
            .collect();
        for seq in too_large {
            self.end(seq, Err(error.clone().with_delivery(Delivery::Answered)));
        }
    }

    /// No connection could be made. With `hopeless` nothing waits for one any longer.
    pub(crate) fn no_connection(&mut self, error: &Error, hopeless: bool) {
        self.failed(error, hopeless);
    }

    fn failed(&mut self, error: &Error, hopeless: bool) {
        self.stats.disconnects += 1;
        self.last_failure = Some(error.clone());
        if !hopeless || !self.connections.is_empty() {
            return;
        }
        self.hopeless = Some(error.clone());
        self.effects.wake_senders = true;
        self.effects.wake_room = true;
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

    /// Whether there is a connection, or why there will be none; `None` while that is open.
    pub(crate) fn readiness(&self) -> Option<Result<(), Error>> {
        if self.closing {
            return Some(Err(self.closed()));
        }
        if !self.connections.is_empty() {
            return Some(Ok(()));
        }
        self.hopeless.clone().map(Err)
    }

    pub(super) fn strand(&mut self, seq: Seq, resend_at: Option<Instant>) {
        let Some(entry) = self.entries.get_mut(&seq) else {
            return;
        };
        match entry.phase {
            Phase::Sent(..) => {
                self.sent -= 1;
                self.sent_bytes -= entry.bytes;
            }
            Phase::Stranded(at) => drop(self.stranded.remove(&(at, seq))),
            Phase::Preparing | Phase::Queued(_) => {}
        }
        entry.phase = Phase::Stranded(resend_at);
        self.stranded.insert((resend_at, seq));
        self.effects.wake_timer = true;
    }

    /// Lets time pass: images whose time is up, and stranded ones to be sent again.
    pub(crate) fn tick(&mut self, now: Instant) {
        while let Some(&(deadline, seq)) = self.deadlines.first()
            && deadline <= now
        {
            let error = self.timed_out(seq);
            if let Some(entry) = self.entries.get(&seq)
                && !self.connections.is_empty()
            {
                match (entry.phase, entry.ticket) {
                    (Phase::Sent(..), Some(ticket)) => self.admission.timed_out(now, ticket),
                    (Phase::Preparing | Phase::Queued(_), None) => {
                        let (accepted, timeout) = (entry.accepted, entry.timeout);
                        let load = self.load();
                        self.admission.not_sent(now, accepted, timeout, load);
                    }
                    _ => {}
                }
            }
            self.haunt(now, seq);
            self.end(seq, Err(error));
        }
        if self.ghosts.expire(now) {
            self.effects.wake_room = true;
            self.effects.wake_senders = true;
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
        let counted = match self.rules.resends {
            0 => entry.sends,
            _ => entry.sends - entry.excused,
        };
        if counted > self.rules.resends {
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

    /// Keeps the place of an image that is about to end while the service still works on it.
    pub(super) fn haunt(&mut self, now: Instant, seq: Seq) {
        let Some(entry) = self.entries.get(&seq) else {
            return;
        };
        if let (Phase::Sent(connection, _), Some(ticket)) = (entry.phase, entry.ticket)
            && !self.admission.overtaken(ticket)
        {
            let until = now + self.admission.patience(ticket);
            let weight = entry.weight;
            self.ghosts
                .insert(&entry.sent_as, connection, ticket, weight, until);
            self.effects.wake_timer = true;
        }
    }

    fn timed_out(&self, seq: Seq) -> Error {
        let Some(entry) = self.entries.get(&seq) else {
            return self.closed();
        };
        let (stage, cause) = match entry.phase {
            Phase::Preparing if self.held_up < Some(entry.accepted) => ("prepared", None),
            Phase::Preparing | Phase::Queued(_) => ("sent", self.last_failure.clone()),
            Phase::Stranded(_) => ("answered", self.last_failure.clone()),
            Phase::Sent(connection, batch) => {
                let suspicion = self
                    .connections
                    .get(&connection)
                    .and_then(|connection| connection.suspicion(batch));
                if let Some(error) = suspicion {
                    let message = "not answered in time; meanwhile the service failed a request \
                                   without saying which, and it may have been this image's";
                    return Error::new(ErrorKind::Service, message)
                        .with_delivery(Delivery::Unknown)
                        .of_request()
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
        let ghost = self.ghosts.next_expiry();
        deadline.into_iter().chain(resend).chain(ghost).min()
    }

    /// Since when the oldest request of a connection waits for an answer.
    pub(crate) fn waiting_since(&self, connection: ConnectionId) -> Option<Instant> {
        self.connections.get(&connection)?.waiting_since()
    }

    /// How long a request may yet be on its way that a connection has taken.
    pub(crate) fn hidden(&self) -> Duration {
        self.admission.hidden()
    }
}
