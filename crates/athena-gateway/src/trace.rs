//! What OpenTelemetry is told of requests, with the feature `otel`; without it, nothing.

#[cfg(not(feature = "otel"))]
pub(crate) use off::{Trace, headers, parent};
#[cfg(feature = "otel")]
pub(crate) use on::{Trace, Tracing, headers, observe, parent};

/// The trace context of a request, if it is one: `VERSION-TRACE-PARENT-FLAGS`, in hexadecimal.
fn traceparent(headers: &axum::http::HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let lengths = text.split('-').map(str::len);
    let sound = text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    (sound && lengths.eq([2, 32, 16, 2])).then(|| text.to_owned())
}

#[cfg(feature = "otel")]
mod on {
    use std::future::Future;

    use athena_client::Client;
    use athena_client::otel::{Telemetry, extract, inject};
    use axum::extract::{MatchedPath, Request, State};
    use axum::http::HeaderMap;
    use axum::middleware::Next;
    use axum::response::Response;
    use opentelemetry::context::{FutureExt, WithContext};
    use opentelemetry::metrics::Histogram;
    use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer};
    use opentelemetry::{Context, KeyValue};
    use tokio::time::Instant;

    use crate::gateway::Gateway;
    use crate::metrics::method;

    /// As the conventions for HTTP want them.
    const SECONDS: [f64; 14] = [
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    ];

    /// Where requests are told of: where the client tells of its images.
    pub(crate) struct Tracing {
        telemetry: Telemetry,
        duration: Histogram<f64>,
    }

    impl Tracing {
        pub(crate) fn new(client: &Client) -> Self {
            let telemetry = client.telemetry().clone();
            let duration = telemetry
                .meter()
                .f64_histogram("http.server.request.duration")
                .with_unit("s")
                .with_description("Duration of requests, from the head to the head of the answer.")
                .with_boundaries(SECONDS.to_vec())
                .build();
            Self {
                telemetry,
                duration,
            }
        }
    }

    /// A span for a request, in its caller's trace. Named for its route: paths hold what callers choose.
    pub(crate) async fn observe(
        State(gateway): State<Gateway>,
        request: Request,
        next: Next,
    ) -> Response {
        let route = request.extensions().get::<MatchedPath>();
        let route = route.map_or("", MatchedPath::as_str).to_owned();
        // Probes come by the second, and nobody wants to see them.
        if !route.starts_with("/v1/") && !route.starts_with("/compat/") {
            return next.run(request).await;
        }
        let Tracing {
            telemetry,
            duration,
        } = &gateway.shared.tracing;
        let began = Instant::now();
        let name = format!("{} {route}", method(request.method()));
        let mut attributes = vec![
            KeyValue::new("http.request.method", method(request.method())),
            KeyValue::new("http.route", route),
        ];
        let parent = extract(request.headers());
        let span = telemetry.tracer().span_builder(name);
        let span = span.with_kind(SpanKind::Server);
        let span = span.with_attributes(attributes.clone());
        let span = span.start_with_context(telemetry.tracer(), &parent);
        let context = parent.with_span(span);
        let response = next.run(request).with_context(context.clone()).await;
        let status = response.status();
        let code = KeyValue::new("http.response.status_code", i64::from(status.as_u16()));
        context.span().set_attribute(code.clone());
        attributes.push(code);
        if status.is_server_error() {
            let error = KeyValue::new("error.type", status.as_str().to_owned());
            context.span().set_attribute(error.clone());
            context.span().set_status(Status::error(""));
            attributes.push(error);
        }
        context.span().end();
        duration.record(began.elapsed().as_secs_f64(), &attributes);
        response
    }

    /// The trace of a request, in which work stays that goes on elsewhere, or longer.
    pub(crate) struct Trace(Context);

    impl Trace {
        pub(crate) fn current() -> Self {
            Self(Context::current())
        }

        pub(crate) fn around<F: Future>(&self, future: F) -> WithContext<F> {
            future.with_context(self.0.clone())
        }
    }

    /// Tells a receiver in which trace a webhook is sent.
    pub(crate) fn headers() -> HeaderMap {
        let mut headers = HeaderMap::new();
        inject(&Context::current(), &mut headers);
        headers
    }

    /// In which trace a job is queued: in the request's span, or in that of its caller where there is no span.
    pub(crate) fn parent(request: &HeaderMap) -> Option<String> {
        super::traceparent(&headers()).or_else(|| super::traceparent(request))
    }
}

#[cfg(not(feature = "otel"))]
mod off {
    use std::future::Future;

    use axum::http::HeaderMap;

    pub(crate) struct Trace;

    impl Trace {
        pub(crate) fn current() -> Self {
            Self
        }

        pub(crate) fn around<F: Future>(&self, future: F) -> F {
            future
        }
    }

    pub(crate) fn headers() -> HeaderMap {
        HeaderMap::new()
    }

    /// In which trace a job is queued: in that of its caller.
    pub(crate) fn parent(request: &HeaderMap) -> Option<String> {
        super::traceparent(request)
    }
}
