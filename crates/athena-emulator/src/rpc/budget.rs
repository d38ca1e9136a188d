//! Bounds the memory of messages that are being received or worked on, over all connections, and the
//! time for which a sender may hold it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;
use tonic::body::Body;

use super::patience::Patience;
use crate::config::{FOR_EVER, Limits};
use crate::sync::lock;

/// What comes before each message on the wire: a flag for compression and the length, big-endian.
const PREFIX: usize = 5;

/// How many bytes of messages there may be at once, and how many one of them may have.
#[derive(Clone)]
pub(super) struct Budget {
    left: Arc<Semaphore>,
    message: u32,
    pause: Duration,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            left: Arc::new(Semaphore::new(
                limits.memory_bytes.min(Semaphore::MAX_PERMITS),
            )),
            message: u32::try_from(limits.message_bytes).unwrap_or(u32::MAX),
            pause: limits.message_pause.min(FOR_EVER),
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
            compressed: false,
            missing: 0,
            paid: None,
            patience: Patience::new(self.pause),
            waiting: None,
            alarm: None,
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
    compressed: bool,
    /// How much of the message is still to come.
    missing: usize,
    paid: Option<OwnedSemaphorePermit>,
    /// With the sender of the message that has begun.
    patience: Patience,
    /// Since when the emulator waits for the sender; not while it is busy with what it has.
    waiting: Option<Instant>,
    /// Set no later than the end of the sender's time, which only moves on while a message comes in:
    /// so it is set again when it goes off, and not for each piece.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Metered {
    /// Whether memory is held for what the sender has still to send: the rest of a message, or the end
    /// of a call that has one message, which is not worked on before.
    fn owed(&self) -> bool {
        self.missing > 0 || !self.prefix.is_empty() || !lock(&self.receipts.0).is_empty()
    }

    /// Notes that the body has nothing yet; ready once the sender's time is over.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let since = *self.waiting.get_or_insert_with(Instant::now);
        let end = since + self.patience.left();
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(end)));
        loop {
            ready!(alarm.as_mut().poll(context));
            if alarm.deadline() >= end {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(end);
        }
    }

    /// Notes that so much has come.
    fn received(&mut self, bytes: usize) {
        let waited = self.waiting.take().map(|since| since.elapsed());
        self.patience.received(waited.unwrap_or_default(), bytes);
    }

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
                self.complete()?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, compressed: bool, length: u32) -> Result<(), Status> {
        // tonic refuses what is longer than a message may be, once it has read the prefix.
        self.missing = length as usize;
        self.compressed = compressed;
        if length == 0 {
            self.complete()?;
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

    fn complete(&mut self) -> Result<(), Status> {
        self.patience = Patience::new(self.budget.pause);
        if self.compressed {
            // It may unfold to as much as a message may have, now that it is whole.
            self.pay(self.budget.message)?;
        }
        let none = || self.budget.left.clone().try_acquire_many_owned(0).ok();
        let paid = self.paid.take().or_else(none);
        lock(&self.receipts.0).extend(paid);
        Ok(())
    }
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            if self.owed() {
                ready!(self.poll_patience(context));
                return Poll::Ready(Some(Err(Status::deadline_exceeded(format!(
                    "the rest of a message or its call did not come in time: nothing may come for {:?} at most, \
                     which limits.message_pause sets",
                    self.budget.pause
                )))));
            }
            return Poll::Pending;
        };
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.received(data.len());
            if let Err(status) = self.account(data) {
                return Poll::Ready(Some(Err(status)));
            }
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

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, StreamBody};
    use tokio::sync::mpsc;
    use tokio::time::{advance, sleep};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A budget, what is sent to a body, and the body that pays for it.
    fn call(memory_bytes: usize) -> (Budget, mpsc::UnboundedSender<Bytes>, Body, Receipts) {
        let limits = Limits {
            memory_bytes,
            message_bytes: 1000,
            message_pause: 30 * SECOND,
            ..Limits::default()
        };
        let budget = Budget::new(&limits);
        let (send, mut receive) = mpsc::unbounded_channel::<Bytes>();
        let frames = futures_util::stream::poll_fn(move |context| {
            let received = receive.poll_recv(context);
            received.map(|data| data.map(|data| Ok::<_, Status>(Frame::data(data))))
        });
        let (body, receipts) = budget.meter(Body::new(StreamBody::new(frames)));
        (budget, send, body, receipts)
    }

    async fn next(body: &mut Body) -> Result<Bytes, Status> {
        let frame = body.frame().await.expect("no end");
        frame.map(|frame| frame.into_data().expect("data"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_stops_amid_its_length_or_bytes_fails_and_costs_nothing_more() {
        let pieces: [&[u8]; 4] = [
            &[0],
            &[0, 0, 0, 0],
            &[0, 0, 0, 0, 9, 1],
            &[0, 0, 0, 0, 0, 0],
        ];
        for piece in pieces {
            let (budget, send, mut body, _receipts) = call(100);
            send.send(Bytes::from_static(piece)).unwrap();
            next(&mut body).await.unwrap();
            let begun = Instant::now();
            let failed = next(&mut body).await.unwrap_err();
            assert_eq!(failed.code(), tonic::Code::DeadlineExceeded, "{piece:?}");
            assert_eq!(begun.elapsed().as_secs(), 30, "{piece:?}");
            drop(body);
            assert_eq!(budget.left.available_permits(), 100, "{piece:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_is_no_progress_and_silence_between_messages_no_stop() {
        let (_, send, mut body, receipts) = call(1000);
        let whole = Bytes::from_static(&[0, 0, 0, 0, 1, 7]);
        for _ in 0..3 {
            send.send(whole.clone()).unwrap();
            assert_eq!(next(&mut body).await.unwrap(), whole);
            assert!(receipts.take().is_some());
            let silence = tokio::time::timeout(1000 * SECOND, next(&mut body)).await;
            assert!(silence.is_err(), "{silence:?}");
        }
        send.send(Bytes::from_static(&[0, 0, 0, 0, 100])).unwrap();
        next(&mut body).await.unwrap();
        let begun = Instant::now();
        tokio::spawn(async move {
            loop {
                sleep(SECOND).await;
                let _ = send.send(Bytes::from_static(&[1]));
            }
        });
        let failed = loop {
            if let Err(failed) = next(&mut body).await {
                break failed;
            }
        };
        assert_eq!(failed.code(), tonic::Code::DeadlineExceeded);
        assert_eq!(begun.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_waits_for_the_end_of_its_call_is_held_no_longer_than_half_a_one() {
        let (_, send, mut body, _receipts) = call(1000);
        send.send(Bytes::from_static(&[0, 0, 0, 0, 1, 7])).unwrap();
        next(&mut body).await.unwrap();
        let failed = next(&mut body).await.unwrap_err();
        assert_eq!(failed.code(), tonic::Code::DeadlineExceeded);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_in_which_nobody_reads_is_not_the_senders() {
        let (_, send, mut body, _receipts) = call(1000);
        for piece in [&[0, 0, 0][..], &[0, 2, 1]] {
            send.send(Bytes::from_static(piece)).unwrap();
            next(&mut body).await.unwrap();
            advance(1000 * SECOND).await;
        }
        send.send(Bytes::from_static(&[2])).unwrap();
        next(&mut body).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_compressed_message_pays_for_what_it_may_unfold_to_once_it_is_whole() {
        let (budget, send, mut body, receipts) = call(1010);
        send.send(Bytes::from_static(&[1, 0, 0, 0, 2, 1])).unwrap();
        next(&mut body).await.unwrap();
        assert_eq!(budget.left.available_permits(), 1009);
        send.send(Bytes::from_static(&[2])).unwrap();
        next(&mut body).await.unwrap();
        assert_eq!(budget.left.available_permits(), 8);
        drop(receipts.take());
        assert_eq!(budget.left.available_permits(), 1010);
    }
}
