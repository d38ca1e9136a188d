//! Jobs that are in the stream and that no consumer delivers any more.
//!
//! A server that has given a job up after its own count of deliveries keeps it, and so does one that was killed before it
//! had written down that a job is gone (seen with 2.9.10).

use async_nats::HeaderMap;
use async_nats::jetstream::message::PublishMessage;

use super::{Lane, Queue, in_time, token};
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
            let next = self.raw(&self.names.jobs, from, &subject).await?;
            let Some(stuck) = next.filter(|stuck| stuck.sequence <= through) else {
                return Ok(());
            };
            from = stuck.sequence + 1;
            let job = stuck.message(&self.names.jobs);
            let key = match Job::read(&job, &JobLimits::default()) {
                Ok(job) => job.key,
                Err(error) => error.key.unwrap_or(job.name),
            };
            if self.outcomes().find(&key).await?.is_some() {
                released.done += 1;
            } else {
                let mut again = PublishMessage::build().payload(stuck.payload);
                for (name, values) in stuck.headers.iter().flat_map(HeaderMap::iter) {
                    let name = name.to_string();
                    for value in values.iter().filter(|_| !name.starts_with("Nats-")) {
                        again = again.header(name.as_str(), value.as_str());
                    }
                }
                let is_ours = match stuck.headers {
                    Some(_) => {
                        self.publish_after(stuck.subject, again, stuck.sequence)
                            .await?
                    }
                    // Without the headers that kept it from everybody.
                    None => {
                        let subject = subject.replace('>', &token(&key));
                        self.publish_once(subject, again).await?;
                        true
                    }
                };
                if !is_ours {
                    // Somebody else is at it.
                    continue;
                }
                released.queued += 1;
            }
            in_time("a stuck job", self.jobs.delete_message(stuck.sequence)).await?;
        }
    }
}
