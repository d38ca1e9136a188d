use std::sync::Arc;
use std::sync::atomic::Ordering;

use athena_proto::ClassificationOutput;
use tokio::time::Instant;

use super::Deployment;
use crate::sync::lock;

/// A stream's share in a deployment, given up on drop.
pub(crate) struct Membership {
    deployment: Arc<Deployment>,
    draining: bool,
}

impl Membership {
    pub(super) fn new(deployment: Arc<Deployment>) -> Self {
        deployment.streams.fetch_add(1, Ordering::Relaxed);
        Self {
            deployment,
            draining: false,
        }
    }

    pub(crate) fn deployment(&self) -> &Arc<Deployment> {
        &self.deployment
    }

    /// Says that the stream ends as soon as nothing is left to hand out.
    pub(crate) fn drain(&mut self) {
        if !self.draining {
            self.draining = true;
            self.deployment.draining.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits for results that are due and takes at most `limit`. Takes none, at once, when the
    /// stream drains and nothing is left.
    pub(crate) async fn collect(&self, limit: usize) -> Vec<ClassificationOutput> {
        loop {
            let changed = self.deployment.changed.notified();
            let taken = self.deployment.take(limit);
            if !taken.is_empty() {
                return taken;
            }
            match self.deployment.next_due() {
                None if self.draining => return taken,
                None => changed.await,
                Some(due) => {
                    // Whoever is woken first takes what is due; a change may bring it forward.
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep_until(due) => {}
                    }
                }
            }
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        *lock(&self.deployment.last_used) = Instant::now();
        self.deployment.streams.fetch_sub(1, Ordering::Relaxed);
        if self.draining {
            self.deployment.draining.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
