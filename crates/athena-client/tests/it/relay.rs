//! A TCP relay before the emulator that can do to connections what networks do.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Forward,
    /// Connections stay open and nothing passes: what a dead peer looks like.
    Stall,
    /// Bytes trickle, in both directions.
    Slow,
    /// So many bytes a second to the service, in small pieces; answers pass.
    Uplink(u32),
    /// New connections are closed at once.
    Refuse,
}

type Connections = Arc<Mutex<JoinSet<()>>>;

pub(crate) struct Relay {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    target: watch::Sender<String>,
    connections: Connections,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// Relays to the host and port, such as `localhost:1234`.
    pub(crate) async fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (mode, modes) = watch::channel(Mode::Forward);
        let connections = Arc::new(Mutex::new(JoinSet::new()));
        let (target, targets) = watch::channel(target.to_owned());
        let open = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            while let Ok((inbound, _)) = listener.accept().await {
                if *modes.borrow() == Mode::Refuse {
                    continue;
                }
                let target = targets.borrow().clone();
                let connection = relay(inbound, target, modes.clone());
                lock(&open).spawn(connection);
            }
        });
        Self {
            address,
            mode,
            target,
            connections,
            accepting,
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Where connections go from now on.
    pub(crate) fn redirect(&self, target: &str) {
        self.target.send_replace(target.to_owned());
    }

    /// Closes all connections, in the middle of whatever they carry.
    pub(crate) fn cut(&self) {
        lock(&self.connections).abort_all();
    }
}

fn lock(connections: &Connections) -> MutexGuard<'_, JoinSet<()>> {
    connections.lock().expect("no panic while locked")
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn relay(inbound: TcpStream, target: String, modes: watch::Receiver<Mode>) {
    let Ok(outbound) = TcpStream::connect(target).await else {
        return;
    };
    // Data that is still unread when the socket closes makes the close a reset.
    let (from_client, to_client) = inbound.into_split();
    let (from_server, to_server) = outbound.into_split();
    tokio::join!(
        pump(from_client, to_server, modes.clone(), true),
        pump(from_server, to_client, modes, false),
    );
}

async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut modes: watch::Receiver<Mode>,
    up: bool,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let mode = *modes.borrow_and_update();
        let most = match mode {
            Mode::Stall => {
                if modes.changed().await.is_err() {
                    return;
                }
                continue;
            }
            Mode::Slow => 1024,
            Mode::Uplink(rate) if up => rate as usize / 100,
            Mode::Uplink(_) | Mode::Forward | Mode::Refuse => buffer.len(),
        };
        let read = tokio::select! {
            read = from.read(&mut buffer[..most]) => read,
            _ = modes.changed() => continue,
        };
        match read {
            Ok(0) | Err(_) => break,
            Ok(read) => {
                if to.write_all(&buffer[..read]).await.is_err() {
                    break;
                }
            }
        }
        match mode {
            Mode::Slow => tokio::time::sleep(Duration::from_millis(1)).await,
            Mode::Uplink(_) if up => tokio::time::sleep(Duration::from_millis(10)).await,
            _ => {}
        }
    }
    let _ = to.shutdown().await;
}
