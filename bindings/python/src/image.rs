use std::path::PathBuf;

use athena_client::{self as sdk, ImageFormat, Payload, RequestEncoding};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::convert::{Data, Digest, Seconds};
use crate::imaging::Prepared;

/// An image to classify.
#[pyclass(frozen, module = "athena._athena")]
pub(crate) struct Image(pub(crate) sdk::Image);

impl Image {
    fn named(
        image: sdk::Image,
        correlation_id: Option<String>,
        affiliate: Option<String>,
        timeout: Option<Seconds>,
    ) -> Self {
        let image = match correlation_id {
            Some(id) => image.correlation_id(id),
            None => image,
        };
        let image = match affiliate {
            Some(affiliate) => image.affiliate(affiliate),
            None => image,
        };
        Self(match timeout {
            Some(Seconds(timeout)) => image.timeout(timeout),
            None => image,
        })
    }
}

#[pymethods]
impl Image {
    #[staticmethod]
    #[pyo3(signature = (
        data, correlation_id = None, affiliate = None, timeout = None, frames = 1
    ))]
    fn from_bytes(
        data: Data,
        correlation_id: Option<String>,
        affiliate: Option<String>,
        timeout: Option<Seconds>,
        frames: u32,
    ) -> Self {
        Self::named(
            sdk::Image::from_bytes(data.0).frames(frames),
            correlation_id,
            affiliate,
            timeout,
        )
    }

    #[staticmethod]
    #[pyo3(signature = (
        path, correlation_id = None, affiliate = None, timeout = None, frames = 1
    ))]
    fn from_file(
        path: PathBuf,
        correlation_id: Option<String>,
        affiliate: Option<String>,
        timeout: Option<Seconds>,
        frames: u32,
    ) -> Self {
        Self::named(
            sdk::Image::from_file(path).frames(frames),
            correlation_id,
            affiliate,
            timeout,
        )
    }

    #[staticmethod]
    #[pyo3(signature = (prepared, correlation_id = None, affiliate = None, timeout = None))]
    fn from_prepared(
        prepared: &Prepared,
        correlation_id: Option<String>,
        affiliate: Option<String>,
        timeout: Option<Seconds>,
    ) -> Self {
        let image = sdk::Image::from_prepared(prepared.sdk().clone());
        Self::named(image, correlation_id, affiliate, timeout)
    }

    #[staticmethod]
    #[pyo3(signature = (
        frame, md5 = None, sha1 = None, correlation_id = None, affiliate = None, timeout = None
    ))]
    fn raw_bgr(
        frame: Data,
        md5: Option<Digest<16>>,
        sha1: Option<Digest<20>>,
        correlation_id: Option<String>,
        affiliate: Option<String>,
        timeout: Option<Seconds>,
    ) -> Self {
        let payload = with_hashes(Payload::raw_bgr(frame.0), md5, sha1);
        Self::named(
            sdk::Image::from_payload(payload),
            correlation_id,
            affiliate,
            timeout,
        )
    }

    #[staticmethod]
    #[pyo3(signature = (md5 = None, sha1 = None, correlation_id = None, affiliate = None, timeout = None))]
    fn hashes_only(
        md5: Option<Digest<16>>,
        sha1: Option<Digest<20>>,
        correlation_id: Option<String>,
        affiliate: Option<String>,
        timeout: Option<Seconds>,
    ) -> Self {
        let payload = with_hashes(Payload::hashes_only(), md5, sha1);
        Self::named(
            sdk::Image::from_payload(payload),
            correlation_id,
            affiliate,
            timeout,
        )
    }

    /// Data with the contract's numbers of its format and encoding.
    #[staticmethod]
    #[pyo3(signature = (
        data, format, encoding, md5 = None, sha1 = None, correlation_id = None, affiliate = None,
        timeout = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "fields of a message")]
    fn from_payload(
        data: Data,
        format: i32,
        encoding: i32,
        md5: Option<Digest<16>>,
        sha1: Option<Digest<20>>,
        correlation_id: Option<String>,
        affiliate: Option<String>,
        timeout: Option<Seconds>,
    ) -> PyResult<Self> {
        let unknown = |what: &str, number| {
            PyValueError::new_err(format!("the contract has no {what} {number}"))
        };
        let format = ImageFormat::try_from(format).map_err(|_| unknown("format", format))?;
        let encoding =
            RequestEncoding::try_from(encoding).map_err(|_| unknown("encoding", encoding))?;
        let payload = with_hashes(Payload::new(format, encoding, data.0), md5, sha1);
        Ok(Self::named(
            sdk::Image::from_payload(payload),
            correlation_id,
            affiliate,
            timeout,
        ))
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

fn with_hashes(payload: Payload, md5: Option<Digest<16>>, sha1: Option<Digest<20>>) -> Payload {
    let payload = match md5 {
        Some(Digest(md5)) => payload.md5(md5),
        None => payload,
    };
    match sha1 {
        Some(Digest(sha1)) => payload.sha1(sha1),
        None => payload,
    }
}
