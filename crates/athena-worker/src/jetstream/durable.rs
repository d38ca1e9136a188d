//! The queue as an HTTP server uses it, for images that must outlive the server.

use std::time::Duration;

use athena_client::BoxError;
use athena_gateway::{QueuedImage, QueuedSource, Standing, Submission};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::submit::Queued;
use super::{Lane, Queue, Submitted, in_time};
use crate::job::Job;
use crate::seam::{Outcomes, QueueError};

/// How often an outcome is looked for of which nothing was heard: what was said while the connection was being made
/// again is not said twice.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// And after something was heard, which may not be stored yet.
const SOON: Duration = Duration::from_millis(20);

impl athena_gateway::Queue for Queue {
    fn largest(&self) -> usize {
        self.largest_image()
    }

    fn is_connected(&self) -> bool {
        let state = self.client().connection_state();
        state == async_nats::connection::State::Connected
    }

    fn submit(&self, image: QueuedImage) -> BoxFuture<'_, Result<Submission, BoxError>> {
        async move { Ok(self.submit_image(image).await?) }.boxed()
    }

    fn find<'a>(
        &'a self,
        key: &'a str,
        wait: Duration,
    ) -> BoxFuture<'a, Result<Standing, BoxError>> {
        async move {
            Ok(match wait.is_zero() {
                true => self.standing(key).await?,
                false => self.outcome_by(key, Instant::now() + wait).await?,
            })
        }
        .boxed()
    }
}

impl Queue {
    /// Queues an image that somebody waits for.
    async fn submit_image(&self, image: QueuedImage) -> Result<Submission, QueueError> {
        let mut job = match image.source {
            QueuedSource::Bytes(bytes) => Job::of_bytes(image.key, bytes),
            QueuedSource::Url(url) => Job::of_url(image.key, url),
        };
        job.affiliate = image.affiliate;
        job.frames = image.frames;
        job.name = image.name;
        job.trace = image.trace;
        if Queue::submit(self, Lane::Live, &job).await? == Submitted::Queued {
            return Ok(Submission::Queued);
        }
        Ok(match self.queued(Lane::Live, &job.key).await? {
            Some(there) if there.is_same(&Queued::of(&job)) => Submission::Queued,
            Some(_) => Submission::KeyTaken,
            None => Submission::Ended,
        })
    }

    async fn standing(&self, key: &str) -> Result<Standing, QueueError> {
        let outcomes = self.outcomes();
        if let Some(record) = outcomes.find(key).await? {
            return Ok(Standing::Done(Box::new(record)));
        }
        for lane in Lane::ALL {
            if self.queued(lane, key).await?.is_some() {
                return Ok(Standing::Pending);
            }
        }
        // It may have ended between the two questions.
        Ok(match outcomes.find(key).await? {
            Some(record) => Standing::Done(Box::new(record)),
            None => Standing::Unknown,
        })
    }

    /// Hears of outcomes as they are published, and takes the stream's word for them.
    async fn outcome_by(&self, key: &str, until: Instant) -> Result<Standing, QueueError> {
        let subject = self.outcomes().subject(key);
        let mut heard = in_time("outcomes", self.client().subscribe(subject)).await?;
        let mut pause = LOOK_AGAIN;
        loop {
            let standing = self.standing(key).await?;
            let now = Instant::now();
            if standing != Standing::Pending || now >= until {
                return Ok(standing);
            }
            let next = until.min(now + pause);
            pause = match timeout_at(next, heard.next()).await {
                Ok(Some(_)) => SOON,
                Ok(None) => {
                    sleep_until(next).await;
                    LOOK_AGAIN
                }
                Err(_) => LOOK_AGAIN.min(pause * 2),
            };
        }
    }
}
