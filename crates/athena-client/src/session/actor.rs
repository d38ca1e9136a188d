//! The one task of a session. Everything that it does ends with it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing::{Instrument, debug, error, info_span};

use super::connector;
use super::shared::Shared;
use crate::error::{Error, ErrorKind};
use crate::pause::Punctual;

/// Starts the task. What comes back has no sender any more when the session is over.
pub(super) fn start(
    shared: &Arc<Shared>,
    connections: usize,
    runtime: &Handle,
) -> watch::Receiver<()> {
    let (over, ended) = watch::channel(());
    // Made here, since a runtime that shuts down drops tasks that never had a turn.
    let last = LastWord {
        shared: Arc::clone(shared),
        panicked: false,
        _over: over,
    };
    runtime.spawn(run(last, connections));
    ended
}

/// Ends every image when the task ends, whatever ends it.
struct LastWord {
    shared: Arc<Shared>,
    panicked: bool,
    /// Dropped after the images have ended.
    _over: watch::Sender<()>,
}

impl Drop for LastWord {
    fn drop(&mut self) {
        if !self.shared.has_drained() {
            self.abort();
        }
        self.shared.client.transport.telemetry().over(&self.shared);
    }
}

impl LastWord {
    fn abort(&self) {
        let message = if self.panicked {
            // The panic has been reported by its hook; what it said may be secret.
            "the session's task panicked: a token source or a service of the caller's has a bug"
        } else {
            "the Tokio runtime on which the session was opened has shut down"
        };
        error!(message, "session ended");
        let cause = Error::new(ErrorKind::Closed, message);
        self.shared.abort(Some(cause));
    }
}

/// Runs until the session has drained or its last owner is gone.
async fn run(mut last: LastWord, connections: usize) {
    let work = work(Arc::clone(&last.shared), connections);
    last.panicked = AssertUnwindSafe(work).catch_unwind().await.is_err();
}

async fn work(shared: Arc<Shared>, connections: usize) {
    let span = info_span!("session", deployment = %shared.deployment);
    let connectors = (0..connections).map(|_| connector::run(Arc::clone(&shared)));
    let connectors = join_all(connectors);
    let work = async move {
        tokio::select! {
            _ = connectors => debug!("session drained"),
            never = prepare(Arc::clone(&shared)) => match never {},
            never = keep_time(Arc::clone(&shared)) => match never {},
            () = goodbye(Arc::clone(&shared)) => debug!("session drained, and the service did not hang up"),
            () = shared.wake.stop.notified() => debug!("session ended"),
        }
    };
    work.instrument(span).await;
}

/// How long the service may take to end the streams of a session that has drained.
const GOODBYE: Duration = Duration::from_millis(500);

async fn goodbye(shared: Arc<Shared>) {
    shared.drained().await;
    tokio::time::sleep(GOODBYE).await;
}

/// Starts preparations, in the order in which the images were accepted.
async fn prepare(shared: Arc<Shared>) -> std::convert::Infallible {
    loop {
        let (seq, work) = shared.next_work().await;
        let done = Arc::clone(&shared);
        shared
            .client
            .preparer
            .spawn(work.source, work.frames, work.turn, move |preparation| {
                done.prepared(seq, &work.id, &work.affiliate, preparation);
            })
            .await;
    }
}

/// Ends images whose time is up, and sends stranded ones again.
async fn keep_time(shared: Arc<Shared>) -> std::convert::Infallible {
    let mut timer = Punctual::default();
    loop {
        let next = shared.with(|machine| machine.next_tick());
        let tick = async {
            match next {
                Some(at) => timer.until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tick => shared.tick(),
            () = shared.wake.timer.notified() => {}
        }
    }
}
