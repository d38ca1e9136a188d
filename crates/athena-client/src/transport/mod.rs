//! Connections to the service, and the tower stack above them.

mod connections;
mod http2;
mod meter;
mod requests;
mod shared;
mod status;
mod turns;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use athena_auth::{AuthorizationLayer, BoxError, BoxFuture, TokenSource};
use athena_proto::classifier_service_client::ClassifierServiceClient;
use http::Uri;
use tonic::body::Body;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;
use tower_layer::Layer;

pub(crate) use connections::Connections;
pub(crate) use http2::Driver;
pub(crate) use meter::Meter;
pub(crate) use requests::Requests;
pub(crate) use shared::Attempt;
pub(crate) use status::{from_status, is_unprocessed, pushback};

use crate::error::Error;
use crate::telemetry::{Call, Parent, Telemetry};

/// A boxed gRPC transport: what `ClientBuilder::service` takes in.
pub(crate) type GrpcService =
    BoxCloneSyncService<http::Request<Body>, http::Response<Body>, CallError>;

/// Whatever went wrong below the stub. A type of its own, since the compiler cannot prove that a
/// future is `Send` which mentions `From<Box<dyn Error>>`.
#[derive(Debug, thiserror::Error)]
#[error("the call failed")]
pub(crate) struct CallError(#[source] BoxError);

pub(crate) type Stub = ClassifierServiceClient<GrpcService>;

/// Largest response decoded. Answers are a few kilobytes; this only bounds a hostile peer.
const MAX_RESPONSE_BYTES: usize = 16 << 20;

pub(crate) const CLIENT_VERSION: &str = concat!("athena-rust-client/", env!("CARGO_PKG_VERSION"));

/// Reaches one service, with tokens.
#[derive(Clone)]
pub(crate) struct Transport {
    link: Link,
    origin: Uri,
    tokens: Option<Arc<dyn TokenSource>>,
    plaintext: bool,
    telemetry: Telemetry,
}

/// What calls go over.
#[derive(Clone)]
pub(crate) enum Link {
    /// Connections of the client's own.
    Own(Arc<Connections>),
    /// A service of the caller's.
    Service(GrpcService),
}

impl Transport {
    pub(crate) fn new(
        link: Link,
        origin: Uri,
        tokens: Option<Arc<dyn TokenSource>>,
        plaintext: bool,
        telemetry: Telemetry,
    ) -> Self {
        Self {
            link,
            origin,
            tokens,
            plaintext,
            telemetry,
        }
    }

    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// What is told of a call that begins.
    pub(crate) fn call(&self, method: &'static str, parent: &Parent) -> Call {
        self.telemetry.call(method, &self.origin, parent)
    }

    /// Where tokens come from, if calls carry any.
    pub(crate) fn tokens(&self) -> Option<&dyn TokenSource> {
        self.tokens.as_deref()
    }

    /// How often streams ping an idle connection, unless the server objects.
    pub(crate) fn ping_interval(&self) -> Duration {
        match &self.link {
            Link::Own(connections) => connections.ping_interval(),
            Link::Service(_) => Duration::MAX,
        }
    }

    /// Whether an attempt that has no answer may have left this process.
    pub(crate) fn has_left(&self, attempt: &Attempt) -> bool {
        match &self.link {
            Link::Own(_) => attempt.was_sent(),
            Link::Service(_) => true,
        }
    }

    /// The stub for one attempt at a unary call, over the shared connection.
    pub(crate) fn unary(&self, attempt: &Attempt) -> Stub {
        match &self.link {
            Link::Own(connections) => self.stub(connections.explained(connections.shared(attempt))),
            Link::Service(service) => self.stub(service.clone()),
        }
    }

    /// The stub for one stream, on a connection of its own with the name resolved anew, and what
    /// tells whether its bytes move.
    pub(crate) fn connect(
        &self,
        ping_interval: Duration,
        meter: Meter,
    ) -> BoxFuture<'static, Result<(Stub, Option<Driver>), Error>> {
        let this = self.clone();
        // Boxed here, where the compiler still sees that it is `Send`.
        Box::pin(async move {
            Ok(match &this.link {
                Link::Own(connections) => {
                    let (connection, driver) = connections.single(ping_interval).await?;
                    let service = meter.watch(connections.explained(connection));
                    (this.stub(service), Some(driver))
                }
                Link::Service(service) => (this.stub(meter.watch(service.clone())), None),
            })
        })
    }

    fn stub(&self, service: GrpcService) -> Stub {
        let service = match &self.tokens {
            Some(tokens) => {
                let layer = AuthorizationLayer::new(Arc::clone(tokens))
                    .origin(&self.origin)
                    .allow_plaintext(self.plaintext);
                boxed(layer.layer(service))
            }
            None => service,
        };
        ClassifierServiceClient::with_origin(service, self.origin.clone())
            .max_decoding_message_size(MAX_RESPONSE_BYTES)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link: &dyn fmt::Debug = match &self.link {
            Link::Own(connections) => connections,
            Link::Service(_) => &"service of the caller",
        };
        f.debug_struct("Transport")
            .field("origin", &self.origin)
            .field("link", link)
            .field("tokens", &self.tokens)
            .finish()
    }
}

/// Erases the type of a gRPC transport.
pub(crate) fn boxed<S, B>(service: S) -> GrpcService
where
    S: tower::Service<http::Request<Body>, Response = http::Response<B>>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: tonic::codegen::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    BoxCloneSyncService::new(
        service
            .map_response(|response: http::Response<B>| response.map(Body::new))
            .map_err(|error: S::Error| CallError(error.into())),
    )
}

/// The calls of the service, as telemetry names them.
pub(crate) mod method {
    pub(crate) const CLASSIFY: &str = "athena.ClassifierService/Classify";
    pub(crate) const CLASSIFY_SINGLE: &str = "athena.ClassifierService/ClassifySingle";
    pub(crate) const LIST_DEPLOYMENTS: &str = "athena.ClassifierService/ListDeployments";
}

/// A request with the metadata by which the service knows its clients, and in which trace they call.
pub(crate) fn request<T>(message: T, call: &Call) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    let metadata = request.metadata_mut();
    metadata.insert(
        "x-client-version",
        tonic::metadata::MetadataValue::from_static(CLIENT_VERSION),
    );
    metadata.insert(
        "x-client-language",
        tonic::metadata::MetadataValue::from_static("rust"),
    );
    call.introduce(metadata);
    request
}
