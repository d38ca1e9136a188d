//! Images that have ended here while the service still works on them: their places stay taken, since
//! more work would only make all of it late.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::time::Instant;

use super::admission::Ticket;
use super::connections::ConnectionId;

#[derive(Debug)]
struct Ghost {
    connection: ConnectionId,
    ticket: Ticket,
    weight: usize,
    until: Instant,
}

/// Each goes when its answer comes, when its connection goes, or when no answer can be expected.
#[derive(Debug, Default)]
pub(super) struct Ghosts {
    by_id: HashMap<Arc<str>, Ghost>,
    expiries: BTreeSet<(Instant, Arc<str>)>,
    weight: usize,
}

impl Ghosts {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Bytes of all of them.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    pub(super) fn insert(
        &mut self,
        id: &Arc<str>,
        connection: ConnectionId,
        ticket: Ticket,
        weight: usize,
        until: Instant,
    ) {
        // An id that is used again has one answer more to come; that much is not told apart.
        self.remove(id);
        self.weight += weight;
        self.expiries.insert((until, Arc::clone(id)));
        let ghost = Ghost {
            connection,
            ticket,
            weight,
            until,
        };
        self.by_id.insert(Arc::clone(id), ghost);
    }

    /// The answer came after all. Gives the image and its bytes.
    pub(super) fn answered(&mut self, id: &str) -> Option<(Ticket, usize)> {
        let ghost = self.remove(id)?;
        Some((ghost.ticket, ghost.weight))
    }

    pub(super) fn connection_down(&mut self, connection: ConnectionId) {
        let gone: Vec<_> = self
            .by_id
            .iter()
            .filter(|(_, ghost)| ghost.connection == connection)
            .map(|(id, _)| Arc::clone(id))
            .collect();
        for id in gone {
            self.remove(&id);
        }
    }

    /// Whether any went.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let before = self.len();
        while let Some((until, id)) = self.expiries.first()
            && *until <= now
        {
            let id = Arc::clone(id);
            self.remove(&id);
        }
        self.len() < before
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(until, _)| *until)
    }

    fn remove(&mut self, id: &str) -> Option<Ghost> {
        let (id, ghost) = self.by_id.remove_entry(id)?;
        self.expiries.remove(&(ghost.until, id));
        self.weight -= ghost.weight;
        Some(ghost)
    }
}
