//! From the caller's image to a payload: on a bounded pool of threads, off the async runtime.

mod threads;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use athena_auth::BoxError;
use bytes::Bytes;

use crate::error::{Error, ErrorKind};
use crate::file;
use crate::image::Source;
use crate::payload::Payload;
use crate::prepared::Prepared;
use crate::sync::lock;
use crate::telemetry::Telemetry;
use threads::{Place, Threads};

/// Makes of an image file what is sent to the service.
///
/// Implemented for `imaging::Preprocessor` (feature `imaging`). Bring your own for pixels
/// that come from elsewhere; it runs on a bounded pool of threads and may use all of one.
pub trait Preprocess: fmt::Debug + Send + Sync {
    /// Decodes, resizes, encodes and hashes one file.
    ///
    /// What takes long should ask `given_up` now and then whether anybody still waits, and stop
    /// with any error if not.
    ///
    /// # Errors
    /// Any error becomes the image's own, of kind [`ErrorKind::Undecodable`]. It should not carry
    /// the image's bytes.
    fn prepare(&self, file: Bytes, given_up: &dyn Fn() -> bool) -> Result<Prepared, BoxError>;

    /// As [`prepare`](Self::prepare), for up to so many frames of an animation: the first, and
    /// [further ones](Prepared::further_frame) spread over it. Without this method there is the first.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    fn prepare_frames(
        &self,
        file: Bytes,
        most: u32,
        given_up: &dyn Fn() -> bool,
    ) -> Result<Prepared, BoxError> {
        let _ = most;
        self.prepare(file, given_up)
    }

    /// The hashes alone, for a file that cannot be decoded. `None`: it is not looked up.
    fn hashes(&self, file: &Bytes) -> Option<Payload> {
        let _ = file;
        None
    }
}

impl<P: Preprocess + ?Sized> Preprocess for Arc<P> {
    fn prepare(&self, file: Bytes, given_up: &dyn Fn() -> bool) -> Result<Prepared, BoxError> {
        (**self).prepare(file, given_up)
    }

    fn prepare_frames(
        &self,
        file: Bytes,
        most: u32,
        given_up: &dyn Fn() -> bool,
    ) -> Result<Prepared, BoxError> {
        (**self).prepare_frames(file, most, given_up)
    }

    fn hashes(&self, file: &Bytes) -> Option<Payload> {
        (**self).hashes(file)
    }
}

/// What there is to send, or why there is nothing.
pub(crate) type Preparation = Result<Prepared, Error>;

/// An image that came prepared.
pub(crate) fn of_ready(prepared: Prepared) -> Preparation {
    prepared.validate()?;
    Ok(prepared)
}

/// What a client's images are prepared with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) preprocess: Option<Arc<dyn Preprocess>>,
    pub(crate) hash_undecodable: bool,
    pub(crate) sha256: bool,
    pub(crate) telemetry: Telemetry,
}

/// Prepares images of one client.
#[derive(Debug, Clone)]
pub(crate) struct Preparer {
    settings: Arc<Settings>,
    threads: Threads,
    hung: Arc<AtomicUsize>,
    /// How files are read: tests have other ways.
    read: fn(&Path, u64) -> Result<Bytes, Error>,
}

/// Threads that may hang in a read at the same time and be replaced. More would eat up the
/// runtime's threads for blocking work.
const MOST_HUNG: usize = 64;

/// Held by whoever waits for an image. When it is dropped, the preparation stops soon; and if a read
/// hangs meanwhile, on a file server that is gone, another thread takes the place of that one.
#[derive(Debug)]
pub(crate) struct Claim(Arc<Turn>);

/// An image's turn on a thread of the pool.
#[derive(Debug)]
pub(crate) struct Turn {
    wanted: AtomicBool,
    /// While the file is being read.
    reading: Mutex<Option<Place>>,
    hung: Arc<AtomicUsize>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let turn = &self.0;
        let mut reading = lock(&turn.reading);
        turn.wanted.store(false, Ordering::Relaxed);
        if turn.hung.load(Ordering::Relaxed) < MOST_HUNG && reading.take().is_some() {
            turn.hung.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Turn {
    /// The place is given back when nobody waits any longer.
    fn start_reading(&self, place: Place) -> Result<(), Place> {
        let mut reading = lock(&self.reading);
        // Under the lock, so that the claim's end is either seen here or sees the place.
        if !self.wanted.load(Ordering::Relaxed) {
            return Err(place);
        }
        *reading = Some(place);
        Ok(())
    }
}

impl Preparer {
    pub(crate) fn new(settings: Settings, threads: usize) -> Self {
        Self {
            settings: Arc::new(settings),
            threads: Threads::new(threads),
            hung: Arc::default(),
            read: file::read,
        }
    }

    /// Threads that hang in reading a file for which nobody waits any longer.
    pub(crate) fn hung(&self) -> usize {
        self.hung.load(Ordering::Relaxed)
    }

    /// For one image: what its owner holds, and what is prepared with.
    pub(crate) fn turn(&self) -> (Claim, Arc<Turn>) {
        let turn = Arc::new(Turn {
            wanted: AtomicBool::new(true),
            reading: Mutex::default(),
            hung: Arc::clone(&self.hung),
        });
        (Claim(Arc::clone(&turn)), turn)
    }

    /// Runs `done` with the preparation of `source`, in turn, on a thread of the pool. Returns
    /// as soon as that has begun: the pool is the back-pressure.
    pub(crate) async fn spawn(
        &self,
        source: Source,
        frames: u32,
        turn: Arc<Turn>,
        done: impl FnOnce(Preparation) + Send + 'static,
    ) {
        let (settings, read) = (Arc::clone(&self.settings), self.read);
        let job = move |place| {
            let began = Instant::now();
            let (file, place) = match source {
                Source::Ready(prepared) => {
                    done(of_ready(*prepared));
                    return Some(place);
                }
                Source::Bytes(bytes) => (Ok(bytes), place),
                Source::File(path, most) => {
                    if let Err(place) = turn.start_reading(place) {
                        return Some(place);
                    }
                    let file = read(&path, most);
                    let Some(place) = lock(&turn.reading).take() else {
                        // Given up meanwhile, and replaced.
                        turn.hung.fetch_sub(1, Ordering::Relaxed);
                        return None;
                    };
                    (file, place)
                }
            };
            let given_up = || !turn.wanted.load(Ordering::Relaxed);
            let preparation = file.and_then(|file| settings.prepare(file, frames, &given_up));
            settings.telemetry.prepared(&preparation, began.elapsed());
            done(preparation);
            Some(place)
        };
        self.threads.run(job).await;
    }

    /// As [`spawn`](Self::spawn), but waits for the preparation.
    pub(crate) async fn run(&self, source: Source, frames: u32) -> Preparation {
        if let Source::Ready(prepared) = source {
            return of_ready(*prepared);
        }
        let (_claim, turn) = self.turn();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.spawn(source, frames, turn, |preparation| {
            drop(sender.send(preparation));
        })
        .await;
        receiver.await.unwrap_or_else(|_| {
            let message = "the runtime shut down before the image was prepared";
            Err(Error::new(ErrorKind::Closed, message))
        })
    }

    /// The size of a file, unless that takes suspiciously long.
    pub(crate) async fn size(&self, path: &Path) -> Option<u64> {
        if self.hung() > 0 {
            return None;
        }
        let path = path.to_owned();
        let size = tokio::task::spawn_blocking(move || file::size(&path));
        tokio::time::timeout(Duration::from_secs(1), size)
            .await
            .ok()?
            .ok()?
    }
}

impl Settings {
    fn prepare(&self, file: Bytes, frames: u32, given_up: &dyn Fn() -> bool) -> Preparation {
        let Some(preprocess) = &self.preprocess else {
            let message = "this client has no preprocessor: \
                           set one on the builder, or submit `Image::from_payload`";
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        };
        let prepared = Prepared::until(&**preprocess, file, frames, given_up)?;
        if self.sha256 {
            prepared.provenance().sha256();
        }
        match prepared.failure() {
            Some(error) if !self.hash_undecodable => {
                let provenance = prepared.provenance().clone().released();
                Err(error.clone().with_provenance(provenance))
            }
            _ => Ok(prepared),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static OPEN: AtomicBool = AtomicBool::new(false);

    /// A file server that does not answer for now.
    fn hangs(_: &Path, _: u64) -> Result<Bytes, Error> {
        while !OPEN.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        Ok(Bytes::new())
    }

    #[tokio::test]
    async fn a_read_that_hangs_is_given_up_and_its_thread_replaced() {
        let settings = Settings {
            preprocess: None,
            hash_undecodable: true,
            sha256: false,
            telemetry: Telemetry::global(),
        };
        let preparer = Preparer {
            read: hangs,
            ..Preparer::new(settings, 1)
        };
        let file = || Source::File("/mnt/gone/a.jpg".into(), 99);
        for hung in 1..=2 {
            let (claim, turn) = preparer.turn();
            preparer.spawn(file(), 1, Arc::clone(&turn), |_| ()).await;
            while lock(&turn.reading).is_none() {
                tokio::task::yield_now().await;
            }
            drop(claim);
            assert_eq!(preparer.hung(), hung);
        }
        // The one thread's place is free.
        let done = preparer.run(Source::Bytes(Bytes::new()), 1).await;
        assert_eq!(done.unwrap_err().kind(), ErrorKind::InvalidRequest);
        OPEN.store(true, Ordering::Relaxed);
        while preparer.hung() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
