//! Bounds the memory of messages that are being received or worked on, over all connections.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;
use tonic::body::Body;

use crate::sync::lock;

/// What comes before each message on the wire: a flag for compression and the length, big-endian.
const PREFIX: usize = 5;

/// How many bytes of messages there may be at once, and how many one of them may have.
#[derive(Clone)]
pub(super) struct Budget {
    left: Arc<Semaphore>,
    message: u32,
}

impl Budget {
    pub(super) fn new(total: usize, message: usize) -> Self {
        Self {
            left: Arc::new(Semaphore::new(total.min(Semaphore::MAX_PERMITS))),
            message: u32::try_from(message).unwrap_or(u32::MAX),
        }
    }

    /// The body, its messages paid for as they come in, and what was paid for those that have.
    pub(super) fn meter(&self, body: Body) -> (Body, Receipts) {
        let receipts = Receipts::default();
        let metered = Metered {
            body,
            budget: self.clone(),
            receipts: receipts.clone(),
            prefix: Vec::with_capacity(PREFIX),
            missing: 0,
            paid: None,
        };
        (Body::new(metered), receipts)
    }
}

/// What was paid for the messages of a call that are complete, in their order. A message is paid for
/// until its receipt is dropped.
#[derive(Clone, Default)]
pub(super) struct Receipts(Arc<Mutex<VecDeque<OwnedSemaphorePermit>>>);

impl Receipts {
    pub(super) fn take(&self) -> Option<OwnedSemaphorePermit> {
        lock(&self.0).pop_front()
    }
}

/// A body of gRPC messages that pays for them.
struct Metered {
    body: Body,
    budget: Budget,
    receipts: Receipts,
    /// The part of a message's prefix that has come.
    prefix: Vec<u8>,
    /// How much of the message is still to come.
    missing: usize,
    paid: Option<OwnedSemaphorePermit>,
}

impl Metered {
    /// Pays for what `data` brings of messages.
    fn account(&mut self, mut data: &[u8]) -> Result<(), Status> {
        while !data.is_empty() {
            if self.missing == 0 {
                let take = data.len().min(PREFIX - self.prefix.len());
                self.prefix.extend_from_slice(&data[..take]);
                data = &data[take..];
                if let [compressed, a, b, c, d] = self.prefix[..] {
                    self.prefix.clear();
                    self.begin(compressed != 0, u32::from_be_bytes([a, b, c, d]))?;
                }
                continue;
            }
            let take = data.len().min(self.missing);
            self.pay(take as u32)?;
            self.missing -= take;
            data = &data[take..];
            if self.missing == 0 {
                self.complete();
            }
        }
        Ok(())
    }

    fn begin(&mut self, compressed: bool, length: u32) -> Result<(), Status> {
        // tonic refuses what is longer than a message may be, once it has read the prefix.
        self.missing = length as usize;
        if compressed {
            // It may unfold to as much as a message may have.
            self.pay(self.budget.message)?;
        }
        if length == 0 {
            self.complete();
        }
        Ok(())
    }

    fn pay(&mut self, bytes: u32) -> Result<(), Status> {
        let left = self.budget.left.clone();
        let permit = left.try_acquire_many_owned(bytes).map_err(|_| {
            Status::resource_exhausted(
                "the emulator holds as many bytes of messages as it may: \
                 send less at once or raise limits.memory_bytes",
            )
        })?;
        match &mut self.paid {
            Some(paid) => paid.merge(permit),
            None => self.paid = Some(permit),
        }
        Ok(())
    }

    fn complete(&mut self) {
        let none = || self.budget.left.clone().try_acquire_many_owned(0).ok();
        let paid = self.paid.take().or_else(none);
        lock(&self.receipts.0).extend(paid);
    }
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(status) = self.account(data)
        {
            return Poll::Ready(Some(Err(status)));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
