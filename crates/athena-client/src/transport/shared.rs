//! The connection that unary calls share: made when one needs it, replaced when it is of no more
//! use.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use athena_net::Traffic;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared as SharedFuture};
use http::{Request, Response};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::Instant;
use tonic::body::Body;
use tower_service::Service;

use super::connections::{Failure, Opener};
use super::http2::{Driver, Http2, Task, is_refused};
use super::turns::{Turn, Turns};
use crate::error::find;
use crate::sync::lock;

/// A caller who left after this long without a byte from the server has seen a dead connection.
const SILENCE: Duration = Duration::from_secs(1);
/// Connections that close before they have taken a call, in a row.
const MOST_STILLBORN: u32 = 3;

/// Of one runtime.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// The connection, or the attempt at one, which all who need it wait for.
    current: Mutex<Option<Connecting>>,
}

type Connecting = SharedFuture<BoxFuture<'static, Result<Arc<Connection>, NoConnection>>>;

#[derive(Debug)]
struct Connection {
    http2: Http2,
    turns: Turns,
    traffic: Arc<Traffic>,
    /// Takes no more calls. Those in flight may still be answered.
    retired: AtomicBool,
    _driver: Driver,
}

impl Connection {
    fn is_usable(&self) -> bool {
        !self.retired.load(Ordering::Relaxed) && !self.http2.is_closed()
    }

    fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
        self.turns.close();
    }
}

impl Shared {
    /// Whether somebody uses it, or may.
    pub(super) fn is_used(self: &Arc<Self>) -> bool {
        if Arc::strong_count(self) > 1 {
            return true;
        }
        let current = lock(&self.current);
        match current.as_ref().map(SharedFuture::peek) {
            Some(Some(Ok(connection))) => connection.is_usable(),
            Some(None) => true,
            Some(Some(Err(_))) | None => false,
        }
    }

    async fn connection(&self, opener: &Opener) -> Result<Arc<Connection>, NoConnection> {
        let connecting = {
            let mut current = lock(&self.current);
            let usable = current.take().filter(|connecting| match connecting.peek() {
                None => true,
                Some(Ok(connection)) => connection.is_usable(),
                Some(Err(_)) => false,
            });
            let connecting = usable.unwrap_or_else(|| connect(opener.clone()));
            current.insert(connecting).clone()
        };
        connecting.await
    }
}

/// In a task, since those who wait for it may stop polling, or go.
fn connect(opener: Opener) -> Connecting {
    let task = Task::spawn(async move {
        let (http2, driver) = opener.open(opener.ping_interval).await?;
        Ok(Arc::new(Connection {
            traffic: http2.traffic(),
            http2,
            turns: Turns::new(),
            retired: AtomicBool::new(false),
            _driver: driver,
        }))
    });
    let task = async move {
        match task.await {
            Ok(opened) => opened.map_err(|failure| NoConnection(Arc::new(failure))),
            Err(_) => Err(NoConnection(Arc::new(Failure::Ended))),
        }
    };
    task.boxed().shared()
}

/// All who waited for a connection get the same failure.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no connection for the call")]
pub(super) struct NoConnection(pub(super) Arc<Failure>);

/// What became of a call that has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallFailure {
    #[error("the call was not sent")]
    NoConnection(#[from] NoConnection),
    #[error("the call was not sent")]
    NeverSent(#[from] NeverSent),
    #[error("the call broke off")]
    Broken(#[source] hyper::Error),
}

/// No connection lived long enough to take the call.
#[derive(Debug, thiserror::Error)]
#[error("every connection closed at once")]
pub(super) struct NeverSent;

/// One attempt at a call: tells whether its connection has given a sign of life since.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attempt(Arc<Mutex<Option<Sent>>>);

#[derive(Debug, Clone)]
struct Sent {
    connection: Arc<Connection>,
    received: u64,
    at: Instant,
}

impl Attempt {
    /// The time for the call is over. If nothing has come on its connection, that is of no use to
    /// others either.
    pub(crate) fn timed_out(&self) {
        if let Some(sent) = self.sent()
            && sent.connection.traffic.received() == sent.received
        {
            tracing::debug!("nothing came on the connection of a call; it is replaced");
            sent.connection.retire();
        }
    }

    /// Forgets the attempt before.
    pub(crate) fn begin(&self) {
        *self.lock() = None;
    }

    /// Whether it was handed to a connection.
    pub(crate) fn was_sent(&self) -> bool {
        self.lock().is_some()
    }

    fn left(&self) {
        if self.sent().is_some_and(|sent| sent.at.elapsed() >= SILENCE) {
            self.timed_out();
        }
    }

    fn sent(&self) -> Option<Sent> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Sent>> {
        lock(&self.0)
    }
}

/// Watches for callers who leave before there is an answer.
struct Waiting(Option<Attempt>);

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(attempt) = &self.0 {
            attempt.left();
        }
    }
}

/// Sends calls on the shared connection.
#[derive(Debug, Clone)]
pub(super) struct SharedCalls {
    shared: Arc<Shared>,
    opener: Opener,
    attempt: Attempt,
}

impl SharedCalls {
    pub(super) fn new(shared: Arc<Shared>, opener: Opener, attempt: Attempt) -> Self {
        Self {
            shared,
            opener,
            attempt,
        }
    }

    async fn send(self, mut request: Request<Body>) -> Result<Response<Answer>, CallFailure> {
        for _ in 0..MOST_STILLBORN {
            let (connection, turn) = loop {
                let connection = self.shared.connection(&self.opener).await?;
                match connection.turns.next().await {
                    Some(turn) => break (connection, turn),
                    // Another connection will have a turn.
                    None => continue,
                }
            };
            *self.attempt.lock() = Some(Sent {
                received: connection.traffic.received(),
                connection: Arc::clone(&connection),
                at: Instant::now(),
            });
            let mut waiting = Waiting(Some(self.attempt.clone()));
            let answer = connection.http2.clone().send(request).await;
            waiting.0 = None;
            match answer {
                Ok(response) => {
                    connection.turns.answered();
                    return Ok(response.map(|body| Answer {
                        body,
                        _turn: turn,
                        _connection: connection,
                    }));
                }
                Err((error, returned)) => {
                    let h2 = find(Some(&error), |error| error.downcast_ref::<h2::Error>());
                    if h2.is_some_and(is_refused) {
                        connection.turns.refused(turn);
                    } else if returned.is_some()
                        || h2.is_some_and(h2::Error::is_go_away)
                        || connection.http2.is_closed()
                    {
                        connection.retire();
                    }
                    match returned {
                        Some(returned) => request = returned,
                        None => return Err(CallFailure::Broken(error)),
                    }
                }
            }
        }
        Err(NeverSent.into())
    }
}

impl Service<Request<Body>> for SharedCalls {
    type Response = Response<Answer>;
    type Error = CallFailure;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, CallFailure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallFailure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}

/// The body of an answer. Its call's turn ends with it, and its connection lives until then.
#[derive(Debug)]
pub(super) struct Answer {
    body: Incoming,
    _turn: Turn,
    _connection: Arc<Connection>,
}

impl HttpBody for Answer {
    type Data = bytes::Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
