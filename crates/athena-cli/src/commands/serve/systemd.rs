//! What systemd hands over and wants to hear. Without it, nothing happens here.

#[cfg(unix)]
pub(super) use unix::{ready, sockets, stopping};

#[cfg(unix)]
mod unix {
    use std::io;
    use std::time::Duration;

    use athena_gateway::Gateway;
    use listenfd::ListenFd;
    use sd_notify::NotifyState;
    use tokio::net::{TcpListener, UnixListener};
    use tokio::task::JoinHandle;

    /// Sockets that were made for us.
    #[derive(Debug, Default)]
    pub(in super::super) struct Sockets {
        pub(in super::super) tcp: Vec<TcpListener>,
        pub(in super::super) unix: Vec<UnixListener>,
    }

    impl Sockets {
        pub(in super::super) fn is_empty(&self) -> bool {
            self.tcp.is_empty() && self.unix.is_empty()
        }
    }

    pub(in super::super) fn sockets() -> io::Result<Sockets> {
        let mut given = ListenFd::from_env();
        let mut sockets = Sockets::default();
        for index in 0..given.len() {
            if let Ok(Some(listener)) = given.take_tcp_listener(index) {
                listener.set_nonblocking(true)?;
                sockets.tcp.push(TcpListener::from_std(listener)?);
            } else if let Some(listener) = given.take_unix_listener(index)? {
                listener.set_nonblocking(true)?;
                sockets.unix.push(UnixListener::from_std(listener)?);
            }
        }
        Ok(sockets)
    }

    /// Reports to the watchdog until it is dropped.
    pub(in super::super) struct Watchdog(Option<JoinHandle<()>>);

    impl Drop for Watchdog {
        fn drop(&mut self) {
            if let Some(task) = self.0.take() {
                task.abort();
            }
        }
    }

    /// Says that the server is ready, and from then on, where that is asked for, that it is well.
    pub(in super::super) fn ready(gateway: &Gateway) -> Watchdog {
        notify(&NotifyState::Ready);
        let gateway = gateway.clone();
        let task = sd_notify::watchdog_enabled().map(|limit| {
            tokio::spawn(async move {
                // Twice in the time, so that one that comes late is not an alarm.
                let mut ticks = tokio::time::interval(limit.max(Duration::from_millis(2)) / 2);
                loop {
                    ticks.tick().await;
                    if !gateway.is_stuck() {
                        notify(&NotifyState::Watchdog);
                    }
                }
            })
        });
        Watchdog(task)
    }

    pub(in super::super) fn stopping() {
        notify(&NotifyState::Stopping);
    }

    fn notify(state: &NotifyState<'_>) {
        if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
            tracing::warn!(%error, "cannot notify the service manager");
        }
    }
}

#[cfg(not(unix))]
pub(super) use other::{ready, sockets, stopping};

#[cfg(not(unix))]
mod other {
    use std::io;

    use athena_gateway::Gateway;
    use tokio::net::TcpListener;

    #[derive(Debug, Default)]
    pub(in super::super) struct Sockets {
        pub(in super::super) tcp: Vec<TcpListener>,
    }

    impl Sockets {
        pub(in super::super) fn is_empty(&self) -> bool {
            self.tcp.is_empty()
        }
    }

    pub(in super::super) fn sockets() -> io::Result<Sockets> {
        Ok(Sockets::default())
    }

    /// There is none to report to.
    pub(in super::super) struct Watchdog;

    pub(in super::super) fn ready(_: &Gateway) -> Watchdog {
        Watchdog
    }

    pub(in super::super) fn stopping() {}
}
