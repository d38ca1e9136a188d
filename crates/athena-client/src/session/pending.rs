//! The result of one image that is still to come.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;

use super::machine::Seq;
use super::shared::Shared;
use crate::error::Error;
use crate::verdict::Verdict;

/// A future of one image's result.
///
/// Dropping it cancels the image: if it was not sent it never will be, and its room is free again.
#[must_use = "dropping a `Pending` cancels the image"]
pub struct Pending {
    shared: Arc<Shared>,
    seq: Seq,
    id: Arc<str>,
    receiver: oneshot::Receiver<Result<Verdict, Error>>,
    done: bool,
}

impl Pending {
    pub(super) fn new(
        shared: Arc<Shared>,
        seq: Seq,
        id: Arc<str>,
        receiver: oneshot::Receiver<Result<Verdict, Error>>,
    ) -> Self {
        Self {
            shared,
            seq,
            id,
            receiver,
            done: false,
        }
    }

    /// The id under which the image was submitted.
    pub fn correlation_id(&self) -> &str {
        &self.id
    }
}

impl Future for Pending {
    type Output = Result<Verdict, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.receiver).poll(cx));
        self.done = true;
        Poll::Ready(result.unwrap_or_else(|_| {
            Err(self
                .shared
                .with(|machine| machine.closed())
                .with_id(&self.id))
        }))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.done {
            self.shared.cancel(self.seq);
        }
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("correlation_id", &self.id)
            .finish_non_exhaustive()
    }
}
