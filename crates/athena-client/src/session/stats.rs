//! What a session counts: a snapshot for metrics and alerts.

use std::time::Duration;

use crate::error::ErrorKind;

/// A consistent snapshot of a session's counters.
///
/// At every moment `accepted == verdicts + errors() + cancelled + pending`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Images that `submit` or `classify_all` took on.
    pub accepted: u64,
    /// Images that `submit` refused: a wrong or duplicate id, a closed session.
    pub refused: u64,
    /// Images that ended with a verdict.
    pub verdicts: u64,
    /// Images that the caller gave up by dropping their [`Pending`](crate::Pending).
    pub cancelled: u64,
    /// Images that have not ended.
    pub pending: u64,
    /// Of those: being prepared, or waiting for it.
    pub preparing: u64,
    /// Of those: waiting for their batch to be sent.
    pub queued: u64,
    /// Of those: sent, and not answered.
    pub in_flight: u64,
    /// Of those: sent on a connection that broke, and waiting to be answered or sent again.
    pub stranded: u64,
    /// Images that may be pending now: follows what link and service carry in time, up to
    /// [`max_in_flight`](crate::SessionBuilder::max_in_flight).
    pub window: u64,
    /// Threads of the client that hang in reading a file of an image that has ended: a file server
    /// does not answer.
    pub hung_reads: u64,
    /// Requests with images that were handed to a connection.
    pub batches: u64,
    /// Encoded bytes of those.
    pub bytes_sent: u64,
    /// Images sent again after a connection broke.
    pub resent: u64,
    /// Further answers for images that had ended already: dropped.
    pub duplicates: u64,
    /// Of those: the first answer, for an image that had timed out or been cancelled.
    pub late: u64,
    /// Answers for ids that are not this session's.
    pub unclaimed: u64,
    /// Of those: discarded because nobody read [`unclaimed`](crate::Session::unclaimed).
    pub unclaimed_dropped: u64,
    /// Global errors that belong to no request under way.
    pub stray_errors: u64,
    /// Connections open now.
    pub connections: u64,
    /// Connections that were made, first ones included.
    pub connects: u64,
    /// Connections, or attempts at one, that failed.
    pub disconnects: u64,
    /// From acceptance to the first time the image was handed to a connection.
    pub queue_time: Histogram,
    /// From then to the answer.
    pub service_time: Histogram,
    pub(crate) errors: [u64; ErrorKind::ALL.len()],
}

impl Stats {
    /// Images that ended with an error.
    pub fn errors(&self) -> u64 {
        self.errors.iter().sum()
    }

    /// Images that ended with an error, by kind.
    pub fn errors_by_kind(&self) -> impl Iterator<Item = (ErrorKind, u64)> {
        ErrorKind::ALL.iter().copied().zip(self.errors)
    }

    /// Adds the figures of another session.
    #[cfg(feature = "otel")]
    pub(crate) fn add(&mut self, other: &Self) {
        // All of them: what is new has no default here.
        let Self {
            accepted,
            refused,
            verdicts,
            cancelled,
            pending,
            preparing,
            queued,
            in_flight,
            stranded,
            window,
            hung_reads,
            batches,
            bytes_sent,
            resent,
            duplicates,
            late,
            unclaimed,
            unclaimed_dropped,
            stray_errors,
            connections,
            connects,
            disconnects,
            queue_time,
            service_time,
            errors,
        } = other;
        self.accepted += accepted;
        self.refused += refused;
        self.verdicts += verdicts;
        self.cancelled += cancelled;
        self.pending += pending;
        self.preparing += preparing;
        self.queued += queued;
        self.in_flight += in_flight;
        self.stranded += stranded;
        self.window += window;
        self.hung_reads += hung_reads;
        self.batches += batches;
        self.bytes_sent += bytes_sent;
        self.resent += resent;
        self.duplicates += duplicates;
        self.late += late;
        self.unclaimed += unclaimed;
        self.unclaimed_dropped += unclaimed_dropped;
        self.stray_errors += stray_errors;
        self.connections += connections;
        self.connects += connects;
        self.disconnects += disconnects;
        self.queue_time.add(queue_time);
        self.service_time.add(service_time);
        for (sum, count) in self.errors.iter_mut().zip(errors) {
            *sum += count;
        }
    }

    pub(crate) fn count_error(&mut self, kind: ErrorKind) {
        self.errors[kind as usize] += 1;
    }
}

/// Upper bounds of the histograms' buckets, in milliseconds; one more bucket has no bound.
const BOUNDS: [u64; 16] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 60_000, 300_000,
];

/// How durations are distributed, in the buckets that Prometheus and OpenTelemetry understand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

impl Histogram {
    pub(crate) fn record(&mut self, value: Duration) {
        let bucket = BOUNDS.partition_point(|&bound| Duration::from_millis(bound) < value);
        self.counts[bucket] += 1;
        self.sum += value;
    }

    #[cfg(feature = "otel")]
    fn add(&mut self, other: &Self) {
        for (sum, count) in self.counts.iter_mut().zip(other.counts) {
            *sum += count;
        }
        self.sum += other.sum;
    }

    /// Number of durations recorded.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// Each bucket's upper bound, `None` for the last, and how many durations are in it and not
    /// in an earlier one.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = BOUNDS
            .iter()
            .map(|&bound| Some(Duration::from_millis(bound)));
        bounds.chain([None]).zip(self.counts)
    }

    /// The upper bound of the bucket that holds the given quantile (0 to 1): `quantile(0.99)` is
    /// the time within which 99 % were done. `None` without data, or beyond the last bound.
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let rank = (quantile.clamp(0.0, 1.0) * self.count() as f64)
            .ceil()
            .max(1.0) as u64;
        let mut seen = 0;
        self.buckets()
            .find(|(_, count)| {
                seen += count;
                seen >= rank
            })
            .and_then(|(bound, _)| bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_index_their_own_counter() {
        for (index, &kind) in ErrorKind::ALL.iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
    }

    #[test]
    fn bounds_belong_to_the_lower_bucket() {
        let mut histogram = Histogram::default();
        for ms in [1, 2, 3, 400_000] {
            histogram.record(Duration::from_millis(ms));
        }
        let counts: Vec<_> = histogram.buckets().map(|(_, count)| count).collect();
        assert_eq!(counts[..4], [1, 1, 1, 0]);
        assert_eq!(histogram.buckets().last(), Some((None, 1)));
        assert_eq!(histogram.count(), 4);
    }

    #[test]
    fn quantiles_are_upper_bounds() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        for ms in 1..=100 {
            histogram.record(Duration::from_millis(ms));
        }
        assert_eq!(histogram.quantile(0.5), Some(Duration::from_millis(50)));
        assert_eq!(histogram.quantile(0.99), Some(Duration::from_millis(100)));
        assert_eq!(histogram.quantile(0.0), Some(Duration::from_millis(1)));
    }
}
