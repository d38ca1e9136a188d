//! One TCP connection to the service, through a proxy if need be, with TLS above it.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use athena_auth::BoxError;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tower::{Service, ServiceExt};

use super::Proxy;

/// Connects to the one address that it is made for, whatever URI it is called with.
#[derive(Clone)]
pub(crate) struct Connector {
    target: Uri,
    tls: Option<Tls>,
    proxy: Arc<Proxy>,
    timeout: Duration,
}

#[derive(Clone)]
struct Tls {
    config: Arc<rustls::ClientConfig>,
    name: ServerName<'static>,
}

/// Which step of a connection failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("cannot connect to {0}")]
    Tcp(String, #[source] BoxError),
    #[error("cannot reach {target} through the proxy {proxy}")]
    Proxy {
        proxy: String,
        target: String,
        source: BoxError,
    },
    #[error("the proxy setting names the unsupported scheme {0:?}: only http:// proxies work")]
    ProxyScheme(String),
    #[error("no secure connection to {0}")]
    Tls(String, #[source] io::Error),
    #[error("{0} does not offer HTTP/2: is it the service's address, or does a proxy intervene?")]
    NoHttp2(String),
    #[error("no connection to {0} within {1:?}")]
    Timeout(String, Duration),
}

impl Connector {
    pub(crate) fn new(
        target: Uri,
        tls: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>,
        proxy: Proxy,
        timeout: Duration,
    ) -> Self {
        Self {
            target,
            tls: tls.map(|(config, name)| Tls { config, name }),
            proxy: Arc::new(proxy),
            timeout,
        }
    }

    fn address(&self) -> String {
        self.target
            .authority()
            .map_or_else(|| self.target.to_string(), ToString::to_string)
    }

    async fn tcp(&self) -> Result<TcpStream, ConnectError> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_keepalive(Some(Duration::from_secs(60)));

        let Some(intercept) = self.proxy.for_target(&self.target) else {
            let tcp = http.oneshot(self.target.clone()).await;
            return tcp
                .map(TokioIo::into_inner)
                .map_err(|error| ConnectError::Tcp(self.address(), error.into()));
        };
        let proxy = intercept.uri().clone();
        match proxy.scheme_str() {
            None | Some("http") => {}
            Some(other) => return Err(ConnectError::ProxyScheme(other.to_owned())),
        }
        let name = proxy.authority().map_or_else(String::new, |authority| {
            // Credentials may stand before the host.
            let text = authority.as_str();
            text.rsplit_once('@')
                .map_or(text, |(_, host)| host)
                .to_owned()
        });
        let mut tunnel = Tunnel::new(proxy, http);
        if let Some(credentials) = intercept.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        let tcp = tunnel.oneshot(self.target.clone()).await;
        tcp.map(TokioIo::into_inner)
            .map_err(|error| ConnectError::Proxy {
                proxy: name,
                target: self.address(),
                source: error.into(),
            })
    }

    async fn connect(&self) -> Result<TokioIo<Stream>, ConnectError> {
        let tcp = self.tcp().await?;
        let Some(tls) = &self.tls else {
            return Ok(TokioIo::new(Stream::Plain(tcp)));
        };
        let stream = tokio_rustls::TlsConnector::from(Arc::clone(&tls.config))
            .connect(tls.name.clone(), tcp)
            .await
            .map_err(|error| ConnectError::Tls(self.address(), error))?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(ConnectError::NoHttp2(self.address()));
        }
        Ok(TokioIo::new(Stream::Tls(Box::new(stream))))
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("target", &self.target)
            .field("tls", &self.tls.is_some())
            .field("proxy", &self.proxy)
            .field("timeout", &self.timeout)
            .finish()
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            tokio::time::timeout(this.timeout, this.connect())
                .await
                .unwrap_or_else(|_| Err(ConnectError::Timeout(this.address(), this.timeout)))
        })
    }
}

/// A connection, encrypted or not.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
