//! Calls with one answer: deadline, retries within a budget, one refresh of a refused token.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tonic::{Code, Response, Status};
use tracing::debug;

use crate::backoff::{Backoff, RetryBudget};
use crate::error::{Delivery, Error, ErrorKind};
use crate::pause::Punctual;
use crate::transport::{self, Attempt, Stub, Transport};

/// Attempts for one call, the first included.
const MOST_ATTEMPTS: u32 = 4;

#[derive(Debug)]
pub(crate) struct Unary {
    transport: Transport,
    budget: Mutex<RetryBudget>,
}

impl Unary {
    pub(crate) fn new(transport: Transport) -> Self {
        Self {
            transport,
            budget: Mutex::new(RetryBudget::new()),
        }
    }

    /// Makes a call until it has an answer, an error that another attempt cannot mend, or no time.
    ///
    /// `call` gets the time that is left, to tell the server.
    pub(crate) async fn call<T, F, Fut>(&self, deadline: Instant, mut call: F) -> Result<T, Error>
    where
        F: FnMut(Stub, Duration) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let mut last = None;
        let attempt = Attempt::default();
        let mut timer = Punctual::default();
        tokio::select! {
            biased;
            result = self.attempts(deadline, &mut call, &attempt, &mut last) => return result,
            () = timer.until(deadline) => {}
        }
        attempt.timed_out();
        let error =
            Error::new(ErrorKind::Timeout, "no answer in time").with_delivery(Delivery::Unknown);
        Err(match last {
            Some(cause) => error.with_source(cause),
            None => error,
        })
    }

    async fn attempts<T, F, Fut>(
        &self,
        deadline: Instant,
        call: &mut F,
        attempt: &Attempt,
        last: &mut Option<Error>,
    ) -> Result<T, Error>
    where
        F: FnMut(Stub, Duration) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut unseen = Backoff::new(Duration::from_millis(5), Duration::from_secs(1));
        let mut refreshed = false;
        let mut attempts = 1;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let status = match call(self.transport.unary(attempt), left).await {
                Ok(response) => {
                    self.budget().success();
                    return Ok(response.into_inner());
                }
                Err(status) => status,
            };
            let error = transport::from_status(&status);
            // Costs the service nothing, so neither budget nor attempts: gRPC's transparent retries
            // (https://github.com/grpc/proposal/blob/master/A6-client-retries.md).
            if transport::is_unprocessed(&status) {
                debug!(cause = %error, "the service has not seen the call; making it again");
                *last = Some(error);
                tokio::time::sleep(unseen.next(fastrand::f64())).await;
                continue;
            }
            // The authorization layer has invalidated the token.
            let rejected = status.code() == Code::Unauthenticated
                && error.delivery() == Delivery::Answered
                && self.transport.tokens().is_some();
            if rejected && !refreshed {
                debug!("the service rejected the token; trying once with a new one");
                refreshed = true;
                *last = Some(error);
                continue;
            }
            let allowed = may_retry(&status, &error) && self.budget().failure();
            if !allowed || attempts == MOST_ATTEMPTS {
                return Err(error);
            }
            let wait = error
                .retry_after()
                .unwrap_or_else(|| backoff.next(fastrand::f64()));
            debug!(attempts, ?wait, kind = %error.kind(), "call failed; retrying");
            *last = Some(error);
            attempts += 1;
            tokio::time::sleep(wait).await;
        }
    }

    fn budget(&self) -> std::sync::MutexGuard<'_, RetryBudget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Only where the image cannot have been answered: it never left, or the service turned it away.
fn may_retry(status: &Status, error: &Error) -> bool {
    match transport::pushback(status) {
        Some(None) => return false,
        Some(Some(_)) => return true,
        None => {}
    }
    match error.delivery() {
        Delivery::NotSent => {
            matches!(error.kind(), ErrorKind::Connect | ErrorKind::Unavailable)
                && error.is_transient()
        }
        Delivery::Answered => error.kind() == ErrorKind::Unavailable,
        Delivery::Unknown => false,
    }
}
