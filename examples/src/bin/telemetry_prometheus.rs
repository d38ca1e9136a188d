//! The SDK's metrics for Prometheus: `cargo run -p examples --bin telemetry_prometheus`
//!
//! Serves `/metrics` on 127.0.0.1:9464, or the address that is given, and classifies a picture a second.
//! Runs against a local emulator, so that it works without an account.

use std::time::Duration;

use athena_client::otel::Telemetry;
use athena_client::{Client, Image, auth::OAuthClientCredentials};
use athena_emulator::Emulator;
use axum::{Router, http::StatusCode, routing::get};
use opentelemetry::global;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Encoder, Registry, TextEncoder};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1);
    let address = address.unwrap_or_else(|| "127.0.0.1:9464".to_owned());

    // What is recorded goes to the registry, and Prometheus fetches it from there.
    let registry = Registry::new();
    let exporter = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .build()?;
    let meters = SdkMeterProvider::builder().with_reader(exporter).build();

    let metrics = get(async move || {
        let mut text = Vec::new();
        match TextEncoder::new().encode(&registry.gather(), &mut text) {
            Ok(()) => Ok(text),
            Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
        }
    });
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}/metrics", listener.local_addr()?);
    let server = axum::serve(listener, Router::new().route("/metrics", metrics));

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
        // Metrics here; of spans, what the process has set up for all, if anything.
        .telemetry(Telemetry::new(&meters, &global::tracer_provider()))
        .build()?;

    let session = client.session().open()?;
    let classify = async {
        loop {
            let image = Image::from_file("examples/images/lakeside.jpg");
            if let Err(error) = session.classify(image).await {
                eprintln!("{error}");
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        ended = server => Ok(ended?),
        never = classify => never,
    }
}
