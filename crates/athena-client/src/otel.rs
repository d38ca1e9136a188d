//! OpenTelemetry: metrics of everything that the client counts, a span for each image and each call, and
//! W3C trace context on what goes to the service.
//!
//! Nothing needs to be called: with the feature `otel`, clients report to OpenTelemetry's global providers,
//! which must be set before the first client is built. [`ClientBuilder::telemetry`] names others.
//! `docs/observability.md` lists the instruments and spans.
//!
//! An image's span begins in the span that is current when the image is submitted, and a unary call's in its
//! image's. With `tracing-opentelemetry`, spans of `tracing` are such spans, too. A session's streams carry
//! many images: their spans begin in the one that was current when the session was opened.
//!
//! Spans name ids, codes and kinds of errors; no file, label, weight, token or byte of an image.
//!
//! ```no_run
//! use athena_client::Client;
//! use athena_client::otel::Telemetry;
//! # fn run(
//! #     meters: &dyn opentelemetry::metrics::MeterProvider,
//! #     tracers: &opentelemetry::global::GlobalTracerProvider,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! // Exporters are the application's: OTLP, Prometheus, or any other.
//! let client = Client::builder()
//!     .telemetry(Telemetry::new(meters, tracers))
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! [`ClientBuilder::telemetry`]: crate::ClientBuilder::telemetry

pub use crate::telemetry::{Telemetry, extract, inject};
