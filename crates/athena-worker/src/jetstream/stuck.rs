//! Jobs that are in the stream and that no consumer delivers any more.
//!
//! A server that has given a job up after its own count of deliveries keeps it, and so does one that was killed before it
//! had written down that a job is gone (seen with 2.9.10).

use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use std::time::SystemTime;
use tokio::time::timeout;

use super::intake::message;
use super::{Lane, PATIENCE, Queue, in_time};
use crate::job::{Job, JobLimits};
use crate::seam::{Outcomes, QueueError};

/// What has become of stuck jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Released {
    /// They had an outcome, and are gone.
    pub done: u64,
    /// They had none, and are queued again.
    pub queued: u64,
}

impl Queue {
    /// Removes stuck jobs that have an outcome, and queues the others again: the new message is there before the old one
    /// goes.
    ///
    /// # Errors
    /// When the server does not do one of these; what was done so far remains, and the rest can be done again.
    pub async fn release(&self) -> Result<Released, QueueError> {
        let mut released = Released::default();
        for lane in Lane::ALL {
            self.release_lane(lane, &mut released).await?;
        }
        Ok(released)
    }

    async fn release_lane(&self, lane: Lane, released: &mut Released) -> Result<(), QueueError> {
        let name = Self::consumer_name(lane);
        let info = in_time(&name, self.jobs.consumer_info(&name)).await?;
        // Everything below the floor is settled as far as the consumer knows. One that has nothing to deliver and nothing
        // out is through with all that it has delivered.
        let through = match (info.num_pending, info.num_ack_pending) {
            (_, 0) => info.delivered.stream_sequence,
            _ => info.ack_floor.stream_sequence,
        };
        let subject = format!("{}.{}.>", self.names.jobs, lane.as_str());
        let mut from = 1;
        loop {
            let next = self.jobs.raw_message_builder().sequence(from);
            let next = next.next_by_subject(subject.as_str()).send();
            let stuck = match timeout(PATIENCE, next).await {
                Ok(Ok(stuck)) if stuck.sequence <= through => stuck,
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                    return Ok(());
                }
                Ok(Err(error)) => return Err(QueueError::because("a stuck job", error)),
                Err(_) => return Err(QueueError::new("a stuck job: no answer in time")),
            };
            from = stuck.sequence + 1;
            let name = format!("{}:{}", self.names.jobs, stuck.sequence);
            let seen = SystemTime::from(stuck.time);
            let job = message(name, stuck.payload.clone(), &stuck.headers, 1, seen);
            let key = match Job::read(&job, &JobLimits::default()) {
                Ok(job) => job.key,
                Err(error) => error.key.unwrap_or(job.name),
            };
            if self.outcomes().find(&key).await?.is_some() {
                released.done += 1;
            } else {
                let mut again = PublishMessage::build().payload(stuck.payload);
                for (name, values) in stuck.headers.iter() {
                    let name = name.to_string();
                    for value in values.iter().filter(|_| !name.starts_with("Nats-")) {
                        again = again.header(name.as_str(), value.as_str());
                    }
                }
                let subject = stuck.subject.to_string();
                if !self.publish_after(subject, again, stuck.sequence).await? {
                    // Somebody else is at it.
                    continue;
                }
                released.queued += 1;
            }
            in_time("a stuck job", self.jobs.delete_message(stuck.sequence)).await?;
        }
    }
}
