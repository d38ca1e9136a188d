use std::hash::{Hash, Hasher};

use athena_client as sdk;
use data_encoding::HEXLOWER;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// What the service says about an image.
#[pyclass(frozen, eq, hash, from_py_object, module = "athena")]
#[derive(Clone)]
pub(crate) struct Verdict {
    verdict: sdk::Verdict,
    provenance: Option<Provenance>,
    sends: Option<u32>,
    frame: Option<u32>,
    frames: Frames,
}

/// Places of frames in an animation, and the verdicts on them.
type Frames = Vec<(u32, Verdict)>;

impl Verdict {
    pub(crate) fn new(verdict: sdk::Verdict) -> Self {
        let frames = verdict
            .frames()
            .map(|(place, verdict)| (place, Self::new(verdict.clone())));
        Self {
            provenance: verdict.provenance().map(Provenance::new),
            sends: verdict.sends(),
            frame: verdict.frame(),
            frames: frames.collect(),
            verdict,
        }
    }
}

impl PartialEq for Verdict {
    fn eq(&self, other: &Self) -> bool {
        self.verdict == other.verdict
    }
}

impl Hash for Verdict {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.verdict.correlation_id().hash(hasher);
    }
}

/// A label's weight: the very value of its 32 bits, as protobuf gives it to Python.
fn weight(weight: f32) -> f64 {
    weight.into()
}

#[pymethods]
impl Verdict {
    #[new]
    #[pyo3(signature = (
        correlation_id, weights, provenance = None, sends = None, frame = None, frames = Vec::new()
    ))]
    fn create(
        correlation_id: String,
        weights: &Bound<'_, PyDict>,
        provenance: Option<Provenance>,
        sends: Option<u32>,
        frame: Option<u32>,
        frames: Frames,
    ) -> PyResult<Self> {
        let weights = weights
            .iter()
            .map(|(label, weight)| Ok((label.extract::<String>()?, weight.extract::<f32>()?)))
            .collect::<PyResult<Vec<_>>>()?;
        Ok(Self {
            verdict: sdk::Verdict::new(correlation_id, weights),
            provenance,
            sends,
            frame,
            frames,
        })
    }

    #[getter]
    fn correlation_id(&self) -> &str {
        self.verdict.correlation_id()
    }

    #[getter]
    fn weights<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dict(py, self.verdict.iter())
    }

    fn weight(&self, label: &str) -> Option<f64> {
        self.verdict.weight(label).map(weight)
    }

    #[getter]
    fn pcsam(&self) -> Option<f64> {
        self.verdict.pcsam().map(weight)
    }

    #[getter]
    fn entropy(&self) -> Option<f64> {
        self.verdict.entropy().map(weight)
    }

    #[getter]
    fn categories<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dict(py, self.verdict.categories())
    }

    #[getter]
    fn top_category(&self) -> Option<(&str, f64)> {
        self.verdict
            .top_category()
            .map(|(label, value)| (label, weight(value)))
    }

    #[getter]
    fn known_match(&self) -> bool {
        self.verdict.known_match()
    }

    #[getter]
    fn hash_checked(&self) -> bool {
        self.verdict.hash_checked()
    }

    #[getter]
    fn provenance(&self) -> Option<Provenance> {
        self.provenance.clone()
    }

    #[getter]
    fn sends(&self) -> Option<u32> {
        self.sends
    }

    #[getter]
    fn frame(&self) -> Option<u32> {
        self.frame
    }

    #[getter]
    fn frames(&self) -> Frames {
        self.frames.clone()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let weights = self.weights(py)?.repr()?;
        Ok(format!("Verdict({:?}, {weights})", self.correlation_id()))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Arguments<'py>)> {
        let class = py.get_type::<Self>().into_any();
        let arguments = (
            self.correlation_id().to_owned(),
            self.weights(py)?,
            self.provenance(),
            self.sends,
            self.frame,
            self.frames(),
        );
        Ok((class, arguments))
    }
}

/// Those of `Verdict::create`.
type Arguments<'py> = (
    String,
    Bound<'py, PyDict>,
    Option<Provenance>,
    Option<u32>,
    Option<u32>,
    Frames,
);

fn dict<'a, 'py>(
    py: Python<'py>,
    weights: impl Iterator<Item = (&'a str, f32)>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (label, value) in weights {
        dict.set_item(label, weight(value))?;
    }
    Ok(dict)
}

/// What is known of an image's file. Digests are in hexadecimal.
#[pyclass(frozen, eq, hash, get_all, from_py_object, module = "athena")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Provenance {
    format: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    bytes: Option<u64>,
    md5: Option<String>,
    sha1: Option<String>,
    sha256: Option<String>,
    frame_sha256: Option<String>,
}

impl Provenance {
    pub(crate) fn new(provenance: &sdk::Provenance) -> Self {
        let size = provenance.dimensions();
        Self {
            format: provenance.format().map(str::to_owned),
            width: size.map(|(width, _)| width),
            height: size.map(|(_, height)| height),
            bytes: provenance.bytes(),
            md5: provenance.md5().map(|digest| HEXLOWER.encode(&digest)),
            sha1: provenance.sha1().map(|digest| HEXLOWER.encode(&digest)),
            sha256: provenance.sha256().map(|digest| HEXLOWER.encode(&digest)),
            frame_sha256: provenance
                .frame_sha256()
                .map(|digest| HEXLOWER.encode(&digest)),
        }
    }
}

#[pymethods]
impl Provenance {
    #[new]
    #[pyo3(signature = (
        format = None, width = None, height = None, bytes = None, md5 = None, sha1 = None,
        sha256 = None, frame_sha256 = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "fields of a record")]
    fn create(
        format: Option<String>,
        width: Option<u32>,
        height: Option<u32>,
        bytes: Option<u64>,
        md5: Option<String>,
        sha1: Option<String>,
        sha256: Option<String>,
        frame_sha256: Option<String>,
    ) -> Self {
        Self {
            format,
            width,
            height,
            bytes,
            md5,
            sha1,
            sha256,
            frame_sha256,
        }
    }

    fn __repr__(&self) -> String {
        let text =
            |field: &Option<String>| field.as_ref().map_or("None".into(), |f| format!("{f:?}"));
        let number = |field: Option<u64>| field.map_or("None".into(), |n| n.to_string());
        format!(
            "Provenance(format={}, width={}, height={}, bytes={}, md5={}, sha1={}, sha256={}, frame_sha256={})",
            text(&self.format),
            number(self.width.map(u64::from)),
            number(self.height.map(u64::from)),
            number(self.bytes),
            text(&self.md5),
            text(&self.sha1),
            text(&self.sha256),
            text(&self.frame_sha256),
        )
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let fields = (
            &self.format,
            self.width,
            self.height,
            self.bytes,
            &self.md5,
            &self.sha1,
            &self.sha256,
            &self.frame_sha256,
        );
        let fields = fields.into_pyobject(py)?.into_any();
        Ok((py.get_type::<Self>().into_any(), fields))
    }
}
