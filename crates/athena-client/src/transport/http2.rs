//! One HTTP/2 connection for one stream, which can tell why it ended.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use athena_net::Connection;
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::task::JoinHandle;
use tonic::body::Body;
use tower_service::Service;

use super::CLIENT_VERSION;
use crate::error::find;

/// Bytes that wait in this process for the socket to take them. Few, since what waits here looks as
/// if it were on its way.
const SEND_BUFFER: usize = 64 << 10;

/// Sends calls on its connection.
#[derive(Debug, Clone)]
pub(crate) struct Http2 {
    sender: SendRequest<Body>,
}

/// The task that drives a connection. Dropping this closes the connection, even one whose peer is
/// dead and takes no farewell.
#[derive(Debug)]
pub(crate) struct Driver(JoinHandle<bool>);

impl Http2 {
    pub(super) async fn over(
        io: TokioIo<Connection>,
        ping_interval: Duration,
        ping_timeout: Duration,
    ) -> Result<(Self, Driver), hyper::Error> {
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(ping_interval)
            .keep_alive_timeout(ping_timeout)
            .handshake(io)
            .await?;
        let driver =
            tokio::spawn(async { connection.await.is_err_and(|error| wants_calm(&error)) });
        Ok((Self { sender }, Driver(driver)))
    }
}

impl Driver {
    /// Whether the server closed the connection because of too many pings. To be asked when the
    /// stream has ended: only the connection knows, not its streams.
    pub(crate) async fn too_many_pings(mut self) -> bool {
        const SOON: Duration = Duration::from_millis(100);
        matches!(tokio::time::timeout(SOON, &mut self.0).await, Ok(Ok(true)))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
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
