//! The instruments: what they are called, and what of a session's figures each shows.
//!
//! Calls follow OpenTelemetry's semantic conventions for RPC
//! (<https://opentelemetry.io/docs/specs/semconv/rpc/rpc-metrics/>); for images there are none, so their names
//! begin with `athena`.

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Counter, Histogram, Meter};

use super::registry::Registry;
use crate::auth::Usage;
use crate::session::Stats;

/// As the conventions want them for calls.
const CALL_SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Those of [`Stats`]' own histograms.
const IMAGE_SECONDS: [f64; 16] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 300.0,
];

/// Name, unit, meaning, and figure.
type Figure<T> = (&'static str, &'static str, &'static str, fn(&T) -> u64);

/// A state's name, and how many images are in it.
type State = (&'static str, fn(&Stats) -> u64);

/// What only grows.
const SESSION_COUNTERS: &[Figure<Stats>] = &[
    (
        "athena.client.image.accepted",
        "{image}",
        "Images that sessions took on.",
        |stats| stats.accepted,
    ),
    (
        "athena.client.image.refused",
        "{image}",
        "Images that sessions refused: a wrong or duplicate id, a closed session.",
        |stats| stats.refused,
    ),
    (
        "athena.client.image.resent",
        "{image}",
        "Images sent again after a connection broke.",
        |stats| stats.resent,
    ),
    (
        "athena.client.answer.duplicate",
        "{answer}",
        "Further answers for images that had ended already.",
        |stats| stats.duplicates,
    ),
    (
        "athena.client.answer.late",
        "{answer}",
        "First answers for images that had timed out or been cancelled.",
        |stats| stats.late,
    ),
    (
        "athena.client.answer.unclaimed",
        "{answer}",
        "Answers for ids that are not the session's.",
        |stats| stats.unclaimed,
    ),
    (
        "athena.client.answer.unclaimed_dropped",
        "{answer}",
        "Of those: discarded because nobody read them.",
        |stats| stats.unclaimed_dropped,
    ),
    (
        "athena.client.request.stray_errors",
        "{error}",
        "Errors of a whole request that belong to none under way.",
        |stats| stats.stray_errors,
    ),
    (
        "athena.client.request.sent",
        "{request}",
        "Requests with images that were handed to a connection.",
        |stats| stats.batches,
    ),
    (
        "athena.client.request.io",
        "By",
        "Encoded bytes of those.",
        |stats| stats.bytes_sent,
    ),
    (
        "athena.client.connection.made",
        "{connection}",
        "Connections of sessions that were made.",
        |stats| stats.connects,
    ),
    (
        "athena.client.connection.failed",
        "{connection}",
        "Connections of sessions, or attempts at one, that failed.",
        |stats| stats.disconnects,
    ),
];

/// What rises and falls.
const SESSION_LEVELS: &[Figure<Stats>] = &[
    (
        "athena.client.connection.open",
        "{connection}",
        "Connections of sessions that are open.",
        |stats| stats.connections,
    ),
    (
        "athena.client.window",
        "{image}",
        "Images that may be pending for now: what link and service carry in time.",
        |stats| stats.window,
    ),
];

/// The states of pending images: together they are all.
const STATES: &[State] = &[
    ("preparing", |stats| stats.preparing),
    ("queued", |stats| stats.queued),
    ("in_flight", |stats| stats.in_flight),
    ("stranded", |stats| stats.stranded),
];

const TOKEN_COUNTERS: &[Figure<Usage>] = &[
    (
        "athena.client.token.hits",
        "{call}",
        "Calls that got the token at hand.",
        |usage| usage.hits,
    ),
    (
        "athena.client.token.requests",
        "{request}",
        "Requests for a token, repeated ones included.",
        |usage| usage.requests,
    ),
    (
        "athena.client.token.refreshes",
        "{token}",
        "Tokens that replaced one which was still valid.",
        |usage| usage.refreshes,
    ),
    (
        "athena.client.token.rejections",
        "{token}",
        "Tokens that the service rejected.",
        |usage| usage.rejections,
    ),
];

/// What is recorded as it happens.
#[derive(Debug)]
pub(super) struct Instruments {
    pub(super) call: Histogram<f64>,
    pub(super) retries: Counter<u64>,
    pub(super) image: Histogram<f64>,
    pub(super) queue: Histogram<f64>,
    pub(super) service: Histogram<f64>,
    pub(super) preparation: Histogram<f64>,
}

impl Instruments {
    pub(super) fn new(meter: &Meter, registry: &Arc<Registry>) -> Self {
        observe_sessions(meter, registry);
        observe_tokens(meter, registry);
        let seconds = |name, bounds: &[f64], help| {
            let histogram = meter.f64_histogram(name).with_unit("s");
            let histogram = histogram.with_boundaries(bounds.to_vec());
            histogram.with_description(help).build()
        };
        Self {
            call: seconds(
                "rpc.client.call.duration",
                &CALL_SECONDS,
                "Duration of outgoing calls; of a session's streams, from their beginning to their end.",
            ),
            retries: meter
                .u64_counter("athena.client.call.retries")
                .with_unit("{call}")
                .with_description("Unary calls that were made again.")
                .build(),
            image: seconds(
                "athena.client.image.duration",
                &IMAGE_SECONDS,
                "From an image's acceptance to its end.",
            ),
            queue: seconds(
                "athena.client.image.queue.duration",
                &IMAGE_SECONDS,
                "From an image's acceptance by a session to the first time it was handed to a connection.",
            ),
            service: seconds(
                "athena.client.image.service.duration",
                &IMAGE_SECONDS,
                "From then to the answer.",
            ),
            preparation: seconds(
                "athena.client.image.preparation.duration",
                &IMAGE_SECONDS,
                "From the turn of an image on a thread to its payload.",
            ),
        }
    }
}

fn observe_sessions(meter: &Meter, registry: &Arc<Registry>) {
    for &(name, unit, help, figure) in SESSION_COUNTERS {
        let registry = Arc::clone(registry);
        let counter = meter.u64_observable_counter(name).with_unit(unit);
        let counter = counter.with_description(help);
        counter
            .with_callback(move |observer| observer.observe(figure(&registry.stats()), &[]))
            .build();
    }
    for &(name, unit, help, figure) in SESSION_LEVELS {
        level(
            meter,
            name,
            unit,
            help,
            registry,
            move |registry, observer| {
                observer.observe(signed(figure(&registry.stats())), &[]);
            },
        );
    }
    let help = "Images that have not ended, by how far they are.";
    level(
        meter,
        "athena.client.image.pending",
        "{image}",
        help,
        registry,
        |registry, observer| {
            let stats = registry.stats();
            for (state, figure) in STATES {
                let state = KeyValue::new("athena.client.image.state", *state);
                observer.observe(signed(figure(&stats)), &[state]);
            }
        },
    );
    let help = "Threads that hang in reading a file of an image that has ended.";
    level(
        meter,
        "athena.client.preparation.hung_reads",
        "{thread}",
        help,
        registry,
        |registry, observer| observer.observe(signed(registry.hung()), &[]),
    );
    let ended = Arc::clone(registry);
    meter
        .u64_observable_counter("athena.client.image.ended")
        .with_unit("{image}")
        .with_description("Images of sessions that have ended, by how.")
        .with_callback(move |observer| {
            let stats = ended.stats();
            let tell = |how: &'static str, count| {
                observer.observe(count, &[KeyValue::new("athena.client.image.outcome", how)]);
            };
            tell("verdict", stats.verdicts);
            tell("cancelled", stats.cancelled);
            for (kind, count) in stats.errors_by_kind() {
                tell(kind.as_str(), count);
            }
        })
        .build();
}

fn observe_tokens(meter: &Meter, registry: &Arc<Registry>) {
    for &(name, unit, help, figure) in TOKEN_COUNTERS {
        let registry = Arc::clone(registry);
        let counter = meter.u64_observable_counter(name).with_unit(unit);
        let counter = counter.with_description(help);
        counter
            .with_callback(move |observer| observer.observe(figure(&registry.usage()), &[]))
            .build();
    }
    let failures = Arc::clone(registry);
    meter
        .u64_observable_counter("athena.client.token.failures")
        .with_unit("{request}")
        .with_description("Failed attempts to get a token, by kind.")
        .with_callback(move |observer| {
            for (kind, count) in failures.usage().failures {
                let kind = KeyValue::new("error.type", kind.as_str());
                observer.observe(count, &[kind]);
            }
        })
        .build();
    let lifetime = Arc::clone(registry);
    meter
        .f64_observable_gauge("athena.client.token.remaining")
        .with_unit("s")
        .with_description(
            "How long the token at hand is yet valid; of several, the one that ends first.",
        )
        .with_callback(move |observer| {
            if let Some(expiry) = lifetime.usage().expires_at {
                let left = expiry.duration_since(SystemTime::now());
                observer.observe(left.unwrap_or_default().as_secs_f64(), &[]);
            }
        })
        .build();
}

fn level(
    meter: &Meter,
    name: &'static str,
    unit: &'static str,
    help: &'static str,
    registry: &Arc<Registry>,
    observe: impl Fn(&Registry, &dyn AsyncInstrument<i64>) + Send + Sync + 'static,
) {
    let registry = Arc::clone(registry);
    meter
        .i64_observable_up_down_counter(name)
        .with_unit(unit)
        .with_description(help)
        .with_callback(move |observer| observe(&registry, observer))
        .build();
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
