//! Whose figures are shown: the sessions and clients that there are, and what those that are gone have counted.

use std::sync::{Arc, Mutex, MutexGuard, Weak};

use athena_auth::{TokenSource, Usage};

use crate::prepare::Preparer;
use crate::session::{Shared, Stats};
use crate::sync::lock;

/// Of all that report to the same place. Their figures are added up: an instrument that is observed has one
/// value, and sessions come and go.
#[derive(Debug, Default)]
pub(super) struct Registry(Mutex<Members>);

#[derive(Debug, Default)]
struct Members {
    sessions: Vec<Arc<Shared>>,
    gone: Stats,
    clients: Vec<(u64, Client)>,
    next: u64,
    gone_tokens: Usage,
}

#[derive(Debug)]
struct Client {
    tokens: Option<Weak<dyn TokenSource>>,
    preparer: Preparer,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Members> {
        lock(&self.0)
    }

    /// A session has begun: until [`leave`](Self::leave).
    pub(super) fn enter(&self, session: &Arc<Shared>) {
        self.lock().sessions.push(Arc::clone(session));
    }

    /// All of its images have ended, and what it counted stays.
    pub(super) fn leave(&self, session: &Arc<Shared>) {
        let mut members = self.lock();
        members
            .sessions
            .retain(|other| !Arc::ptr_eq(other, session));
        let stats = session.with(|machine| machine.stats());
        // What rises and falls has fallen.
        members.gone.add(&Stats {
            pending: 0,
            preparing: 0,
            queued: 0,
            in_flight: 0,
            stranded: 0,
            window: 0,
            hung_reads: 0,
            connections: 0,
            ..stats
        });
    }

    /// The figures of all sessions together.
    pub(super) fn stats(&self) -> Stats {
        let members = self.lock();
        let mut sum = members.gone.clone();
        for session in &members.sessions {
            sum.add(&session.with(|machine| machine.stats()));
        }
        sum
    }

    /// The figures of all token sources together.
    pub(super) fn usage(&self) -> Usage {
        let members = self.lock();
        let mut sum = members.gone_tokens.clone();
        for (_, client) in &members.clients {
            let source = client.tokens.as_ref().and_then(Weak::upgrade);
            if let Some(usage) = source.and_then(|source| source.metrics()) {
                add(&mut sum, &usage);
            }
        }
        sum
    }

    pub(super) fn hung(&self) -> u64 {
        let members = self.lock();
        let hung = members
            .clients
            .iter()
            .map(|(_, client)| client.preparer.hung());
        hung.sum::<usize>() as u64
    }
}

fn add(sum: &mut Usage, usage: &Usage) {
    sum.hits += usage.hits;
    sum.requests += usage.requests;
    sum.refreshes += usage.refreshes;
    sum.rejections += usage.rejections;
    for &(kind, count) in &usage.failures {
        match sum.failures.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, known)) => *known += count,
            None => sum.failures.push((kind, count)),
        }
    }
    sum.expires_at = match (sum.expires_at, usage.expires_at) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
}

/// A client's place among those that are observed.
#[derive(Debug)]
pub(crate) struct Membership {
    registry: Arc<Registry>,
    number: u64,
    tokens: Option<Arc<dyn TokenSource>>,
}

impl Membership {
    pub(super) fn new(
        registry: &Arc<Registry>,
        tokens: Option<&Arc<dyn TokenSource>>,
        preparer: &Preparer,
    ) -> Self {
        let mut members = registry.lock();
        let number = members.next;
        members.next += 1;
        let client = Client {
            tokens: tokens.map(Arc::downgrade),
            preparer: preparer.clone(),
        };
        members.clients.push((number, client));
        Self {
            registry: Arc::clone(registry),
            number,
            tokens: tokens.cloned(),
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut members = self.registry.lock();
        members.clients.retain(|(number, _)| *number != self.number);
        if let Some(mut usage) = self.tokens.as_ref().and_then(|tokens| tokens.metrics()) {
            usage.expires_at = None;
            add(&mut members.gone_tokens, &usage);
        }
    }
}
