//! Outcomes that somebody comes back for: kept for a bounded time, a bounded number of them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use athena_outcome::Record;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::limits::Limits;
use crate::sync::lock;

/// An outcome's name: no caller sees another one's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    pub(crate) caller: Arc<str>,
    pub(crate) key: Arc<str>,
}

/// What the image was, and what was to be done with it: the same key must not name another.
pub(crate) type Fingerprint = [u8; 32];

/// How an entry stands.
#[derive(Clone, Debug)]
pub(crate) enum State {
    Pending,
    Done(Arc<Record>),
    /// Nobody works on it any more: its caller has hung up.
    Gone,
}

#[derive(Debug)]
struct Entry {
    fingerprint: Fingerprint,
    state: watch::Receiver<State>,
    /// Tells this entry from an earlier one of the same name.
    number: u64,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<Name, Entry>,
    /// Finished ones, in the order in which they expire.
    finished: VecDeque<(Instant, Name, u64)>,
    next: u64,
}

/// The outcomes of a server.
#[derive(Debug)]
pub(crate) struct Outcomes {
    inner: Mutex<Inner>,
    most: usize,
    time: Duration,
}

/// What there is under a name.
#[derive(Debug)]
pub(crate) enum Begun {
    /// Nothing: it is the caller's turn.
    New(Ticket),
    /// The same image is under way, or has been judged.
    Same(watch::Receiver<State>),
    /// Another image has this name.
    Conflict,
}

/// The right to finish an entry. Dropped without having done so, it takes the entry away.
#[derive(Debug)]
pub(crate) struct Ticket {
    outcomes: Arc<Outcomes>,
    name: Name,
    number: u64,
    sender: Option<watch::Sender<State>>,
}

impl Outcomes {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            inner: Mutex::default(),
            most: limits.outcomes,
            time: limits.outcome_time,
        }
    }

    /// Begins an image, unless it has been begun.
    pub(crate) fn begin(self: &Arc<Self>, name: Name, fingerprint: Fingerprint) -> Begun {
        let mut inner = self.lock();
        inner.expire(Instant::now());
        if let Some(entry) = inner.entries.get(&name) {
            let again = match &*entry.state.borrow() {
                State::Pending => false,
                // What may succeed later is tried again, by the same name.
                State::Done(record) => may_succeed_later(record),
                State::Gone => true,
            };
            if !again {
                return match entry.fingerprint == fingerprint {
                    true => Begun::Same(entry.state.clone()),
                    false => Begun::Conflict,
                };
            }
        }
        let (sender, state) = watch::channel(State::Pending);
        let number = inner.next;
        inner.next += 1;
        let entry = Entry {
            fingerprint,
            state,
            number,
        };
        inner.entries.insert(name.clone(), entry);
        Begun::New(Ticket {
            outcomes: Arc::clone(self),
            name,
            number,
            sender: Some(sender),
        })
    }

    /// The entry of a name.
    pub(crate) fn find(&self, name: &Name) -> Option<watch::Receiver<State>> {
        let mut inner = self.lock();
        inner.expire(Instant::now());
        inner.entries.get(name).map(|entry| entry.state.clone())
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl Inner {
    fn expire(&mut self, now: Instant) {
        while self.finished.front().is_some_and(|(at, ..)| *at <= now) {
            self.evict();
        }
    }

    fn evict(&mut self) {
        if let Some((_, name, number)) = self.finished.pop_front()
            && self
                .entries
                .get(&name)
                .is_some_and(|entry| entry.number == number)
        {
            self.entries.remove(&name);
        }
    }
}

impl Ticket {
    pub(crate) fn key(&self) -> &Arc<str> {
        &self.name.key
    }

    /// Keeps the outcome for its time; the oldest make room when there are too many.
    pub(crate) fn finish(mut self, record: Arc<Record>) {
        let Some(sender) = self.sender.take() else {
            return;
        };
        {
            let mut inner = self.outcomes.lock();
            while inner.finished.len() >= self.outcomes.most.max(1) {
                inner.evict();
            }
            let expires = Instant::now() + self.outcomes.time;
            inner
                .finished
                .push_back((expires, self.name.clone(), self.number));
        }
        sender.send_replace(State::Done(record));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(sender) = self.sender.take() else {
            return;
        };
        {
            let mut inner = self.outcomes.lock();
            let own = (inner.entries.get(&self.name)).is_some_and(|e| e.number == self.number);
            if own {
                inner.entries.remove(&self.name);
            }
        }
        sender.send_replace(State::Gone);
    }
}

fn may_succeed_later(record: &Record) -> bool {
    (record.error.as_ref()).is_some_and(|error| error.transient == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(most: usize) -> Arc<Outcomes> {
        Arc::new(Outcomes::new(&Limits {
            outcomes: most,
            ..Limits::default()
        }))
    }

    fn name(caller: &str, key: &str) -> Name {
        Name {
            caller: caller.into(),
            key: key.into(),
        }
    }

    fn begin(outcomes: &Arc<Outcomes>, key: &str, fingerprint: u8) -> Begun {
        outcomes.begin(name("", key), [fingerprint; 32])
    }

    fn ticket(begun: Begun) -> Ticket {
        match begun {
            Begun::New(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    fn record(transient: Option<bool>) -> Arc<Record> {
        let mut record = Record::with_key("a");
        if transient.is_some() {
            record.fail("timeout", "x");
            record.error.as_mut().expect("error").transient = transient;
        }
        Arc::new(record)
    }

    #[tokio::test]
    async fn a_key_names_one_image() {
        let outcomes = outcomes(10);
        let first = ticket(begin(&outcomes, "a", 1));
        assert!(matches!(begin(&outcomes, "a", 2), Begun::Conflict));
        let Begun::Same(state) = begin(&outcomes, "a", 1) else {
            panic!("the same image");
        };
        assert!(matches!(*state.borrow(), State::Pending));
        first.finish(record(None));
        assert!(matches!(*state.borrow(), State::Done(_)));
        assert!(matches!(begin(&outcomes, "a", 1), Begun::Same(_)));
        assert!(matches!(begin(&outcomes, "a", 2), Begun::Conflict));
        assert!(outcomes.find(&name("other", "a")).is_none());
    }

    #[tokio::test]
    async fn what_may_succeed_later_or_was_given_up_is_begun_again() {
        let outcomes = outcomes(10);
        ticket(begin(&outcomes, "a", 1)).finish(record(Some(true)));
        let second = ticket(begin(&outcomes, "a", 1));
        let Begun::Same(mut state) = begin(&outcomes, "a", 1) else {
            panic!("the same image");
        };
        drop(second);
        state.changed().await.expect("told");
        assert!(matches!(*state.borrow(), State::Gone));
        ticket(begin(&outcomes, "a", 2)).finish(record(Some(false)));
        assert!(matches!(begin(&outcomes, "a", 2), Begun::Same(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn outcomes_go_after_their_time_and_when_there_are_too_many() {
        let outcomes = outcomes(2);
        for key in ["a", "b", "c"] {
            ticket(begin(&outcomes, key, 1)).finish(record(None));
        }
        assert!(outcomes.find(&name("", "a")).is_none());
        assert!(outcomes.find(&name("", "c")).is_some());
        let pending = ticket(begin(&outcomes, "d", 1));
        tokio::time::advance(Limits::default().outcome_time).await;
        assert!(outcomes.find(&name("", "c")).is_none());
        assert!(outcomes.find(&name("", "d")).is_some());
        drop(pending);
        assert_eq!(outcomes.len(), 0);
    }
}
