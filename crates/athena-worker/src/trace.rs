//! What OpenTelemetry is told of jobs, with the feature `otel`; without it, nothing.

#[cfg(not(feature = "otel"))]
pub(crate) use off::Trace;
#[cfg(feature = "otel")]
pub(crate) use on::Trace;

#[cfg(feature = "otel")]
mod on {
    use std::future::Future;

    use athena_client::Client;
    use athena_client::otel::extract;
    use athena_gateway::TraceContext;
    use http::{HeaderMap, HeaderValue};
    use opentelemetry::context::{FutureExt, WithContext};
    use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer};
    use opentelemetry::{Context, KeyValue};

    use crate::job::Job;
    use crate::judge::{End, Judgement};

    /// The span of an attempt at a job. It ends with this value.
    pub(crate) struct Trace(Context);

    impl Trace {
        /// In the trace of whoever has submitted the job.
        pub(crate) fn of(client: &Client, job: &Job) -> Self {
            let mut headers = HeaderMap::new();
            let trace = job.trace.as_ref();
            let parts = [
                ("traceparent", trace.map(TraceContext::parent)),
                ("tracestate", trace.and_then(TraceContext::state)),
            ];
            for (name, value) in parts {
                if let Some(Ok(value)) = value.map(HeaderValue::from_str) {
                    headers.insert(name, value);
                }
            }
            let parent = extract(&headers);
            let tracer = client.telemetry().tracer();
            let span = tracer.span_builder("athena.job");
            let span = span.with_kind(SpanKind::Consumer);
            let span = span.with_attributes([
                KeyValue::new("messaging.operation.type", "process"),
                KeyValue::new("athena.key", job.key.clone()),
            ]);
            let span = span.start_with_context(tracer, &parent);
            Self(parent.with_span(span))
        }

        pub(crate) fn around<F: Future>(&self, future: F) -> WithContext<F> {
            future.with_context(self.0.clone())
        }

        /// Notes how the attempt went.
        pub(crate) fn ended(self, judgement: &Judgement) {
            let span = self.0.span();
            if let Some(error) = &judgement.record.error {
                span.set_attribute(KeyValue::new("error.type", error.kind.to_string()));
            }
            if matches!(judgement.end, End::Failed { .. } | End::Away { .. }) {
                span.set_status(Status::error(""));
            }
            span.end();
        }
    }
}

#[cfg(not(feature = "otel"))]
mod off {
    use athena_client::Client;

    use crate::job::Job;
    use crate::judge::Judgement;

    pub(crate) struct Trace;

    impl Trace {
        pub(crate) fn of(_: &Client, _: &Job) -> Self {
            Self
        }

        pub(crate) fn around<F: Future>(&self, future: F) -> F {
            future
        }

        pub(crate) fn ended(self, _: &Judgement) {}
    }
}
