//! Calls with one answer: deadline, retries within a budget, one refresh of a refused token.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tonic::{Code, Response, Status};
use tracing::debug;

use crate::backoff::{Backoff, RetryBudget};
use crate::error::{Delivery, Error, ErrorKind};
use crate::transport::{self, Stub, Transport};

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
        let attempts = self.attempts(deadline, &mut call, &mut last);
        if let Ok(result) = tokio::time::timeout_at(deadline, attempts).await {
            return result;
        }
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
        last: &mut Option<Error>,
    ) -> Result<T, Error>
    where
        F: FnMut(Stub, Duration) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut refreshed = false;
        let mut attempt = 1;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let status = match call(self.transport.unary(), left).await {
                Ok(response) => {
                    self.budget().success();
                    return Ok(response.into_inner());
                }
                Err(status) => status,
            };
            let error = transport::from_status(&status);
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
            if !allowed || attempt == MOST_ATTEMPTS {
                return Err(error);
            }
            let wait = error
                .retry_after()
                .unwrap_or_else(|| backoff.next(fastrand::f64()));
            debug!(attempt, ?wait, kind = %error.kind(), "call failed; retrying");
            *last = Some(error);
            attempt += 1;
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
        Delivery::NotSent => error.kind() == ErrorKind::Connect && error.is_transient(),
        Delivery::Answered => error.kind() == ErrorKind::Unavailable,
        Delivery::Unknown => false,
    }
}
