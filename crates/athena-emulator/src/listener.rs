//! One listening port: accepts connections, serves HTTP/1 and HTTP/2 on them, and can break them.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::certificates::PeerCertificate;
use crate::error::{Error, Repr};
use crate::sync::lock;

/// How long a client may take for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Flow-control windows: some frames ahead on each stream, bounded on each connection.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
const MAX_FRAME: u32 = 256 << 10;
/// A token has some kilobytes at most, all other headers less.
const MAX_HEADERS: u32 = 64 << 10;

/// What happens to all connections of a listener at once.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    /// Finish the streams there are and take no new ones.
    GoAway,
    /// Break off.
    Disconnect,
}

/// Whom a signal is for.
#[derive(Debug, Clone)]
pub(crate) enum Scope {
    /// Every connection.
    All,
    /// Those that the clients of the namespace have made calls on.
    Namespace(Arc<str>),
}

/// What a listener's connections are told.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    pub(crate) signal: Signal,
    pub(crate) scope: Scope,
}

/// The namespaces whose clients have made calls on a connection. Each request finds those of its
/// connection among its extensions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Users(Arc<Mutex<HashSet<Arc<str>>>>);

impl Users {
    pub(crate) fn add(&self, namespace: &Arc<str>) {
        let mut users = lock(&self.0);
        if !users.contains(namespace) {
            users.insert(namespace.clone());
        }
    }

    fn meant_by(&self, scope: &Scope) -> bool {
        match scope {
            Scope::All => true,
            Scope::Namespace(name) => lock(&self.0).contains(name),
        }
    }
}

/// Asks a listener to stop listening for a while, then to go on at the same address.
#[derive(Debug)]
pub(crate) struct Restart {
    pub(crate) downtime: Duration,
    pub(crate) done: oneshot::Sender<()>,
}

/// A port and what is served on it.
pub(crate) struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    service: Service,
    restarts: mpsc::Receiver<Restart>,
    notices: broadcast::Sender<Notice>,
}

/// What every connection of a listener gets.
#[derive(Clone)]
struct Service {
    router: axum::Router,
    tls: Option<TlsAcceptor>,
    max_streams: u32,
}

impl Listener {
    /// Serves `router` on `listener` once it is [run](Self::run).
    pub(crate) fn new(
        bound: Bound,
        router: axum::Router,
        tls: Option<Arc<rustls::ServerConfig>>,
        max_streams: u32,
    ) -> Self {
        Self {
            listener: bound.listener,
            address: bound.address,
            service: Service {
                router,
                tls: tls.map(TlsAcceptor::from),
                max_streams,
            },
            restarts: mpsc::channel(1).1,
            notices: broadcast::channel(1).0,
        }
    }

    /// Lets others break the connections and restart the listener.
    pub(crate) fn controlled_by(
        mut self,
        notices: broadcast::Sender<Notice>,
        restarts: mpsc::Receiver<Restart>,
    ) -> Self {
        (self.notices, self.restarts) = (notices, restarts);
        self
    }

    /// Accepts until `closing`, then lets the connections finish for as long as `drain`.
    pub(crate) async fn run(mut self, closing: CancellationToken, drain: Duration) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        tracing::debug!(%peer, "connection accepted");
                        connections.spawn(connection(stream, self.service.clone(), self.notices.subscribe(), closing.clone()));
                    }
                    Err(error) => {
                        // Out of file descriptors, most likely: give others time to free some.
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
                Some(_) = connections.join_next() => {}
                Some(restart) = self.restarts.recv() => {
                    connections.shutdown().await;
                    match self.restart(restart, &closing).await {
                        Ok(restarted) => self = restarted,
                        Err(error) => return tracing::error!(%error, "cannot listen again"),
                    }
                }
                () = closing.cancelled() => break,
            }
        }
        drop(self.listener);
        let finished = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(drain, finished).await.is_err() {
            tracing::warn!("connections were still open at the end of the drain time");
        }
    }

    async fn restart(
        mut self,
        restart: Restart,
        closing: &CancellationToken,
    ) -> Result<Self, std::io::Error> {
        drop(self.listener);
        let mut downtime = restart.downtime;
        let mut waiting = vec![restart.done];
        loop {
            tokio::select! {
                () = tokio::time::sleep(downtime) => break,
                () = closing.cancelled() => break,
                Some(another) = self.restarts.recv() => {
                    downtime = another.downtime;
                    waiting.push(another.done);
                }
            }
        }
        let listener = TcpListener::bind(self.address).await?;
        for done in waiting {
            // The one who asked may have lost interest.
            let _ = done.send(());
        }
        Ok(Self { listener, ..self })
    }
}

/// A port that is ours; clients can connect already and wait.
pub(crate) struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    pub(crate) async fn new(address: SocketAddr, purpose: &'static str) -> Result<Self, Error> {
        let bind = async || {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        bind().await.map_err(|source| {
            let error = Repr::Bind {
                address,
                purpose,
                source,
            };
            error.into()
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

async fn connection(
    stream: TcpStream,
    mut service: Service,
    notices: broadcast::Receiver<Notice>,
    closing: CancellationToken,
) {
    // Small answers must not wait for the peer's acknowledgement of earlier ones.
    let _ = stream.set_nodelay(true);
    match service.tls.clone() {
        None => drive(stream, service, notices, closing).await,
        Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let shown = stream.get_ref().1.peer_certificates();
                if let Some(certificate) = shown.and_then(<[_]>::first) {
                    let certificate = PeerCertificate(certificate.clone().into_owned());
                    service.router = service.router.layer(axum::Extension(certificate));
                }
                drive(stream, service, notices, closing).await;
            }
            Ok(Err(error)) => {
                tracing::info!(%error, "TLS handshake failed: does the client trust the emulator's CA?")
            }
            Err(_) => tracing::info!("TLS handshake timed out"),
        },
    }
}

async fn drive<I>(
    io: I,
    service: Service,
    mut notices: broadcast::Receiver<Notice>,
    closing: CancellationToken,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(service.max_streams)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_header_list_size(MAX_HEADERS);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE);
    let users = Users::default();
    let router = service.router.layer(axum::Extension(users.clone()));
    let mut connection =
        pin!(builder.serve_connection(TokioIo::new(io), TowerToHyperService::new(router)));
    let mut finishing = false;
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(error = %error, "connection ended");
                }
                return;
            }
            notice = notices.recv() => match notice {
                Ok(notice) if !users.meant_by(&notice.scope) => {}
                Ok(Notice { signal: Signal::GoAway, .. }) => connection.as_mut().graceful_shutdown(),
                Ok(Notice { signal: Signal::Disconnect, .. }) | Err(_) => return,
            },
            () = closing.cancelled(), if !finishing => {
                finishing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
