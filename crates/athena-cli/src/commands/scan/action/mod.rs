//! `--on-match`: what is done with the files of images that reach a threshold.
//!
//! An action is taken between the verdict and its line, which says how it went. Before it is taken the
//! intent is on disk, so that a run that dies in between is taken up where it was.

mod check;
pub(super) mod evidence;
pub(super) mod exec;
pub(super) mod intents;
mod store;
mod transfer;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use athena_outcome::{ActionKind, PathText, Record, RecordAction};
use athena_sources::{Location, Tag};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

pub(super) use self::check::check;
use self::store::{Carrier, tag_cause};
use super::journal::{Key, Span};
use crate::input::{Remote, location_of};

/// An action asked for on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Move the file into a folder, under the path it has.
    Move(PathBuf),
    /// Copy it there.
    Copy(PathBuf),
    /// Copy the file or object into a store, below a prefix, under the path or key that it has.
    CopyToStore(Location),
    /// Put a tag on the object.
    Tag(Tag),
    /// Run a program with the file's path as its last argument and the result's line on its standard input.
    Exec(Vec<String>),
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((verb @ ("move" | "copy"), to)) if Location::is_meant_by(to) => {
                in_store(verb, to)
            }
            Some(("tag", tag)) => tag.parse().map(Self::Tag),
            Some(("move", folder)) if !folder.is_empty() => Ok(Self::Move(folder.into())),
            Some(("copy", folder)) if !folder.is_empty() => Ok(Self::Copy(folder.into())),
            Some(("exec", command)) if !command.trim().is_empty() => Ok(Self::Exec(
                command.split_whitespace().map(str::to_owned).collect(),
            )),
            _ => Err(
                "expected move:FOLDER, copy:FOLDER, copy:s3://BUCKET/PREFIX/, tag:KEY=VALUE or exec:PROGRAM"
                    .to_owned(),
            ),
        }
    }
}

/// An action whose aim is in a store.
fn in_store(verb: &str, to: &str) -> Result<Action, String> {
    let prefix = location_of(Path::new(to)).ok_or_else(|| "expected a URL".to_owned())?;
    let prefix = prefix.map_err(|error| error.to_string())?;
    if !prefix.store().has_listings() {
        return Err("copies go into a folder, or to s3://, gs:// or az://".to_owned());
    }
    if verb == "move" {
        return Err(format!(
            "nothing is deleted from or for a store: copy:{prefix} copies"
        ));
    }
    match prefix.is_prefix() {
        true => Ok(Action::CopyToStore(prefix)),
        false => Err(format!(
            "copies go below a prefix: end it with `/`: {prefix}/"
        )),
    }
}

impl Action {
    pub(super) fn kind(&self) -> ActionKind {
        match self {
            Self::Move(_) => ActionKind::Move,
            Self::Copy(_) | Self::CopyToStore(_) => ActionKind::Copy,
            Self::Tag(_) => ActionKind::Tag,
            Self::Exec(_) => ActionKind::Exec,
        }
    }

    /// Whether stores must be asked for it.
    pub(super) fn needs_stores(&self) -> bool {
        matches!(self, Self::CopyToStore(_) | Self::Tag(_))
    }
}

/// What has become of a file.
#[derive(Debug)]
pub(super) struct Taken {
    /// Where it, or its copy, is now.
    pub(super) to: Option<PathBuf>,
    /// Its digest when the action began, and that of what is at `to`.
    pub(super) before: String,
    pub(super) after: Option<String>,
}

/// A record whose action is due.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) path: Key,
    pub(super) content: Key,
    pub(super) file: PathBuf,
    pub(super) record: Record,
    /// The line of an earlier run that this one replaces.
    pub(super) replaces: Option<Span>,
}

/// A job whose action was taken, or not: its record says which.
#[derive(Debug)]
pub(super) struct Acted {
    pub(super) job: Job,
    pub(super) taken: Result<Taken, String>,
}

/// Takes actions, several at a time, beside the writing of lines.
#[derive(Debug)]
pub(super) struct Actions {
    action: Arc<Action>,
    carrier: Option<Carrier>,
    timeout: Duration,
    runtime: Handle,
    places: Arc<Semaphore>,
    results: Sender<Acted>,
}

impl Actions {
    /// On the current runtime. `results` gets each job back. `remote` is there where the action needs it.
    pub(super) fn new(
        action: Action,
        remote: Option<Arc<Remote>>,
        jobs: usize,
        timeout: Duration,
        results: Sender<Acted>,
    ) -> Self {
        Self {
            action: Arc::new(action),
            carrier: remote.map(Carrier::new),
            timeout,
            runtime: Handle::current(),
            places: Arc::new(Semaphore::new(jobs)),
            results,
        }
    }

    pub(super) fn kind(&self) -> ActionKind {
        self.action.kind()
    }

    /// Takes the action, now or when one of those before has ended.
    pub(super) fn start(&self, job: Job) {
        let (action, timeout) = (Arc::clone(&self.action), self.timeout);
        let (places, carrier) = (Arc::clone(&self.places), self.carrier.clone());
        let mut promise = Promise {
            job: Some(job),
            kind: action.kind(),
            results: self.results.clone(),
        };
        self.runtime.spawn(async move {
            let Ok(_place) = places.acquire_owned().await else {
                return;
            };
            let taken = match &promise.job {
                Some(job) => take(&action, carrier.as_ref(), timeout, job).await,
                None => return,
            };
            promise.keep(taken);
        });
    }
}

async fn take(
    action: &Arc<Action>,
    carrier: Option<&Carrier>,
    timeout: Duration,
    job: &Job,
) -> Result<Taken, String> {
    match (&**action, carrier) {
        (Action::Exec(words), _) => {
            let line = serde_json::to_vec(&job.record).map_err(|error| error.to_string())?;
            return exec::run(words, timeout, &job.file, &job.record, line).await;
        }
        (Action::CopyToStore(prefix), Some(carrier)) => {
            return carrier.copy(&job.file, &job.record, prefix).await;
        }
        (Action::Tag(tag), Some(carrier)) => return carrier.tag(&job.record, tag).await,
        _ => {}
    }
    let (action, file, record) = (Arc::clone(action), job.file.clone(), job.record.clone());
    let task = tokio::task::spawn_blocking(move || match &*action {
        Action::Move(folder) => transfer::move_into(&file, &record, folder),
        Action::Copy(folder) => transfer::copy_into(&file, &record, folder),
        _ => Err("it is not a transfer".to_owned()),
    });
    task.await
        .unwrap_or_else(|_| Err("it failed inside".to_owned()))
}

/// Whatever ends the task of a job, its writer hears of it.
struct Promise {
    job: Option<Job>,
    kind: ActionKind,
    results: Sender<Acted>,
}

impl Promise {
    fn keep(&mut self, taken: Result<Taken, String>) {
        let Some(mut job) = self.job.take() else {
            return;
        };
        let (to, error) = match &taken {
            Ok(taken) => (taken.to.as_deref(), None),
            Err(why) => (None, Some(why.clone())),
        };
        job.record.action = Some(RecordAction {
            kind: self.kind,
            to: to.map(|to| PathText::from(to).path),
            error,
        });
        // A writer that has failed has an error of its own.
        let _ = self.results.send(Acted { job, taken });
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.keep(Err("it was stopped".to_owned()));
    }
}
