//! Streaming sessions: many images over long-lived streams, none lost.

mod actor;
mod builder;
mod connector;
mod machine;
mod outbound;
mod pending;
mod shared;
mod stats;

use std::fmt;
use std::sync::Arc;

use futures_core::Stream;
use tokio::runtime::Handle as Runtime;
use tokio::sync::{oneshot, watch};

pub use builder::SessionBuilder;
pub use machine::Unclaimed;
pub use pending::Pending;
pub use stats::{Histogram, Stats};

use crate::classify_all::ClassifyAll;
use crate::error::{Delivery, Error, ErrorKind};
use crate::id;
use crate::image::{Image, Source};
use crate::payload::RAW_FRAME_BYTES;
use crate::telemetry::Mode;
use crate::verdict::Verdict;
pub(crate) use shared::Shared;
use shared::Waiter;

/// A stream to one deployment: submit images from as many tasks as you like.
///
/// Every accepted image ends in exactly one of a verdict, an error, or a cancellation by its
/// caller, whatever the network does: after a broken connection the session reconnects to the same
/// deployment, waits for results that the service kept, and sends again what is still unanswered.
///
/// Cheap to clone. When the last clone is dropped the session ends at once, and what is pending
/// ends with [`ErrorKind::Closed`]; use [`close`](Self::close) to finish first.
///
/// ```no_run
/// use athena_client::{Client, Image};
///
/// # async fn run(client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// let session = client.session().max_in_flight(128).open()?;
/// let first = session.submit(Image::from_file("a.jpg")).await?; // waits while there is no room
/// let second = session.submit(Image::from_file("b.jpg")).await?;
/// println!("{:?} {:?}", second.await?.pcsam(), first.await?.pcsam());
/// session.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Session {
    handle: Arc<Handle>,
}

/// Ends the session when the last owner is gone.
struct Handle {
    shared: Arc<Shared>,
    /// Has no sender any more when the session's task has ended.
    ended: watch::Receiver<()>,
}

impl Session {
    fn start(shared: Shared, connections: usize, runtime: &Runtime) -> Self {
        let shared = Arc::new(shared);
        shared.client.transport.telemetry().opened(&shared);
        let ended = actor::start(&shared, connections, runtime);
        Self {
            handle: Arc::new(Handle { shared, ended }),
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// The deployment whose streams these are.
    pub fn deployment(&self) -> &str {
        &self.shared().deployment
    }

    /// How many images may be pending.
    pub(crate) fn capacity(&self) -> usize {
        self.shared().capacity
    }

    /// Hands an image over. Waits while as many images, or as many bytes, are pending as the
    /// session allows: this is the back-pressure.
    ///
    /// The result comes from the [`Pending`], in any order. Dropping this future takes nothing on.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when the correlation id is empty, too long or in flight
    /// already; [`ErrorKind::Closed`] when the session is closed. Such an image was not accepted.
    pub async fn submit(&self, mut image: Image) -> Result<Pending, Error> {
        let shared = self.shared();
        let id = match &image.correlation_id {
            Some(id) => Arc::clone(id),
            None => shared.mint.next(),
        };
        id::validate("correlation id", &id).map_err(|error| shared.refuse(&id, error))?;
        let most = self.memory_for(&mut image).await;
        let (_turn, bytes) = shared
            .room(most, image.size())
            .await
            .map_err(|error| shared.refuse(&id, error))?;
        // Until the turn ends nobody else can take the id.
        if let Some(error) = shared.with(|machine| machine.refusal(&id)) {
            return Err(shared.refuse(&id, error));
        }
        let (sender, receiver) = oneshot::channel();
        let (claim, turn) = shared.client.preparer.turn();
        let waiter = Waiter {
            sender,
            bytes,
            span: tracing::debug_span!(
                "image",
                correlation_id = &*id,
                outcome = tracing::field::Empty
            ),
            telemetry: shared.client.transport.telemetry().image(
                Mode::Session,
                &id,
                Some(&shared.deployment),
            ),
            _claim: claim,
        };
        let seq = shared.accept(Arc::clone(&id), image, waiter, turn)?;
        Ok(Pending::new(Arc::clone(shared), seq, id, receiver))
    }

    /// Hands an image over and waits for its result: [`submit`](Self::submit) and await in one.
    ///
    /// Dropping this future cancels the image.
    ///
    /// # Errors
    /// Any [`ErrorKind`]; [`Error::delivery`] says whether the service may have seen the image.
    pub async fn classify(&self, image: Image) -> Result<Verdict, Error> {
        self.submit(image).await?.await
    }

    /// Waits until the session is connected, to learn of a wrong address, certificate or token
    /// before there are images. Sessions connect by themselves: nobody needs to call this.
    ///
    /// # Errors
    /// Why the session has given up connecting, or [`ErrorKind::Closed`].
    pub async fn ready(&self) -> Result<(), Error> {
        self.shared().ready().await
    }

    /// Bytes that an image takes up at most, before and after its preparation. A file may not grow
    /// beyond that before it is read.
    async fn memory_for(&self, image: &mut Image) -> usize {
        let frames = RAW_FRAME_BYTES.saturating_mul(image.frames as usize);
        match &mut image.source {
            Source::Ready(prepared) => prepared.size(),
            Source::Bytes(bytes) => bytes.len().max(frames),
            Source::File(path, most) => match self.shared().client.preparer.size(path).await {
                Some(size) => {
                    *most = size.max(RAW_FRAME_BYTES as u64);
                    usize::try_from(*most).unwrap_or(usize::MAX).max(frames)
                }
                None => frames,
            },
        }
    }

    /// Classifies every image of a stream and gives each result with its key, as they come.
    ///
    /// See [`Client::classify_all`](crate::Client::classify_all).
    pub fn classify_all<S, K>(&self, images: S) -> ClassifyAll<S, K>
    where
        S: Stream<Item = (K, Image)>,
    {
        ClassifyAll::new(self.clone(), images, false)
    }

    /// The results for ids that are not of this session, which a shared deployment may bring.
    ///
    /// At most 1,024 are kept; when nobody reads them the oldest are discarded and counted in
    /// [`Stats::unclaimed_dropped`]. The stream ends when the session has.
    pub fn unclaimed(&self) -> impl Stream<Item = Unclaimed> + Send + 'static {
        let shared = Arc::clone(self.shared());
        futures_util::stream::unfold(shared, |shared| async {
            let next = shared.next_unclaimed().await?;
            Some((next, shared))
        })
    }

    /// A consistent snapshot of the session's counters.
    pub fn stats(&self) -> Stats {
        let mut stats = self.shared().with(|machine| machine.stats());
        stats.hung_reads = self.shared().client.preparer.hung() as u64;
        stats
    }

    /// Takes nothing more on, waits until every pending image has ended, and closes the streams.
    ///
    /// Waits at most for the session's [drain timeout](SessionBuilder::drain_timeout); what has
    /// not ended by then ends with [`ErrorKind::Closed`]. Dropping this future leaves the session
    /// draining.
    ///
    /// # Errors
    /// [`Unfinished`] names the images that had no result in time, to everybody who closes.
    pub async fn close(&self) -> Result<Stats, Unfinished> {
        let shared = self.shared();
        shared.close();
        let mut ended = self.handle.ended.clone();
        let in_time = tokio::time::timeout(shared.timing.drain, ended.changed()).await;
        shared.abort(None);
        let images = shared.with(|machine| machine.abandoned().to_vec());
        if in_time.is_err() {
            tracing::warn!(images = images.len(), "session not drained in time");
        }
        if images.is_empty() {
            return Ok(self.stats());
        }
        Err(Unfinished { images })
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("deployment", &self.deployment())
            .finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.abort(None);
    }
}

/// A session was closed before all of its images had ended.
#[derive(Debug, thiserror::Error)]
#[error("the session was closed with {} images unfinished", images.len())]
pub struct Unfinished {
    images: Vec<(Arc<str>, Delivery)>,
}

impl Unfinished {
    /// The images' correlation ids, and whether the service may have seen them.
    pub fn images(&self) -> impl ExactSizeIterator<Item = (&str, Delivery)> {
        self.images.iter().map(|(id, delivery)| (&**id, *delivery))
    }
}

impl From<Unfinished> for Error {
    fn from(unfinished: Unfinished) -> Self {
        Error::new(ErrorKind::Closed, "not everything was finished").with_source(unfinished)
    }
}
