//! Which jobs an input stands for: files, folders, URLs, prefixes of stores, lists of any of these.

use std::path::PathBuf;

use athena_sources::Location;
use athena_worker::jetstream::StreamJobs;
use athena_worker::{Job, Lane, Source};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::queue_failure;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, one_line};
use crate::input::{Input, InputArgs, Order, Sighting};

/// One job that is to be.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) key: String,
    /// The lane that it had before.
    pub(crate) lane: Option<Lane>,
    what: What,
}

#[derive(Debug)]
enum What {
    /// The image is read when its turn comes; until then the job has no bytes.
    File(PathBuf, Job),
    Job(Job),
}

/// What an input comes to.
#[derive(Debug)]
pub(crate) enum Entry {
    Job(Listed),
    /// The name of what is no job, and why.
    None(String, String),
    /// Everything comes once more from here on: see [`Sighting::Again`].
    Again,
}

/// Everything that an input stands for. What a store has not listed ends it.
pub(crate) type Listing<'a> = BoxStream<'a, Outcome<Entry>>;

impl Listed {
    fn of_job(job: Job) -> Self {
        Self {
            key: job.key.clone(),
            lane: None,
            what: What::Job(job),
        }
    }

    fn of_file(path: PathBuf, job: Job) -> Self {
        Self {
            key: job.key.clone(),
            lane: None,
            what: What::File(path, job),
        }
    }

    /// Reads the image, where it is a file of this machine, if it has at most so many bytes.
    pub(crate) fn job(self, most: usize) -> Result<Job, String> {
        match self.what {
            What::Job(job) => Ok(job),
            What::File(path, mut job) => {
                let bytes = Input::File(path).read(most as u64);
                let bytes = bytes.map_err(|error| crate::failure::reason(&error))?;
                if bytes.is_empty() {
                    return Err("the file has no bytes".to_owned());
                }
                if bytes.len() > most {
                    return Err(format!(
                        "more than {most} bytes, which is what a job has room for (max_payload of the server): \
                         put it into a store, and submit its URL"
                    ));
                }
                job.source = Source::Bytes(bytes.into());
                Ok(job)
            }
        }
    }

    /// The job as JSON, with the path in place of the bytes of a file.
    pub(crate) fn to_json(&self) -> Value {
        match &self.what {
            What::File(path, job) => {
                let value = serde_json::json!({"key": self.key, "path": path.to_string_lossy()});
                described(value, job)
            }
            // A job that has its image with it: no line for a list, and long.
            What::Job(job) if matches!(job.source, Source::Bytes(_)) => {
                described(serde_json::json!({"key": self.key}), job)
            }
            What::Job(job) => serde_json::from_slice(&job.to_json()).unwrap_or(Value::Null),
        }
    }
}

/// With what else a job says.
fn described(mut value: Value, job: &Job) -> Value {
    if let Some(affiliate) = &job.affiliate {
        value["affiliate"] = affiliate.as_str().into();
    }
    if job.frames > 1 {
        value["frames"] = job.frames.into();
    }
    if let Some(context) = &job.context {
        value["context"] = context.clone();
    }
    if let Some(name) = &job.name {
        value["name"] = name.as_str().into();
    }
    value
}

/// Images found ahead of their jobs.
const AHEAD: usize = 256;

/// Everything that the input stands for, found while it is asked for.
pub(crate) fn listing(args: &InputArgs) -> Outcome<Listing<'static>> {
    let selection = args.select(Order::AsListed)?.with_names_as_given();
    // A list may lie in a store, and its first lines are read now.
    let found = tokio::task::block_in_place(|| selection.images())?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    // It waits for disks and stores. It ends when nobody asks any more.
    std::thread::spawn(move || {
        for found in found {
            if sender.blocking_send(found).is_err() {
                return;
            }
        }
    });
    Ok(ReceiverStream::new(receiver).map(entry).boxed())
}

/// The jobs that a stream has.
pub(crate) fn of_stream(jobs: StreamJobs) -> Listing<'static> {
    let listing = stream::unfold(Some(jobs), |jobs| async {
        let mut jobs = jobs?;
        let next = match jobs.next().await.map_err(|error| queue_failure(&error)) {
            Ok(next) => next?,
            Err(failure) => return Some((Err(failure), None)),
        };
        let entry = match next.job {
            Ok(job) => Entry::Job(Listed {
                lane: next.lane,
                ..Listed::of_job(job)
            }),
            Err(error) => Entry::None(next.name, error.to_string()),
        };
        Some((Ok(entry), Some(jobs)))
    });
    listing.boxed()
}

fn entry(sighting: Sighting) -> Outcome<Entry> {
    let found = match sighting {
        Sighting::Found(found) => found,
        Sighting::Again => return Ok(Entry::Again),
    };
    let path = match found {
        Ok(Input::Object(object)) => {
            let job = Job::of_url(object.location.to_string(), object.location.address());
            return Ok(Entry::Job(Listed::of_job(job)));
        }
        Ok(input) => input.path().into_owned(),
        Err(unreadable) => {
            let name = unreadable.path.to_string_lossy();
            return match unreadable.hopeless {
                Some(exit) => Err(Failure::new(exit, unreadable.reason)),
                // What a store has not listed may be any number of images.
                None if unreadable.lost && Location::is_meant_by(&name) => {
                    Err(Failure::new(Exit::Unreachable, unreadable.reason))
                }
                None => Ok(Entry::None(one_line(&name), unreadable.reason)),
            };
        }
    };
    let Some(text) = path.to_str().map(str::to_owned) else {
        let why = "its name is not UTF-8, and a key is".to_owned();
        return Ok(Entry::None(one_line(&path.to_string_lossy()), why));
    };
    if text.starts_with('{') {
        let value = serde_json::from_str(&text).map_err(|error| error.to_string());
        return Ok(match value.and_then(|value| of_json(&value)) {
            Ok(listed) => Entry::Job(listed),
            Err(why) => Entry::None(one_line(&text), why),
        });
    }
    let job = Job::of_bytes(text, Bytes::new());
    Ok(Entry::Job(Listed::of_file(path, job)))
}

/// A line of a list that is a job: `{"key", "url" | "path", "affiliate"?, "frames"?, "context"?, "name"?}`.
fn of_json(value: &Value) -> Result<Listed, String> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let key = text("key").ok_or("there is no key in it")?;
    let (mut job, path) = match (text("url"), text("path")) {
        (Some(url), None) => (Job::of_url(key, url), None),
        (None, Some(path)) => (Job::of_bytes(key, Bytes::new()), Some(path)),
        _ => return Err("it needs either a url or a path".to_owned()),
    };
    job.affiliate = text("affiliate");
    job.name = text("name");
    if let Some(frames) = value.get("frames") {
        let frames = frames
            .as_u64()
            .and_then(|frames| u32::try_from(frames).ok());
        job.frames = frames.ok_or("frames is not a number")?;
    }
    job.context = value.get("context").cloned();
    Ok(match path {
        Some(path) => Listed::of_file(path.into(), job),
        None => Listed::of_job(job),
    })
}
