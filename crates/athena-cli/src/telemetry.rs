//! Metrics and traces for a collector, by OTLP, as OpenTelemetry's standard variables say: with the feature
//! `otel`.

use clap::Args;

#[cfg(feature = "otel")]
pub(crate) use on::start;

#[cfg(not(feature = "otel"))]
pub(crate) use off::start;

/// To where telemetry is exported.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TelemetryArgs {
    /// Export metrics and traces by OTLP, to this URL or as the OTEL_ variables say: those alone do, too
    #[arg(long, value_name = "URL", num_args = 0..=1, help_heading = "Telemetry")]
    otlp: Option<Option<String>>,
}

/// A variable that has a value.
fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?;
    let value = value.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// Whether the variables ask for an export.
fn is_asked_for() -> bool {
    ["", "TRACES_", "METRICS_"]
        .iter()
        .any(|signal| variable(&format!("OTEL_EXPORTER_OTLP_{signal}ENDPOINT")).is_some())
}

#[cfg(feature = "otel")]
mod on {
    use std::time::Duration;

    use opentelemetry::{KeyValue, global};
    use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
    use opentelemetry_otlp::{
        ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig,
    };
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::metrics::SdkMeterProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tokio::runtime::Handle;

    use super::{TelemetryArgs, is_asked_for, variable};
    use crate::failure::{Failure, Outcome, chain, reason};
    use crate::output::terminal::{DIM, say};
    use crate::trust;

    /// The most of a collector's answer that is read.
    const MOST_ANSWER: usize = 64 << 10;

    /// How long the last export may take when the command ends.
    const LAST: Duration = Duration::from_secs(5);

    /// An export that goes on until it is [finished](Self::finish).
    #[derive(Debug)]
    pub(crate) struct Export {
        tracers: Option<SdkTracerProvider>,
        meters: Option<SdkMeterProvider>,
    }

    /// Starts the export that flag or variables ask for, if they do. To be called before the first client is
    /// made.
    pub(crate) async fn start(args: &TelemetryArgs) -> Outcome<Option<Export>> {
        let disabled = variable("OTEL_SDK_DISABLED");
        let disabled = disabled.is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let wanted = args.otlp.is_some() || is_asked_for();
        if disabled || !wanted {
            return Ok(None);
        }
        let url = args.otlp.as_ref().and_then(Option::as_deref);
        let general = args.otlp.is_some() || variable("OTEL_EXPORTER_OTLP_ENDPOINT").is_some();
        let http = Http::new().await?;
        let tracers = match is_wanted("TRACES", general)? {
            false => None,
            true => {
                let exporter = SpanExporter::builder()
                    .with_http()
                    .with_http_client(http.clone());
                let exporter = match url {
                    Some(url) => exporter.with_endpoint(at(url, "v1/traces")),
                    None => exporter,
                };
                let tracers = SdkTracerProvider::builder()
                    .with_batch_exporter(exporter.build().map_err(|error| invalid(&error))?)
                    .with_resource(resource())
                    .build();
                global::set_tracer_provider(tracers.clone());
                Some(tracers)
            }
        };
        let meters = match is_wanted("METRICS", general)? {
            false => None,
            true => {
                let exporter = MetricExporter::builder().with_http().with_http_client(http);
                let exporter = match url {
                    Some(url) => exporter.with_endpoint(at(url, "v1/metrics")),
                    None => exporter,
                };
                let meters = SdkMeterProvider::builder()
                    .with_periodic_exporter(exporter.build().map_err(|error| invalid(&error))?)
                    .with_resource(resource())
                    .build();
                global::set_meter_provider(meters.clone());
                Some(meters)
            }
        };
        let what = match (&meters, &tracers) {
            (Some(_), Some(_)) => "metrics and traces are",
            (Some(_), None) => "metrics are",
            (None, Some(_)) => "traces are",
            (None, None) => return Ok(None),
        };
        say(format_args!("{DIM}{what} exported by OTLP{DIM:#}"));
        Ok(Some(Export { tracers, meters }))
    }

    /// Whether a signal is to be exported, and how it can be.
    fn is_wanted(signal: &str, general: bool) -> Outcome<bool> {
        let name = format!("OTEL_{signal}_EXPORTER");
        match variable(&name).as_deref() {
            None | Some("otlp") => {}
            Some("none") => return Ok(false),
            Some(other) => {
                let message = format!("{name}: `{other}` is not offered here: otlp or none");
                return Err(Failure::configuration(message));
            }
        }
        let own = format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
        if !general && variable(&own).is_none() {
            return Ok(false);
        }
        for name in [
            format!("OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"),
            "OTEL_EXPORTER_OTLP_PROTOCOL".to_owned(),
        ] {
            match variable(&name) {
                None => {}
                Some(protocol) if protocol == "http/protobuf" => break,
                Some(protocol) => {
                    let message = format!("{name}: `{protocol}` is not offered here");
                    let remedy = "http/protobuf is: a collector takes it at port 4318";
                    return Err(Failure::configuration(message).remedy(remedy));
                }
            }
        }
        Ok(true)
    }

    /// Where a signal goes, below the URL of all.
    fn at(url: &str, path: &str) -> String {
        format!("{}/{path}", url.trim_end_matches('/'))
    }

    fn invalid(error: &ExporterBuildError) -> Failure {
        Failure::configuration(format!("OTLP: {}", chain(error)))
    }

    fn resource() -> Resource {
        let named = variable("OTEL_SERVICE_NAME").is_some()
            || variable("OTEL_RESOURCE_ATTRIBUTES")
                .is_some_and(|attributes| attributes.contains("service.name="));
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_attribute(version);
        match named {
            true => resource.build(),
            false => resource.with_service_name("athena").build(),
        }
    }

    impl Export {
        /// Sends what is left.
        pub(crate) async fn finish(self) {
            // On a thread that may wait: the exporters' requests are made on the runtime.
            let last = tokio::task::spawn_blocking(move || {
                let traces = self
                    .tracers
                    .map(|tracers| tracers.shutdown_with_timeout(LAST));
                let metrics = self.meters.map(|meters| meters.shutdown_with_timeout(LAST));
                traces.unwrap_or(Ok(())).and(metrics.unwrap_or(Ok(())))
            });
            if let Ok(Err(error)) = last.await {
                tracing::warn!(%error, "the last metrics and traces were not exported");
            }
        }
    }

    /// Requests to the collector, by the rules by which every host is reached. Exporters have threads of their
    /// own, and make their requests on the command's runtime.
    #[derive(Clone, Debug)]
    struct Http {
        client: reqwest::Client,
        runtime: Handle,
    }

    impl Http {
        async fn new() -> Outcome<Self> {
            const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
            let certificate = variable(CERTIFICATE).map(|path| {
                std::fs::read(&path).map_err(|error| {
                    let why = reason(&error);
                    Failure::configuration(format!("{CERTIFICATE}: cannot read {path}: {why}"))
                })
            });
            let network = trust::network(certificate.transpose()?.as_deref())?;
            let timeout = variable("OTEL_EXPORTER_OTLP_TIMEOUT").and_then(|text| text.parse().ok());
            let timeout = Duration::from_millis(timeout.unwrap_or(10_000));
            Ok(Self {
                client: trust::http_client(&network, timeout).await?,
                runtime: Handle::current(),
            })
        }
    }

    #[async_trait::async_trait]
    impl HttpClient for Http {
        async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
            let sent = self.runtime.spawn(send(self.client.clone(), request));
            sent.await?
        }
    }

    async fn send(
        client: reqwest::Client,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, HttpError> {
        let mut answer = client.execute(request.try_into()?).await?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > MOST_ANSWER {
                return Err("the collector's answer is too long".into());
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

#[cfg(not(feature = "otel"))]
mod off {
    use super::{TelemetryArgs, is_asked_for};
    use crate::failure::Outcome;
    use crate::left_out::left_out;
    use crate::output::terminal::{NOTICE, say};

    /// There is none.
    #[derive(Debug)]
    pub(crate) enum Export {}

    impl Export {
        pub(crate) async fn finish(self) {
            match self {}
        }
    }

    pub(crate) async fn start(args: &TelemetryArgs) -> Outcome<Option<Export>> {
        if args.otlp.is_some() {
            return Err(left_out("--otlp", "OpenTelemetry", "otel"));
        }
        if is_asked_for() {
            let without = left_out(
                "OTEL_EXPORTER_OTLP_ENDPOINT is set",
                "OpenTelemetry",
                "otel",
            );
            say(format_args!("{NOTICE}note:{NOTICE:#} {without}"));
        }
        Ok(None)
    }
}
