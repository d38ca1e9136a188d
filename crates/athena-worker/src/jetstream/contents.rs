//! The jobs of a stream, as they lie there.

use std::time::SystemTime;

use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use tokio::time::timeout;

use super::intake::message;
use super::{Lane, PATIENCE, Queue, in_time};
use crate::job::{Job, JobError, JobLimits};
use crate::seam::QueueError;

/// A message of a stream of jobs.
#[derive(Debug)]
#[non_exhaustive]
pub struct StreamJob {
    /// The stream, and its number there.
    pub name: String,
    /// The lane that it was submitted by, where its subject says so.
    pub lane: Option<Lane>,
    /// The job, or why it is none.
    pub job: Result<Job, JobError>,
}

/// Reads the jobs of a stream. Nothing is taken out of it: each is asked for by its number, since a queue that forgets what
/// is done gives its messages to its own consumers only.
#[derive(Debug)]
pub struct StreamJobs {
    stream: Stream,
    name: String,
    next: u64,
    last: u64,
}

impl Queue {
    /// The jobs that a stream has now: this queue's own, its dead letters, or a copy of the jobs that somebody keeps (a
    /// mirror, or a stream with sources).
    ///
    /// # Errors
    /// When the server does not answer, or has no such stream.
    pub async fn jobs_of(&self, stream: &str) -> Result<StreamJobs, QueueError> {
        let what = format!("the stream {stream}");
        let stream_of = self.context.get_stream(stream);
        let found = in_time(&what, stream_of).await?;
        Ok(StreamJobs {
            name: stream.to_owned(),
            next: 1,
            last: found.cached_info().state.last_sequence,
            stream: found,
        })
    }
}

impl StreamJobs {
    /// The next one; none after the last that there was at the beginning.
    ///
    /// # Errors
    /// When the server does not go on.
    pub async fn next(&mut self) -> Result<Option<StreamJob>, QueueError> {
        if self.next > self.last {
            return Ok(None);
        }
        let asked = self.stream.raw_message_builder().sequence(self.next);
        let stored = match timeout(PATIENCE, asked.next_by_subject(">").send()).await {
            Ok(Ok(stored)) if stored.sequence <= self.last => stored,
            Ok(Ok(_)) => return Ok(None),
            Ok(Err(error)) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                return Ok(None);
            }
            Ok(Err(error)) => return Err(QueueError::because(self.name.as_str(), error)),
            Err(_) => {
                let what = format!("{}: no answer in time", self.name);
                return Err(QueueError::new(what));
            }
        };
        self.next = stored.sequence + 1;
        let name = format!("{}:{}", self.name, stored.sequence);
        let seen = SystemTime::from(stored.time);
        let read = message(name.clone(), stored.payload, &stored.headers, 1, seen);
        let subject = stored.subject.as_str();
        // STREAM.LANE.KEY, also in copies of the stream.
        let lane = subject.split('.').nth(1);
        let lane = Lane::ALL
            .into_iter()
            .find(|known| Some(known.as_str()) == lane);
        Ok(Some(StreamJob {
            lane,
            job: Job::read(&read, &JobLimits::default()),
            name,
        }))
    }
}
