//! What readers and the refresher share: a state behind a mutex, and a published extract of it
//! that is read without locks.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::sync::{Mutex, Published};

/// A state that says what readers may do without asking it.
pub(super) trait Quiet {
    /// What readers get.
    type Token: Clone;

    /// The token that readers may use, and the time up to which they may.
    fn quiet(&self) -> Option<(Self::Token, Duration)>;
}

#[derive(Debug)]
pub(super) struct Cell<S: Quiet> {
    published: Published<(S::Token, Duration)>,
    state: Mutex<S>,
}

impl<S: Quiet> Cell<S> {
    pub(super) fn new(state: S) -> Self {
        Self {
            published: Published::new(state.quiet().map(Arc::new)),
            state: Mutex::new(state),
        }
    }

    /// The published token, if it may be used at this time. Takes no lock.
    pub(super) fn peek(&self, now: Duration) -> Option<S::Token> {
        match &*self.published.load() {
            Some(view) if now < view.1 => Some(view.0.clone()),
            _ => None,
        }
    }

    /// Changes the state, and publishes the result before anybody else can change it.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut S) -> R) -> R {
        // Changes do not panic half-way: a poisoned lock still guards a sound state.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut state);
        self.published.store(state.quiet().map(Arc::new));
        result
    }
}
