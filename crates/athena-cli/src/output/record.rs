//! What is known of one image in the end: the line of JSON, the row of a table.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use athena_client::Verdict;
use serde::{Deserialize, Serialize};

/// How an image fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// The service answered with weights.
    Classified,
    /// There is no verdict; `error` says why.
    Failed,
}

/// A path as JSON can hold it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PathText {
    /// The path, with U+FFFD for what is not UTF-8.
    pub(crate) path: String,
    /// The path's bytes in hexadecimal, only when they are not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path_bytes: Option<String>,
}

impl From<&Path> for PathText {
    fn from(path: &Path) -> Self {
        let text = path.to_string_lossy();
        let path_bytes = match &text {
            Cow::Borrowed(_) => None,
            Cow::Owned(_) => Some(hex(path.as_os_str().as_encoded_bytes())),
        };
        Self {
            path: text.into_owned(),
            path_bytes,
        }
    }
}

impl PathText {
    /// The path again; none where this system cannot have it.
    pub(crate) fn to_path(&self) -> Option<PathBuf> {
        let Some(digits) = &self.path_bytes else {
            return Some(PathBuf::from(&self.path));
        };
        let bytes: Option<Vec<u8>> = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
            .collect();
        path_from_bytes(bytes?)
    }
}

#[cfg(unix)]
fn path_from_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Some(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

#[cfg(not(unix))]
fn path_from_bytes(_: Vec<u8>) -> Option<PathBuf> {
    None
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Why an image has no verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordError {
    /// A stable name, for programs.
    pub(crate) kind: Cow<'static, str>,
    /// What happened, for people.
    pub(crate) message: String,
}

/// What the service says about an image.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Scores {
    /// Overall probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pcsam: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) entropy: Option<f32>,
    /// Whether a hash is on the service's list of known content; absent when it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) known_match: Option<bool>,
    /// Every label as the service named it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) weights: BTreeMap<String, f32>,
}

impl From<&Verdict> for Scores {
    fn from(verdict: &Verdict) -> Self {
        Self {
            pcsam: verdict.pcsam(),
            entropy: verdict.entropy(),
            known_match: verdict.hash_checked().then(|| verdict.known_match()),
            weights: (verdict.iter())
                .map(|(label, weight)| (label.to_owned(), weight))
                .collect(),
        }
    }
}

/// One image's line of output. The names are stable and documented in `docs/cli.md`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    #[serde(flatten)]
    pub(crate) path: PathText,
    pub(crate) status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<RecordError>,
    #[serde(flatten)]
    pub(crate) scores: Scores,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) width: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) height: Option<u32>,
    /// Size of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) md5: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sha1: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
    /// Path of the file with the same content whose verdict this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) duplicate_of: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) correlation_id: Option<String>,
    /// Milliseconds from reading the file to the verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) elapsed_ms: Option<f64>,
    /// When the image was finished: RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<String>,
}

impl Record {
    /// A record of which nothing is known yet.
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.into(),
            status: Status::Classified,
            error: None,
            scores: Scores::default(),
            format: None,
            width: None,
            height: None,
            bytes: None,
            md5: None,
            sha1: None,
            sha256: None,
            duplicate_of: None,
            correlation_id: None,
            elapsed_ms: None,
            time: None,
        }
    }

    pub(crate) fn failed(mut self, kind: impl Into<Cow<'static, str>>, message: String) -> Self {
        self.status = Status::Failed;
        self.error = Some(RecordError {
            kind: kind.into(),
            message,
        });
        self
    }

    /// The weight of a label, by its full name or without the service's prefix, in any case.
    pub(crate) fn weight(&self, label: &str) -> Option<f32> {
        let found = self.scores.weights.iter().find(|(name, _)| {
            name.eq_ignore_ascii_case(label) || short_label(name).eq_ignore_ascii_case(label)
        });
        found.map(|(_, weight)| *weight)
    }
}

/// A label without the prefix that all of its kind share.
pub(crate) fn short_label(label: &str) -> &str {
    label.strip_prefix("UnknownCSAM-").unwrap_or(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_not_utf8_keeps_its_bytes() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"a\xff.png"));
        let text = PathText::from(path);
        assert_eq!(text.path, "a\u{fffd}.png");
        assert_eq!(text.path_bytes.as_deref(), Some("61ff2e706e67"));
        assert_eq!(text.to_path().as_deref(), Some(path));
    }

    #[test]
    fn a_line_reads_back_as_it_was_written() {
        let mut record = Record::new(Path::new("a\nb.jpg"));
        record
            .scores
            .weights
            .insert("UnknownCSAM-PCSAM".into(), 0.25);
        record.scores.pcsam = Some(0.25);
        let line = serde_json::to_string(&record).expect("serialise");
        assert!(!line.contains('\n'));
        let back: Record = serde_json::from_str(&line).expect("deserialise");
        assert_eq!(back.path, record.path);
        assert_eq!(back.weight("pcsam"), Some(0.25));
    }
}
