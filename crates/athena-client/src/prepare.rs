//! From the caller's image to a payload: on a bounded pool of threads, off the async runtime.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use athena_auth::BoxError;
use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::error::{Error, ErrorKind};
use crate::image::{self, Source};
use crate::payload::Payload;

/// Makes of an image file what is sent to the service.
///
/// Implemented for `imaging::Preprocessor` (feature `imaging`). Bring your own for pixels
/// that come from elsewhere; it runs on a bounded pool of threads and may use all of one.
pub trait Preprocess: fmt::Debug + Send + Sync {
    /// Decodes, resizes, encodes and hashes one file.
    ///
    /// # Errors
    /// Any error becomes the image's own, of kind [`ErrorKind::Undecodable`]. It should not carry
    /// the image's bytes.
    fn prepare(&self, file: Bytes) -> Result<Payload, BoxError>;

    /// The hashes alone, for a file that cannot be decoded. `None`: it is not looked up.
    fn hashes(&self, file: &Bytes) -> Option<Payload> {
        let _ = file;
        None
    }
}

impl<P: Preprocess + ?Sized> Preprocess for Arc<P> {
    fn prepare(&self, file: Bytes) -> Result<Payload, BoxError> {
        (**self).prepare(file)
    }

    fn hashes(&self, file: &Bytes) -> Option<Payload> {
        (**self).hashes(file)
    }
}

/// What preparation makes of an image.
#[derive(Debug)]
pub(crate) enum Preparation {
    /// To be sent.
    Ready(Payload),
    /// Undecodable, but its hashes can be looked up. The error is the image's in any case.
    HashesOnly(Payload, Error),
    /// Nothing to send.
    Failed(Error),
}

impl Preparation {
    /// An image that came prepared.
    pub(crate) fn of_ready(payload: Payload) -> Self {
        match payload.validate() {
            Ok(()) => Self::Ready(payload),
            Err(error) => Self::Failed(error),
        }
    }
}

/// Prepares images of one client.
#[derive(Debug, Clone)]
pub(crate) struct Preparer {
    preprocess: Option<Arc<dyn Preprocess>>,
    hash_undecodable: bool,
    threads: Arc<Semaphore>,
}

impl Preparer {
    pub(crate) fn new(
        preprocess: Option<Arc<dyn Preprocess>>,
        hash_undecodable: bool,
        threads: usize,
    ) -> Self {
        Self {
            preprocess,
            hash_undecodable,
            threads: Arc::new(Semaphore::new(threads)),
        }
    }

    /// Runs `done` with the preparation of `source`, in turn, on a thread of the pool. Returns
    /// as soon as that has begun: the pool is the back-pressure.
    pub(crate) async fn spawn(
        &self,
        source: Source,
        done: impl FnOnce(Preparation) + Send + 'static,
    ) {
        let permit = Arc::clone(&self.threads).acquire_owned().await;
        let this = self.clone();
        tokio::task::spawn_blocking(move || {
            let preparation = this.prepare(source);
            drop(permit);
            done(preparation);
        });
    }

    /// As [`spawn`](Self::spawn), but waits for the preparation.
    pub(crate) async fn run(&self, source: Source) -> Preparation {
        if let Source::Ready(payload) = source {
            return Preparation::of_ready(payload);
        }
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.spawn(source, |preparation| drop(sender.send(preparation)))
            .await;
        receiver.await.unwrap_or_else(|_| {
            let message = "the runtime shut down before the image was prepared";
            Preparation::Failed(Error::new(ErrorKind::Closed, message))
        })
    }

    fn prepare(&self, source: Source) -> Preparation {
        let file = match source {
            Source::Ready(payload) => return Preparation::of_ready(payload),
            Source::Bytes(bytes) => bytes,
            Source::File(path) => match image::read(&path) {
                Ok(bytes) => bytes,
                Err(error) => return Preparation::Failed(error),
            },
        };
        let Some(preprocess) = &self.preprocess else {
            let message = "this client has no preprocessor: \
                           set one on the builder, or submit `Image::from_payload`";
            return Preparation::Failed(Error::new(ErrorKind::InvalidRequest, message));
        };
        // A panic must not lose the image: it fails like one that cannot be decoded.
        let prepared = catch_unwind(AssertUnwindSafe(|| preprocess.prepare(file.clone())))
            .unwrap_or_else(|_| Err("the preprocessor panicked".into()));
        let source = match prepared {
            Ok(payload) => return Preparation::of_ready(payload),
            Err(source) => source,
        };
        let error =
            Error::new(ErrorKind::Undecodable, "the image cannot be prepared").with_source(source);
        let hashes = self
            .hash_undecodable
            .then(|| catch_unwind(AssertUnwindSafe(|| preprocess.hashes(&file))))
            .and_then(|hashes| hashes.ok().flatten())
            .filter(|hashes| hashes.validate().is_ok());
        match hashes {
            Some(hashes) => Preparation::HashesOnly(hashes, error),
            None => Preparation::Failed(error),
        }
    }
}
