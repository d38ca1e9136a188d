//! What OpenTelemetry is told: metrics of all that is counted, spans, and trace context for the service.

use std::collections::BTreeMap;

use athena_client::otel::Telemetry;
use athena_client::{ErrorKind, Image};
use athena_emulator::{Emulator, Faults, When};
use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId,
};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};

use crate::script::{Play, Script};
use crate::support::{builder, emulator, frame, hash, hasty, png};

/// Takes in what is reported, as a collector does.
struct Collector {
    meters: SdkMeterProvider,
    metrics: InMemoryMetricExporter,
    tracers: SdkTracerProvider,
    spans: InMemorySpanExporter,
    telemetry: Telemetry,
}

impl Collector {
    fn new() -> Self {
        let metrics = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(metrics.clone()).build();
        let meters = SdkMeterProvider::builder().with_reader(reader).build();
        let spans = InMemorySpanExporter::default();
        let tracers = SdkTracerProvider::builder()
            .with_simple_exporter(spans.clone())
            .build();
        let telemetry = Telemetry::new(&meters, &tracers);
        Self {
            meters,
            metrics,
            tracers,
            spans,
            telemetry,
        }
    }

    fn spans(&self) -> Vec<SpanData> {
        self.tracers.force_flush().expect("exported");
        self.spans.get_finished_spans().expect("spans")
    }

    fn named(&self, name: &str) -> Vec<SpanData> {
        let spans = self.spans().into_iter();
        spans.filter(|span| span.name == name).collect()
    }

    /// Each instrument's points, by their attributes; of a histogram, how many were recorded.
    fn points(&self) -> BTreeMap<String, BTreeMap<String, f64>> {
        self.metrics.reset();
        self.meters.force_flush().expect("exported");
        let mut points = BTreeMap::<String, BTreeMap<String, f64>>::new();
        for resource in self.metrics.get_finished_metrics().expect("metrics") {
            for metric in resource.scope_metrics().flat_map(|scope| scope.metrics()) {
                let of = points.entry(metric.name().to_owned()).or_default();
                match metric.data() {
                    AggregatedMetrics::U64(data) => read(of, data, |value| value as f64),
                    AggregatedMetrics::I64(data) => read(of, data, |value| value as f64),
                    AggregatedMetrics::F64(data) => read(of, data, |value| value),
                }
            }
        }
        points
    }

    fn value(&self, name: &str, attributes: &str) -> f64 {
        let points = self.points();
        let found = points.get(name).and_then(|points| points.get(attributes));
        *found.unwrap_or_else(|| panic!("{name} {{{attributes}}} among {points:#?}"))
    }
}

fn read<T: Copy>(
    points: &mut BTreeMap<String, f64>,
    data: &MetricData<T>,
    number: impl Fn(T) -> f64,
) {
    let key = |attributes: &mut dyn Iterator<Item = &opentelemetry::KeyValue>| {
        let mut pairs: Vec<_> = attributes
            .map(|pair| format!("{}={}", pair.key, pair.value))
            .collect();
        pairs.sort();
        pairs.join(",")
    };
    match data {
        MetricData::Sum(sum) => {
            for point in sum.data_points() {
                points.insert(key(&mut point.attributes()), number(point.value()));
            }
        }
        MetricData::Gauge(gauge) => {
            for point in gauge.data_points() {
                points.insert(key(&mut point.attributes()), number(point.value()));
            }
        }
        MetricData::Histogram(histogram) => {
            for point in histogram.data_points() {
                points.insert(key(&mut point.attributes()), point.count() as f64);
            }
        }
        MetricData::ExponentialHistogram(_) => panic!("nobody asked for one"),
    }
}

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    let found = span
        .attributes
        .iter()
        .find(|pair| pair.key.as_str() == name);
    found.map(|pair| pair.value.to_string())
}

/// A span of somebody else's, such as of the request that brought the image.
fn caller() -> Context {
    Context::new().with_remote_span_context(SpanContext::new(
        TraceId::from(7),
        SpanId::from(9),
        TraceFlags::SAMPLED,
        true,
        Default::default(),
    ))
}

#[tokio::test]
async fn all_that_is_counted_is_an_instrument() {
    let collector = Collector::new();
    let emulator = emulator().await;
    let client = builder(&emulator)
        .telemetry(collector.telemetry.clone())
        .build()
        .unwrap();
    let session = hasty(&client).open().unwrap();
    for number in 0..4 {
        session.classify(hash(number)).await.unwrap();
    }
    session.classify(Image::from_bytes(png(32))).await.unwrap();
    let text = Image::from_bytes(&b"no image"[..]);
    session.classify(text).await.unwrap_err();
    emulator.set_faults(Faults::none().swallow(When::Rate(1.0)));
    let hung = session.submit(hash(9)).await.unwrap();
    while session.stats().in_flight == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(collector.value("athena.client.image.accepted", ""), 7.0);
    let pending = "athena.client.image.pending";
    assert_eq!(
        collector.value(pending, "athena.client.image.state=in_flight"),
        1.0
    );
    assert_eq!(
        collector.value(pending, "athena.client.image.state=queued"),
        0.0
    );
    assert_eq!(collector.value("athena.client.connection.open", ""), 1.0);
    drop(hung);
    emulator.set_faults(Faults::none());
    session.close().await.unwrap();
    for level in ["athena.client.connection.open", "athena.client.window"] {
        assert_eq!(collector.value(level, ""), 0.0, "{level}");
    }
    client.classify(hash(1)).await.unwrap();

    // Sessions come and go; what they counted stays.
    client
        .session()
        .open()
        .unwrap()
        .classify(hash(5))
        .await
        .unwrap();
    assert_eq!(collector.value("athena.client.image.accepted", ""), 8.0);
    let ended = |how: &str| {
        let how = format!("athena.client.image.outcome={how}");
        collector.value("athena.client.image.ended", &how)
    };
    assert_eq!(
        (ended("verdict"), ended("undecodable"), ended("cancelled")),
        (6.0, 1.0, 1.0)
    );
    let durations = |attributes: &str| collector.value("athena.client.image.duration", attributes);
    assert_eq!(durations("athena.client.mode=session"), 6.0);
    assert_eq!(
        durations("athena.client.mode=session,error.type=undecodable"),
        1.0
    );
    assert_eq!(
        durations("athena.client.mode=session,error.type=cancelled"),
        1.0
    );
    assert_eq!(durations("athena.client.mode=call"), 1.0);
    assert_eq!(
        collector.value("athena.client.image.service.duration", ""),
        7.0
    );
    let prepared = "athena.client.image.preparation.duration";
    assert_eq!(collector.value(prepared, "athena.image.format=png"), 1.0);
    assert_eq!(collector.value(prepared, "error.type=undecodable"), 1.0);
    assert_eq!(collector.value("athena.client.token.requests", ""), 1.0);
    assert!(collector.value("athena.client.token.remaining", "") > 0.0);
    let host = emulator.host().rsplit_once(':').expect("a port");
    let call = format!(
        "rpc.method=athena.ClassifierService/ClassifySingle,rpc.response.status_code=OK,\
         rpc.system.name=grpc,server.address={},server.port={}",
        host.0, host.1
    );
    assert_eq!(collector.value("rpc.client.call.duration", &call), 1.0);
    // Those of the client that is gone, too.
    drop((client, session));
    assert_eq!(collector.value("athena.client.token.requests", ""), 1.0);
}

#[tokio::test]
async fn a_call_is_part_of_its_callers_trace_and_so_is_what_the_service_does() {
    use opentelemetry::context::FutureExt;

    let collector = Collector::new();
    let script = Script::new(Play::Answer);
    let client = script.client().telemetry(collector.telemetry.clone());
    let client = client.build().unwrap();
    let image = hash(1).correlation_id("upload-7");
    let verdict = client.classify(image).with_context(caller()).await.unwrap();
    assert_eq!(verdict.sends(), Some(1));

    let [image] = &collector.named("athena.classify")[..] else {
        panic!("{:?}", collector.spans());
    };
    assert_eq!(image.span_context.trace_id(), TraceId::from(7));
    assert_eq!(image.parent_span_id, SpanId::from(9));
    assert_eq!(
        attribute(image, "athena.correlation_id").as_deref(),
        Some("upload-7")
    );
    assert_eq!(attribute(image, "athena.sends").as_deref(), Some("1"));
    let [call] = &collector.named("athena.ClassifierService/ClassifySingle")[..] else {
        panic!("{:?}", collector.spans());
    };
    assert_eq!(call.span_kind, SpanKind::Client);
    assert_eq!(call.parent_span_id, image.span_context.span_id());
    assert_eq!(
        attribute(call, "rpc.response.status_code").as_deref(),
        Some("OK")
    );
    let told = format!(
        "00-{}-{}-01",
        call.span_context.trace_id(),
        call.span_context.span_id()
    );
    assert_eq!(script.traces(), [Some(told)]);
}

#[tokio::test]
async fn a_sessions_images_are_in_their_callers_traces_and_its_stream_in_its_openers() {
    use opentelemetry::context::FutureExt;

    let collector = Collector::new();
    let script = Script::new(Play::Answer);
    let client = script.client().telemetry(collector.telemetry.clone());
    let client = client.build().unwrap();
    let session = {
        let _current = caller().attach();
        client.session().open().unwrap()
    };
    session
        .classify(hash(1))
        .with_context(caller())
        .await
        .unwrap();
    session.classify(hash(2)).await.unwrap();
    session.close().await.unwrap();
    let images = collector.named("athena.classify");
    let parents: Vec<_> = images.iter().map(|image| image.parent_span_id).collect();
    assert_eq!(parents, [SpanId::from(9), SpanId::INVALID]);
    let deployment = Some(session.deployment().to_owned());
    assert_eq!(attribute(&images[0], "athena.deployment"), deployment);
    let [stream] = &collector.named("athena.ClassifierService/Classify")[..] else {
        panic!("{:?}", collector.spans());
    };
    assert_eq!(stream.parent_span_id, SpanId::from(9));
    for image in &images {
        let links: Vec<_> = image
            .links
            .iter()
            .map(|link| link.span_context.span_id())
            .collect();
        assert_eq!(links, [stream.span_context.span_id()]);
    }
    assert_eq!(
        attribute(stream, "rpc.response.status_code").as_deref(),
        Some("OK")
    );
    let [Some(told)] = &script.traces()[..] else {
        panic!("{:?}", script.traces());
    };
    assert!(
        told.contains(&stream.span_context.span_id().to_string()),
        "{told}"
    );
}

/// Most applications have their spans from `tracing`.
#[tokio::test]
async fn spans_of_tracing_are_parents_too() {
    use opentelemetry::trace::TracerProvider;
    use tracing::Instrument;
    use tracing_subscriber::layer::SubscriberExt;

    let collector = Collector::new();
    let layer = tracing_opentelemetry::layer().with_tracer(collector.tracers.tracer("theirs"));
    let subscriber = tracing_subscriber::registry().with(layer);
    let _default = tracing::subscriber::set_default(subscriber);
    let script = Script::new(Play::Answer);
    let client = script.client().telemetry(collector.telemetry.clone());
    let client = client.build().unwrap();
    let upload = tracing::info_span!("upload");
    client.classify(hash(1)).instrument(upload).await.unwrap();
    let upload = &collector.named("upload")[0];
    let image = &collector.named("athena.classify")[0];
    assert_eq!(
        image.span_context.trace_id(),
        upload.span_context.trace_id()
    );
    let traces = script.traces();
    let told = traces[0].as_deref().expect("told");
    assert!(
        told.contains(&upload.span_context.trace_id().to_string()),
        "{told}"
    );
}

#[tokio::test]
async fn without_a_span_nothing_is_told() {
    let script = Script::new(Play::Answer);
    let client = script.client().build().unwrap();
    client.classify(hash(1)).await.unwrap();
    client
        .session()
        .open()
        .unwrap()
        .classify(hash(2))
        .await
        .unwrap();
    assert_eq!(script.traces(), [None, None]);
}

#[tokio::test]
async fn errors_are_told_by_their_kind_and_nothing_secret_is() {
    let collector = Collector::new();
    let emulator = emulator().await;
    let client = builder(&emulator).telemetry(collector.telemetry.clone());
    let client = client.build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let session = client.session().open().unwrap();
    let missing = || Image::from_file(folder.path().join("of-a-user.jpg"));
    for result in [
        client.classify(missing()).await,
        session.classify(missing()).await,
    ] {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Unreadable);
    }
    let image = frame(77).affiliate("nobody");
    client.classify(image).await.unwrap_err();
    session.close().await.unwrap();
    let unreadable = collector.named("athena.classify");
    assert_eq!(unreadable.len(), 3);
    assert_eq!(unreadable[0].status, Status::error("unreadable"));
    assert_eq!(
        attribute(&unreadable[0], "error.type").as_deref(),
        Some("unreadable")
    );
    assert_eq!(
        attribute(&unreadable[0], "athena.sends").as_deref(),
        Some("0")
    );
    let told = format!("{:?} {:?}", collector.spans(), collector.points());
    let token = token_header(&emulator).await;
    for secret in [
        "of-a-user",
        emulator.client_secret(),
        &token,
        "Bearer",
        "77, 77",
    ] {
        assert!(!told.contains(secret), "{secret}");
    }
}

/// What all of the emulator's tokens begin with.
async fn token_header(emulator: &Emulator) -> String {
    use athena_client::auth::TokenSource;

    let token = crate::support::credentials(emulator)
        .token()
        .await
        .expect("a token");
    token
        .expose_secret()
        .split('.')
        .next()
        .expect("a part")
        .to_owned()
}
