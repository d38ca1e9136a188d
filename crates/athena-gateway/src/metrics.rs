//! Figures in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use athena_client::Histogram;
use athena_outcome::{Decision, Record, Status};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

use crate::gateway::Gateway;

/// Upper bounds of the buckets of response times, in milliseconds.
const BOUNDS: [u64; 12] = [
    5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000,
];

/// What a server counts itself; the session counts the rest.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    inner: Mutex<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    requests: BTreeMap<(String, &'static str, u16), u64>,
    times: BTreeMap<String, Times>,
    outcomes: BTreeMap<(&'static str, &'static str), u64>,
    webhooks: BTreeMap<&'static str, u64>,
    connections: u64,
}

#[derive(Debug, Default)]
struct Times {
    counts: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

impl Metrics {
    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn outcome(&self, record: &Record) {
        let status = match record.status {
            Status::Classified => "classified",
            Status::Failed => "failed",
        };
        let decision = record.decision.map_or("none", Decision::as_str);
        *self.lock().outcomes.entry((status, decision)).or_default() += 1;
    }

    pub(crate) fn webhook(&self, result: &'static str) {
        *self.lock().webhooks.entry(result).or_default() += 1;
    }

    pub(crate) fn connection_opened(&self) {
        self.lock().connections += 1;
    }

    pub(crate) fn connection_closed(&self) {
        self.lock().connections -= 1;
    }

    fn request(&self, route: &str, method: &'static str, code: StatusCode, time: Duration) {
        let mut counters = self.lock();
        let key = (route.to_owned(), method, code.as_u16());
        *counters.requests.entry(key).or_default() += 1;
        let times = counters.times.entry(route.to_owned()).or_default();
        let bucket = BOUNDS.partition_point(|&bound| Duration::from_millis(bound) < time);
        times.counts[bucket] += 1;
        times.sum += time;
    }
}

/// Counts a request under its route: never its path, which callers choose.
pub(crate) async fn count(
    State(gateway): State<Gateway>,
    request: Request,
    next: Next,
) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("other", MatchedPath::as_str)
        .to_owned();
    let method = method(request.method());
    let started = Instant::now();
    let response = next.run(request).await;
    let code = response.status();
    gateway
        .shared
        .metrics
        .request(&route, method, code, started.elapsed());
    response
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// `GET /metrics`.
pub(crate) async fn show(State(gateway): State<Gateway>) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], gateway.render()).into_response()
}

/// Text under way. A family of figures begins with its help and its type.
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(
            self.0,
            "# HELP athena_{name} {help}\n# TYPE athena_{name} {kind}"
        );
    }

    fn value(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = match labels {
            "" => writeln!(self.0, "athena_{name} {value}"),
            _ => writeln!(self.0, "athena_{name}{{{labels}}} {value}"),
        };
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.value(name, "", value);
    }

    /// The buckets of a histogram, each with how many are in it and not in an earlier one.
    fn buckets(
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
}

impl Gateway {
    fn render(&self) -> String {
        let mut text = Text(String::with_capacity(16 << 10));
        self.render_requests(&mut text);
        self.render_room(&mut text);
        self.render_session(&mut text);
        text.0
    }

    fn render_requests(&self, text: &mut Text) {
        let counters = self.shared.metrics.lock();
        text.family(
            "http_requests_total",
            "counter",
            "Requests by route, method and status.",
        );
        for ((route, method, code), count) in &counters.requests {
            let labels = format!("route=\"{route}\",method=\"{method}\",code=\"{code}\"");
            text.value("http_requests_total", &labels, count);
        }
        let name = "http_request_duration_seconds";
        text.family(
            name,
            "histogram",
            "Time from a request's head to its answer's.",
        );
        for (route, times) in &counters.times {
            let bounds = BOUNDS.iter().map(|&ms| Some(Duration::from_millis(ms)));
            let buckets = bounds.chain([None]).zip(times.counts);
            text.buckets(name, &format!("route=\"{route}\""), buckets, times.sum);
        }
        text.family(
            "outcomes_total",
            "counter",
            "Images by how they fared and what was decided.",
        );
        for ((status, decision), count) in &counters.outcomes {
            let labels = format!("status=\"{status}\",decision=\"{decision}\"");
            text.value("outcomes_total", &labels, count);
        }
        text.family("webhooks_total", "counter", "Webhooks by how they ended.");
        for (result, count) in &counters.webhooks {
            text.value("webhooks_total", &format!("result=\"{result}\""), count);
        }
        text.one(
            "http_connections",
            "gauge",
            "Open connections of callers.",
            counters.connections,
        );
    }

    fn render_room(&self, text: &mut Text) {
        let figures = self.shared.admission.figures();
        text.one(
            "places",
            "gauge",
            "Images that may be under way.",
            figures.places,
        );
        text.one(
            "places_taken",
            "gauge",
            "Images that are under way.",
            figures.under_way,
        );
        text.one(
            "places_waiting",
            "gauge",
            "Images that wait for a place.",
            figures.waiting,
        );
        text.one(
            "turned_away_total",
            "counter",
            "Requests turned away for want of room.",
            figures.turned_away,
        );
        text.one(
            "oldest_seconds",
            "gauge",
            "Age of the image that has been under way for longest.",
            figures.oldest.unwrap_or_default().as_secs_f64(),
        );
        text.one(
            "stuck",
            "gauge",
            "Whether an image is under way that should have ended long ago.",
            u8::from(self.is_stuck()),
        );
        text.one(
            "outcomes_kept",
            "gauge",
            "Outcomes that can be fetched.",
            self.shared.outcomes.len(),
        );
    }

    fn render_session(&self, text: &mut Text) {
        let stats = self.shared.session.stats();
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
            text.one(name, kind, help, value);
        }
        text.family(
            "errors_total",
            "counter",
            "Images that ended with an error, by its kind.",
        );
        for (kind, count) in stats.errors_by_kind() {
            text.value("errors_total", &format!("kind=\"{kind}\""), count);
        }
        text.histogram(
            "queue_seconds",
            "From acceptance to the first time an image was sent.",
            &stats.queue_time,
        );
        text.histogram(
            "service_seconds",
            "From then to the answer.",
            &stats.service_time,
        );
    }
}
