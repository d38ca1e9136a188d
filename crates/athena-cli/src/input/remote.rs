//! The stores, for threads and tasks alike: requests run on threads of their own, whoever waits for them.

use std::io::{self, Read};

use athena_sources::{
    Condition, Error, Fetched, KeyRange, Listed, Location, Put, Requests, Sources, Step, Tag,
};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::failure::{Failure, Outcome, chain};
use crate::trust;

/// Listed objects that may wait to be taken: a page.
const AHEAD: usize = 1000;

/// Stores, and the threads that their requests run on. They end when it is dropped.
#[derive(Debug)]
pub(crate) struct Remote {
    sources: Sources,
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Remote {
    pub(super) fn start(anonymous: bool) -> Outcome<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("stores")
            .enable_all()
            .build()
            .map_err(|error| Failure::local(format!("cannot start threads: {error}")))?;
        let network = trust::stores()?
            .build()
            .map_err(|error| Failure::configuration(chain(&error)))?;
        let builder = Sources::builder().network(network).anonymous(anonymous);
        let build = runtime.spawn(builder.files(true).build());
        let (sender, receiver) = std::sync::mpsc::channel();
        // Whoever calls may itself be on a runtime, where waiting for another one is not allowed.
        runtime.spawn(async move { sender.send(build.await) });
        let sources = match receiver.recv() {
            Ok(Ok(sources)) => sources.map_err(|error| Failure::configuration(chain(&error)))?,
            _ => return Err(Failure::local("cannot start threads")),
        };
        Ok(Self {
            sources,
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// Gets an object's bytes. The request ends when the future is dropped.
    pub(crate) async fn fetch(
        &self,
        at: &Location,
        condition: Condition,
        most: u64,
    ) -> Result<Fetched, Error> {
        let (sources, location) = (self.sources.clone(), at.clone());
        self.ask(at, async move {
            sources.fetch(&location, &condition, most).await
        })
        .await
    }

    /// What is known of an object.
    pub(crate) async fn head(&self, at: &Location) -> Result<Listed, Error> {
        let (sources, location) = (self.sources.clone(), at.clone());
        self.ask(at, async move {
            sources.head(&location, &Condition::default()).await
        })
        .await
    }

    /// Writes an object, unless there is one of that name.
    pub(crate) async fn put_new(&self, at: &Location, bytes: Bytes) -> Result<Put, Error> {
        let (sources, location) = (self.sources.clone(), at.clone());
        self.ask(at, async move { sources.put_new(&location, bytes).await })
            .await
    }

    /// Puts a tag on an object that meets the condition.
    pub(crate) async fn tag(
        &self,
        at: &Location,
        condition: Condition,
        tag: Tag,
    ) -> Result<(), Error> {
        let (sources, location) = (self.sources.clone(), at.clone());
        self.ask(
            at,
            async move { sources.tag(&location, &condition, &tag).await },
        )
        .await
    }

    /// On a thread of ours. The request ends when the future is dropped.
    async fn ask<T: Send + 'static>(
        &self,
        at: &Location,
        request: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let task = AbortOnDropHandle::new(self.handle.spawn(request));
        task.await.unwrap_or_else(|_| Err(Error::stopped(at)))
    }

    /// As [`fetch`](Self::fetch), from a thread that may wait.
    pub(crate) fn fetch_now(
        &self,
        at: &Location,
        condition: Condition,
        most: u64,
    ) -> Result<Fetched, Error> {
        let (sources, location) = (self.sources.clone(), at.clone());
        self.wait(at, async move {
            sources.fetch(&location, &condition, most).await
        })
    }

    /// What is known of an object, from a thread that may wait.
    pub(crate) fn head_now(&self, at: &Location) -> Result<Listed, Error> {
        let (sources, location) = (self.sources.clone(), at.clone());
        self.wait(at, async move {
            sources.head(&location, &Condition::default()).await
        })
    }

    /// Writes an object, unless there is one of that name; from a thread that may wait.
    pub(crate) fn put_now(&self, at: &Location, bytes: Bytes) -> Result<Put, Error> {
        let (sources, location) = (self.sources.clone(), at.clone());
        self.wait(at, async move { sources.put_new(&location, bytes).await })
    }

    fn wait<T: Send + 'static>(
        &self,
        at: &Location,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, receiver) = std::sync::mpsc::channel();
        self.handle.spawn(async move { sender.send(work.await) });
        receiver.recv().unwrap_or_else(|_| Err(Error::stopped(at)))
    }

    /// Every object of a prefix, for a thread that may wait. Pages are asked for while those before are worked on.
    pub(crate) fn list(
        &self,
        prefix: &Location,
        after: Option<String>,
    ) -> impl Iterator<Item = Result<Listed, Error>> + Send + use<> {
        let listing = self.sources.list(prefix, after);
        self.stream(listing, Some(Err(Error::stopped(prefix))))
    }

    /// Every object of some ranges of keys, as [`list`](Self::list) lists those of one.
    pub(crate) fn list_ranges(
        &self,
        ranges: Vec<KeyRange>,
    ) -> impl Iterator<Item = Step> + Send + use<> {
        let stopped = ranges.first().map(|range| Step::Failed {
            error: Error::stopped(&range.prefix),
            prefix: range.prefix.clone(),
        });
        self.stream(self.sources.list_ranges(ranges), stopped)
    }

    /// What a stream brings, for a thread that may wait. `stopped` comes when it ends without saying so: what is missing
    /// must not look like the end.
    fn stream<T: Send + 'static>(
        &self,
        mut stream: BoxStream<'static, T>,
        mut stopped: Option<T>,
    ) -> impl Iterator<Item = T> + Send + use<T> {
        let (sender, mut receiver) = mpsc::channel(AHEAD);
        let task = AbortOnDropHandle::new(self.handle.spawn(async move {
            while let Some(item) = stream.next().await {
                if sender.send(Some(item)).await.is_err() {
                    return;
                }
            }
            let _ = sender.send(None).await;
        }));
        std::iter::from_fn(move || {
            let _running = &task;
            match receiver.blocking_recv() {
                Some(Some(item)) => Some(item),
                Some(None) => {
                    stopped = None;
                    None
                }
                None => stopped.take(),
            }
        })
    }

    /// An object's bytes, read by a thread that may wait: for lists of any length.
    pub(crate) fn read(&self, at: &Location) -> Result<impl Read + Send + use<>, Error> {
        let (sources, location) = (self.sources.clone(), at.clone());
        let pieces = self.wait(at, async move {
            sources.read(&location, &Condition::default()).await
        })?;
        // Two pieces: one that is read and one that comes.
        let (sender, receiver) = mpsc::channel(2);
        let task = AbortOnDropHandle::new(self.handle.spawn(async move {
            let mut pieces = pieces;
            while let Some(piece) = pieces.next().await {
                if sender.send(Some(piece)).await.is_err() {
                    return;
                }
            }
            let _ = sender.send(None).await;
        }));
        Ok(Pieces {
            receiver,
            piece: Bytes::new(),
            ended: false,
            at: at.clone(),
            _task: task,
        })
    }

    /// What was asked of the stores so far.
    pub(crate) fn requests(&self) -> Requests {
        self.sources.requests()
    }
}

/// An object as a reader.
struct Pieces {
    receiver: mpsc::Receiver<Option<Result<Bytes, Error>>>,
    piece: Bytes,
    ended: bool,
    at: Location,
    _task: AbortOnDropHandle<()>,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Some(piece)) => self.piece = piece.map_err(io::Error::other)?,
                Some(None) => self.ended = true,
                // What is missing must not look like the end.
                None => return Err(io::Error::other(Error::stopped(&self.at))),
            }
        }
        let length = buffer.len().min(self.piece.len());
        buffer[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // It may be dropped on another runtime, where waiting is not allowed.
            runtime.shutdown_background();
        }
    }
}
