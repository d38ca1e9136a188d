//! What a runtime has to offer, and what becomes of a fetch on one that lacks it.
//!
//! Tokio cannot be asked whether timers and IO are enabled: it panics when they are used and are
//! not. The panic is caught here, and told as the error that it is.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::{AuthError, AuthErrorKind};

/// The runtime of this call, which must have timers.
pub(super) fn current() -> Result<Handle, AuthError> {
    let handle = Handle::try_current().map_err(|error| {
        AuthError::new(
            AuthErrorKind::Runtime,
            "a token was asked for outside a Tokio runtime",
        )
        .with_source(error)
    })?;
    match catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO))) {
        Ok(()) => Ok(handle),
        Err(panic) => Err(explain(&*panic)),
    }
}

/// Runs a future to its end; its panic is an error.
pub(super) async fn catch<T>(
    future: impl Future<Output = Result<T, AuthError>>,
) -> Result<Result<T, AuthError>, AuthError> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        // After a panic the future is not polled again, only dropped.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(explain(&*panic))),
        }
    })
    .await
}

fn explain(panic: &(dyn Any + Send)) -> AuthError {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or_default();
    // Nothing of the text is passed on: a panic of somebody else's may quote anything.
    if text.contains("timers are disabled") {
        AuthError::new(
            AuthErrorKind::Runtime,
            "the Tokio runtime has no timers: build it with enable_time() or enable_all()",
        )
    } else if text.contains("IO is disabled") {
        AuthError::new(
            AuthErrorKind::Runtime,
            "the Tokio runtime has no IO: build it with enable_io() or enable_all()",
        )
    } else {
        AuthError::new(
            AuthErrorKind::Panicked,
            "the function that fetches tokens panicked",
        )
    }
}
