//! From the caller's image to a payload: on a bounded pool of threads, off the async runtime.

use std::fmt;
use std::sync::{Arc, Weak};

use athena_auth::BoxError;
use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::error::{Error, ErrorKind};
use crate::image::{self, Source};
use crate::payload::Payload;
use crate::prepared::Prepared;

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

    fn hashes(&self, file: &Bytes) -> Option<Payload> {
        (**self).hashes(file)
    }
}

/// What there is to send, or why there is nothing.
pub(crate) type Preparation = Result<Prepared, Error>;

/// An image that came prepared.
pub(crate) fn of_ready(prepared: Prepared) -> Preparation {
    prepared.payload().validate()?;
    Ok(prepared)
}

/// What a client's images are prepared with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) preprocess: Option<Arc<dyn Preprocess>>,
    pub(crate) hash_undecodable: bool,
    pub(crate) sha256: bool,
}

/// Prepares images of one client.
#[derive(Debug, Clone)]
pub(crate) struct Preparer {
    settings: Arc<Settings>,
    threads: Arc<Semaphore>,
}

impl Preparer {
    pub(crate) fn new(settings: Settings, threads: usize) -> Self {
        Self {
            settings: Arc::new(settings),
            threads: Arc::new(Semaphore::new(threads)),
        }
    }

    /// Runs `done` with the preparation of `source`, in turn, on a thread of the pool. Returns
    /// as soon as that has begun: the pool is the back-pressure. Stops early when nothing is left
    /// of `wanted`.
    pub(crate) async fn spawn(
        &self,
        source: Source,
        wanted: Weak<()>,
        done: impl FnOnce(Preparation) + Send + 'static,
    ) {
        let permit = Arc::clone(&self.threads).acquire_owned().await;
        let settings = Arc::clone(&self.settings);
        tokio::task::spawn_blocking(move || {
            let preparation = settings.prepare(source, &|| wanted.strong_count() == 0);
            drop(permit);
            done(preparation);
        });
    }

    /// As [`spawn`](Self::spawn), but waits for the preparation.
    pub(crate) async fn run(&self, source: Source) -> Preparation {
        if let Source::Ready(prepared) = source {
            return of_ready(*prepared);
        }
        let wanted = Arc::new(());
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.spawn(source, Arc::downgrade(&wanted), |preparation| {
            drop(sender.send(preparation));
        })
        .await;
        receiver.await.unwrap_or_else(|_| {
            let message = "the runtime shut down before the image was prepared";
            Err(Error::new(ErrorKind::Closed, message))
        })
    }
}

impl Settings {
    fn prepare(&self, source: Source, given_up: &dyn Fn() -> bool) -> Preparation {
        let file = match source {
            Source::Ready(prepared) => return of_ready(*prepared),
            Source::Bytes(bytes) => bytes,
            Source::File(path) => image::read(&path)?,
        };
        let Some(preprocess) = &self.preprocess else {
            let message = "this client has no preprocessor: \
                           set one on the builder, or submit `Image::from_payload`";
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        };
        let prepared = Prepared::until(&**preprocess, file, given_up)?;
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
