//! The one task of a session. Everything that it does ends with it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tracing::{Instrument, debug, info_span};

use super::lane;
use super::shared::Shared;

/// Runs until the session has drained or its last owner is gone.
pub(crate) async fn run(shared: Arc<Shared>, connections: usize) {
    let span = info_span!("session", deployment = %shared.deployment);
    let lanes = (0..connections).map(|_| lane::run(Arc::clone(&shared)));
    let lanes = join_all(lanes);
    let work = async move {
        tokio::select! {
            _ = lanes => debug!("session drained"),
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
            .spawn(work.source, move |preparation| {
                done.prepared(seq, &work.id, &work.affiliate, preparation);
            })
            .await;
    }
}

/// Ends images whose time is up, and sends stranded ones again.
async fn keep_time(shared: Arc<Shared>) -> std::convert::Infallible {
    loop {
        let next = shared.with(|machine| machine.next_tick());
        let tick = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tick => shared.tick(),
            () = shared.wake.timer.notified() => {}
        }
    }
}
