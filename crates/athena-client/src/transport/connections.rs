//! Connections of the client's own: one for each stream, and a shared one for the unary calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use athena_auth::BoxError;
use athena_net::{ConnectError, Connector};
use hyper_util::rt::TokioIo;
use tokio::runtime::{Handle, Id};
use tonic::body::Body;
use tower::ServiceExt;

use super::http2::{Driver, Http2};
use super::shared::{Attempt, Shared, SharedCalls};
use super::status::{from_connect, innermost};
use super::{GrpcService, boxed};
use crate::error::{Error, ErrorKind};
use crate::sync::lock;

#[derive(Debug)]
pub(crate) struct Connections {
    opener: Opener,
    /// The connection for unary calls of each runtime: its task runs there, and ends with it.
    shared: Mutex<HashMap<Id, Arc<Shared>>>,
}

/// Opens connections.
#[derive(Debug, Clone)]
pub(super) struct Opener {
    connector: Connector,
    pub(super) ping_interval: Duration,
    ping_timeout: Duration,
}

/// A connection that could not be made.
#[derive(Debug)]
pub(super) enum Failure {
    Connect(ConnectError),
    Http2(hyper::Error),
    /// The runtime is going away.
    Ended,
}

impl Connections {
    pub(crate) fn new(
        connector: Connector,
        ping_interval: Duration,
        ping_timeout: Duration,
    ) -> Self {
        Self {
            opener: Opener {
                connector,
                ping_interval,
                ping_timeout,
            },
            shared: Mutex::default(),
        }
    }

    pub(super) fn ping_interval(&self) -> Duration {
        self.opener.ping_interval
    }

    /// Unary calls over the connection of this runtime, made when the first needs it.
    pub(super) fn shared(&self, attempt: &Attempt) -> SharedCalls {
        let runtime = Handle::current().id();
        let mut all = lock(&self.shared);
        if !all.contains_key(&runtime) {
            // Runtimes come and go.
            all.retain(|_, shared| shared.is_used());
        }
        let shared = Arc::clone(all.entry(runtime).or_default());
        SharedCalls::new(shared, self.opener.clone(), attempt.clone())
    }

    /// The transport over such a connection. A connection that breaks because the server speaks
    /// something else says so, and a page of HTML is not read as messages. Always ready: the stub would
    /// make a bare text of what is wrong before the call.
    pub(super) fn explained<S, B>(&self, service: S) -> GrpcService
    where
        S: tower::Service<http::Request<Body>, Response = http::Response<B>>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Error: Into<BoxError> + Send,
        S::Future: Send,
        B: tonic::codegen::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let connector = self.opener.connector.clone();
        boxed(tower::service_fn(move |request| {
            let (service, connector) = (service.clone(), connector.clone());
            async move {
                let answer = service.oneshot(request).await;
                let answer = answer.map_err(|error| match connector.why_broken() {
                    Some(why) => BoxError::from(why),
                    None => error.into(),
                })?;
                let kind = answer.headers().get(http::header::CONTENT_TYPE);
                if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
                    return Err(NotGrpc(answer.status()).into());
                }
                Ok::<_, BoxError>(answer)
            }
        }))
    }

    /// A connection for one stream.
    pub(super) async fn single(&self, ping_interval: Duration) -> Result<(Http2, Driver), Error> {
        let connection = self.opener.open(ping_interval).await;
        connection.map_err(|failure| failure.to_error())
    }
}

/// An answer that is not gRPC: from a load balancer, or from a server for something else.
#[derive(Debug, thiserror::Error)]
#[error("HTTP {0}, and no gRPC")]
pub(super) struct NotGrpc(pub(super) http::StatusCode);

impl Failure {
    /// As the caller sees it: nothing was sent.
    pub(super) fn to_error(&self) -> Error {
        match self {
            Self::Connect(error) => from_connect(error),
            Self::Http2(error) => {
                let message = format!("the connection broke as it began: {}", innermost(error));
                Error::new(ErrorKind::Unavailable, message)
            }
            Self::Ended => Error::new(ErrorKind::Unavailable, "the runtime is shutting down"),
        }
    }
}

impl Opener {
    pub(super) async fn open(&self, ping_interval: Duration) -> Result<(Http2, Driver), Failure> {
        let connection = self.connector.connect().await.map_err(Failure::Connect)?;
        Http2::over(TokioIo::new(connection), ping_interval, self.ping_timeout)
            .await
            .map_err(Failure::Http2)
    }
}
