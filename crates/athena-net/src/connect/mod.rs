//! Connections: TCP, a proxy if need be, TLS above it.

mod connection;
mod error;
mod foreign;
mod traffic;
mod tunnel;

use std::sync::Arc;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use std::time::Duration;
use tokio_rustls::TlsConnector;
use tower_service::Service as _;

pub use self::connection::Connection;
pub use self::error::{ConnectError, ProxyStatus};
use self::foreign::{Listening, Spoken};
pub use self::traffic::Traffic;
use crate::{BuildError, Network, Proxy};

/// Connects to one target by the rules of a [`Network`].
#[derive(Clone, Debug)]
pub struct Connector {
    network: Network,
    target: Uri,
    /// The name that the certificate must have, where there is TLS.
    name: Option<ServerName<'static>>,
    protocol: Option<&'static [u8]>,
    spoken: Spoken,
}

impl Connector {
    /// To the host and port of `target`, over TLS unless its scheme is `http`. The certificate must
    /// be for `server_name`, or else for the target's host.
    ///
    /// # Errors
    /// If the target has no host, or the name is not a valid one.
    pub fn new(
        network: Network,
        target: Uri,
        server_name: Option<&str>,
    ) -> Result<Self, BuildError> {
        let Some(host) = target.host().filter(|host| !host.is_empty()) else {
            return Err(BuildError::new("endpoint", "names no host"));
        };
        let encrypted = target.scheme_str() != Some("http");
        let name = encrypted
            .then(|| tls_name(server_name.unwrap_or(host)))
            .transpose()?;
        Ok(Self {
            network,
            target,
            name,
            protocol: None,
            spoken: Spoken::default(),
        })
    }

    /// Wants HTTP/2 from the server, where there is TLS to ask for it.
    #[must_use]
    pub fn http2(mut self) -> Self {
        self.protocol = Some(b"h2");
        self
    }

    /// Why the latest connection in the clear broke, if that is because its server speaks no HTTP/2.
    /// Over TLS, [`connect`](Self::connect) finds out itself.
    pub fn why_broken(&self) -> Option<ConnectError> {
        match self.spoken.get() {
            Spoken::TLS => Some(ConnectError::SpeaksTls(self.address())),
            Spoken::HTTP1 => Some(ConnectError::NoHttp2(self.address())),
            _ => None,
        }
    }

    /// Connects, within the network's time for it.
    ///
    /// # Errors
    /// [`ConnectError`] says which step failed.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        self.spoken.forget();
        let limit = self.network.connect_timeout();
        tokio::time::timeout(limit, self.steps())
            .await
            .unwrap_or_else(|_| Err(ConnectError::Timeout(self.address(), limit)))
    }

    async fn steps(&self) -> Result<Connection, ConnectError> {
        let connection = match self.network.proxy_for(&self.target) {
            None => tcp(&self.target)
                .await
                .map_err(|error| ConnectError::Tcp(self.address(), error))?,
            Some(proxy) => self.through(proxy).await?,
        };
        let Some(name) = &self.name else {
            return Ok(match self.protocol {
                Some(_) => {
                    let traffic = connection.traffic();
                    let spoken = self.spoken.clone();
                    Connection::above(traffic, Listening::new(connection, spoken))
                }
                None => connection,
            });
        };
        let mut tls = self.network.ready_tls().await;
        if let Some(protocol) = self.protocol {
            Arc::make_mut(&mut tls).alpn_protocols = vec![protocol.to_vec()];
        }
        let traffic = connection.traffic();
        let stream = TlsConnector::from(tls)
            .connect(name.clone(), connection)
            .await
            .map_err(|error| ConnectError::Tls(self.address(), error))?;
        let agreed = stream.get_ref().1.alpn_protocol();
        if self.protocol.is_some() && agreed != self.protocol {
            return Err(ConnectError::NoHttp2(self.address()));
        }
        Ok(Connection::above(traffic, stream))
    }

    async fn through(&self, proxy: &Proxy) -> Result<Connection, ConnectError> {
        let failed = |error| ConnectError::Proxy {
            proxy: proxy.address(),
            target: self.address(),
            source: error,
        };
        let address = format!("http://{}", proxy.address());
        let address: Uri = address
            .parse()
            .map_err(|error: http::uri::InvalidUri| failed(error.into()))?;
        let mut connection = tcp(&address).await.map_err(failed)?;
        if proxy.is_encrypted() {
            let name = tls_name(proxy.host()).map_err(|error| failed(error.into()))?;
            let tls = TlsConnector::from(self.network.ready_tls().await);
            let traffic = connection.traffic();
            let stream = tls.connect(name, connection).await;
            let stream = stream.map_err(|error| failed(error.into()))?;
            connection = Connection::above(traffic, stream);
        }
        tunnel::open(connection, proxy, &self.address())
            .await
            .map_err(|error| match error {
                tunnel::Error::Refused(status) => ConnectError::ProxyRefused {
                    proxy: proxy.address(),
                    target: self.address(),
                    source: ProxyStatus(status.as_u16()),
                },
                tunnel::Error::Broken(error) => failed(error),
            })
    }

    /// Host and port.
    fn address(&self) -> String {
        let host = self.target.host().unwrap_or_default();
        let port = self.target.port_u16();
        format!(
            "{host}:{}",
            port.unwrap_or(if self.name.is_some() { 443 } else { 80 })
        )
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

async fn tcp(target: &Uri) -> Result<Connection, BoxError> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_keepalive(Some(Duration::from_secs(60)));
    let stream = http.call(target.clone()).await.map(TokioIo::into_inner)?;
    keep_little_unsent(&stream);
    Ok(Connection::over(stream))
}

/// What the system holds unsent, it takes at once, up to megabytes of it: on a slow link minutes
/// would pass in which nobody could tell an upload that goes on from a peer that is gone. This
/// bounds what is held beyond what the network has room for, so it costs no throughput.
#[cfg(any(target_os = "android", target_os = "linux"))]
fn keep_little_unsent(stream: &tokio::net::TcpStream) {
    // Where the system refuses, stalls are noticed less exactly.
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(64 << 10);
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn keep_little_unsent(_: &tokio::net::TcpStream) {}

/// A name for TLS; an address may stand in brackets.
fn tls_name(name: &str) -> Result<ServerName<'static>, BuildError> {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(bare.to_owned()).map_err(|error| {
        let problem = format!("{name:?} is not a host name");
        BuildError::new("server_name", problem).with_source(error)
    })
}
