//! Work that Python waits for: an asyncio task with `await`, a thread with `wait`.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::auth::Home;
use crate::courier::{Parcel, Parcels};
use crate::runtime::{Office, Owned, office};

/// What comes of the work, to be made a Python object by a thread that holds the GIL.
pub(crate) type Outcome = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// How often a thread that waits looks for Ctrl-C.
const SIGNALS: Duration = Duration::from_millis(100);

/// Work that starts when it is awaited or waited for, and is cancelled with whoever waits.
#[pyclass(frozen, module = "athena._athena")]
pub(crate) struct Operation {
    work: Mutex<Option<Owned<Work>>>,
    home: Option<Arc<Home>>,
}

impl Operation {
    /// Work, and how its result becomes a Python object.
    pub(crate) fn new<T: Send + 'static>(
        work: impl Future<Output = T> + Send + 'static,
        convert: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> Self {
        // A panic is an outcome as well: nobody may wait for ever.
        let work = AssertUnwindSafe(work).catch_unwind().map(|result| {
            let outcome: Outcome = match result {
                Ok(value) => Box::new(move |py| convert(py, value)),
                Err(_) => {
                    Box::new(|_| Err(PyRuntimeError::new_err("a fault in athena: it panicked")))
                }
            };
            outcome
        });
        Self {
            work: Mutex::new(Some(Owned::new(Box::pin(work)))),
            home: None,
        }
    }

    /// Sources of tokens and secrets written in Python run where this work is awaited.
    pub(crate) fn at_home(mut self, home: &Arc<Home>) -> Self {
        self.home = Some(Arc::clone(home));
        self
    }

    /// The work, which is there once.
    fn take(&self) -> PyResult<Owned<Work>> {
        let work = self
            .work
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let work = work.ok_or_else(|| PyRuntimeError::new_err("this was awaited already"))?;
        work.get()?;
        Ok(work)
    }
}

#[pymethods]
impl Operation {
    fn __await__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let event_loop = running_loop(py)?;
        let work = self.take()?;
        let Office { handle, parcels } = office(py)?;
        if let Some(home) = &self.home {
            home.is_here(&event_loop)?;
        }
        let future = event_loop.call_method0(pyo3::intern!(py, "create_future"))?;
        match py.detach(|| poll_once(&handle, work)) {
            Ok(outcome) => settle(py, &future, outcome),
            Err(work) => {
                let promise = Promise {
                    event_loop: event_loop.unbind(),
                    future: future.clone().unbind(),
                    parcels,
                };
                let task = handle.spawn(keep(promise, work));
                let canceller = Canceller {
                    task: Owned::new(task.abort_handle()),
                };
                future.call_method1(pyo3::intern!(py, "add_done_callback"), (canceller,))?;
            }
        }
        future.call_method0(pyo3::intern!(py, "__await__"))
    }

    /// Waits for the outcome, without holding the GIL. Ctrl-C cancels the work.
    fn wait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let work = self.take()?;
        let Office { handle, .. } = office(py)?;
        let work = match py.detach(|| poll_once(&handle, work)) {
            Ok(outcome) => return outcome(py),
            Err(work) => work,
        };
        let (sender, mut receiver) = sync_channel(1);
        let task = handle.spawn(async move {
            // Nobody waits any longer: nobody is told.
            let _ = sender.send(work.await);
        });
        loop {
            // Alone here: a receiver may move to another thread, but not be shared with one.
            let alone = &mut receiver;
            match py.detach(move || alone.recv_timeout(SIGNALS)) {
                Ok(outcome) => return outcome(py),
                Err(RecvTimeoutError::Disconnected) => return Err(ended()),
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(interrupt) = py.check_signals() {
                        task.abort();
                        return Err(interrupt);
                    }
                }
            }
        }
    }
}

/// Much is done at once, such as handing an image to a session that has room: no task is needed then.
fn poll_once(runtime: &Handle, work: Owned<Work>) -> Result<Outcome, Work> {
    let _runtime = runtime.enter();
    let mut work = work.into_inner();
    match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Ok(outcome),
        Poll::Pending => Err(work),
    }
}

fn ended() -> PyErr {
    PyRuntimeError::new_err("the interpreter is ending, and with it what was under way")
}

/// A future of an event loop that is owed an outcome.
struct Promise {
    event_loop: Py<PyAny>,
    future: Py<PyAny>,
    parcels: Parcels,
}

async fn keep(promise: Promise, work: Work) {
    let mut owed = Owed(Some(promise));
    let outcome = work.await;
    owed.pay(outcome);
}

/// Tells those who wait even when the task ends before the work does.
struct Owed(Option<Promise>);

impl Owed {
    fn pay(&mut self, outcome: Outcome) {
        if let Some(promise) = self.0.take() {
            let delivery = Delivery {
                event_loop: promise.event_loop,
                future: promise.future,
                outcome,
            };
            // The courier is the last to go: without it there is no Python to tell.
            let _ = promise.parcels.send(Parcel::Outcome(delivery));
        }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.pay(Box::new(|_| Err(ended())));
    }
}

/// An outcome on its way to the event loop that waits for it.
pub(crate) struct Delivery {
    event_loop: Py<PyAny>,
    future: Py<PyAny>,
    outcome: Outcome,
}

/// Futures and the outcomes that they are owed.
type Due = Vec<(Py<PyAny>, Outcome)>;

/// Hands outcomes to their event loops, each loop being woken once.
pub(crate) fn deliver(py: Python<'_>, deliveries: Vec<Delivery>) {
    let mut loops: Vec<(Py<PyAny>, Due)> = Vec::new();
    for Delivery {
        event_loop,
        future,
        outcome,
    } in deliveries
    {
        match loops.iter_mut().find(|(known, _)| known.is(&event_loop)) {
            Some((_, outcomes)) => outcomes.push((future, outcome)),
            None => loops.push((event_loop, vec![(future, outcome)])),
        }
    }
    for (event_loop, outcomes) in loops {
        let settlement = Settlement(Mutex::new(outcomes));
        let call = pyo3::intern!(py, "call_soon_threadsafe");
        // A loop that is closed has nobody who waits.
        let _ = event_loop.call_method1(py, call, (settlement,));
    }
}

/// Called by the event loop, in its thread.
#[pyclass(frozen)]
struct Settlement(Mutex<Due>);

#[pymethods]
impl Settlement {
    fn __call__(&self, py: Python<'_>) {
        let outcomes = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for (future, outcome) in outcomes {
            settle(py, future.bind(py), outcome);
        }
    }
}

/// Sets a future's outcome, unless it was cancelled.
fn settle(py: Python<'_>, future: &Bound<'_, PyAny>, outcome: Outcome) {
    let set = || -> PyResult<()> {
        if future.call_method0(pyo3::intern!(py, "done"))?.extract()? {
            return Ok(());
        }
        match outcome(py) {
            Ok(value) => future.call_method1(pyo3::intern!(py, "set_result"), (value,))?,
            Err(error) => future.call_method1(pyo3::intern!(py, "set_exception"), (error,))?,
        };
        Ok(())
    };
    if let Err(error) = set() {
        error.write_unraisable(py, Some(future));
    }
}

/// Called when a future is done: if that is by being cancelled, so is the work.
#[pyclass(frozen)]
struct Canceller {
    task: Owned<AbortHandle>,
}

#[pymethods]
impl Canceller {
    fn __call__(&self, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let cancelled = pyo3::intern!(future.py(), "cancelled");
        if future.call_method0(cancelled)?.extract()? {
            self.task.get()?.abort();
        }
        Ok(())
    }
}

/// The event loop that runs in this thread.
fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static GET: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    GET.import(py, "asyncio", "get_running_loop")?.call0()
}
