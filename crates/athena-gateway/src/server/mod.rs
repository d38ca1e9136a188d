//! Connections: taken, kept within bounds, and ended in good order.

mod connection;
mod listener;
mod timed;
mod tls;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use listener::Listener;
pub use tls::ServerTls;

pub(crate) use self::connection::Connections;
use crate::gateway::Gateway;
use crate::limits::Limits;

/// How long to wait when the system has no more file descriptors.
const OUT_OF_FILES: Duration = Duration::from_millis(100);

/// How a server has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Whether everything that was under way had its answer in time.
    pub complete: bool,
    /// Images that ended without an outcome of the service's.
    pub unfinished: usize,
}

impl Gateway {
    /// Serves until `stop` completes. Then nothing new is taken on, and what is under way has the
    /// [drain time](crate::Limits::drain) to end.
    pub async fn serve(self, listeners: Vec<Listener>, stop: impl Future<Output = ()>) -> Drained {
        let (accepting, connections) = open(
            self.router(),
            listeners,
            self.limits(),
            self.shared.stopping.clone(),
            self.shared.metrics.connections(),
        );
        stop.await;
        self.drain(&accepting, &connections).await
    }

    async fn drain(self, accepting: &TaskTracker, connections: &Connections) -> Drained {
        let until = Instant::now() + self.limits().drain;
        self.shared.stopping.cancel();
        accepting.wait().await;
        connections.open.close();
        self.shared.tasks.close();
        let ended = async {
            connections.open.wait().await;
            self.shared.tasks.wait().await;
        };
        let complete = timeout_at(until, ended).await.is_ok();
        connections.cut.cancel();
        self.shared.admission.close();
        let unfinished = match timeout_at(until, self.shared.session.close()).await {
            Ok(Ok(_)) => 0,
            Ok(Err(unfinished)) => unfinished.images().len(),
            Err(_) => self.shared.admission.figures().under_way,
        };
        // What was cut off gives up its connection at once.
        connections.open.wait().await;
        Drained {
            complete: complete && unfinished == 0,
            unfinished,
        }
    }
}

/// Takes connections until `stopping` is cancelled; gives those who take them, and what is open.
pub(crate) fn open(
    router: Router,
    listeners: Vec<Listener>,
    limits: &Limits,
    stopping: CancellationToken,
    count: Arc<AtomicU64>,
) -> (TaskTracker, Arc<Connections>) {
    let connections = Arc::new(Connections {
        router,
        limits: limits.clone(),
        stopping,
        count,
        room: Arc::new(Semaphore::new(limits.connections)),
        open: TaskTracker::new(),
        cut: CancellationToken::new(),
    });
    let accepting = TaskTracker::new();
    for listener in listeners {
        accepting.spawn(accept(listener, Arc::clone(&connections)));
    }
    accepting.close();
    (accepting, connections)
}

/// Takes connections while there is room for them; those beyond wait in the system's queue.
async fn accept(mut listener: Listener, connections: Arc<Connections>) {
    let stopping = connections.stopping.clone();
    loop {
        let room = tokio::select! {
            room = Arc::clone(&connections.room).acquire_owned() => room,
            () = stopping.cancelled() => return,
        };
        let Ok(room) = room else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.cancelled() => return,
        };
        match accepted {
            Ok(accepted) => {
                let serving = connection::serve(Arc::clone(&connections), accepted, room);
                connections.open.spawn(serving);
            }
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot take connections");
                tokio::time::sleep(OUT_OF_FILES).await;
            }
        }
    }
}

/// Whether only one caller is concerned.
fn is_of_the_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}
