//! Doors before the emulator: a sidecar, mutual TLS, a proxy.

use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Opens TLS connections to a server, for what comes in without.
#[derive(Clone)]
struct Inside {
    target: String,
    connector: TlsConnector,
}

impl Inside {
    fn new(target: &str, ca_pem: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).expect("PEM"))
            .expect("a CA");
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self {
            target: target.to_owned(),
            connector: Arc::new(config).into(),
        }
    }

    async fn join<S>(&self, mut outside: S) -> std::io::Result<()>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let name = ServerName::try_from("localhost").expect("a name");
        let tcp = TcpStream::connect(&self.target).await?;
        let mut inside = self.connector.connect(name, tcp).await?;
        copy_bidirectional(&mut outside, &mut inside)
            .await
            .map(drop)
    }
}

/// Takes plain HTTP/2 in, as a sidecar does.
pub(crate) struct Sidecar {
    port: u16,
}

impl Sidecar {
    pub(crate) async fn before(target: &str, ca_pem: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let inside = Inside::new(target, ca_pem);
        tokio::spawn(async move {
            while let Ok((outside, _)) = listener.accept().await {
                let inside = inside.clone();
                tokio::spawn(async move { inside.join(outside).await });
            }
        });
        Self { port }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://localhost:{}", self.port)
    }
}

/// Lets nobody in without a certificate of its own CA.
pub(crate) struct MutualTls {
    port: u16,
    pub(crate) ca: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl MutualTls {
    pub(crate) async fn before(target: &str, ca_pem: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"))
            .expect("a CA");
        let issue = |name: &str| {
            let key = KeyPair::generate().expect("a key");
            let params = CertificateParams::new([name.to_owned()]).expect("a name");
            let certificate = params.signed_by(&key, &ca).expect("a certificate");
            (certificate.pem(), key.serialize_pem())
        };
        let (server_certificate, server_key) = issue("localhost");
        let (certificate, key) = issue("guest");

        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).expect("a CA");
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots),
            provider(),
        )
        .build()
        .expect("a verifier");
        let chain = CertificateDer::from_pem_slice(server_certificate.as_bytes()).expect("PEM");
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![chain],
                PrivateKeyDer::from_pem_slice(server_key.as_bytes()).expect("PEM"),
            )
            .expect("a key for its certificate");
        config.alpn_protocols = vec![b"h2".to_vec()];

        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let inside = Inside::new(target, ca_pem);
        tokio::spawn(async move {
            while let Ok((outside, _)) = listener.accept().await {
                let (inside, acceptor) = (inside.clone(), acceptor.clone());
                tokio::spawn(async move { inside.join(acceptor.accept(outside).await?).await });
            }
        });
        Self {
            port,
            ca: ca.pem(),
            certificate,
            key,
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("https://localhost:{}", self.port)
    }
}

/// A proxy that knows where every name is: on this machine.
pub(crate) struct ConnectProxy {
    pub(crate) address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl ConnectProxy {
    pub(crate) async fn start() -> Self {
        Self::answering(None).await
    }

    /// Gives this answer instead of connections.
    pub(crate) async fn refusing(status: &'static str) -> Self {
        Self::answering(Some(status)).await
    }

    async fn answering(refusal: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let seen = Arc::clone(&seen);
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        request.push(client.read_u8().await?);
                    }
                    let request = String::from_utf8_lossy(&request).into_owned();
                    let line = request.lines().next().unwrap_or_default();
                    let target = line.split(' ').nth(1).unwrap_or_default();
                    let port = target.rsplit(':').next().unwrap_or_default();
                    let mut server = TcpStream::connect(format!("127.0.0.1:{port}")).await?;
                    seen.lock().expect("no panic").push(request);
                    if let Some(status) = refusal {
                        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                        client.write_all(answer.as_bytes()).await?;
                        return Ok((0, 0));
                    }
                    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
                    copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Self { address, requests }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }
}
