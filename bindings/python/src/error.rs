//! Errors of the SDK as exceptions of the package, which `athena._errors` defines.

use std::error::Error as StdError;
use std::fmt::Write as _;

use athena_client::auth::AuthError;
use athena_client::imaging::{self, ImageError};
use athena_client::{BuildError, Delivery, Error};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::auth::Raised;
use crate::verdict::{Provenance, Verdict};

/// The exception for an image or a call without a verdict.
pub(crate) fn of_call(py: Python<'_>, error: &Error) -> PyErr {
    object_of_call(py, error).map_or_else(|error| error, PyErr::from_value)
}

/// The same, as an object to look at.
pub(crate) fn object_of_call<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let delivery = match error.delivery() {
        Delivery::NotSent => "not_sent",
        Delivery::Answered => "answered",
        _ => "unknown",
    };
    let known = PyDict::new(py);
    known.set_item("is_transient", error.is_transient())?;
    known.set_item("is_of_image", error.is_of_image())?;
    known.set_item("correlation_id", error.correlation_id())?;
    known.set_item("sends", error.sends())?;
    let retry_after = error.retry_after().map(|wait| wait.as_secs_f64());
    known.set_item("retry_after", retry_after)?;
    if let Some(verdict) = error.hash_verdict() {
        known.set_item("hash_verdict", Verdict::new(verdict.clone()))?;
    }
    if let Some(error) = error.hash_error() {
        known.set_item("hash_error", object_of_call(py, error)?)?;
    }
    if let Some(provenance) = error.provenance() {
        known.set_item("provenance", Provenance::new(provenance))?;
    }
    known.set_item("service_error", error.service_error())?;
    if let Some(error) = cause::<AuthError>(error) {
        known.set_item("status", error.status())?;
        known.set_item("oauth_code", error.oauth_code())?;
    }
    let arguments = (text(error), error.kind().as_str(), delivery);
    let exception = CLASS
        .import(py, "athena._errors", "Error")?
        .call(arguments, Some(&known))?;
    chain(&exception, error)?;
    Ok(exception)
}

/// The exception for a token that could not be had.
pub(crate) fn of_token(py: Python<'_>, error: &AuthError) -> PyErr {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let make = || {
        let known = PyDict::new(py);
        known.set_item("is_transient", error.is_transient())?;
        known.set_item(
            "retry_after",
            error.retry_after().map(|wait| wait.as_secs_f64()),
        )?;
        known.set_item("status", error.status())?;
        known.set_item("oauth_code", error.oauth_code())?;
        let arguments = (text(error), "authentication", "not_sent");
        let class = CLASS.import(py, "athena._errors", "Error")?;
        let exception = class.call(arguments, Some(&known))?;
        chain(&exception, error)?;
        Ok(exception)
    };
    make().map_or_else(|error: PyErr| error, PyErr::from_value)
}

/// The exception for a setting that cannot work.
pub(crate) fn config(setting: &str, error: &(dyn StdError + 'static)) -> PyErr {
    Python::attach(|py| {
        static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let class = CLASS.import(py, "athena._errors", "ConfigError");
        let exception = class.and_then(|class| class.call1((text(error), setting)));
        exception.map_or_else(|error| error, PyErr::from_value)
    })
}

pub(crate) fn of_build(error: &BuildError) -> PyErr {
    config(error.setting(), error)
}

/// The exception for an image that cannot be prepared.
pub(crate) fn of_image(error: &ImageError) -> PyErr {
    Python::attach(|py| {
        static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let format = error.format().map(imaging::Format::word);
        let class = CLASS.import(py, "athena._errors", "ImageError");
        let exception = class.and_then(|class| class.call1((text(error), format)));
        exception.map_or_else(|error| error, PyErr::from_value)
    })
}

/// The exception for an emulator that cannot start or has stopped.
pub(crate) fn of_emulator(problem: &str) -> PyErr {
    Python::attach(|py| {
        static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let class = CLASS.import(py, "athena._errors", "EmulatorError");
        let exception = class.and_then(|class| class.call1((problem,)));
        exception.map_or_else(|error| error, PyErr::from_value)
    })
}

/// An error with its causes in one line: Python shows the text alone.
pub(crate) fn text(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

fn cause<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Makes an exception that the user's own code raised the cause of this one.
fn chain(exception: &Bound<'_, PyAny>, error: &(dyn StdError + 'static)) -> PyResult<()> {
    let py = exception.py();
    match cause::<Raised>(error) {
        Some(raised) => exception.setattr("__cause__", raised.exception.value(py)),
        None => Ok(()),
    }
}
