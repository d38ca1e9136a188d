//! One HTTP/2 connection for one stream, which can tell why it ended.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use athena_net::{Connection, Traffic};
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::task::{JoinError, JoinHandle};
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
    traffic: Arc<Traffic>,
}

/// A task that ends with its owner.
#[derive(Debug)]
pub(super) struct Task<T>(JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    pub(super) fn spawn(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The task that drives a connection. Dropping this closes the connection, even one whose peer is
/// dead and takes no farewell.
#[derive(Debug)]
pub(crate) struct Driver(Task<bool>);

impl Http2 {
    pub(super) async fn over(
        io: TokioIo<Connection>,
        ping_interval: Duration,
        ping_timeout: Duration,
    ) -> Result<(Self, Driver), hyper::Error> {
        let traffic = io.inner().traffic();
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(ping_interval)
            .keep_alive_timeout(ping_timeout)
            .handshake(io)
            .await?;
        let driver = Task::spawn(async { connection.await.is_err_and(|error| wants_calm(&error)) });
        Ok((Self { sender, traffic }, Driver(driver)))
    }

    /// What the connection's socket moves.
    pub(super) fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a call. If it never left, it comes back with the error.
    pub(super) async fn send(
        &mut self,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, (hyper::Error, Option<Request<Body>>)> {
        let agent = HeaderValue::from_static(CLIENT_VERSION);
        request.headers_mut().insert(header::USER_AGENT, agent);
        let answer = self.sender.try_send_request(request).await;
        answer.map_err(|mut error| {
            let returned = error.take_message();
            (error.into_error(), returned)
        })
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

/// The server has not looked at the call (RFC 9113, section 8.7).
pub(super) fn is_refused(error: &h2::Error) -> bool {
    error.is_reset() && error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM)
}

/// As [`is_refused`], or the connection is closing and the call came after the last that it takes: only
/// such calls end in the server's GOAWAY.
pub(super) fn is_unprocessed(error: &h2::Error) -> bool {
    is_refused(error) || (error.is_go_away() && error.is_remote())
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

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut this = self.clone();
        Box::pin(async move { this.send(request).await.map_err(|(error, _)| error) })
    }
}
