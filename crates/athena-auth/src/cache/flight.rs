//! The task that makes the attempts of one flight.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::machine::{AfterFailure, Failure, Launch};
use super::usage::TokenEvent;
use super::{Outcome, Shared, runtime};
use crate::{AuthError, AuthErrorKind, Fetch, Token};

/// Reports to the cache and to those who wait, whatever becomes of the task.
pub(super) struct Flight<F> {
    shared: Arc<Shared<F>>,
    launch: Launch,
    report: watch::Sender<Option<Outcome>>,
    settled: bool,
}

impl<F: Fetch> Flight<F> {
    pub(super) fn new(
        shared: Arc<Shared<F>>,
        launch: Launch,
        report: watch::Sender<Option<Outcome>>,
    ) -> Self {
        Self {
            shared,
            launch,
            report,
            settled: false,
        }
    }

    pub(super) async fn run(mut self) {
        let mut due = self.launch.first_attempt;
        let mut attempt = 1_u32;
        loop {
            self.sleep_until(due).await;
            let asked = self.shared.clock.now();
            let id = self.launch.id;
            let Some(limit) = self
                .shared
                .cell
                .change(|state| state.machine.attempt(id, asked))
            else {
                return;
            };
            self.shared.tell(&TokenEvent::Requested { attempt });
            let fetch = runtime::catch(self.shared.fetch.fetch());
            let result = match timeout(limit, fetch).await {
                Ok(Ok(Ok(token))) => self.check(token, asked),
                Ok(Ok(Err(error))) => Err(error),
                Ok(Err(panicked)) => return self.give_up(panicked, attempt),
                Err(_) => Err(AuthError::new(
                    AuthErrorKind::Timeout,
                    "no token arrived in time",
                )),
            };
            match result {
                Ok(token) => return self.succeed(token, asked),
                Err(error) => match self.fail(error, attempt) {
                    Some(next) => due = next,
                    None => return,
                },
            }
            attempt = attempt.saturating_add(1);
        }
    }

    async fn sleep_until(&self, due: Duration) {
        loop {
            let now = self.shared.clock.now();
            if now >= due {
                return;
            }
            sleep(due - now).await;
        }
    }

    /// A token that took longer to arrive than it lives is of no use to anybody.
    fn check(&self, token: Token, asked: Duration) -> Result<Token, AuthError> {
        let age = self.shared.clock.now().saturating_sub(asked);
        match token.lifetime() {
            Some(lifetime) if lifetime.is_zero() => Err(AuthError::new(
                AuthErrorKind::InvalidResponse,
                "the token had expired when it was issued",
            )),
            Some(lifetime) if lifetime <= age => Err(AuthError::new(
                AuthErrorKind::Unavailable,
                "the token expired on its way",
            )),
            _ => Ok(token),
        }
    }

    fn succeed(&mut self, token: Token, asked: Duration) {
        let now = self.shared.clock.now();
        let took = now.saturating_sub(asked);
        let lifetime = token.lifetime();
        let id = self.launch.id;
        let used = self.shared.cell.change(|state| {
            let new = (token.clone(), token.id());
            let refreshed = state.machine.token(now).is_some();
            let used = state
                .machine
                .succeeded(id, asked, new, lifetime, fastrand::f64());
            if used {
                state.forget_report();
            }
            used.then_some(refreshed)
        });
        if let Some(refreshed) = used {
            if refreshed {
                self.shared.monitor.refreshed();
            }
            self.shared.tell(&TokenEvent::Obtained { lifetime, took });
            self.settle(Ok(token));
        }
    }

    /// Returns when to try again, if at all.
    fn fail(&mut self, error: AuthError, attempt: u32) -> Option<Duration> {
        let id = self.launch.id;
        let failure = Failure {
            transient: error.is_transient(),
            retry_after: error.retry_after(),
        };
        let now = self.shared.clock.now();
        let after = self.shared.cell.change(|state| {
            let after = state
                .machine
                .failed(id, now, error.clone(), failure, fastrand::f64());
            if matches!(after, AfterFailure::Settle(..)) {
                state.forget_report();
            }
            after
        });
        let next = match &after {
            AfterFailure::Retry(next) | AfterFailure::Settle(_, next) => *next,
            AfterFailure::Superseded => return None,
        };
        let usable = matches!(after, AfterFailure::Settle(Ok(_), _));
        self.shared.tell(&TokenEvent::Failed {
            error: &error,
            attempt,
            next_try: next.saturating_sub(now),
            usable,
        });
        match after {
            AfterFailure::Retry(next) => Some(next),
            AfterFailure::Settle(outcome, _) => {
                self.settle(outcome);
                None
            }
            AfterFailure::Superseded => None,
        }
    }

    /// The fetch panicked: those who wait are told, and the next call starts over.
    fn give_up(&mut self, error: AuthError, attempt: u32) {
        let id = self.launch.id;
        let now = self.shared.clock.now();
        let usable = self.shared.cell.change(|state| {
            state.machine.abandoned(id);
            state.machine.token(now).is_some()
        });
        self.shared.tell(&TokenEvent::Failed {
            error: &error,
            attempt,
            next_try: Duration::ZERO,
            usable,
        });
        self.settle(Err(error));
    }

    fn settle(&mut self, outcome: Outcome) {
        self.settled = true;
        self.report.send_replace(Some(outcome));
    }
}

impl<F> Drop for Flight<F> {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        // The runtime went away, and those who wait elsewhere start over.
        let id = self.launch.id;
        self.shared.cell.change(|state| state.machine.abandoned(id));
    }
}
