//! Sources of tokens and secrets that are written in Python.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use athena_client::auth::{self, AuthError, AuthErrorKind, BoxFuture, Fetch, SecretSource};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::{Secret, Token};

/// The event loop that last awaited something of a client: where its async sources run, since what
/// they use, a session of an HTTP client for example, belongs to that loop.
#[derive(Default)]
pub(crate) struct Home(Mutex<Option<Py<PyAny>>>);

impl Home {
    pub(crate) fn is_here(&self, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
        static MOVED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let before = {
            let mut home = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if home.as_ref().is_some_and(|home| home.is(event_loop)) {
                return Ok(());
            }
            home.replace(event_loop.clone().unbind())
        };
        if before.is_some() {
            let py = event_loop.py();
            MOVED.import(py, "athena._sources", "has_moved")?.call0()?;
        }
        Ok(())
    }

    fn event_loop(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let home = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        home.as_ref().map(|home| home.clone_ref(py))
    }
}

/// A function that returns a token or a secret, now or when it is awaited.
#[derive(Clone)]
pub(crate) struct Source {
    function: Arc<Py<PyAny>>,
    home: Arc<Home>,
    /// Names it in errors.
    name: &'static str,
}

impl Source {
    pub(crate) fn new(name: &'static str, function: Py<PyAny>, home: &Arc<Home>) -> Self {
        Self {
            function: Arc::new(function),
            home: Arc::clone(home),
            name,
        }
    }

    async fn call<T: Send + 'static>(&self, read: Read<T>) -> Result<T, AuthError> {
        let (sender, answer) = oneshot::channel();
        let source = self.clone();
        // A thread of the runtime that waits for the GIL would hold up everybody's work.
        let started = tokio::task::spawn_blocking(move || {
            Python::attach(|py| source.start(py, read, sender))
        });
        let canceller = match started.await {
            Ok(Ok(canceller)) => canceller,
            Ok(Err(error)) => return Err(self.failed(error)),
            Err(_) => return Err(self.silent()),
        };
        let _canceller = CancelOnDrop(Some(canceller));
        match answer.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.failed(error)),
            Err(_) => Err(self.silent()),
        }
    }

    fn start<T: Send + 'static>(
        &self,
        py: Python<'_>,
        read: Read<T>,
        sender: oneshot::Sender<PyResult<T>>,
    ) -> PyResult<Py<PyAny>> {
        static START: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let send: Answer = Box::new(move |answer| {
            // Nobody waits any longer: nobody is told.
            let _ = sender.send(answer.and_then(|value| read(&value)));
        });
        let reply = Reply(Mutex::new(Some(send)));
        let start = START.import(py, "athena._sources", "start")?;
        let call = start.call1((self.function.bind(py), self.home.event_loop(py), reply))?;
        Ok(call.unbind())
    }

    fn failed(&self, error: PyErr) -> AuthError {
        let (raised, transient) = Python::attach(|py| Raised::new(py, error));
        let kind = if transient {
            AuthErrorKind::Unavailable
        } else {
            AuthErrorKind::Panicked
        };
        AuthError::new(kind, format!("the {} written in Python failed", self.name))
            .with_source(raised)
    }

    fn silent(&self) -> AuthError {
        let message = format!(
            "the {} written in Python ended without an answer",
            self.name
        );
        AuthError::new(AuthErrorKind::Panicked, message)
    }
}

impl Fetch for Source {
    async fn fetch(&self) -> Result<auth::Token, AuthError> {
        self.call(read_token).await
    }
}

impl SecretSource for Source {
    fn secret(&self) -> BoxFuture<'_, Result<auth::Secret, AuthError>> {
        Box::pin(self.call(read_secret))
    }
}

type Read<T> = fn(&Bound<'_, PyAny>) -> PyResult<T>;

fn read_token(value: &Bound<'_, PyAny>) -> PyResult<auth::Token> {
    if let Ok(token) = value.cast::<Token>() {
        return Ok(token.get().0.clone());
    }
    auth::Token::bearer(value.extract::<String>()?)
        .map_err(|error| pyo3::exceptions::PyValueError::new_err(error.to_string()))
}

fn read_secret(value: &Bound<'_, PyAny>) -> PyResult<auth::Secret> {
    if let Ok(secret) = value.cast::<Secret>() {
        return Ok(secret.get().0.clone());
    }
    Ok(auth::Secret::trimmed(value.extract::<String>()?))
}

type Answer = Box<dyn FnOnce(PyResult<Bound<'_, PyAny>>) + Send>;

/// Called with what the function returned or raised.
#[pyclass(frozen)]
struct Reply(Mutex<Option<Answer>>);

#[pymethods]
impl Reply {
    fn __call__(&self, value: Bound<'_, PyAny>, error: Option<Bound<'_, PyAny>>) {
        let send = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(send) = send {
            send(match error {
                Some(error) => Err(PyErr::from_value(error)),
                None => Ok(value),
            });
        }
    }
}

/// Cancels a call that nobody waits for any longer.
struct CancelOnDrop(Option<Py<PyAny>>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        // Without a runtime the interpreter is ending, and the call with it.
        if let (Some(cancel), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn_blocking(move || {
                Python::attach(|py| {
                    if let Err(error) = cancel.call0(py) {
                        error.write_unraisable(py, None);
                    }
                });
            });
        }
    }
}

/// An exception as the cause of an error. It shows its type alone, since its text may hold a secret
/// and errors are logged; the exception itself becomes the `__cause__` of what is raised in the end.
pub(crate) struct Raised {
    class: String,
    pub(crate) exception: PyErr,
}

impl Raised {
    /// With whether it may pass.
    fn new(py: Python<'_>, exception: PyErr) -> (Self, bool) {
        static TRANSIENT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let transient = TRANSIENT
            .import(py, "athena._sources", "is_transient")
            .and_then(|ask| ask.call1((exception.value(py),))?.extract())
            .unwrap_or(false);
        let class = exception.get_type(py).qualname();
        let class = class.map_or_else(|_| "an exception".into(), |name| name.to_string());
        (Self { class, exception }, transient)
    }
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it raised {}", self.class)
    }
}

impl fmt::Debug for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Raised")
            .field("class", &self.class)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Raised {}
