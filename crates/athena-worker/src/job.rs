//! A job: what an image is called, and where it is.

use athena_gateway::TraceContext;
use athena_outcome::{PathText, Record};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::seam::Message;

/// The version of jobs that this crate writes and reads.
pub const JOB_SCHEMA: u32 = 1;

/// One image to judge.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Job {
    /// What its outcome is called: one outcome for a key.
    pub key: String,
    /// Where the image is.
    pub source: Source,
    /// On whose behalf; the worker's own affiliate where it is not said.
    pub affiliate: Option<String>,
    /// Frames of an animation that are judged at most, of which the worst counts.
    pub frames: u32,
    /// Comes back with the outcome.
    pub context: Option<Value>,
    /// The name of the file, as its sender says: the outcome's path.
    pub name: Option<String>,
    /// The trace that it is part of: headers, however the rest is written.
    pub trace: Option<TraceContext>,
}

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the job.
    Bytes(Bytes),
    /// At a URL.
    Url(String),
}

/// What a job may have.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct JobLimits {
    /// Bytes of a key. Default: 1,024, as long as keys of object stores.
    pub key_bytes: usize,
    /// Bytes of a URL. Default: 4,096.
    pub url_bytes: usize,
    /// Bytes of the context, as JSON. Default: 4,096.
    pub context_bytes: usize,
    /// Bytes of the file's name. Default: 1,024.
    pub name_bytes: usize,
    /// Bytes of the image. Default: 32 MiB.
    pub image_bytes: usize,
}

impl Default for JobLimits {
    fn default() -> Self {
        Self {
            key_bytes: 1024,
            url_bytes: 4096,
            context_bytes: 4096,
            name_bytes: 1024,
            image_bytes: 32 << 20,
        }
    }
}

/// Frames of one animation that a job may have judged: each is decoded, sent and billed.
const MOST_FRAMES: u32 = 64;

/// A message that is not a job, and never will be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct JobError {
    /// The job's key, where that much could be read.
    pub key: Option<String>,
    /// Whether it is a sound job of an image that is too large.
    pub too_large: bool,
    problem: String,
}

/// The JSON of a job.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(default = "first_schema")]
    schema: u32,
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    affiliate: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frames: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

fn first_schema() -> u32 {
    JOB_SCHEMA
}

impl Job {
    /// An image in the job itself.
    pub fn of_bytes(key: impl Into<String>, image: impl Into<Bytes>) -> Self {
        Self::new(key.into(), Source::Bytes(image.into()))
    }

    /// An image at a URL.
    pub fn of_url(key: impl Into<String>, url: impl Into<String>) -> Self {
        Self::new(key.into(), Source::Url(url.into()))
    }

    fn new(key: String, source: Source) -> Self {
        Self {
            key,
            source,
            affiliate: None,
            frames: 1,
            context: None,
            name: None,
            trace: None,
        }
    }

    /// The record of its image, of which nothing more is known yet.
    pub(crate) fn record(&self) -> Record {
        let mut record = Record::with_key(&*self.key);
        record.path = self.name.clone().map(|path| PathText {
            path,
            path_bytes: None,
        });
        record.affiliate.clone_from(&self.affiliate);
        record.context.clone_from(&self.context);
        record
    }

    /// The job as JSON. An image in it takes a third more than as [a body](Message::key) of its own.
    pub fn to_json(&self) -> Vec<u8> {
        let (url, data) = match &self.source {
            Source::Url(url) => (Some(url.clone()), None),
            Source::Bytes(bytes) => (None, Some(STANDARD.encode(bytes))),
        };
        let wire = Wire {
            schema: JOB_SCHEMA,
            key: self.key.clone(),
            url,
            data,
            affiliate: self.affiliate.clone(),
            frames: (self.frames > 1).then_some(self.frames),
            context: self.context.clone(),
            name: self.name.clone(),
        };
        serde_json::to_vec(&wire).expect("strings and numbers are JSON")
    }

    /// Reads a job.
    ///
    /// # Errors
    /// When the message is none: it is not tried again.
    pub fn read(message: &Message, limits: &JobLimits) -> Result<Self, JobError> {
        if let Some(problem) = &message.problem {
            return Err(JobError {
                key: key_of(&message.body, limits),
                too_large: false,
                problem: problem.clone(),
            });
        }
        let job = match &message.key {
            Some(key) => Self::of_image(message, key, limits),
            None => Self::of_json(&message.body, limits),
        };
        job.map(|job| Self {
            trace: message.trace.clone(),
            ..job
        })
    }

    fn of_image(message: &Message, key: &str, limits: &JobLimits) -> Result<Self, JobError> {
        let fail = |problem: String| JobError {
            key: Some(key.to_owned()),
            too_large: false,
            problem,
        };
        let frames = match message.frames.as_deref().map(str::parse) {
            None => 1,
            Some(Ok(frames)) => frames,
            Some(Err(_)) => return Err(fail("the header of frames is not a number".to_owned())),
        };
        let context = match message.context.as_deref().map(serde_json::from_str) {
            None => None,
            Some(Ok(context)) => Some(context),
            Some(Err(_)) => return Err(fail("the header of the context is not JSON".to_owned())),
        };
        Self {
            affiliate: message.affiliate.clone(),
            frames,
            context,
            name: message.file.clone(),
            ..Self::of_bytes(key, message.body.clone())
        }
        .checked(limits)
    }

    fn of_json(body: &[u8], limits: &JobLimits) -> Result<Self, JobError> {
        let wire: Wire = serde_json::from_slice(body).map_err(|error| JobError {
            key: key_of(body, limits),
            too_large: false,
            // Where it went wrong, and not what stands there.
            problem: format!("no job: line {}, column {}", error.line(), error.column()),
        })?;
        let fail = |problem: &str| JobError {
            key: Some(wire.key.clone()),
            too_large: false,
            problem: problem.to_owned(),
        };
        if wire.schema != JOB_SCHEMA {
            return Err(fail("its schema is one that this worker does not know"));
        }
        let source = match (wire.url, wire.data) {
            (Some(url), None) => Source::Url(url),
            (None, Some(data)) => match STANDARD.decode(data) {
                Ok(bytes) => Source::Bytes(bytes.into()),
                Err(_) => return Err(fail("data is not base64")),
            },
            _ => return Err(fail("it needs either a url or data")),
        };
        Self {
            affiliate: wire.affiliate,
            frames: wire.frames.unwrap_or(1),
            context: wire.context,
            name: wire.name,
            ..Self::new(wire.key, source)
        }
        .checked(limits)
    }

    /// Whether its key, name, affiliate and context are such as a job may have, and the number of frames. The image is
    /// not looked at: what is wrong with it is its outcome.
    ///
    /// # Errors
    /// Which is not.
    pub fn check(&self, limits: &JobLimits) -> Result<(), JobError> {
        let fail = |problem: String| JobError {
            key: is_key(&self.key, limits).then(|| self.key.clone()),
            too_large: false,
            problem,
        };
        if !is_key(&self.key, limits) {
            let most = limits.key_bytes;
            return Err(fail(format!(
                "a key has 1 to {most} bytes and no control characters"
            )));
        }
        if !(1..=MOST_FRAMES).contains(&self.frames) {
            return Err(fail(format!("frames: from 1 to {MOST_FRAMES}")));
        }
        if let Some(context) = &self.context
            && context.to_string().len() > limits.context_bytes
        {
            let most = limits.context_bytes;
            return Err(fail(format!("the context has more than {most} bytes")));
        }
        if let Some(name) = &self.name
            && !is_text(name, limits.name_bytes)
        {
            let most = limits.name_bytes;
            return Err(fail(format!(
                "a name has 1 to {most} bytes and no control characters"
            )));
        }
        if let Some(affiliate) = &self.affiliate
            && !is_text(affiliate, athena_client::MAX_ID_BYTES)
        {
            let most = athena_client::MAX_ID_BYTES;
            return Err(fail(format!(
                "an affiliate has 1 to {most} bytes and no control characters"
            )));
        }
        Ok(())
    }

    fn checked(self, limits: &JobLimits) -> Result<Self, JobError> {
        self.check(limits)?;
        let fail = |problem: String| JobError {
            key: Some(self.key.clone()),
            too_large: false,
            problem,
        };
        match &self.source {
            Source::Bytes(bytes) if bytes.is_empty() => Err(fail("the image has no bytes".into())),
            Source::Bytes(bytes) if bytes.len() > limits.image_bytes => Err(JobError {
                too_large: true,
                ..fail(format!("more than {} bytes", limits.image_bytes))
            }),
            Source::Url(url) if url.is_empty() || url.len() > limits.url_bytes => {
                let most = limits.url_bytes;
                Err(fail(format!("a URL has 1 to {most} bytes")))
            }
            _ => Ok(self),
        }
    }
}

fn is_key(key: &str, limits: &JobLimits) -> bool {
    is_text(key, limits.key_bytes)
}

fn is_text(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && !text.contains(char::is_control)
}

/// The key of what is not a job otherwise, so that its outcome is found under it.
fn key_of(body: &[u8], limits: &JobLimits) -> Option<String> {
    #[derive(Deserialize)]
    struct Key {
        key: String,
    }
    let Key { key } = serde_json::from_slice(body).ok()?;
    is_key(&key, limits).then_some(key)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn message(body: &[u8]) -> Message {
        Message {
            name: "JOBS:1".to_owned(),
            body: Bytes::copy_from_slice(body),
            key: None,
            affiliate: None,
            frames: None,
            context: None,
            file: None,
            trace: None,
            attempt: 1,
            first_seen: SystemTime::UNIX_EPOCH,
            problem: None,
        }
    }

    fn read(text: &str) -> Result<Job, JobError> {
        Job::read(&message(text.as_bytes()), &JobLimits::default())
    }

    #[test]
    fn a_job_reads_back_as_it_was_written() {
        let mut job = Job::of_bytes("upload/7", &b"image"[..]);
        job.affiliate = Some("acme".to_owned());
        job.frames = 8;
        job.context = Some(serde_json::json!({"post": 9}));
        job.name = Some("photo \u{e9}.jpg".to_owned());
        let limits = JobLimits::default();
        assert_eq!(Job::read(&message(&job.to_json()), &limits), Ok(job));
        let job = Job::of_url("upload/8", "s3://bucket/a.jpg");
        assert_eq!(Job::read(&message(&job.to_json()), &limits), Ok(job));
    }

    #[test]
    fn an_image_is_a_job_by_its_header() {
        let mut message = message(b"\x89PNG");
        message.key = Some("a".to_owned());
        message.context = Some("[1]".to_owned());
        message.frames = Some("3".to_owned());
        message.file = Some("a.png".to_owned());
        let job = Job::read(&message, &JobLimits::default()).expect("a job");
        assert_eq!(job.source, Source::Bytes(Bytes::from_static(b"\x89PNG")));
        assert_eq!(job.context, Some(serde_json::json!([1])));
        assert_eq!(job.frames, 3);
        assert_eq!(job.record().name(), "a.png");
        message.frames = Some("all".to_owned());
        let error = Job::read(&message, &JobLimits::default()).expect_err("no number");
        assert_eq!(error.key.as_deref(), Some("a"));
    }

    #[test]
    fn what_is_no_job_is_called_by_its_key_where_it_has_one() {
        for (text, key) in [
            ("", None),
            ("{", None),
            (r#"{"key":"a"}"#, Some("a")),
            (r#"{"key":"a","url":"x","data":"eA=="}"#, Some("a")),
            (r#"{"key":"a","url":"x","wrong":1}"#, Some("a")),
            (r#"{"key":"a","url":"x","schema":2}"#, Some("a")),
            (r#"{"key":"a","data":"%"}"#, Some("a")),
            (r#"{"key":"a","data":""}"#, Some("a")),
            (r#"{"key":"a","url":"x","frames":65}"#, Some("a")),
            (r#"{"key":"a","url":"x","name":""}"#, Some("a")),
            (r#"{"key":"a","url":"x","name":"a\nb"}"#, Some("a")),
            (r#"{"key":"","url":"x"}"#, None),
            ("{\"key\":\"a\\n\",\"url\":\"x\"}", None),
        ] {
            let error = read(text).expect_err(text);
            assert_eq!(error.key.as_deref(), key, "{text}");
        }
    }

    #[test]
    fn what_could_not_be_handed_out_is_no_job() {
        let mut message = message(br#"{"key":"a","url":"x"}"#);
        message.problem = Some("headers".to_owned());
        let error = Job::read(&message, &JobLimits::default()).expect_err("no job");
        assert_eq!(
            (error.key.as_deref(), error.to_string().as_str()),
            (Some("a"), "headers")
        );
    }

    #[test]
    fn nothing_is_longer_than_it_may_be() {
        let long = "x".repeat(5000);
        for text in [
            format!(r#"{{"key":"{long}","url":"x"}}"#),
            format!(r#"{{"key":"a","url":"{long}"}}"#),
            format!(r#"{{"key":"a","url":"x","context":"{long}"}}"#),
            format!(r#"{{"key":"a","url":"x","affiliate":"{long}"}}"#),
            format!(r#"{{"key":"a","url":"x","name":"{long}"}}"#),
        ] {
            assert!(read(&text).is_err());
        }
        let limits = JobLimits {
            image_bytes: 3,
            ..JobLimits::default()
        };
        let job = Job::of_bytes("a", &b"1234"[..]);
        let error = Job::read(&message(&job.to_json()), &limits).expect_err("too large");
        assert!(error.too_large);
    }
}
