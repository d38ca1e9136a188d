//! Connections over real sockets: through proxies of every temper, and with a certificate that is
//! renewed.
#![cfg(feature = "connect")]

use std::sync::Arc;
use std::time::Duration;

use athena_net::{ConnectError, Connector, Identity, Network, NetworkBuilder, ProxyStatus};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a CA"))
    }

    /// A certificate and its key, both PEM.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    /// TLS for `localhost`; with `guests` only for those who have a certificate of ours.
    fn acceptor(&self, guests: bool) -> TlsAcceptor {
        let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
        let (certificate, key) = self.issue("localhost");
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = if guests {
            let mut roots = RootCertStore::empty();
            roots.add(self.0.der().clone()).expect("a CA");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        } else {
            builder.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
        let config = builder.with_single_cert(chain, key).expect("a pair");
        TlsAcceptor::from(Arc::new(config))
    }
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

async fn head(connection: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.expect("a whole head"));
    }
    String::from_utf8(head).expect("text")
}

/// A proxy that answers its first request so and then closes; gives the request.
async fn answering(answer: &'static [u8]) -> (u16, JoinHandle<String>) {
    let (listener, port) = listen().await;
    let request = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.expect("a connection");
        let request = head(&mut connection).await;
        connection.write_all(answer).await.expect("an answer");
        request
    });
    (port, request)
}

async fn connect(
    network: NetworkBuilder,
    target: &str,
) -> Result<athena_net::Connection, ConnectError> {
    let network = network.connect_timeout(Duration::from_secs(20)).build();
    let target = target.parse().expect("a URI");
    let connector = Connector::new(network.expect("good settings"), target, None);
    connector.expect("a host").connect().await
}

#[tokio::test]
async fn what_the_target_says_at_once_is_not_lost() {
    let (port, request) = answering(b"HTTP/1.1 200 Connection established\r\n\r\nhello").await;
    let network = Network::builder().proxy(format!("http://us%40er:p%3A@localhost:{port}"));
    let mut connection = connect(network, "http://athena.test:5000")
        .await
        .expect("a tunnel");
    let mut said = String::new();
    connection.read_to_string(&mut said).await.expect("bytes");
    assert_eq!(said, "hello");
    assert!(
        connection.traffic().received() > 5,
        "the proxy's answer too"
    );
    let request = request.await.expect("no panic");
    assert!(
        request.starts_with("CONNECT athena.test:5000 HTTP/1.1\r\n"),
        "{request}"
    );
    // us@er:p: in base64.
    let lower = request.to_ascii_lowercase();
    assert!(
        lower.contains("proxy-authorization: basic dxnazxi6cdo="),
        "{request}"
    );
}

#[tokio::test]
async fn a_proxys_refusal_says_whether_it_will_last() {
    for (answer, status, transient) in [
        (
            &b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"[..],
            407,
            false,
        ),
        (
            b"HTTP/1.1 403 Forbidden\r\ncontent-length: 4\r\n\r\nnope",
            403,
            false,
        ),
        (b"HTTP/1.0 502 Bad Gateway\r\n\r\n", 502, true),
        (b"HTTP/1.1 429 Slow\r\ncontent-length: 0\r\n\r\n", 429, true),
    ] {
        let (port, _) = answering(answer).await;
        let network = Network::builder().proxy(format!("http://u:hunter2@localhost:{port}"));
        let error = connect(network, "https://athena.test")
            .await
            .expect_err("refused");
        let ConnectError::ProxyRefused { source, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*source, ProxyStatus(status));
        assert_eq!(error.is_transient(), transient, "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn what_is_no_proxy_breaks_the_attempt() {
    for answer in [&b""[..], b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 "] {
        let (port, _) = answering(answer).await;
        let network = Network::builder().proxy(format!("localhost:{port}"));
        let error = connect(network, "https://athena.test")
            .await
            .expect_err("no proxy");
        assert!(matches!(error, ConnectError::Proxy { .. }), "{error:?}");
        assert!(error.is_transient() && error.to_string().contains("athena.test:443"));
    }
}

#[tokio::test]
async fn a_proxy_may_be_spoken_to_over_tls() {
    let authority = Authority::new();
    let (outer, inner) = (authority.acceptor(false), authority.acceptor(false));
    let (listener, port) = listen().await;
    let proxy = tokio::spawn(async move {
        let (connection, _) = listener.accept().await?;
        let mut to_client = outer.accept(connection).await?;
        let request = head(&mut to_client).await;
        to_client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        // The target, behind it.
        let mut target = inner.accept(to_client).await?;
        target.write_all(b"hello").await?;
        target.shutdown().await?;
        std::io::Result::Ok(request)
    });
    let proxy_url = format!("https://localhost:{port}");
    let network = Network::builder()
        .proxy(&proxy_url)
        .ca_certificate(authority.0.pem());
    let mut connection = connect(network, "https://localhost:7")
        .await
        .expect("TLS in TLS");
    let mut said = String::new();
    connection.read_to_string(&mut said).await.expect("bytes");
    assert_eq!(said, "hello");
    let request = proxy.await.expect("no panic").expect("no failure");
    assert!(request.starts_with("CONNECT localhost:7 "), "{request}");

    let (listener, port) = listen_with(authority.acceptor(false)).await;
    let stranger = Network::builder().proxy(format!("https://localhost:{port}"));
    let error = connect(stranger, "https://localhost:7")
        .await
        .expect_err("not trusted");
    assert!(error.tls().is_some() && !error.is_transient(), "{error:?}");
    listener.abort();
}

async fn listen_with(acceptor: TlsAcceptor) -> (JoinHandle<()>, u16) {
    let (listener, port) = listen().await;
    let task = tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let _ = acceptor.accept(connection).await;
        }
    });
    (task, port)
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_by_the_next_connection() {
    let authority = Authority::new();
    let acceptor = authority.acceptor(true);
    let (listener, port) = listen().await;
    let shown = tokio::spawn(async move {
        let mut shown = Vec::new();
        for _ in 0..3 {
            let (connection, _): (TcpStream, _) = listener.accept().await.expect("a connection");
            let stream = acceptor.accept(connection).await.expect("a guest");
            let certificates = stream
                .get_ref()
                .1
                .peer_certificates()
                .expect("a certificate");
            shown.push(certificates[0].to_vec());
        }
        shown
    });
    let folder = tempfile::tempdir().expect("a folder");
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    let renew = || {
        let pair = authority.issue("guest");
        std::fs::write(&certificate, &pair.0).expect("written");
        std::fs::write(&key, &pair.1).expect("written");
        CertificateDer::from_pem_slice(pair.0.as_bytes())
            .expect("PEM")
            .to_vec()
    };
    let first = renew();
    let network = Network::builder()
        .no_proxy()
        .ca_certificate(authority.0.pem())
        .identity(Identity::from_files(&certificate, &key).expect("a pair"))
        .build()
        .expect("good settings");
    let target = format!("https://localhost:{port}").parse().expect("a URI");
    let connector = Connector::new(network, target, None).expect("a host");
    drop(connector.connect().await.expect("let in"));
    drop(connector.connect().await.expect("let in"));
    let second = renew();
    drop(connector.connect().await.expect("let in"));
    assert_eq!(
        shown.await.expect("no panic"),
        [first.clone(), first, second]
    );
}
