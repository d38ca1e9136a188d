//! Ctrl-C and SIGTERM: once to finish what is under way, twice to stop at once.

use tokio_util::sync::CancellationToken;

use crate::exit::Exit;

/// Cancelled by the first signal; the second one ends the process.
pub(crate) fn on_interrupt() -> CancellationToken {
    on_interrupt_then(|| {})
}

/// As [`on_interrupt`], with something to do before the process ends at once.
pub(crate) fn on_interrupt_then(last: impl FnOnce() + Send + 'static) -> CancellationToken {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        signal().await;
        cancelled.cancel();
        signal().await;
        last();
        std::process::exit(Exit::Interrupted as i32);
    });
    token
}

/// Waits for one signal to stop.
#[cfg(unix)]
pub(crate) async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Waits for one signal to stop.
#[cfg(not(unix))]
pub(crate) async fn signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
