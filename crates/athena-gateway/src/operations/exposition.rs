//! The text format of Prometheus.

use std::fmt::{Display, Write};
use std::time::Duration;

use athena_client::{Histogram, Stats};
use axum::http::header;
use axum::response::{IntoResponse, Response};

/// Figures in the text format of Prometheus, under way. A family begins with its help and its type.
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// Begins a family: `athena_` and its name, its kind and what it is.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(
            self.0,
            "# HELP athena_{name} {help}\n# TYPE athena_{name} {kind}"
        );
    }

    /// One value of a family, with its labels.
    pub fn value(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = match labels {
            "" => writeln!(self.0, "athena_{name} {value}"),
            _ => writeln!(self.0, "athena_{name}{{{labels}}} {value}"),
        };
    }

    /// A family of one value.
    pub fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.value(name, "", value);
    }

    /// The buckets of a histogram, each with how many are in it and not in an earlier one.
    pub(crate) fn buckets(
        &mut self,
        name: &str,
        labels: &str,
        buckets: impl Iterator<Item = (Option<Duration>, u64)>,
        sum: Duration,
    ) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut up_to = 0;
        for (bound, count) in buckets {
            up_to += count;
            let bound = bound.map_or("+Inf".to_owned(), |b| b.as_secs_f64().to_string());
            self.value(
                &format!("{name}_bucket"),
                &format!("{labels}{comma}le=\"{bound}\""),
                up_to,
            );
        }
        self.value(&format!("{name}_sum"), labels, sum.as_secs_f64());
        self.value(&format!("{name}_count"), labels, up_to);
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        self.buckets(name, "", histogram.buckets(), histogram.sum());
    }

    /// All that a session counts.
    pub fn session(&mut self, stats: &Stats) {
        for (name, kind, help, value) in [
            (
                "window",
                "gauge",
                "Images that the session takes on for now.",
                stats.window,
            ),
            (
                "hung_reads",
                "gauge",
                "Threads that hang in reading a file of an image that has ended.",
                stats.hung_reads,
            ),
            (
                "late_total",
                "counter",
                "Answers for images that had timed out or been cancelled.",
                stats.late,
            ),
            (
                "unclaimed_dropped_total",
                "counter",
                "Of the answers for others: those that nobody read.",
                stats.unclaimed_dropped,
            ),
            (
                "accepted_total",
                "counter",
                "Images that the session took on.",
                stats.accepted,
            ),
            (
                "refused_total",
                "counter",
                "Images that the session refused.",
                stats.refused,
            ),
            (
                "verdicts_total",
                "counter",
                "Images that ended with a verdict.",
                stats.verdicts,
            ),
            (
                "cancelled_total",
                "counter",
                "Images whose callers gave up.",
                stats.cancelled,
            ),
            (
                "pending",
                "gauge",
                "Images that have not ended.",
                stats.pending,
            ),
            (
                "preparing",
                "gauge",
                "Images that are prepared, or wait for it.",
                stats.preparing,
            ),
            (
                "queued",
                "gauge",
                "Images that wait for their batch.",
                stats.queued,
            ),
            (
                "in_flight",
                "gauge",
                "Images that are sent and not answered.",
                stats.in_flight,
            ),
            (
                "stranded",
                "gauge",
                "Images of a connection that broke.",
                stats.stranded,
            ),
            (
                "batches_total",
                "counter",
                "Requests with images.",
                stats.batches,
            ),
            (
                "sent_bytes_total",
                "counter",
                "Encoded bytes of those.",
                stats.bytes_sent,
            ),
            (
                "resent_total",
                "counter",
                "Images sent again after a connection broke.",
                stats.resent,
            ),
            (
                "duplicates_total",
                "counter",
                "Further answers, dropped.",
                stats.duplicates,
            ),
            (
                "unclaimed_total",
                "counter",
                "Answers for images of others.",
                stats.unclaimed,
            ),
            (
                "stray_errors_total",
                "counter",
                "Errors of no request under way.",
                stats.stray_errors,
            ),
            (
                "connections",
                "gauge",
                "Connections to the service.",
                stats.connections,
            ),
            (
                "connects_total",
                "counter",
                "Connections that were made.",
                stats.connects,
            ),
            (
                "disconnects_total",
                "counter",
                "Connections that failed.",
                stats.disconnects,
            ),
        ] {
            self.one(name, kind, help, value);
        }
        self.family(
            "errors_total",
            "counter",
            "Images that ended with an error, by its kind.",
        );
        for (kind, count) in stats.errors_by_kind() {
            self.value("errors_total", &format!("kind=\"{kind}\""), count);
        }
        self.histogram(
            "queue_seconds",
            "From acceptance to the first time an image was sent.",
            &stats.queue_time,
        );
        self.histogram(
            "service_seconds",
            "From then to the answer.",
            &stats.service_time,
        );
    }
}

impl IntoResponse for Exposition {
    fn into_response(self) -> Response {
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        ([(header::CONTENT_TYPE, kind)], self.0).into_response()
    }
}
