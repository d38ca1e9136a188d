//! The programs that export telemetry, and collectors that take in what they export.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// A bound for what does not come.
const HANG: Duration = Duration::from_secs(60);

fn program(path: &str) -> Command {
    let mut command = Command::new(path);
    command
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}

#[tokio::test]
async fn prometheus_can_scrape_what_the_sdk_counts() {
    let mut example = program(env!("CARGO_BIN_EXE_telemetry_prometheus"))
        .arg("127.0.0.1:0")
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(example.stdout.take().unwrap()).lines();
    let url = lines.next_line().await.unwrap().expect("its address");
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let scraped = async {
        loop {
            let answer = client.get(url.parse().unwrap()).await.unwrap();
            let text = answer.into_body().collect().await.unwrap().to_bytes();
            let text = String::from_utf8(text.to_vec()).unwrap();
            // A figure of each kind, once the first image is through.
            let there = [
                "athena_client_image_ended_total{athena_client_image_outcome=\"verdict\"",
                "athena_client_image_duration_seconds_bucket{athena_client_mode=\"session\"",
                "athena_client_connection_open{",
                "athena_client_token_requests_total{",
                "rpc_client_call_duration_seconds",
            ]
            .map(|figure| text.contains(figure));
            // A session's stream is a call that has not ended.
            if there == [true, true, true, true, false] {
                break text;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let text = tokio::time::timeout(HANG, scraped).await.unwrap();
    assert!(
        text.contains("# TYPE athena_client_image_accepted_total counter"),
        "{text}"
    );
}

/// What was exported, by name.
#[derive(Default)]
struct Exported {
    metrics: BTreeSet<String>,
    spans: Vec<(String, Vec<u8>)>,
}

#[tokio::test]
async fn a_collector_gets_metrics_and_spans_by_otlp() {
    let exported = Arc::<Mutex<Exported>>::default();
    let (spans, metrics) = (Arc::clone(&exported), Arc::clone(&exported));
    let collector = Router::new()
        .route(
            "/v1/traces",
            post(async move |body: Bytes| {
                let request = ExportTraceServiceRequest::decode(body).expect("spans");
                let scopes = request
                    .resource_spans
                    .into_iter()
                    .flat_map(|r| r.scope_spans);
                let found = scopes.flat_map(|scope| scope.spans);
                let found = found.map(|span| (span.name, span.trace_id));
                spans.lock().expect("no panic").spans.extend(found);
            }),
        )
        .route(
            "/v1/metrics",
            post(async move |body: Bytes| {
                let request = ExportMetricsServiceRequest::decode(body).expect("metrics");
                let scopes = request
                    .resource_metrics
                    .into_iter()
                    .flat_map(|r| r.scope_metrics);
                let found = scopes
                    .flat_map(|scope| scope.metrics)
                    .map(|metric| metric.name);
                metrics.lock().expect("no panic").metrics.extend(found);
            }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, collector).await });

    let ended = program(env!("CARGO_BIN_EXE_telemetry_otlp"))
        .args(["examples/images/lakeside.jpg", "examples/images/forest.png"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("NO_PROXY", "127.0.0.1")
        .output();
    let ended = tokio::time::timeout(HANG, ended).await.unwrap().unwrap();
    assert!(ended.status.success(), "{ended:?}");

    let exported = exported.lock().expect("no panic");
    for name in [
        "rpc.client.call.duration",
        "athena.client.image.duration",
        "athena.client.image.preparation.duration",
        "athena.client.token.requests",
    ] {
        assert!(
            exported.metrics.contains(name),
            "{name}: {:?}",
            exported.metrics
        );
    }
    for name in [
        "upload",
        "athena.classify",
        "athena.ClassifierService/ClassifySingle",
    ] {
        let traces = exported.spans.iter().filter(|(span, _)| span == name);
        assert_eq!(traces.count(), 2, "{name}: {:?}", exported.spans);
    }
    let traces: BTreeSet<_> = exported.spans.iter().map(|(_, trace)| trace).collect();
    assert_eq!(traces.len(), 2, "one for each upload");
}
