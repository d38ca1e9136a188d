//! What is known of one image in the end.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::path::PathText;
use crate::policy::{Decision, Policy};

/// The version of the record that this crate writes.
///
/// Fields are only ever added within a version. Lines of before there were versions read as 0.
pub const SCHEMA_VERSION: u32 = 1;

/// How an image fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The service answered with weights.
    Classified,
    /// There is no verdict; `error` says why.
    #[default]
    Failed,
}

/// What came of looking the hashes of the original file up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HashLookup {
    /// The file is known content.
    Match,
    /// No hash of it is on the service's list.
    NoMatch,
    /// It was tried, and there was no answer: nothing is known.
    Failed,
}

/// How far an image got that has no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeliveryWord {
    /// The service has not seen it.
    NotSent,
    /// The service may have seen it, and may bill it.
    Unknown,
    /// The service answered, with an error.
    Answered,
}

/// Why an image has no verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordError {
    /// A stable word, for programs.
    pub kind: Cow<'static, str>,
    /// What happened, for people.
    pub message: String,
    /// Whether the same image may succeed later, unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transient: Option<bool>,
    /// Whether the service has seen the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryWord>,
}

/// What the service says about an image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Scores {
    /// Overall probability, 0 to 1: the one for a decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcsam: Option<f32>,
    /// How undecided the classifier is; may exceed 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entropy: Option<f32>,
    /// Whether a hash is on the service's list of known content; absent when there was no answer to that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_match: Option<bool>,
    /// Every label as the service named it, with its weight.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, f32>,
}

/// What was done with the file because of its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ActionKind {
    /// It was moved into another folder.
    Move,
    /// It was copied into another folder, or into a store.
    Copy,
    /// The object got a tag.
    Tag,
    /// A program was run with it.
    Exec,
}

/// An action that was taken, or that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordAction {
    /// What was done.
    pub kind: ActionKind,
    /// Where the file is now, or its copy, as a path or URL; U+FFFD stands for what is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Why it could not be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The outcome of one image. Its JSON has stable names; a field without a value is left out.
///
/// A new record has failed: only [`answered`](Self::answered) makes it classified. So what is forgotten on
/// the way is never taken for a verdict.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "Outcome", title = "Outcome of one image")
)]
#[non_exhaustive]
pub struct Record {
    /// Version of this record: see [`SCHEMA_VERSION`].
    #[serde(default)]
    pub schema: u32,
    /// What the caller calls the image: an upload's id, a job's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The image's path, or the name under which it was uploaded.
    #[serde(flatten)]
    pub path: Option<PathText>,
    /// Where the image was fetched from, without credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The store's ETag of the object that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The store's version of the object that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_version: Option<String>,
    /// How the image fared.
    pub status: Status,
    /// Why there is no verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RecordError>,
    /// What the service says.
    #[serde(flatten)]
    pub scores: Scores,
    /// What came of looking its hashes up; absent when that was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_lookup: Option<HashLookup>,
    /// What a policy makes of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// The rule that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The version of the policy, or a digest of its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<String>,
    /// What was done with the file because of all this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<RecordAction>,
    /// Format of the file, told from its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Width in pixels, upright.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height in pixels, upright.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Size of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// MD5 of the file, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
    /// SHA-1 of the file, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha1: Option<String>,
    /// SHA-256 of the file, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Frames of an animation that were judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<u32>,
    /// Of those: the one whose verdict this is, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<u32>,
    /// Name of the image with the same content whose verdict this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<String>,
    /// The id under which the image was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The deployment that it was sent to; absent for single calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// On whose behalf it was sent, where the caller named somebody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affiliate: Option<String>,
    /// How often it was handed to the service: what may be billed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sends: Option<u32>,
    /// How often it was tried, by whoever delivers it again after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// `true`: given up, though it may not be the image's fault; its job is among the dead letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead: Option<bool>,
    /// What its job gave along, unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<serde_json::Value>,
    /// Milliseconds from having the file to the verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_ms: Option<f64>,
    /// When the image came in: RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<String>,
    /// When the image was finished: RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The version of Athena's client that judged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_version: Option<String>,
}

impl Record {
    /// A record of which nothing is known yet.
    fn empty() -> Self {
        Self {
            schema: SCHEMA_VERSION,
            client_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            ..Self::default()
        }
    }

    /// The record of a file.
    pub fn of_path(path: &Path) -> Self {
        Self {
            path: Some(path.into()),
            ..Self::empty()
        }
    }

    /// The record of an image that lies at a URL, which holds no credentials.
    pub fn of_url(url: impl Into<String>) -> Self {
        Self {
            url: Some(url.into()),
            ..Self::empty()
        }
    }

    /// The record of an image that its caller calls so.
    pub fn with_key(key: impl Into<String>) -> Self {
        Self {
            key: Some(key.into()),
            ..Self::empty()
        }
    }

    /// The record of an answer of which nothing but its correlation id is known.
    pub fn with_correlation_id(id: impl Into<String>) -> Self {
        Self {
            correlation_id: Some(id.into()),
            ..Self::empty()
        }
    }

    /// What people know the image by: its path, URL, key or correlation id.
    pub fn name(&self) -> &str {
        let path = self.path.as_ref().map(|path| path.path.as_str());
        path.or(self.url.as_deref())
            .or(self.key.as_deref())
            .or(self.correlation_id.as_deref())
            .unwrap_or("?")
    }

    /// Notes why there is no verdict.
    pub fn fail(&mut self, kind: impl Into<Cow<'static, str>>, message: impl Into<String>) {
        self.status = Status::Failed;
        self.error = Some(RecordError {
            kind: kind.into(),
            message: message.into(),
            transient: None,
            delivery: None,
        });
    }

    /// Notes what the policy makes of the record as it stands.
    pub fn decide(&mut self, policy: &Policy) {
        let (decision, why) = policy.decide(self);
        self.decision = Some(decision);
        self.why = Some(why.into_owned());
        self.policy_version = Some(policy.version().to_owned());
    }

    /// The weight of a label, by its full name or without the service's prefix, in any case.
    pub fn weight(&self, label: &str) -> Option<f32> {
        let found = self.scores.weights.iter().find(|(name, _)| {
            name.eq_ignore_ascii_case(label) || short_label(name).eq_ignore_ascii_case(label)
        });
        found.map(|(_, weight)| *weight)
    }
}

/// A label without the prefix that all of its kind share.
pub fn short_label(label: &str) -> &str {
    label.strip_prefix("UnknownCSAM-").unwrap_or(label)
}

/// The most that a label's weight may be: 1, since weights are probabilities; of the one that is none, entropy in nats, 10:
/// it is ln(n) for n categories at most, and more than 20,000 would be needed.
pub fn most_weight(label: &str) -> f32 {
    match short_label(label).eq_ignore_ascii_case("Entropy") {
        true => 10.0,
        false => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_as_it_was_written() {
        let mut record = Record::of_path(Path::new("a\nb.jpg"));
        record
            .scores
            .weights
            .insert("UnknownCSAM-PCSAM".into(), 0.25);
        record.scores.pcsam = Some(0.25);
        let line = serde_json::to_string(&record).expect("serialise");
        assert!(!line.contains('\n'));
        let back: Record = serde_json::from_str(&line).expect("deserialise");
        assert_eq!(back, record);
        assert_eq!(back.weight("pcsam"), Some(0.25));
    }

    #[test]
    fn a_new_record_has_no_verdict() {
        for record in [Record::with_key("a"), Record::of_path(Path::new("a"))] {
            assert_eq!(record.status, Status::Failed);
            assert_eq!(record.schema, SCHEMA_VERSION);
        }
    }

    #[test]
    fn lines_of_before_there_were_versions_still_read() {
        let line = r#"{"path":"a.jpg","status":"failed","error":{"kind":"truncated","message":"x"},
            "known_match":false,"weights":{"KnownCSAM-MD5":0.0},"bytes":7,"md5":"00","time":"2026-01-01T00:00:00.000Z"}"#;
        let record: Record = serde_json::from_str(line).expect("deserialise");
        assert_eq!(record.schema, 0);
        assert_eq!(record.name(), "a.jpg");
        assert_eq!(record.scores.known_match, Some(false));
        assert_eq!(record.error.expect("error").transient, None);
        let collected = r#"{"correlation_id":"7","status":"classified","pcsam":0.5}"#;
        let record: Record = serde_json::from_str(collected).expect("deserialise");
        assert!(record.path.is_none());
        assert_eq!(record.name(), "7");
    }

    #[test]
    fn fields_of_later_versions_are_no_error() {
        let line = r#"{"schema":2,"key":"a","status":"classified","new":{"x":1}}"#;
        assert!(serde_json::from_str::<Record>(line).is_ok());
    }
}
