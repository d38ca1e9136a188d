//! What Python hands in, as Rust takes it.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use data_encoding::HEXLOWER_PERMISSIVE;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

/// A time in seconds, or a `timedelta`.
#[derive(Clone, Copy)]
pub(crate) struct Seconds(pub(crate) Duration);

impl<'py> FromPyObject<'_, 'py> for Seconds {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(seconds) = object.extract::<f64>() {
            return Duration::try_from_secs_f64(seconds)
                .map(Self)
                .map_err(|error| PyValueError::new_err(format!("{seconds} seconds: {error}")));
        }
        object.extract::<Duration>().map(Self)
    }
}

/// Bytes of an image: those of a `bytes` object are used where they are, others are copied, since
/// their owner may change them.
pub(crate) struct Data(pub(crate) Bytes);

impl<'py> FromPyObject<'_, 'py> for Data {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            let owner = PyBackedBytes::from(bytes.to_owned());
            return Ok(Self(Bytes::from_owner(owner)));
        }
        let view = object
            .py()
            .import("builtins")?
            .getattr("memoryview")?
            .call1((object,));
        let view = view.map_err(|_| {
            let class = object
                .get_type()
                .name()
                .map_or_else(|_| "it".into(), |name| name.to_string());
            PyTypeError::new_err(format!("bytes or another buffer is needed, not {class}"))
        })?;
        let copy = view.call_method0("tobytes")?.cast_into::<PyBytes>()?;
        Ok(Self(Bytes::from_owner(PyBackedBytes::from(copy))))
    }
}

/// Certificates in PEM: bytes, a text, or the path of a file.
pub(crate) struct Pem(pub(crate) Vec<u8>);

impl<'py> FromPyObject<'_, 'py> for Pem {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if object.is_instance_of::<PyBytes>() {
            return Ok(Self(object.extract()?));
        }
        if let Ok(text) = object.extract::<String>() {
            return Ok(Self(text.into_bytes()));
        }
        Ok(Self(std::fs::read(object.extract::<PathBuf>()?)?))
    }
}

/// A digest of `N` bytes, as bytes or in hexadecimal.
pub(crate) struct Digest<const N: usize>(pub(crate) [u8; N]);

impl<'py, const N: usize> FromPyObject<'_, 'py> for Digest<N> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let bytes = if object.is_instance_of::<PyBytes>() {
            object.extract::<Vec<u8>>()?
        } else {
            let digits = object.extract::<String>()?;
            HEXLOWER_PERMISSIVE
                .decode(digits.as_bytes())
                .unwrap_or_default()
        };
        bytes.try_into().map(Self).map_err(|_| {
            PyValueError::new_err(format!(
                "a digest of {N} bytes or {} hexadecimal digits is needed",
                2 * N
            ))
        })
    }
}
