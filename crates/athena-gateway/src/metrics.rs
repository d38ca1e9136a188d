//! Figures in the text format of Prometheus.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use athena_outcome::{Decision, Record, Status};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

use crate::gateway::Gateway;
use crate::operations::Exposition;
use crate::sync::lock;

/// Upper bounds of the buckets of response times, in milliseconds.
const BOUNDS: [u64; 12] = [
    5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000,
];

/// What a server counts itself; the session counts the rest.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    inner: Mutex<Counters>,
    connections: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Counters {
    requests: BTreeMap<(String, &'static str, u16), u64>,
    times: BTreeMap<String, Times>,
    outcomes: BTreeMap<(&'static str, &'static str), u64>,
    webhooks: BTreeMap<&'static str, u64>,
    submissions: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Default)]
struct Times {
    counts: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

impl Metrics {
    fn lock(&self) -> MutexGuard<'_, Counters> {
        lock(&self.inner)
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

    /// An image that was to be queued.
    pub(crate) fn submission(&self, result: &'static str) {
        *self.lock().submissions.entry(result).or_default() += 1;
    }

    /// Open connections, counted by the server.
    pub(crate) fn connections(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.connections)
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

pub(crate) fn method(method: &Method) -> &'static str {
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
    gateway.render().into_response()
}

impl Gateway {
    fn render(&self) -> Exposition {
        let mut text = Exposition::default();
        self.render_requests(&mut text);
        self.render_room(&mut text);
        text.session(&self.shared.session.stats());
        text
    }

    fn render_requests(&self, text: &mut Exposition) {
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
        text.family(
            "queue_submissions_total",
            "counter",
            "Images that callers wanted queued, by how that went.",
        );
        for (result, count) in &counters.submissions {
            let labels = format!("result=\"{result}\"");
            text.value("queue_submissions_total", &labels, count);
        }
        text.one(
            "http_connections",
            "gauge",
            "Open connections of callers.",
            self.shared.metrics.connections.load(Ordering::Relaxed),
        );
    }

    fn render_room(&self, text: &mut Exposition) {
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
}
