//! The SDK's metrics and spans by OTLP: `cargo run -p examples --bin telemetry_otlp -- examples/images/*.jpg`
//!
//! Exports to the collector that `OTEL_EXPORTER_OTLP_ENDPOINT` names, by default `http://localhost:4318`,
//! what it takes to classify the files. Runs against a local emulator, so that it works without an account.

use std::sync::Arc;
use std::time::Duration;

use athena_client::{Client, Image, auth::OAuthClientCredentials};
use athena_emulator::Emulator;
use opentelemetry::context::FutureExt;
use opentelemetry::trace::{TraceContextExt, Tracer};
use opentelemetry::{Context, global};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithHttpConfig};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;

/// Exporters have threads of their own. Their requests are made on this program's runtime.
#[derive(Debug, Clone)]
struct OnRuntime {
    http: Arc<HyperClient>,
    runtime: Handle,
}

#[tonic::async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = Arc::clone(&self.http);
        let sent = self
            .runtime
            .spawn(async move { http.send_bytes(request).await });
        sent.await?
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let http = OnRuntime {
        http: Arc::new(HyperClient::with_default_connector(
            Duration::from_secs(10),
            None,
        )),
        runtime: Handle::current(),
    };
    let spans = SpanExporter::builder()
        .with_http()
        .with_http_client(http.clone());
    let metrics = MetricExporter::builder().with_http().with_http_client(http);
    let tracers = SdkTracerProvider::builder()
        .with_batch_exporter(spans.build()?)
        .build();
    let meters = SdkMeterProvider::builder()
        .with_periodic_exporter(metrics.build()?)
        .build();
    // Before the first client is built.
    global::set_tracer_provider(tracers.clone());
    global::set_meter_provider(meters.clone());

    classify_files().await?;

    // What is left is sent, on a thread that may wait for it.
    tokio::task::spawn_blocking(move || {
        tracers.shutdown()?;
        meters.shutdown()
    })
    .await??;
    Ok(())
}

async fn classify_files() -> Result<(), Box<dyn std::error::Error>> {
    let athena = Emulator::builder().start().await?;
    let credentials = OAuthClientCredentials::builder(athena.client_id(), athena.client_secret())
        .token_url(athena.token_url())
        .audience(athena.audience())
        .ca_certificate(athena.ca_pem())
        .build()?;
    let client = Client::builder()
        .endpoint(athena.endpoint())
        .ca_certificate(athena.ca_pem())
        .token_source(credentials)
        .affiliate(athena.affiliate())
        .build()?;

    for file in std::env::args_os().skip(1) {
        // What an upload handler would have: the image's span is part of the upload's.
        let upload = Context::current_with_span(global::tracer("uploads").start("upload"));
        let image = Image::from_file(&file);
        let verdict = client.classify(image).with_context(upload).await?;
        println!("{}: {:?}", file.display(), verdict.pcsam());
    }
    athena.shutdown().await;
    Ok(())
}
