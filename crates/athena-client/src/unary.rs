//! Calls with one answer: deadline, retries within a budget, one refresh of a refused token.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;
use tonic::{Code, Request, Response, Status};
use tracing::debug;

use crate::backoff::{Backoff, LONGEST_PAUSE, RetryBudget};
use crate::error::{Delivery, Error, ErrorKind};
use crate::pause::Punctual;
use crate::sync::lock;
use crate::telemetry;
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

    /// Makes a call until it has an answer, an error that another attempt cannot mend, or no time. Says
    /// as well how often it was sent, as far as is known.
    pub(crate) async fn call<M, T, F, Fut>(
        &self,
        method: &'static str,
        deadline: Instant,
        message: M,
        mut send: F,
    ) -> (Result<T, Error>, u32)
    where
        M: Clone,
        F: FnMut(Stub, Request<M>) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let mut progress = Progress::default();
        let mut timer = Punctual::default();
        let in_time = tokio::select! {
            biased;
            result = self.attempts(method, deadline, message, &mut send, &mut progress) => Some(result),
            () = timer.until(deadline) => None,
        };
        if let Some(result) = in_time {
            return (result, progress.sends);
        }
        progress.attempt.timed_out();
        if progress.under_way && self.transport.has_left(&progress.attempt) {
            progress.sends += 1;
        }
        let delivery = match progress.sends {
            0 => Delivery::NotSent,
            _ => Delivery::Unknown,
        };
        let error = Error::new(ErrorKind::Timeout, "no answer in time").with_delivery(delivery);
        let error = match progress.last {
            Some(cause) => error.with_source(cause),
            None => error,
        };
        (Err(error), progress.sends)
    }

    async fn attempts<M, T, F, Fut>(
        &self,
        method: &'static str,
        deadline: Instant,
        message: M,
        send: &mut F,
        progress: &mut Progress,
    ) -> Result<T, Error>
    where
        M: Clone,
        F: FnMut(Stub, Request<M>) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let parent = telemetry::current();
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut unseen = Backoff::new(Duration::from_millis(5), Duration::from_secs(1));
        let mut refreshed = false;
        let mut attempts = 1;
        loop {
            let call = self.transport.call(method, &parent);
            let mut request = transport::request(message.clone(), &call);
            // To tell the server.
            request.set_timeout(deadline.saturating_duration_since(Instant::now()));
            progress.attempt.begin();
            progress.under_way = true;
            let result = send(self.transport.unary(&progress.attempt), request).await;
            progress.under_way = false;
            call.end(result.as_ref().map(drop));
            let status = match result {
                Ok(response) => {
                    self.budget().success();
                    progress.sends += 1;
                    return Ok(response.into_inner());
                }
                Err(status) => status,
            };
            let error = transport::from_status(&status);
            let unprocessed = transport::is_unprocessed(&status);
            if !unprocessed && error.delivery() != Delivery::NotSent {
                progress.sends += 1;
            }
            // Costs the service nothing, so neither budget nor attempts: gRPC's transparent retries
            // (https://github.com/grpc/proposal/blob/master/A6-client-retries.md).
            if unprocessed {
                debug!(cause = %error, "the service has not seen the call; making it again");
                progress.again(error, &self.transport);
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
                progress.again(error, &self.transport);
                continue;
            }
            let allowed = may_retry(&status, &error) && self.budget().failure();
            if !allowed || attempts == MOST_ATTEMPTS {
                return Err(error);
            }
            let wait = error.retry_after().map_or_else(
                || backoff.next(fastrand::f64()),
                |asked| asked.min(LONGEST_PAUSE),
            );
            debug!(attempts, ?wait, kind = %error.kind(), "call failed; retrying");
            progress.again(error, &self.transport);
            attempts += 1;
            tokio::time::sleep(wait).await;
        }
    }

    fn budget(&self) -> std::sync::MutexGuard<'_, RetryBudget> {
        lock(&self.budget)
    }
}

/// How far a call has got.
#[derive(Default)]
struct Progress {
    attempt: Attempt,
    /// Whether that has neither answer nor error.
    under_way: bool,
    /// Attempts that the service may have seen.
    sends: u32,
    /// Why there was another attempt.
    last: Option<Error>,
}

impl Progress {
    fn again(&mut self, cause: Error, transport: &Transport) {
        self.last = Some(cause);
        transport.telemetry().retried();
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
