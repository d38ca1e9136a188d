//! Deployments: named queues of results that streams share, created on first use.

mod membership;
mod results;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use athena_proto::ClassificationOutput;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::{Config, FOR_EVER};
use crate::faults::{Reorder, ResultFault};
use crate::observe::Observer;
use crate::sync::lock;
pub(crate) use membership::Membership;
use results::Results;

/// All deployments. Those of one OAuth client are unknown to the others.
pub(crate) struct Deployments {
    by_name: Mutex<HashMap<Name, Arc<Deployment>>>,
    limit: usize,
    backlog: usize,
    retention: Duration,
    expiry: Duration,
    latency: Duration,
    observer: Arc<Observer>,
}

/// A deployment's OAuth client and id.
#[derive(PartialEq, Eq, Hash)]
struct Name {
    client: String,
    id: String,
}

/// One deployment.
pub(crate) struct Deployment {
    pub(crate) id: String,
    results: Mutex<Results>,
    changed: Notify,
    streams: AtomicUsize,
    /// Streams whose client has sent everything and that end once nothing is left to hand out.
    draining: AtomicUsize,
    last_used: Mutex<Instant>,
    ready_at: Instant,
    observer: Arc<Observer>,
}

/// What [`Emulator::deployments`](crate::Emulator::deployments) tells of one deployment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct DeploymentInfo {
    /// The OAuth client that it belongs to.
    pub client: String,
    /// The deployment's id.
    pub id: String,
    /// Results that nobody has collected yet.
    pub backlog: usize,
    /// Streams open on it.
    pub streams: usize,
}

impl Deployments {
    pub(crate) fn new(config: &Config, observer: Arc<Observer>) -> Self {
        Self {
            by_name: Mutex::default(),
            limit: config.limits.deployments,
            backlog: config.limits.backlog,
            retention: config.backlog_retention.min(FOR_EVER),
            expiry: config.deployment_expiry.min(FOR_EVER),
            latency: config.deployment_latency.min(FOR_EVER),
            observer,
        }
    }

    /// Joins a stream to a deployment of `client`, which comes into being if need be. None when there are too
    /// many deployments.
    pub(crate) fn join(&self, client: &str, id: &str) -> Option<Membership> {
        let now = Instant::now();
        let name = Name {
            client: client.to_owned(),
            id: id.to_owned(),
        };
        let mut by_name = lock(&self.by_name);
        if !by_name.contains_key(&name) && by_name.len() >= self.limit {
            return None;
        }
        let deployment = by_name.entry(name).or_insert_with(|| {
            Arc::new(Deployment {
                id: id.to_owned(),
                results: Mutex::new(Results::new(self.backlog)),
                changed: Notify::new(),
                streams: AtomicUsize::new(0),
                draining: AtomicUsize::new(0),
                last_used: Mutex::new(now),
                ready_at: now + self.latency,
                observer: self.observer.clone(),
            })
        });
        Some(Membership::new(deployment.clone()))
    }

    pub(crate) fn list(&self) -> Vec<DeploymentInfo> {
        let by_name = lock(&self.by_name);
        let mut list: Vec<_> = by_name
            .iter()
            .map(|(name, deployment)| DeploymentInfo {
                client: name.client.clone(),
                id: name.id.clone(),
                backlog: lock(&deployment.results).len(),
                streams: deployment.streams.load(Ordering::Relaxed),
            })
            .collect();
        list.sort_by(|a, b| (&a.client, &a.id).cmp(&(&b.client, &b.id)));
        list
    }

    /// Forgets all deployments and what waits in them.
    pub(crate) fn clear(&self) {
        lock(&self.by_name).clear();
    }

    /// Drops results and deployments whose time is over.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        lock(&self.by_name).retain(|_, deployment| {
            let mut results = lock(&deployment.results);
            self.observer
                .results_expired(results.expire(now, self.retention));
            // Streams hold it, and so does work in progress.
            let in_use = Arc::strong_count(deployment) > 1 || results.len() > 0;
            in_use || now.duration_since(*lock(&deployment.last_used)) < self.expiry
        });
    }
}

impl Deployment {
    /// Notes that inputs are worked on.
    pub(crate) fn accept<'a>(&self, ids: impl Iterator<Item = &'a str>) {
        let mut results = lock(&self.results);
        let reused = ids.filter(|id| results.accept(id)).count();
        drop(results);
        if reused > 0 {
            self.observer.ids_reused(reused);
            tracing::warn!(
                deployment = self.id,
                reused,
                "correlation ids are in flight already: results cannot be told apart"
            );
        }
    }

    /// Notes that inputs will get no result.
    pub(crate) fn forget<'a>(&self, ids: impl Iterator<Item = &'a str>) {
        let mut results = lock(&self.results);
        ids.for_each(|id| results.release(id));
    }

    /// Adds results, each held back as its fault says.
    pub(crate) fn push(
        &self,
        outputs: impl IntoIterator<Item = (ClassificationOutput, ResultFault)>,
    ) {
        let now = Instant::now().max(self.ready_at);
        let mut results = lock(&self.results);
        let mut dropped = 0;
        for (output, fault) in outputs {
            let due = now + fault.delay;
            dropped += match fault.reorder {
                None => results.push(output, due, 0),
                Some(Reorder { window, place }) => {
                    results.push(output, self.window_end(due, window), place)
                }
            };
        }
        drop(results);
        if dropped > 0 {
            self.observer.results_dropped(dropped);
            tracing::warn!(
                deployment = self.id,
                dropped,
                "backlog full: dropped the oldest results"
            );
        }
        self.changed.notify_one();
    }

    /// The end of the window that holds `time`, counting windows from the deployment's start.
    fn window_end(&self, time: Instant, window: Duration) -> Instant {
        if window.is_zero() {
            return time;
        }
        let windows = (time - self.ready_at).div_duration_f64(window).floor() + 1.0;
        self.ready_at + window.mul_f64(windows)
    }

    /// Wakes all streams, to look at the deployment again.
    pub(crate) fn wake(&self) {
        self.changed.notify_waiters();
    }

    fn take(&self, limit: usize) -> Vec<ClassificationOutput> {
        let now = Instant::now();
        let mut results = lock(&self.results);
        let taken = results.take(now, limit);
        let (left, next_due) = (results.len(), results.next_due());
        drop(results);
        if next_due.is_some_and(|due| due <= now) {
            self.changed.notify_one();
        } else if left == 0 && !taken.is_empty() && self.draining.load(Ordering::Relaxed) > 0 {
            self.wake();
        }
        taken
    }

    fn next_due(&self) -> Option<Instant> {
        lock(&self.results).next_due()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn deployments(config: &Config) -> Deployments {
        Deployments::new(config, Arc::new(Observer::new(None)))
    }

    fn answer(membership: &Membership, id: &str) {
        let output = ClassificationOutput {
            correlation_id: id.into(),
            ..Default::default()
        };
        membership.deployment().accept([id].into_iter());
        membership
            .deployment()
            .push([(output, ResultFault::default())]);
    }

    fn backlogs(deployments: &Deployments) -> Vec<usize> {
        deployments.sweep();
        let list = deployments.list().into_iter();
        list.map(|deployment| deployment.backlog).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn by_default_results_wait_for_an_hour_and_idle_deployments_for_a_day() {
        let deployments = deployments(&Config::default());
        let membership = deployments.join("client", "d").unwrap();
        answer(&membership, "a");
        drop(membership);
        advance(59 * MINUTE).await;
        assert_eq!(backlogs(&deployments), [1]);
        advance(2 * MINUTE).await;
        assert_eq!(backlogs(&deployments), [0], "the result is gone");
        advance(22 * 60 * MINUTE).await;
        assert_eq!(backlogs(&deployments), [0]);
        // Somebody looks in: another day begins.
        drop(deployments.join("client", "d"));
        advance(23 * 60 * MINUTE).await;
        assert_eq!(backlogs(&deployments), [0]);
        let open = deployments.join("client", "d");
        advance(48 * 60 * MINUTE).await;
        assert_eq!(backlogs(&deployments), [0], "it is not idle");
        drop(open);
        advance(24 * 60 * MINUTE).await;
        assert!(backlogs(&deployments).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_use_is_late_and_so_is_the_first_after_an_idle_day() {
        let deployments = deployments(&Config {
            deployment_latency: MINUTE,
            ..Config::default()
        });
        for _ in 0..2 {
            let membership = deployments.join("client", "d").unwrap();
            for late in [MINUTE, Duration::ZERO] {
                let sent = Instant::now();
                answer(&membership, "a");
                assert_eq!(membership.collect(1).await.len(), 1);
                assert_eq!(sent.elapsed().as_secs(), late.as_secs());
            }
            drop(membership);
            advance(24 * 60 * MINUTE).await;
            deployments.sweep();
        }
    }
}
