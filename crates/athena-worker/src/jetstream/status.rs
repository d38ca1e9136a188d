//! How a queue stands.

use std::time::{Duration, SystemTime};

use async_nats::jetstream::context::ConsumerInfoErrorKind;
use async_nats::jetstream::stream::RetentionPolicy;
use athena_gateway::operations::Exposition;
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};

use super::{Lane, PATIENCE, Queue, in_time};
use crate::seam::QueueError;

/// How a lane stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LaneStatus {
    /// Jobs that nobody has.
    pub waiting: u64,
    /// Jobs that a worker has, or that wait for their next attempt.
    pub in_flight: u64,
    /// Of those: delivered more than once.
    pub redelivered: u64,
    /// Requests of workers that wait for jobs.
    pub asking: u64,
}

/// How a queue stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct QueueStatus {
    /// Jobs that are not settled.
    pub lag: u64,
    /// Seconds since the oldest of them was submitted.
    pub oldest_seconds: Option<f64>,
    /// Live jobs.
    pub live: LaneStatus,
    /// Those with time.
    pub backfill: LaneStatus,
    /// Jobs that no consumer will deliver any more, and that have no outcome: what the server has given up by itself
    /// because somebody has limited the deliveries of a consumer.
    pub stuck: u64,
    /// Dead letters.
    pub dead: u64,
    /// Outcomes.
    pub outcomes: u64,
    /// Outcomes a second, if that was measured.
    pub rate: Option<f64>,
}

impl QueueStatus {
    /// Writes the figures for `/metrics`. They are the queue's: every worker gives the same.
    pub fn render(&self, text: &mut Exposition) {
        let mut lanes = |name: &str, help: &str, value: fn(&LaneStatus) -> u64| {
            text.family(name, "gauge", help);
            text.value(name, "lane=\"live\"", value(&self.live));
            text.value(name, "lane=\"backfill\"", value(&self.backfill));
        };
        lanes("queue_waiting", "Jobs that nobody has.", |lane| {
            lane.waiting
        });
        lanes(
            "queue_in_flight",
            "Jobs that a worker has, or that wait for their next attempt.",
            |lane| lane.in_flight,
        );
        lanes(
            "queue_redelivered",
            "Of those: delivered more than once.",
            |lane| lane.redelivered,
        );
        for (name, help, value) in [
            ("queue_lag", "Jobs that are not settled.", self.lag),
            (
                "queue_stuck",
                "Jobs that no consumer delivers any more.",
                self.stuck,
            ),
            ("queue_dead", "Dead letters.", self.dead),
            ("queue_outcomes", "Outcomes.", self.outcomes),
        ] {
            text.one(name, "gauge", help, value);
        }
        text.one(
            "queue_oldest_seconds",
            "gauge",
            "Since the oldest job that is not settled was submitted.",
            self.oldest_seconds.unwrap_or_default(),
        );
    }
}

impl Queue {
    /// How the queue stands.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn status(&self) -> Result<QueueStatus, QueueError> {
        let first = self.look().await?;
        if first.stuck == 0 {
            return Ok(first);
        }
        // The figures are not of one moment: what is stuck stays so.
        sleep(Duration::from_millis(200)).await;
        let second = self.look().await?;
        Ok(QueueStatus {
            stuck: first.stuck.min(second.stuck),
            ..second
        })
    }

    /// As [`status`](Self::status), and counts outcomes for as long.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn status_over(&self, time: Duration) -> Result<QueueStatus, QueueError> {
        let before = self.outcomes_so_far().await?;
        let started = Instant::now();
        sleep(time).await;
        let after = self.outcomes_so_far().await?;
        let took = started.elapsed().as_secs_f64();
        let mut status = self.status().await?;
        status.rate = Some(after.saturating_sub(before) as f64 / took);
        Ok(status)
    }

    async fn outcomes_so_far(&self) -> Result<u64, QueueError> {
        let info = in_time("outcomes", self.outcomes.get_info()).await?;
        Ok(info.state.last_sequence)
    }

    async fn look(&self) -> Result<QueueStatus, QueueError> {
        let (live, live_there) = self.lane(Lane::Live).await?;
        let (backfill, backfill_there) = self.lane(Lane::Backfill).await?;
        let jobs = in_time("jobs", self.jobs.get_info()).await?;
        let outcomes = in_time("outcomes", self.outcomes.get_info()).await?;
        let dead = in_time("dead letters", self.dead.get_info()).await?;
        let known = live.waiting + live.in_flight + backfill.waiting + backfill.in_flight;
        let is_queue = jobs.config.retention == RetentionPolicy::WorkQueue;
        let lag = match is_queue {
            true => jobs.state.messages,
            false => known,
        };
        let all_there = is_queue && live_there && backfill_there;
        let first = SystemTime::from(jobs.state.first_timestamp);
        let oldest = (lag > 0 && is_queue).then(|| first.elapsed().unwrap_or_default());
        Ok(QueueStatus {
            lag,
            oldest_seconds: oldest.map(|age| age.as_secs_f64()),
            live,
            backfill,
            stuck: match all_there {
                true => jobs.state.messages.saturating_sub(known),
                false => 0,
            },
            dead: dead.state.messages,
            outcomes: outcomes.state.messages,
            rate: None,
        })
    }

    /// The figures of a lane, and whether it has had a worker yet.
    async fn lane(&self, lane: Lane) -> Result<(LaneStatus, bool), QueueError> {
        let name = Self::consumer_name(lane);
        let info = match timeout(PATIENCE, self.jobs.consumer_info(&name)).await {
            Ok(Ok(info)) => info,
            Ok(Err(error)) => {
                return match error.kind() {
                    ConsumerInfoErrorKind::NotFound => Ok((LaneStatus::default(), false)),
                    _ => Err(QueueError::because(name, error)),
                };
            }
            Err(_) => return Err(QueueError::new(format!("{name}: no answer in time"))),
        };
        let status = LaneStatus {
            waiting: info.num_pending,
            in_flight: info.num_ack_pending as u64,
            redelivered: info.num_redelivered as u64,
            asking: info.num_waiting as u64,
        };
        Ok((status, true))
    }
}
