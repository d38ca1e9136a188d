//! A TCP relay before the emulator, for what networks do.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub(crate) struct Relay {
    address: SocketAddr,
    target: watch::Sender<String>,
    /// Bytes a second to the service; 0 for as many as there are.
    rate: watch::Sender<u32>,
    connections: Arc<Mutex<JoinSet<()>>>,
    accepting: JoinHandle<()>,
}

impl Relay {
    pub(crate) async fn to(target: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (target, targets) = watch::channel(target.to_owned());
        let (rate, rates) = watch::channel(0);
        let connections = Arc::new(Mutex::new(JoinSet::new()));
        let open = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            while let Ok((inbound, _)) = listener.accept().await {
                let target = targets.borrow().clone();
                let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
                // Those that ended are not kept.
                while open.try_join_next().is_some() {}
                open.spawn(relay(inbound, target, rates.clone()));
            }
        });
        Ok(Self {
            address,
            target,
            rate,
            connections,
            accepting,
        })
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Where connections go from now on; those that there are end.
    pub(crate) fn redirect(&self, target: &str) {
        self.target.send_replace(target.to_owned());
        let mut open = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        open.abort_all();
    }

    pub(crate) fn set_rate(&self, bytes_a_second: u32) {
        self.rate.send_replace(bytes_a_second);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn relay(mut inbound: TcpStream, target: String, rates: watch::Receiver<u32>) {
    let Ok(mut outbound) = TcpStream::connect(target).await else {
        return;
    };
    let (mut from_client, mut to_client) = inbound.split();
    let (mut from_service, mut to_service) = outbound.split();
    let up = async {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let rate = *rates.borrow();
            let most = if rate == 0 { buffer.len() } else { 2048 };
            let Ok(read @ 1..) = from_client.read(&mut buffer[..most]).await else {
                return;
            };
            if to_service.write_all(&buffer[..read]).await.is_err() {
                return;
            }
            if rate > 0 {
                tokio::time::sleep(Duration::from_secs(1) * read as u32 / rate).await;
            }
        }
    };
    tokio::select! {
        () = up => {}
        _ = tokio::io::copy(&mut from_service, &mut to_client) => {}
    }
}
