use std::sync::{Arc, Mutex, PoisonError};

use athena_client::{self as sdk, SessionBuilder};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::auth::Home;
use crate::convert::Seconds;
use crate::error;
use crate::image::Image;
use crate::operation::Operation;
use crate::results::Results;
use crate::runtime::{Owned, office};
use crate::verdict::Verdict;

/// Settings of a session, by the names of the SDK.
#[derive(Default)]
pub(crate) struct Settings {
    deployment: Option<String>,
    connections: Option<usize>,
    max_in_flight: Option<usize>,
    max_in_flight_bytes: Option<usize>,
    max_batch: Option<usize>,
    max_message_bytes: Option<usize>,
    max_resends: Option<u32>,
    linger: Option<Seconds>,
    resend_grace: Option<Seconds>,
    image_timeout: Option<Seconds>,
    no_progress_timeout: Option<Seconds>,
    keepalive: Option<Seconds>,
    drain_timeout: Option<Seconds>,
}

impl<'py> FromPyObject<'_, 'py> for Settings {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let mut settings = Self::default();
        for (name, value) in object.cast::<PyDict>()?.iter() {
            let name: String = name.extract()?;
            match name.as_str() {
                "deployment" => settings.deployment = value.extract()?,
                "connections" => settings.connections = value.extract()?,
                "max_in_flight" => settings.max_in_flight = value.extract()?,
                "max_in_flight_bytes" => settings.max_in_flight_bytes = value.extract()?,
                "max_batch" => settings.max_batch = value.extract()?,
                "max_message_bytes" => settings.max_message_bytes = value.extract()?,
                "max_resends" => settings.max_resends = value.extract()?,
                "linger" => settings.linger = value.extract()?,
                "resend_grace" => settings.resend_grace = value.extract()?,
                "image_timeout" => settings.image_timeout = value.extract()?,
                "no_progress_timeout" => settings.no_progress_timeout = value.extract()?,
                "keepalive" => settings.keepalive = value.extract()?,
                "drain_timeout" => settings.drain_timeout = value.extract()?,
                _ => {
                    return Err(PyTypeError::new_err(format!(
                        "a session has no setting {name:?}"
                    )));
                }
            }
        }
        Ok(settings)
    }
}

impl Settings {
    pub(crate) fn capacity(&self) -> usize {
        // The SDK's own default.
        self.max_in_flight.unwrap_or(256).max(1)
    }

    pub(crate) fn apply(&self, mut builder: SessionBuilder) -> SessionBuilder {
        if let Some(id) = &self.deployment {
            builder = builder.deployment(id.as_str());
        }
        if let Some(connections) = self.connections {
            builder = builder.connections(connections);
        }
        if let Some(bytes) = self.max_in_flight_bytes {
            builder = builder.max_in_flight_bytes(bytes);
        }
        if let Some(images) = self.max_batch {
            builder = builder.max_batch(images);
        }
        if let Some(bytes) = self.max_message_bytes {
            builder = builder.max_message_bytes(bytes);
        }
        if let Some(resends) = self.max_resends {
            builder = builder.max_resends(resends);
        }
        if let Some(Seconds(linger)) = self.linger {
            builder = builder.linger(linger);
        }
        if let Some(Seconds(grace)) = self.resend_grace {
            builder = builder.resend_grace(grace);
        }
        if let Some(Seconds(timeout)) = self.image_timeout {
            builder = builder.image_timeout(timeout);
        }
        if let Some(Seconds(timeout)) = self.no_progress_timeout {
            builder = builder.no_progress_timeout(timeout);
        }
        if let Some(Seconds(interval)) = self.keepalive {
            builder = builder.keepalive(interval);
        }
        if let Some(Seconds(timeout)) = self.drain_timeout {
            builder = builder.drain_timeout(timeout);
        }
        builder.max_in_flight(self.capacity())
    }
}

/// A stream to one deployment.
#[pyclass(frozen, module = "athena._athena")]
pub(crate) struct Session {
    session: Owned<sdk::Session>,
    capacity: usize,
    home: Arc<Home>,
    unclaimed: Owned<Arc<tokio::sync::Mutex<Option<BoxStream<'static, sdk::Unclaimed>>>>>,
}

impl Session {
    pub(crate) fn new(session: sdk::Session, capacity: usize, home: &Arc<Home>) -> Self {
        Self {
            session: Owned::new(session),
            capacity,
            home: Arc::clone(home),
            unclaimed: Owned::new(Arc::default()),
        }
    }
}

#[pymethods]
impl Session {
    #[getter]
    fn deployment(&self) -> PyResult<&str> {
        Ok(self.session.get()?.deployment())
    }

    fn submit(&self, image: &Image) -> PyResult<Operation> {
        let (session, image) = (self.session.get()?.clone(), image.0.clone());
        let home = Arc::clone(&self.home);
        let work = async move { session.submit(image).await };
        let operation = Operation::new(work, move |py, result| match result {
            Ok(pending) => Ok(Py::new(py, Pending::new(pending, home))?.into_any()),
            Err(error) => Err(error::of_call(py, &error)),
        });
        Ok(operation.at_home(&self.home))
    }

    fn classify(&self, image: &Image) -> PyResult<Operation> {
        let (session, image) = (self.session.get()?.clone(), image.0.clone());
        let work = async move { session.classify(image).await };
        Ok(Operation::new(work, verdict).at_home(&self.home))
    }

    /// A new stream of results over this session.
    fn results(&self, py: Python<'_>) -> PyResult<Results> {
        let runtime = office(py)?.handle;
        let session = self.session.get()?.clone();
        Ok(Results::new(session, self.capacity, &self.home, &runtime))
    }

    fn ready(&self) -> PyResult<Operation> {
        let session = self.session.get()?.clone();
        let work = async move { session.ready().await };
        let operation = Operation::new(work, |py, result| match result {
            Ok(()) => Ok(py.None()),
            Err(error) => Err(error::of_call(py, &error)),
        });
        Ok(operation.at_home(&self.home))
    }

    /// Waits until all images have ended: gives what was not finished.
    fn close(&self) -> PyResult<Operation> {
        let session = self.session.get()?.clone();
        let work = async move { session.close().await };
        Ok(Operation::new(work, |py, result| {
            let unfinished = match &result {
                Ok(_) => Vec::new(),
                Err(unfinished) => unfinished.images().map(|(id, _)| id.to_owned()).collect(),
            };
            Ok(unfinished.into_pyobject(py)?.into_any().unbind())
        }))
    }

    /// The next result that is not this session's, `None` when the session has ended.
    fn unclaimed(&self) -> PyResult<Operation> {
        let session = self.session.get()?.clone();
        let stream = Arc::clone(self.unclaimed.get()?);
        let work = async move {
            let mut stream = stream.lock().await;
            stream
                .get_or_insert_with(|| session.unclaimed().boxed())
                .next()
                .await
        };
        Ok(Operation::new(work, |py, next| match next {
            Some(result) => unclaimed(py, result),
            None => Ok(py.None()),
        }))
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.session.get()?.stats();
        let dict = PyDict::new(py);
        for (name, value) in [
            ("accepted", stats.accepted),
            ("refused", stats.refused),
            ("verdicts", stats.verdicts),
            ("cancelled", stats.cancelled),
            ("pending", stats.pending),
            ("preparing", stats.preparing),
            ("queued", stats.queued),
            ("in_flight", stats.in_flight),
            ("stranded", stats.stranded),
            ("window", stats.window),
            ("hung_reads", stats.hung_reads),
            ("batches", stats.batches),
            ("bytes_sent", stats.bytes_sent),
            ("resent", stats.resent),
            ("duplicates", stats.duplicates),
            ("late", stats.late),
            ("unclaimed", stats.unclaimed),
            ("unclaimed_dropped", stats.unclaimed_dropped),
            ("stray_errors", stats.stray_errors),
            ("connections", stats.connections),
            ("connects", stats.connects),
            ("disconnects", stats.disconnects),
        ] {
            dict.set_item(name, value)?;
        }
        let errors = PyDict::new(py);
        for (kind, count) in stats.errors_by_kind().filter(|(_, count)| *count > 0) {
            errors.set_item(kind.as_str(), count)?;
        }
        dict.set_item("errors", errors)?;
        Ok(dict)
    }
}

pub(crate) fn verdict(
    py: Python<'_>,
    result: Result<sdk::Verdict, sdk::Error>,
) -> PyResult<Py<PyAny>> {
    match result {
        Ok(verdict) => Ok(Py::new(py, Verdict::new(verdict))?.into_any()),
        Err(error) => Err(error::of_call(py, &error)),
    }
}

/// A verdict, or an error as an object.
pub(crate) fn outcome(
    py: Python<'_>,
    result: Result<sdk::Verdict, sdk::Error>,
) -> PyResult<Py<PyAny>> {
    match result {
        Ok(verdict) => Ok(Py::new(py, Verdict::new(verdict))?.into_any()),
        Err(error) => Ok(error::object_of_call(py, &error)?.unbind()),
    }
}

/// A correlation id and its outcome.
pub(crate) fn unclaimed(py: Python<'_>, unclaimed: sdk::Unclaimed) -> PyResult<Py<PyAny>> {
    let pair = (unclaimed.correlation_id, outcome(py, unclaimed.result)?);
    Ok(pair.into_pyobject(py)?.into_any().unbind())
}

/// An image that a session has accepted. Letting go of it cancels the image.
#[pyclass(frozen, module = "athena._athena")]
pub(crate) struct Pending {
    pending: Mutex<Option<Owned<sdk::Pending>>>,
    correlation_id: String,
    home: Arc<Home>,
}

impl Pending {
    fn new(pending: sdk::Pending, home: Arc<Home>) -> Self {
        Self {
            correlation_id: pending.correlation_id().to_owned(),
            pending: Mutex::new(Some(Owned::new(pending))),
            home,
        }
    }
}

#[pymethods]
impl Pending {
    #[getter]
    fn correlation_id(&self) -> &str {
        &self.correlation_id
    }

    /// The image's outcome, to be asked for once.
    fn result(&self) -> PyResult<Operation> {
        let pending = self
            .pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let pending = pending.ok_or_else(|| {
            PyRuntimeError::new_err("this image was awaited, or cancelled, already")
        })?;
        pending.get()?;
        Ok(Operation::new(pending.into_inner(), verdict).at_home(&self.home))
    }

    fn cancel(&self) {
        self.pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}
