//! What a worker counts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use athena_gateway::operations::Exposition;
use athena_outcome::{Decision, Record, Status};
use tokio::time::Instant;

use crate::machine::{Held, Lane};
use crate::seam::Settlement;

/// The figures of a worker. Cheap to clone; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Figures(Arc<Mutex<Counters>>);

#[derive(Debug, Default)]
struct Counters {
    received: BTreeMap<&'static str, u64>,
    redelivered: u64,
    outcomes: BTreeMap<(&'static str, &'static str), u64>,
    settled: BTreeMap<&'static str, u64>,
    already_there: u64,
    sends: u64,
    queue_failures: u64,
    queue_failed: bool,
    held: Held,
    stopping: bool,
}

/// A moment of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Deliveries that were taken on.
    pub received: u64,
    /// Outcomes that were stored.
    pub stored: u64,
    /// Of those: dead jobs.
    pub dead: u64,
    /// Outcomes that somebody else had stored already.
    pub already_there: u64,
    /// Deliveries that come again.
    pub retried: u64,
    /// Jobs that are held now.
    pub held: usize,
    /// How long the one under way for longest is.
    pub oldest: Option<Duration>,
    /// The service does not answer.
    pub away: bool,
    /// The queue did not do what it was asked for last.
    pub queue_failed: bool,
    /// The worker was told to stop.
    pub stopping: bool,
}

impl Figures {
    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it stands now.
    pub fn snapshot(&self) -> Snapshot {
        let counters = self.lock();
        let settled = |name| counters.settled.get(name).copied().unwrap_or_default();
        Snapshot {
            received: counters.received.values().sum(),
            stored: counters.outcomes.values().sum(),
            dead: settled("dead"),
            already_there: counters.already_there,
            retried: settled("retry"),
            held: counters.held.live + counters.held.backfill,
            oldest: counters.held.oldest.map(|since| since.elapsed()),
            away: counters.held.away,
            queue_failed: counters.queue_failed,
            stopping: counters.stopping,
        }
    }

    pub(crate) fn received(&self, lane: Lane, attempt: u32) {
        let mut counters = self.lock();
        *counters.received.entry(lane.as_str()).or_default() += 1;
        counters.redelivered += u64::from(attempt > 1);
    }

    pub(crate) fn stored(&self, record: &Record) {
        let mut counters = self.lock();
        let status = match record.status {
            Status::Classified => "classified",
            Status::Failed => "failed",
        };
        let decision = record.decision.map_or("none", Decision::as_str);
        *counters.outcomes.entry((status, decision)).or_default() += 1;
        counters.sends += u64::from(record.sends.unwrap_or_default());
    }

    pub(crate) fn already_there(&self) {
        self.lock().already_there += 1;
    }

    pub(crate) fn settled(&self, settlement: &Settlement) {
        let how = match settlement {
            Settlement::Done => "done",
            Settlement::Retry { .. } => "retry",
            Settlement::Dead { .. } => "dead",
        };
        *self.lock().settled.entry(how).or_default() += 1;
    }

    pub(crate) fn queue_answered(&self, well: bool) {
        let mut counters = self.lock();
        counters.queue_failed = !well;
        counters.queue_failures += u64::from(!well);
    }

    pub(crate) fn held(&self, held: &Held, stopping: bool) {
        let mut counters = self.lock();
        counters.held = *held;
        counters.stopping = stopping;
    }

    /// Writes them for `/metrics`.
    pub fn render(&self, text: &mut Exposition) {
        let counters = self.lock();
        text.family(
            "worker_received_total",
            "counter",
            "Deliveries that were taken on.",
        );
        for lane in Lane::ALL {
            let count = counters
                .received
                .get(lane.as_str())
                .copied()
                .unwrap_or_default();
            text.value(
                "worker_received_total",
                &format!("lane=\"{}\"", lane.as_str()),
                count,
            );
        }
        text.one(
            "worker_redelivered_total",
            "counter",
            "Of those: not for the first time.",
            counters.redelivered,
        );
        text.family(
            "outcomes_total",
            "counter",
            "Images by how they fared and what was decided.",
        );
        for ((status, decision), count) in &counters.outcomes {
            let labels = format!("status=\"{status}\",decision=\"{decision}\"");
            text.value("outcomes_total", &labels, count);
        }
        text.family(
            "worker_settled_total",
            "counter",
            "Deliveries by how they ended.",
        );
        for how in ["done", "retry", "dead"] {
            let count = counters.settled.get(how).copied().unwrap_or_default();
            text.value("worker_settled_total", &format!("how=\"{how}\""), count);
        }
        text.family("worker_held", "gauge", "Jobs that are held.");
        text.value("worker_held", "lane=\"live\"", counters.held.live);
        text.value("worker_held", "lane=\"backfill\"", counters.held.backfill);
        let oldest = counters.held.oldest.map(|since: Instant| since.elapsed());
        for (name, kind, help, value) in [
            (
                "worker_already_there_total",
                "counter",
                "Outcomes that somebody else had stored.",
                counters.already_there,
            ),
            (
                "worker_sends_total",
                "counter",
                "Images handed to the service, as far as records say: what may be billed.",
                counters.sends,
            ),
            (
                "worker_queue_failures_total",
                "counter",
                "What the queue did not do when it was asked.",
                counters.queue_failures,
            ),
            (
                "worker_under_way",
                "gauge",
                "Jobs that are being judged.",
                counters.held.under_way as u64,
            ),
            (
                "worker_service_away",
                "gauge",
                "Whether the service does not answer, so that no jobs are begun.",
                u64::from(counters.held.away),
            ),
        ] {
            text.one(name, kind, help, value);
        }
        text.one(
            "oldest_seconds",
            "gauge",
            "Age of the image that has been under way for longest.",
            oldest.unwrap_or_default().as_secs_f64(),
        );
    }
}
