//! The Tokio runtime behind everything, one for each process.
//!
//! It starts with the first work and ends before the interpreter does: a thread that asks for the
//! interpreter when that is gone would be killed in the middle of whatever it does.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::process;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::create_exception;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::courier::{self, Courier, Parcels};
use crate::log;

/// How long the end of the interpreter waits for work that cannot be interrupted, such as the
/// decoding of an image or a file server that hangs.
const FAREWELL: Duration = Duration::from_secs(5);

create_exception!(
    athena,
    ForkError,
    PyRuntimeError,
    "The object was made before this process was forked: make another one here."
);

/// Locked only by threads that hold the GIL and let go of neither in between, and `os.fork` holds it
/// too: no child ever finds it locked.
static STATE: Mutex<State> = Mutex::new(State::Idle);

enum State {
    Idle,
    Running(Running),
    /// The interpreter is ending.
    Ended,
}

struct Running {
    process: u32,
    runtime: Runtime,
    outcomes: Courier,
    records: Courier,
}

/// Where work runs, and who brings its outcome back.
pub(crate) struct Office {
    pub(crate) handle: Handle,
    pub(crate) parcels: Parcels,
}

/// The runtime of this process, started if need be.
pub(crate) fn office(_attached: Python<'_>) -> PyResult<Office> {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    if let State::Running(running) = &*state
        && running.process != process::id()
    {
        // Its threads stayed with the parent: ending it would wait for them for ever.
        std::mem::forget(std::mem::replace(&mut *state, State::Idle));
    }
    match &*state {
        State::Running(_) => {}
        State::Idle => *state = State::Running(start()?),
        State::Ended => return Err(PyRuntimeError::new_err("the interpreter is ending")),
    }
    match &*state {
        State::Running(running) => Ok(Office {
            handle: running.runtime.handle().clone(),
            parcels: running.outcomes.parcels(),
        }),
        _ => unreachable!("started above"),
    }
}

fn start() -> PyResult<Running> {
    let runtime = Builder::new_multi_thread()
        .thread_name("athena")
        .enable_all()
        .build()?;
    let outcomes = courier::start("athena-outcomes")?;
    let records = courier::start("athena-log")?;
    log::send_to(records.parcels());
    Ok(Running {
        process: process::id(),
        runtime,
        outcomes,
        records,
    })
}

/// Ends the runtime, which cancels what is under way and tells those who wait for it.
#[pyfunction]
#[pyo3(name = "_shutdown")]
fn shutdown(py: Python<'_>) {
    let state = {
        let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *state, State::Ended)
    };
    match state {
        State::Running(running) if running.process == process::id() => py.detach(|| {
            running.runtime.shutdown_timeout(FAREWELL);
            log::stop();
            running.outcomes.end(FAREWELL);
            running.records.end(FAREWELL);
        }),
        other => std::mem::forget(other),
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("ForkError", py.get_type::<ForkError>())?;
    let shutdown = pyo3::wrap_pyfunction!(shutdown, module)?;
    py.import("atexit")?.call_method1("register", (shutdown,))?;
    log::install();
    Ok(())
}

/// A value that is of use only in the process that made it: connections and threads are not
/// inherited by a fork, and locks may have been taken by a thread that is not there.
pub(crate) struct Owned<T> {
    process: u32,
    value: ManuallyDrop<T>,
}

impl<T> Owned<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            process: process::id(),
            value: ManuallyDrop::new(value),
        }
    }

    pub(crate) fn get(&self) -> PyResult<&T> {
        if self.process == process::id() {
            return Ok(self.value.deref());
        }
        Err(ForkError::new_err(
            "this object was made before the process was forked, and neither its connections nor its \
             threads are here: make clients after the fork, for example in a worker's start-up hook",
        ))
    }
}

impl<T> Owned<T> {
    /// The value, whichever process this is: call [`get`](Self::get) before.
    #[expect(unsafe_code, reason = "the value is moved out of what is forgotten")]
    pub(crate) fn into_inner(self) -> T {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is neither used nor dropped after this.
        unsafe { ManuallyDrop::take(&mut this.value) }
    }
}

impl<T> Drop for Owned<T> {
    #[expect(unsafe_code, reason = "the value is dropped here or nowhere")]
    fn drop(&mut self) {
        if self.process == process::id() {
            // SAFETY: `value` is not used after this, since `self` is gone.
            unsafe { ManuallyDrop::drop(&mut self.value) }
        }
    }
}
