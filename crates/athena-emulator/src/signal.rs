/// Waits until the process is asked to stop: SIGINT (Ctrl-C), or SIGTERM as service managers and
/// container runtimes send it. Follow it by [`Emulator::shutdown`](crate::Emulator::shutdown).
pub async fn terminated() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
