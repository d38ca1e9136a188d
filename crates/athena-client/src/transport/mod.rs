//! Connections to the service, and the tower stack above them.

mod http2;
mod meter;
mod requests;
mod status;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use athena_auth::{AuthorizationLayer, BoxError, BoxFuture, TokenSource};
use athena_net::Connector;
use athena_proto::classifier_service_client::ClassifierServiceClient;
use http::{HeaderValue, Uri};
use hyper_util::rt::TokioIo;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;
use tower_layer::Layer;

pub(crate) use http2::{Driver, Http2};
pub(crate) use meter::Meter;
pub(crate) use requests::Requests;
pub(crate) use status::{from_connect, from_status, pushback};

use crate::error::Error;

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
}

#[derive(Clone)]
enum Link {
    Own(Arc<Connections>),
    Service(GrpcService),
}

/// Connections of the client's own.
#[derive(Debug)]
pub(crate) struct Connections {
    connector: Connector,
    origin: Uri,
    ping_interval: Duration,
    ping_timeout: Duration,
    /// The connection of the unary calls: made on first use, since making it spawns a task.
    shared: OnceLock<Channel>,
}

impl Connections {
    pub(crate) fn new(
        connector: Connector,
        origin: Uri,
        ping_interval: Duration,
        ping_timeout: Duration,
    ) -> Self {
        Self {
            connector,
            origin,
            ping_interval,
            ping_timeout,
            shared: OnceLock::new(),
        }
    }

    fn endpoint(&self, ping_interval: Duration) -> Endpoint {
        // TLS is the connector's business, so tonic is told of a plain address; `origin` puts
        // the true scheme and authority on the requests.
        Endpoint::from_static("http://athena.invalid")
            .user_agent(HeaderValue::from_static(CLIENT_VERSION))
            .expect("a static header value is valid")
            .origin(self.origin.clone())
            .http2_keep_alive_interval(ping_interval)
            .keep_alive_timeout(self.ping_timeout)
    }

    /// The connection of the unary calls.
    fn shared(&self) -> Channel {
        self.shared
            .get_or_init(|| {
                let connector = self.connector.clone();
                let connect = tower::service_fn(move |_| {
                    let connector = connector.clone();
                    async move { connector.connect().await.map(TokioIo::new) }
                });
                self.endpoint(self.ping_interval)
                    .connect_with_connector_lazy(connect)
            })
            .clone()
    }

    /// A connection of its own.
    async fn connect(&self, ping_interval: Duration) -> Result<(Http2, Driver), Error> {
        let connected = self.connector.connect().await;
        let io = TokioIo::new(connected.map_err(|error| from_connect(&error))?);
        let connection = Http2::over(io, ping_interval, self.ping_timeout).await;
        connection.map_err(|error| from_status(&tonic::Status::from_error(error.into())))
    }
}

impl Transport {
    pub(crate) fn own(
        connections: Connections,
        tokens: Option<Arc<dyn TokenSource>>,
        plaintext: bool,
    ) -> Self {
        Self {
            origin: connections.origin.clone(),
            link: Link::Own(Arc::new(connections)),
            tokens,
            plaintext,
        }
    }

    pub(crate) fn service(
        service: GrpcService,
        origin: Uri,
        tokens: Option<Arc<dyn TokenSource>>,
        plaintext: bool,
    ) -> Self {
        Self {
            link: Link::Service(service),
            origin,
            tokens,
            plaintext,
        }
    }

    /// Where tokens come from, if calls carry any.
    pub(crate) fn tokens(&self) -> Option<&dyn TokenSource> {
        self.tokens.as_deref()
    }

    /// How often streams ping an idle connection, unless the server objects.
    pub(crate) fn ping_interval(&self) -> Duration {
        match &self.link {
            Link::Own(connections) => connections.ping_interval,
            Link::Service(_) => Duration::MAX,
        }
    }

    /// The stub for unary calls: one connection, shared.
    pub(crate) fn unary(&self) -> Stub {
        match &self.link {
            Link::Own(connections) => self.stub(boxed(connections.shared())),
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
                    let (connection, driver) = connections.connect(ping_interval).await?;
                    (this.stub(meter.watch(boxed(connection))), Some(driver))
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

/// A request with the metadata by which the service knows its clients.
pub(crate) fn request<T>(message: T) -> tonic::Request<T> {
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
    request
}
