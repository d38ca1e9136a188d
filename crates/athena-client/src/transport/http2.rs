//! One HTTP/2 connection for one stream, which can tell why it ended.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::oneshot;
use tonic::body::Body;
use tower_service::Service;

use super::CLIENT_VERSION;
use super::connector::Stream;
use crate::error::find;

/// Sends calls on its connection, which is closed when the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Http2 {
    sender: SendRequest<Body>,
}

/// How a connection ended, once it has.
#[derive(Debug)]
pub(crate) struct Ending(oneshot::Receiver<bool>);

impl Http2 {
    pub(super) async fn over(
        io: TokioIo<Stream>,
        ping_interval: Duration,
        ping_timeout: Duration,
    ) -> Result<(Self, Ending), hyper::Error> {
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(ping_interval)
            .keep_alive_timeout(ping_timeout)
            .handshake(io)
            .await?;
        let (end, ending) = oneshot::channel();
        // Runs no longer than somebody holds the sender or a stream.
        tokio::spawn(async move {
            let calm_wanted = connection.await.is_err_and(|error| wants_calm(&error));
            // Nobody may care.
            let _ = end.send(calm_wanted);
        });
        Ok((Self { sender }, Ending(ending)))
    }
}

impl Ending {
    /// Whether the server closed the connection because of too many pings. To be asked when the
    /// stream has ended: only the connection knows, not its streams.
    pub(crate) async fn too_many_pings(self) -> bool {
        const SOON: Duration = Duration::from_millis(100);
        matches!(tokio::time::timeout(SOON, self.0).await, Ok(Ok(true)))
    }
}

fn wants_calm(error: &hyper::Error) -> bool {
    find(Some(error), |error| error.downcast_ref::<h2::Error>()).is_some_and(|error| {
        error.is_go_away() && error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM)
    })
}

impl Service<Request<Body>> for Http2 {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.sender.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let agent = HeaderValue::from_static(CLIENT_VERSION);
        request.headers_mut().insert(header::USER_AGENT, agent);
        Box::pin(self.sender.send_request(request))
    }
}
