//! Spans and measurements of images and calls.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use athena_auth::TokenSource;
use http::Uri;
use opentelemetry::context::{FutureExt, WithContext};
use opentelemetry::global::{self, BoxedTracer};
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::trace::{
    SpanKind, Status as SpanStatus, TraceContextExt, Tracer, TracerProvider,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::Mode;
use super::instruments::Instruments;
use super::propagation::inject;
use super::registry::{Membership, Registry};
use crate::error::Error;
use crate::prepare::{Preparation, Preparer};
use crate::session::Shared;
use crate::verdict::Verdict;

/// In what a span begins.
pub(crate) type Parent = Context;

pub(crate) fn current() -> Parent {
    Context::current()
}

/// Where the clients that share it report their figures and spans: OpenTelemetry's global providers, or
/// others.
///
/// Cheap to clone. Give all clients of a process the same: each makes the instruments anew, and
/// OpenTelemetry keeps one value of each.
#[derive(Clone)]
pub struct Telemetry(Arc<Inner>);

struct Inner {
    tracer: BoxedTracer,
    meter: Meter,
    instruments: Instruments,
    registry: Arc<Registry>,
}

impl Telemetry {
    /// Reports to these providers.
    pub fn new<T>(meters: &dyn MeterProvider, tracers: &T) -> Self
    where
        T: TracerProvider,
        T::Tracer: Send + Sync + 'static,
        <T::Tracer as Tracer>::Span: Send + Sync + 'static,
    {
        let tracer = tracers.tracer_with_scope(scope());
        let meter = meters.meter_with_scope(scope());
        let registry = Arc::default();
        Self(Arc::new(Inner {
            tracer: BoxedTracer::new(Box::new(tracer)),
            instruments: Instruments::new(&meter, &registry),
            meter,
            registry,
        }))
    }

    /// Reports to the global providers, as they are when this is first called: set them before the first
    /// client is built.
    pub fn global() -> Self {
        static GLOBAL: OnceLock<Telemetry> = OnceLock::new();
        let new = || Self::new(&*global::meter_provider(), &global::tracer_provider());
        GLOBAL.get_or_init(new).clone()
    }

    /// For spans beside those of the client, such as of the request that brought an image.
    pub fn tracer(&self) -> &BoxedTracer {
        &self.0.tracer
    }

    /// For instruments beside those of the client.
    pub fn meter(&self) -> &Meter {
        &self.0.meter
    }

    pub(crate) fn image(&self, mode: Mode, id: &str, deployment: Option<&str>) -> Span {
        let mut attributes = vec![KeyValue::new("athena.correlation_id", id.to_owned())];
        if let Some(deployment) = deployment {
            attributes.push(KeyValue::new("athena.deployment", deployment.to_owned()));
        }
        let tracer = &self.0.tracer;
        let span = tracer.span_builder("athena.classify");
        let span = span.with_attributes(attributes);
        let parent = Context::current();
        let span = span.start_with_context(tracer, &parent);
        Span {
            telemetry: self.clone(),
            context: parent.with_span(span),
            mode,
            began: Instant::now(),
            outcome: "cancelled",
        }
    }

    /// A call of this method, such as `package.Service/Method`.
    pub(crate) fn call(&self, method: &'static str, server: &Uri, parent: &Parent) -> Call {
        let mut attributes = vec![
            KeyValue::new("rpc.system.name", "grpc"),
            KeyValue::new("rpc.method", method),
        ];
        if let Some(host) = server.host() {
            attributes.push(KeyValue::new("server.address", host.to_owned()));
            let port = server.port_u16().unwrap_or(match server.scheme_str() {
                Some("http") => 80,
                _ => 443,
            });
            attributes.push(KeyValue::new("server.port", i64::from(port)));
        }
        let tracer = &self.0.tracer;
        let span = tracer.span_builder(method).with_kind(SpanKind::Client);
        let span = span.with_attributes(attributes.clone());
        let span = span.start_with_context(tracer, parent);
        Call {
            telemetry: self.clone(),
            context: parent.with_span(span),
            attributes,
            began: Instant::now(),
            ended: None,
        }
    }

    pub(crate) fn retried(&self) {
        self.0.instruments.retries.add(1, &[]);
    }

    pub(crate) fn prepared(&self, preparation: &Preparation, took: Duration) {
        let (format, error) = match preparation {
            Ok(prepared) => (prepared.provenance().format(), prepared.failure()),
            Err(error) => (None, Some(error)),
        };
        let mut attributes = Vec::new();
        if let Some(format) = format {
            attributes.push(KeyValue::new("athena.image.format", format.to_owned()));
        }
        if let Some(error) = error {
            attributes.push(KeyValue::new("error.type", error.kind().as_str()));
        }
        let preparation = &self.0.instruments.preparation;
        preparation.record(took.as_secs_f64(), &attributes);
    }

    pub(crate) fn opened(&self, session: &Arc<Shared>) {
        self.0.registry.enter(session);
    }

    pub(crate) fn over(&self, session: &Arc<Shared>) {
        self.0.registry.leave(session);
    }

    pub(crate) fn join(
        &self,
        tokens: Option<&Arc<dyn TokenSource>>,
        preparer: &Preparer,
    ) -> Membership {
        Membership::new(&self.0.registry, tokens, preparer)
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("athena-client")
        .with_version(env!("CARGO_PKG_VERSION"))
        .build()
}

/// Of an image, from its acceptance to its end. Names no file, no label and no weight. Dropped, the image
/// was cancelled.
pub(crate) struct Span {
    telemetry: Telemetry,
    context: Context,
    mode: Mode,
    began: Instant,
    outcome: &'static str,
}

impl Span {
    /// What the future does is done for this image.
    pub(crate) fn around<F: Future>(&self, future: F) -> WithContext<F> {
        future.with_context(self.context.clone())
    }

    /// How long it waited, and then worked.
    pub(crate) fn times(&mut self, queue: Option<Duration>, service: Option<Duration>) {
        let instruments = &self.telemetry.0.instruments;
        if let Some(queue) = queue {
            instruments.queue.record(queue.as_secs_f64(), &[]);
        }
        if let Some(service) = service {
            instruments.service.record(service.as_secs_f64(), &[]);
        }
    }

    /// The stream that brought the answer, which is in another trace.
    pub(crate) fn answered_on(&self, stream: &Call) {
        let stream = stream.context.span().span_context().clone();
        self.context.span().add_link(stream, Vec::new());
    }

    pub(crate) fn end(mut self, result: Result<&Verdict, &Error>) {
        let sends = match result {
            Ok(verdict) => {
                self.outcome = "verdict";
                verdict.sends()
            }
            Err(error) => {
                self.outcome = error.kind().as_str();
                error.sends()
            }
        };
        if let Some(sends) = sends {
            let sends = KeyValue::new("athena.sends", i64::from(sends));
            self.context.span().set_attribute(sends);
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let mode = match self.mode {
            Mode::Call => "call",
            Mode::Session => "session",
        };
        let mut attributes = vec![KeyValue::new("athena.client.mode", mode)];
        let span = self.context.span();
        span.set_attribute(KeyValue::new("athena.client.image.outcome", self.outcome));
        if self.outcome != "verdict" {
            let error = KeyValue::new("error.type", self.outcome);
            span.set_attribute(error.clone());
            attributes.push(error);
        }
        if !matches!(self.outcome, "verdict" | "cancelled") {
            // The kind, not the message: that may name a file.
            span.set_status(SpanStatus::error(self.outcome));
        }
        span.end();
        let image = &self.telemetry.0.instruments.image;
        image.record(self.began.elapsed().as_secs_f64(), &attributes);
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span").finish_non_exhaustive()
    }
}

/// Of a call, from its beginning to its status. Dropped, it was cancelled.
pub(crate) struct Call {
    telemetry: Telemetry,
    context: Context,
    attributes: Vec<KeyValue>,
    began: Instant,
    ended: Option<Code>,
}

impl Call {
    /// Tells the service in which trace it works.
    pub(crate) fn introduce(&self, metadata: &mut MetadataMap) {
        inject(&self.context, metadata.as_mut());
    }

    pub(crate) fn end(mut self, result: Result<(), &Status>) {
        self.ended = Some(result.map_or_else(Status::code, |()| Code::Ok));
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let code = self.ended.unwrap_or(Code::Cancelled);
        let name = name(code);
        let code_attribute = KeyValue::new("rpc.response.status_code", name);
        let span = self.context.span();
        span.set_attribute(code_attribute.clone());
        self.attributes.push(code_attribute);
        if code != Code::Ok {
            let error = KeyValue::new("error.type", name);
            span.set_attribute(error.clone());
            self.attributes.push(error);
            if self.ended.is_some() {
                span.set_status(SpanStatus::error(name));
            }
        }
        span.end();
        let call = &self.telemetry.0.instruments.call;
        call.record(self.began.elapsed().as_secs_f64(), &self.attributes);
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}

/// As the conventions spell the codes of gRPC.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
