//! An HTTP server, over real TLS or plain, that answers as a test tells it to, well or badly.
#![allow(dead_code, reason = "each test crate uses its part")]

use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto::ring};

/// What the endpoint does with one request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Sends these bytes and closes.
    Bytes(Vec<u8>),
    /// Keeps the connection open and says nothing.
    Hang,
    /// Breaks the connection in the middle of the request.
    Reset,
}

/// A whole HTTP answer. `headers` are full lines.
pub(crate) fn answer(status: u16, headers: &[&str], body: &str) -> Reply {
    let mut text = format!(
        "HTTP/1.1 {status} Status\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.push_str(body);
    Reply::Bytes(text.into_bytes())
}

pub(crate) fn json(status: u16, body: &str) -> Reply {
    answer(status, &["content-type: application/json"], body)
}

/// A good answer.
pub(crate) fn token(secret: &str, lifetime: u32) -> Reply {
    json(
        200,
        &format!(r#"{{"access_token":"{secret}","token_type":"Bearer","expires_in":{lifetime}}}"#),
    )
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Received {
    /// A field of the form in the body.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let mut fields = form_urlencoded::parse(self.body.as_bytes());
        fields.find_map(|(found, value)| (found == name).then(|| value.into_owned()))
    }
}

pub(crate) struct Endpoint {
    port: u16,
    scheme: &'static str,
    ca_pem: String,
    received: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

impl Endpoint {
    /// Answers the nth request (from 1) with `script(n)`, over TLS.
    pub(crate) async fn start(script: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let (ca_pem, acceptor) = certificates();
        Self::listen(
            move |number, _: &Received| script(number),
            Some(acceptor),
            ca_pem,
        )
        .await
    }

    /// As [`start`](Self::start), without TLS.
    pub(crate) async fn start_plain(
        script: impl Fn(usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen(
            move |number, _: &Received| script(number),
            None,
            String::new(),
        )
        .await
    }

    /// Answers each request as `judge` says, which sees the request; without TLS.
    pub(crate) async fn judging(
        judge: impl Fn(usize, &Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen(judge, None, String::new()).await
    }

    async fn listen(
        script: impl Fn(usize, &Received) -> Reply + Send + Sync + 'static,
        acceptor: Option<TlsAcceptor>,
        ca_pem: String,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let received = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(script);
        let task = tokio::spawn({
            let received = Arc::clone(&received);
            async move {
                loop {
                    let (stream, _) = listener.accept().await.expect("the listener works");
                    let (received, script) = (Arc::clone(&received), Arc::clone(&script));
                    match acceptor.clone() {
                        None => drop(tokio::spawn(serve(stream, received, script))),
                        Some(acceptor) => drop(tokio::spawn(async move {
                            // A client that does not trust the certificate ends the handshake.
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, received, script).await;
                            }
                        })),
                    }
                }
            }
        });
        Self {
            port,
            scheme,
            ca_pem,
            received,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://localhost:{}/oauth/token", self.scheme, self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().expect("no panic").clone()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    received: Arc<Mutex<Vec<Received>>>,
    script: Arc<impl Fn(usize, &Received) -> Reply>,
) {
    let Some(request) = read_request(&mut stream).await else {
        return;
    };
    let number = {
        let mut received = received.lock().expect("no panic");
        received.push(request.clone());
        received.len()
    };
    match script(number, &request) {
        Reply::Bytes(bytes) => {
            // The client may have stopped reading.
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Reply::Hang => std::future::pending().await,
        Reply::Reset => drop(stream),
    }
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Received> {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.trim().parse().expect("a length"));
        if body.len() >= length {
            return Some(Received {
                head: head.to_owned(),
                body: body.to_owned(),
            });
        }
    }
}

/// A certificate authority, and an acceptor with a certificate of it for `localhost`.
fn certificates() -> (String, TlsAcceptor) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca =
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA");
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec!["localhost".into()])
        .and_then(|params| params.signed_by(&key, &ca))
        .expect("a certificate");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).expect("a PKCS #8 key"),
        )
        .expect("key and certificate match");
    (ca.pem(), TlsAcceptor::from(Arc::new(config)))
}
