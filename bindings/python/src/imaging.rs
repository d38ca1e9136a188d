//! Files to payloads and pixels, without a client.

use athena_client::imaging::{
    self, Compression, Interpolation, Limits, PayloadKind, Subsampling, WebpEffort,
};
use athena_client::{self as sdk, ImageFormat, RequestEncoding};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::convert::Data;
use crate::error;
use crate::verdict::Provenance;

/// Turns image files into what the service takes.
#[pyclass(frozen, module = "athena._athena")]
pub(crate) struct Preprocessor(pub(crate) imaging::Preprocessor);

#[pymethods]
impl Preprocessor {
    #[new]
    #[pyo3(signature = (
        *, payload = "webp", interpolation = "linear", brotli = None, frame_digest = false,
        jpeg_quality = 90, shared_memory = None, limits = None
    ))]
    fn new(
        payload: &str,
        interpolation: &str,
        brotli: Option<u8>,
        frame_digest: bool,
        jpeg_quality: u8,
        shared_memory: Option<u64>,
        limits: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let mut builder = imaging::Preprocessor::builder()
            .payload(payload_named(payload, jpeg_quality)?)
            .interpolation(interpolation_named(interpolation)?)
            .compression(match brotli {
                Some(quality) => Compression::Brotli { quality },
                None => Compression::None,
            })
            .frame_digest(frame_digest);
        if let Some(bytes) = shared_memory {
            builder = builder.shared_memory(bytes);
        }
        if let Some(limits) = limits {
            builder = builder.limits(read_limits(limits)?);
        }
        builder
            .build()
            .map(Self)
            .map_err(|error| error::config("preprocessor", &error))
    }

    /// Without the GIL, in the calling thread.
    fn prepare(&self, py: Python<'_>, data: Data) -> PyResult<Prepared> {
        let prepared = py.detach(|| sdk::Prepared::of(&self.0, data.0));
        let prepared = prepared.map_err(|error| error::of_call(py, &error))?;
        if let Some(failure) = prepared.failure() {
            return Err(match image_error(failure) {
                Some(error) => error::of_image(error),
                None => error::of_call(py, failure),
            });
        }
        Ok(Prepared::new(prepared))
    }

    /// Without the GIL, in the calling thread.
    fn frame(&self, py: Python<'_>, data: Data) -> PyResult<Frame> {
        let frame = py.detach(|| self.0.frame(&data.0));
        frame.map(Frame).map_err(|error| error::of_image(&error))
    }
}

fn image_error(error: &sdk::Error) -> Option<&imaging::ImageError> {
    let mut next = std::error::Error::source(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn payload_named(name: &str, quality: u8) -> PyResult<PayloadKind> {
    let webp = |effort| PayloadKind::WebpLossless { effort };
    Ok(match name {
        "webp" => webp(WebpEffort::Default),
        "webp-fastest" => webp(WebpEffort::Fastest),
        "webp-small" => webp(WebpEffort::Small),
        "raw" => PayloadKind::RawBgr,
        "png" => PayloadKind::Png,
        "jpeg" => PayloadKind::Jpeg {
            quality,
            subsampling: Subsampling::S444,
        },
        "original" => PayloadKind::Original,
        _ => {
            let known = "webp, webp-fastest, webp-small, raw, png, jpeg, original";
            return Err(PyValueError::new_err(format!(
                "payload: {name:?} is none of {known}"
            )));
        }
    })
}

fn interpolation_named(name: &str) -> PyResult<Interpolation> {
    Ok(match name {
        "linear" => Interpolation::Linear,
        "nearest" => Interpolation::Nearest,
        "area" => Interpolation::Area,
        "lanczos4" => Interpolation::Lanczos4,
        _ => {
            let known = "linear, nearest, area, lanczos4";
            return Err(PyValueError::new_err(format!(
                "interpolation: {name:?} is none of {known}"
            )));
        }
    })
}

fn read_limits(given: &Bound<'_, PyDict>) -> PyResult<Limits> {
    let mut limits = Limits::default();
    for (name, value) in given {
        let name: String = name.extract()?;
        match name.as_str() {
            "max_file_bytes" => limits.max_file_bytes = value.extract()?,
            "max_width" => limits.max_width = value.extract()?,
            "max_height" => limits.max_height = value.extract()?,
            "max_pixels" => limits.max_pixels = value.extract()?,
            "max_decoded_bytes" => limits.max_decoded_bytes = value.extract()?,
            "max_work" => limits.max_work = value.extract()?,
            "max_frames" => limits.max_frames = value.extract()?,
            "max_payload_bytes" => limits.max_payload_bytes = value.extract()?,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "limits: there is no limit {name:?}"
                )));
            }
        }
    }
    Ok(limits)
}

/// Where some bytes are, for Python to look at in place; they stay as long as the object.
type Place = (usize, usize);

fn place(bytes: &[u8]) -> Place {
    (bytes.as_ptr() as usize, bytes.len())
}

/// An image ready to be sent.
#[pyclass(frozen, module = "athena._athena")]
pub(crate) struct Prepared {
    prepared: sdk::Prepared,
}

impl Prepared {
    pub(crate) fn new(prepared: sdk::Prepared) -> Self {
        Self { prepared }
    }

    pub(crate) fn sdk(&self) -> &sdk::Prepared {
        &self.prepared
    }
}

#[pymethods]
impl Prepared {
    #[getter]
    fn place(&self) -> Place {
        place(self.prepared.payload().data())
    }

    #[getter]
    fn format(&self) -> &'static str {
        match self.prepared.payload().format() {
            ImageFormat::RawUint8Bgr => "raw",
            other => other.as_str_name().trim_start_matches("IMAGE_FORMAT_"),
        }
    }

    /// The contract's numbers of format and encoding.
    #[getter]
    fn numbers(&self) -> (i32, i32) {
        let payload = self.prepared.payload();
        (payload.format().into(), payload.encoding().into())
    }

    #[getter]
    fn is_brotli(&self) -> bool {
        self.prepared.payload().encoding() == RequestEncoding::Brotli
    }

    #[getter]
    fn provenance(&self) -> Provenance {
        Provenance::new(self.prepared.provenance())
    }
}

/// Decoded pixels.
#[pyclass(frozen, module = "athena._athena")]
pub(crate) struct Frame(imaging::Frame);

#[pymethods]
impl Frame {
    #[getter]
    fn place(&self) -> Place {
        place(self.0.data())
    }

    #[getter]
    fn width(&self) -> u32 {
        self.0.width()
    }

    #[getter]
    fn height(&self) -> u32 {
        self.0.height()
    }
}

/// MD5 and SHA-1 of a file, in hexadecimal.
#[pyfunction]
pub(crate) fn hashes(py: Python<'_>, data: Data) -> (String, String) {
    let hashes = py.detach(|| imaging::Hashes::of(&data.0));
    (hashes.md5_hex(), hashes.sha1_hex())
}

/// Format, width and height of a file, without decoding it.
#[pyfunction]
pub(crate) fn inspect(py: Python<'_>, data: Data) -> PyResult<(String, u32, u32, u32)> {
    let found = py.detach(|| imaging::inspect(&data.0));
    let found = found.map_err(|error| error::of_image(&error))?;
    let (width, height) = found.upright_size();
    Ok((found.format.word().to_owned(), width, height, found.frames))
}

/// Data compressed with Brotli, at a quality from 0 to 11.
#[pyfunction]
pub(crate) fn compress_brotli(
    py: Python<'_>,
    data: Data,
    quality: u8,
) -> PyResult<Bound<'_, PyBytes>> {
    let compressed = py.detach(|| Compression::Brotli { quality }.compress(data.0));
    let (compressed, _) = compressed.map_err(|error| error::of_image(&error))?;
    Ok(PyBytes::new(py, &compressed))
}
