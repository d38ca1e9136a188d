//! What OpenTelemetry is told of requests, with the feature `otel`; without it, nothing.

use axum::http::HeaderMap;

#[cfg(not(feature = "otel"))]
pub(crate) use off::{Trace, headers, parent};
#[cfg(feature = "otel")]
pub(crate) use on::{Trace, Tracing, headers, observe, parent};

/// As much of a `tracestate` as W3C wants to be passed on.
const MOST_STATE: usize = 512;

/// The trace context of W3C, which goes along with work that is done elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    parent: String,
    state: Option<String>,
}

impl TraceContext {
    /// Of a `traceparent` and the `tracestate` beside it. None where the first is none:
    /// `VERSION-TRACE-PARENT-FLAGS`, in hexadecimal. A state that is none, or has more than 512 bytes, is left out.
    #[must_use]
    pub fn new(parent: &str, state: Option<&str>) -> Option<Self> {
        let lengths = parent.split('-').map(str::len);
        let sound = parent.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
        let state = state.map(str::trim).filter(|state| {
            let printable = state.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            printable && (1..=MOST_STATE).contains(&state.len())
        });
        (sound && lengths.eq([2, 32, 16, 2])).then(|| Self {
            parent: parent.to_owned(),
            state: state.map(str::to_owned),
        })
    }

    /// The `traceparent`.
    #[must_use]
    pub fn parent(&self) -> &str {
        &self.parent
    }

    /// The `tracestate`.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    fn of(headers: &HeaderMap) -> Option<Self> {
        let parent = headers.get("traceparent")?.to_str().ok()?;
        // It may come in several headers.
        let states = headers.get_all("tracestate").iter();
        let states: Vec<&str> = states.filter_map(|value| value.to_str().ok()).collect();
        Self::new(parent, Some(&states.join(",")))
    }
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

    use super::TraceContext;
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
    pub(crate) fn parent(request: &HeaderMap) -> Option<TraceContext> {
        TraceContext::of(&headers()).or_else(|| TraceContext::of(request))
    }
}

#[cfg(not(feature = "otel"))]
mod off {
    use std::future::Future;

    use axum::http::HeaderMap;

    use super::TraceContext;

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
    pub(crate) fn parent(request: &HeaderMap) -> Option<TraceContext> {
        TraceContext::of(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_state_goes_along_with_its_parent_and_is_bounded() {
        let state = |state: &str| {
            let context = TraceContext::new(PARENT, Some(state)).expect("a parent");
            context.state().map(str::to_owned)
        };
        assert_eq!(
            state("vendor=1, other=2").as_deref(),
            Some("vendor=1, other=2")
        );
        let long = format!("a={}", "x".repeat(510));
        assert_eq!(state(&long), Some(long.clone()));
        for none in ["", " ", &format!("{long}x"), "a=\r\nb", "a=\u{e9}"] {
            assert_eq!(state(none), None);
        }
        for none in [
            "",
            "00-0af7",
            &PARENT.replace('0', "z"),
            &format!("{PARENT}-x"),
        ] {
            assert_eq!(TraceContext::new(none, Some("a=1")), None);
        }
    }

    #[test]
    fn states_in_several_headers_are_one() {
        let mut headers = HeaderMap::new();
        headers.append("tracestate", "a=1".parse().expect("a value"));
        assert_eq!(TraceContext::of(&headers), None);
        headers.append("traceparent", PARENT.parse().expect("a value"));
        headers.append("tracestate", "b=2".parse().expect("a value"));
        let context = TraceContext::of(&headers).expect("a context");
        assert_eq!(
            (context.parent(), context.state()),
            (PARENT, Some("a=1,b=2"))
        );
    }
}
