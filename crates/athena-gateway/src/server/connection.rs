//! One connection, from its handshake to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::listener::Accepted;
use super::timed::Timed;
use crate::guard::Peer;
use crate::limits::Limits;

/// Time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Bytes that are read at once: what a large body costs in calls of the system.
const BUFFER: usize = 64 << 10;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(super) router: Router,
    pub(super) limits: Limits,
    /// Nothing new is taken on.
    pub(super) stopping: CancellationToken,
    /// How many there are.
    pub(super) count: Arc<AtomicU64>,
    pub(super) room: Arc<Semaphore>,
    pub(super) open: TaskTracker,
    /// Ends those that the drain time has not sufficed for.
    pub(super) cut: CancellationToken,
}

/// Counted while it is open.
struct Counted(Arc<AtomicU64>);

impl Counted {
    fn new(count: &Arc<AtomicU64>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connections {
    /// Cuts off what is still open.
    pub(crate) async fn end_now(&self) {
        self.open.close();
        self.cut.cancel();
        self.open.wait().await;
    }
}

pub(super) async fn serve(
    connections: Arc<Connections>,
    accepted: Accepted,
    _room: OwnedSemaphorePermit,
) {
    let _counted = Counted::new(&connections.count);
    let cut = connections.cut.clone();
    let served = async {
        match accepted {
            Accepted::Tcp(stream, None, peer) => speak(&connections, stream, peer).await,
            Accepted::Tcp(stream, Some(tls), mut peer) => {
                let shaken = timeout(HANDSHAKE, tls.acceptor().accept(stream)).await;
                let Ok(Ok(stream)) = shaken else {
                    tracing::debug!("no TLS handshake with a caller");
                    return;
                };
                let certificates = stream.get_ref().1.peer_certificates();
                peer.certificate = (certificates.and_then(|chain| chain.first()))
                    .map(|certificate| Sha256::digest(certificate).into());
                speak(&connections, stream, peer).await;
            }
            #[cfg(unix)]
            Accepted::Unix(stream, peer) => speak(&connections, stream, peer).await,
        }
    };
    tokio::select! {
        () = served => {}
        () = cut.cancelled() => {}
    }
}

async fn speak<S>(connections: &Connections, stream: S, peer: Peer)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &connections.limits;
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        connections.router.clone().oneshot(request.map(Body::new))
    });
    let io = TokioIo::new(Timed::new(stream, limits.idle));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle)
        .max_header_size(limits.head_bytes)
        .max_headers(100)
        .max_buf_size(BUFFER)
        .serve_connection(io, service);
    let mut connection = std::pin::pin!(connection);
    let stopping = &connections.stopping;
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Callers come and go as they like: this is of interest to whoever looks for it.
        tracing::debug!(%error, "a connection ended early");
    }
}
