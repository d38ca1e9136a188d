//! The jobs of a stream, as they lie there.

use super::{Lane, Queue, in_time};
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
    queue: Queue,
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
            queue: self.clone(),
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
        let stored = self.queue.raw(&self.name, self.next, ">").await?;
        let Some(stored) = stored.filter(|stored| stored.sequence <= self.last) else {
            return Ok(None);
        };
        self.next = stored.sequence + 1;
        let read = stored.message(&self.name);
        let subject = stored.subject.as_str();
        // STREAM.LANE.KEY, also in copies of the stream.
        let lane = subject.split('.').nth(1);
        let lane = Lane::ALL
            .into_iter()
            .find(|known| Some(known.as_str()) == lane);
        Ok(Some(StreamJob {
            lane,
            job: Job::read(&read, &JobLimits::default()),
            name: read.name,
        }))
    }
}
