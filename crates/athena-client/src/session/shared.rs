//! What the parts of a session share: the state behind its lock, and how they wake each other.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{
    Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, Notify, OwnedSemaphorePermit, Semaphore,
    oneshot,
};
use tokio::time::Instant;
use tracing::Span;

use super::machine::{Machine, Seq, Unclaimed};
use crate::common::Core;
use crate::error::Error;
use crate::id::Mint;
use crate::image::{Image, Source};
use crate::prepare::{self, Claim, Preparation, Turn};
use crate::sync::lock;
use crate::telemetry::{self, Call};
use crate::verdict::Verdict;

/// The caller's end of an image, and the room that the image takes up until it ends.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) sender: oneshot::Sender<Result<Verdict, Error>>,
    pub(crate) bytes: OwnedSemaphorePermit,
    /// Open as long as the image is pending.
    pub(crate) span: Span,
    pub(crate) telemetry: telemetry::Span,
    /// Lives as long as the image is pending.
    pub(crate) _claim: Claim,
}

impl Waiter {
    /// Parts with what was reserved beyond the bytes that the prepared image has.
    fn excess(&mut self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let excess = self.bytes.num_permits().saturating_sub(units(bytes));
        self.bytes.split(excess)
    }
}

/// Bytes are counted in KiB, since a semaphore hands out fewer permits at once than a large
/// image has bytes.
pub(crate) fn units(bytes: usize) -> usize {
    bytes.div_ceil(1024)
}

/// How a session spends its time.
#[derive(Debug, Clone)]
pub(crate) struct Timing {
    pub(crate) image: Duration,
    pub(crate) keepalive: Duration,
    pub(crate) no_progress: Duration,
    pub(crate) first_backoff: Duration,
    pub(crate) most_backoff: Duration,
    pub(crate) drain: Duration,
}

/// An image that waits for a thread to prepare it.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) id: Arc<str>,
    pub(crate) affiliate: Arc<str>,
    pub(crate) source: Source,
    pub(crate) frames: u32,
    pub(crate) turn: Arc<Turn>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) client: Arc<Core>,
    pub(crate) deployment: Arc<str>,
    pub(crate) timing: Timing,
    /// In what the streams' spans begin.
    pub(crate) parent: telemetry::Parent,
    pub(crate) mint: Arc<Mint>,
    /// Memory for images, in KiB.
    pub(crate) bytes: Arc<Semaphore>,
    /// Held by whoever is next to be taken on: one after the other, in the order of asking.
    pub(crate) turn: AsyncMutex<()>,
    pub(crate) most_units: usize,
    pub(crate) capacity: usize,
    pub(crate) machine: Mutex<Machine<Waiter>>,
    /// Whether the service has ever taken a stream of this session's.
    pub(crate) reached: AtomicBool,
    pub(crate) work: Mutex<BTreeMap<Seq, Work>>,
    pub(crate) wake: Wake,
}

/// Each wakes what waits for one thing.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    /// Something to send, or the end of sending.
    pub(crate) senders: Notify,
    /// Something happens earlier than the timer knows.
    pub(crate) timer: Notify,
    /// Something to prepare, or the time for it.
    pub(crate) preparer: Notify,
    /// A result that is not ours.
    pub(crate) unclaimed: Notify,
    /// There may be room for another image.
    pub(crate) room: Notify,
    /// The caller lets go of the session.
    pub(crate) stop: Notify,
}

impl Shared {
    /// Does something to the state, then what follows from it.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut Machine<Waiter>) -> R) -> R {
        self.with_stream(None, act)
    }

    /// As [`with`](Self::with), on account of what a stream has brought.
    pub(crate) fn with_stream<R>(
        &self,
        stream: Option<&Call>,
        act: impl FnOnce(&mut Machine<Waiter>) -> R,
    ) -> R {
        let (result, effects) = {
            let mut machine = lock(&self.machine);
            let result = act(&mut machine);
            (result, machine.take_effects())
        };
        for ended in effects.ended {
            lock(&self.work).remove(&ended.seq);
            let (result, mut waiter) = (ended.result, ended.waiter);
            let outcome = result
                .as_ref()
                .map_or_else(|error| error.kind().as_str(), |_| "verdict");
            waiter.span.record("outcome", outcome);
            (waiter.telemetry).times(ended.queue_time, ended.service_time);
            if let Some(stream) = stream {
                waiter.telemetry.answered_on(stream);
            }
            waiter.telemetry.end(result.as_ref());
            // The caller may have dropped its end just now.
            drop(waiter.sender.send(result));
        }
        if effects.wake_senders {
            self.wake.senders.notify_waiters();
        }
        if effects.wake_timer {
            self.wake.timer.notify_one();
        }
        if effects.wake_unclaimed {
            self.wake.unclaimed.notify_waiters();
        }
        if effects.wake_room {
            self.wake.room.notify_waiters();
            self.wake.preparer.notify_one();
        }
        result
    }

    /// Counts an image that was not taken on.
    pub(crate) fn refuse(&self, id: &Arc<str>, error: Error) -> Error {
        self.with(Machine::refuse);
        error.with_id(id).with_sends(0)
    }

    /// Takes an image on and sees to its preparation.
    pub(crate) fn accept(
        &self,
        id: Arc<str>,
        image: Image,
        waiter: Waiter,
        turn: Arc<Turn>,
    ) -> Result<Seq, Error> {
        let size = image.size();
        let now = Instant::now();
        let timeout = image.timeout.unwrap_or(self.timing.image);
        let affiliate = image
            .affiliate
            .unwrap_or_else(|| Arc::clone(&self.client.affiliate));
        let seq =
            self.with(|machine| machine.accept(now, Arc::clone(&id), timeout, size, waiter))?;
        match image.source {
            Source::Ready(prepared) => {
                self.prepared(seq, &id, &affiliate, prepare::of_ready(*prepared));
            }
            source => {
                let work = Work {
                    id,
                    affiliate,
                    source,
                    frames: image.frames,
                    turn,
                };
                lock(&self.work).insert(seq, work);
                self.wake.preparer.notify_one();
            }
        }
        Ok(seq)
    }

    pub(crate) fn prepared(
        &self,
        seq: Seq,
        id: &Arc<str>,
        affiliate: &str,
        preparation: Preparation,
    ) {
        let prepared = match preparation {
            Ok(prepared) => prepared,
            Err(error) => return self.with(|machine| machine.not_prepared(seq, error)),
        };
        let bytes = prepared.size();
        let parts = prepared.into_parts();
        let input = parts.payload.into_input(id, affiliate);
        let further = parts.further.into_iter();
        let further = further
            .map(|(place, payload)| (place, payload.into_input(id, affiliate)))
            .collect();
        let now = Instant::now();
        let excess = self.with(|machine| {
            machine
                .prepared(now, seq, input, further, parts.provenance, parts.failure)?
                .excess(bytes)
        });
        // Wakes others, so not under the lock.
        drop(excess);
    }

    /// The next image to prepare, when it is time for it.
    pub(crate) async fn next_work(&self) -> (Seq, Work) {
        loop {
            if lock(&self.machine).prepares()
                && let Some(work) = lock(&self.work).pop_first()
            {
                return work;
            }
            self.wake.preparer.notified().await;
        }
    }

    /// The caller does not want the result any more.
    pub(crate) fn cancel(&self, seq: Seq) {
        let now = Instant::now();
        drop(self.with(|machine| machine.cancel(now, seq)));
        lock(&self.work).remove(&seq);
    }

    pub(crate) fn tick(&self) {
        let now = Instant::now();
        self.with(|machine| machine.tick(now));
    }

    /// The next result that is not ours; `None` when the session has ended.
    pub(crate) async fn next_unclaimed(&self) -> Option<Unclaimed> {
        loop {
            let mut changed = pin!(self.wake.unclaimed.notified());
            changed.as_mut().enable();
            let (next, ended) =
                self.with(|machine| (machine.pop_unclaimed(), machine.has_drained()));
            if next.is_some() || ended {
                return next;
            }
            changed.await;
        }
    }

    /// The service took a stream.
    pub(crate) fn reached(&self) {
        self.reached.store(true, Ordering::Relaxed);
    }

    /// Whether it ever did: then a failure to reach it is one that may pass.
    pub(crate) fn has_reached(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }

    pub(crate) fn has_drained(&self) -> bool {
        self.with(|machine| machine.has_drained())
    }

    /// Waits until the session is closed and every image has ended.
    pub(crate) async fn drained(&self) {
        self.until(Machine::has_drained).await;
    }

    /// Waits until there is a connection, or none is to be had.
    pub(crate) async fn ready(&self) -> Result<(), Error> {
        loop {
            let mut changed = pin!(self.wake.senders.notified());
            changed.as_mut().enable();
            if let Some(result) = lock(&self.machine).readiness() {
                return result;
            }
            changed.await;
        }
    }

    /// Waits until there is something that a connection is needed for, or the session has drained.
    pub(crate) async fn until_needed(&self) {
        self.until(|machine| machine.needs_connection() || machine.has_drained())
            .await;
    }

    async fn until(&self, condition: fn(&Machine<Waiter>) -> bool) {
        loop {
            let mut changed = pin!(self.wake.senders.notified());
            changed.as_mut().enable();
            if condition(&lock(&self.machine)) {
                return;
            }
            changed.await;
        }
    }

    /// Accepts nothing more, and wakes those that wait for room to learn it.
    pub(crate) fn close(&self) {
        self.bytes.close();
        self.with(Machine::close);
    }

    /// Ends everything now; with a cause if it was not the owner's wish.
    pub(crate) fn abort(&self, cause: Option<Error>) {
        // Before those that wait for room wake and ask why there is none.
        self.with(|machine| machine.abort(cause));
        self.close();
        lock(&self.work).clear();
        self.wake.stop.notify_one();
    }

    /// Waits for the caller's turn, and until there is room: memory for so many bytes at most, and
    /// work that link and service can take on. The turn ends when the image is taken on.
    pub(crate) async fn room(
        &self,
        bytes: usize,
        size: Option<usize>,
    ) -> Result<(AsyncMutexGuard<'_, ()>, OwnedSemaphorePermit), Error> {
        let turn = self.turn.lock().await;
        let units = units(bytes).min(self.most_units) as u32;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(units).await;
        let bytes = bytes.map_err(|_| self.with(|machine| machine.closed()))?;
        loop {
            let mut changed = pin!(self.wake.room.notified());
            changed.as_mut().enable();
            let now = Instant::now();
            let later = {
                let machine = lock(&self.machine);
                if machine.admits(now, size) {
                    return Ok((turn, bytes));
                }
                machine.next_admission(now)
            };
            match later {
                Some(at) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                None => changed.await,
            }
        }
    }
}
