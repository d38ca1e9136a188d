//! A stream of images in, their outcomes out.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use athena_client::{Error, Pending, Session, Verdict};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use pyo3::prelude::*;
use pyo3::types::PyList;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

use crate::auth::Home;
use crate::image::Image;
use crate::operation::Operation;
use crate::runtime::Owned;
use crate::session::outcome;

/// Outcomes of the images that are pushed, by the number that each was given.
///
/// It holds as many images as the session has in flight at most, outcomes that nobody has taken yet
/// included. What is taken is taken at once, so that no outcome is lost in a wait that is cancelled.
#[pyclass(frozen, module = "athena._athena")]
pub(crate) struct Results {
    stream: Owned<Stream>,
    home: Arc<Home>,
}

struct Stream {
    session: Session,
    room: Arc<Semaphore>,
    /// Taken away at the end of the images.
    accepted: Mutex<Option<UnboundedSender<Entry>>>,
    outcomes: Arc<Outcomes>,
    driver: AbortHandle,
}

/// An image's number, its place, and what becomes of it.
struct Entry {
    number: u64,
    place: OwnedSemaphorePermit,
    pending: Result<Pending, Error>,
}

struct Done {
    number: u64,
    _place: OwnedSemaphorePermit,
    result: Result<Verdict, Error>,
}

#[derive(Default)]
struct Outcomes {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    done: VecDeque<Done>,
    ended: bool,
}

impl Outcomes {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, done: Done) {
        self.state().done.push_back(done);
        self.changed.notify_waiters();
    }

    /// Waits until there is something to take, or nothing more to come: `false`.
    async fn wait(&self) -> bool {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let state = self.state();
                if state.ended || !state.done.is_empty() {
                    return !state.done.is_empty();
                }
            }
            changed.await;
        }
    }
}

/// Says that nothing more comes, however the driver ends.
struct End(Arc<Outcomes>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.changed.notify_waiters();
    }
}

async fn drive(mut accepted: UnboundedReceiver<Entry>, end: End) {
    let mut pending = FuturesUnordered::new();
    let mut more = true;
    while more || !pending.is_empty() {
        tokio::select! {
            entry = accepted.recv(), if more => match entry {
                Some(Entry { number, place, pending: Ok(image) }) => pending.push(async move {
                    Done { number, _place: place, result: image.await }
                }),
                Some(Entry { number, place, pending: Err(error) }) => {
                    end.0.add(Done { number, _place: place, result: Err(error) });
                }
                None => more = false,
            },
            Some(done) = pending.next(), if !pending.is_empty() => end.0.add(done),
        }
    }
}

impl Results {
    pub(crate) fn new(
        session: Session,
        capacity: usize,
        home: &Arc<Home>,
        runtime: &Handle,
    ) -> Self {
        let (sender, accepted) = mpsc::unbounded_channel();
        let outcomes = Arc::<Outcomes>::default();
        let driver = runtime.spawn(drive(accepted, End(Arc::clone(&outcomes))));
        Self {
            stream: Owned::new(Stream {
                session,
                room: Arc::new(Semaphore::new(capacity)),
                accepted: Mutex::new(Some(sender)),
                outcomes,
                driver: driver.abort_handle(),
            }),
            home: Arc::clone(home),
        }
    }
}

impl Stream {
    fn accepted(&self) -> MutexGuard<'_, Option<UnboundedSender<Entry>>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

#[pymethods]
impl Results {
    /// Hands an image over, once there is room. Its outcome comes from `take`, refusals included.
    fn push(&self, number: u64, image: &Image) -> PyResult<Operation> {
        let stream = self.stream.get()?;
        let (session, room) = (stream.session.clone(), Arc::clone(&stream.room));
        let (image, accepted) = (image.0.clone(), stream.accepted().clone());
        let work = async move {
            // Neither is ever closed while images are pushed.
            if let (Ok(place), Some(accepted)) = (room.acquire_owned().await, accepted) {
                let pending = session.submit(image).await;
                let _ = accepted.send(Entry {
                    number,
                    place,
                    pending,
                });
            }
        };
        Ok(Operation::new(work, |py, ()| Ok(py.None())).at_home(&self.home))
    }

    /// Whether `push` would wait for somebody to take outcomes.
    fn is_full(&self) -> PyResult<bool> {
        Ok(self.stream.get()?.room.available_permits() == 0)
    }

    /// There are no more images: `wait` ends with the last outcome.
    fn end(&self) -> PyResult<()> {
        self.stream.get()?.accepted().take();
        Ok(())
    }

    /// Waits until there is something to take, or nothing more to come: `False`.
    fn wait(&self) -> PyResult<Operation> {
        let outcomes = Arc::clone(&self.stream.get()?.outcomes);
        let work = async move { outcomes.wait().await };
        let operation = Operation::new(work, |py, more| {
            Ok(more.into_pyobject(py)?.to_owned().into_any().unbind())
        });
        Ok(operation.at_home(&self.home))
    }

    /// The outcomes there are, as pairs of a number and a verdict or an error.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let outcomes = &self.stream.get()?.outcomes;
        let done = std::mem::take(&mut outcomes.state().done);
        let list = PyList::empty(py);
        for Done {
            number,
            _place,
            result,
        } in done
        {
            list.append((number, outcome(py, result)?))?;
        }
        Ok(list)
    }

    /// Cancels what has no outcome yet.
    fn abort(&self) -> PyResult<()> {
        self.stream.get()?.driver.abort();
        Ok(())
    }
}
