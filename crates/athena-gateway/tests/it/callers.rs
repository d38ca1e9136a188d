//! Who may call, by key, certificate, host and origin.

use std::sync::Arc;

use athena_emulator::Emulator;
use athena_gateway::{Gateway, Keys, Listener, ServerTls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::support::{Answer, Running, client, head, small};

#[tokio::test(flavor = "multi_thread")]
async fn only_known_keys_get_in_and_each_only_to_what_is_its_own() {
    let (first, entry_1) = Keys::mint("one").expect("a key");
    let (second, entry_2) = Keys::mint("two").expect("a key");
    let more = "affiliates = [\"acme\"]\nrate = 0.01\n";
    let emulator = Emulator::builder();
    let keys = format!("{entry_1}\n{entry_2}{more}").parse().expect("keys");
    let running = Running::with(emulator, |g| g.keys(keys)).await;
    let image = small(1);
    for headers in [
        &[][..],
        &[("Authorization", "Bearer nonsense")],
        &[("Authorization", "Basic eA==")],
    ] {
        let answer = running.post("/v1/classify", headers, &image).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (401, "unauthorized")
        );
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    assert_eq!(running.get("/metrics").await.status, 401);
    assert_eq!(running.get("/livez").await.status, 200);
    assert_eq!(running.get("/readyz").await.status, 200);
    assert_eq!(running.emulator.inputs().len(), 0);

    let bearer = format!("Bearer {}", &*first);
    let answer = running
        .post(
            "/v1/classify",
            &[("Authorization", &bearer), ("Idempotency-Key", "k")],
            &image,
        )
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["correlation_id"], "one:k");
    // The same key of another caller is another image's, and its outcome is nobody else's to see.
    let other = [("X-Api-Key", &**second)];
    let answer = running.request("GET", "/v1/outcomes/k", &other, b"").await;
    assert_eq!(answer.status, 404);
    let answer = running
        .post("/v1/classify?affiliate=else", &other, &image)
        .await;
    assert_eq!(answer.problem(), "forbidden");
    // Its rate: one, and the next in a minute and a half.
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(running.post("/v1/classify", &other, &image).await.status);
    }
    assert_eq!(codes.last(), Some(&429), "{codes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_a_browser_does_not_get_in() {
    let running = Running::start(|g| {
        g.host("sidecar.internal")
            .origin("https://admin.example.com")
    })
    .await;
    let image = small(1);
    for (headers, status) in [
        (&[("Host", "sidecar.internal:8080")][..], 200),
        (&[("Host", "localhost:8080")], 200),
        (&[("Host", "127.0.0.1")], 200),
        (&[("Host", "[::1]:1")], 200),
        (&[("Origin", "https://admin.example.com")], 200),
        (&[("Sec-Fetch-Site", "none")], 200),
        (&[("Host", "rebound.evil.example")], 421),
        (&[("Host", "localhost.evil.example")], 421),
        (&[("Host", "")], 421),
        (&[("Origin", "https://evil.example")], 403),
        (&[("Origin", "null")], 403),
        (&[("Sec-Fetch-Site", "cross-site")], 403),
    ] {
        let answer = running.post("/v1/classify", headers, &image).await;
        assert_eq!(answer.status, status, "{headers:?}: {answer:?}");
    }
    // Probers ask by the address of the day.
    let by_address = [("Host", "10.1.2.3:8080")];
    assert_eq!(
        running
            .request("GET", "/livez", &by_address, b"")
            .await
            .status,
        200
    );
    assert_eq!(
        running
            .request("GET", "/metrics", &by_address, b"")
            .await
            .status,
        421
    );
}

/// A CA, and a certificate of it with its key: all PEM.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).expect("a CA"),
        }
    }

    fn pem(&self) -> String {
        self.issuer.pem()
    }

    fn certificate(&self, name: &str) -> (String, String) {
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }
}

async fn over_tls(
    running: &Running,
    ca: &str,
    identity: Option<&(String, String)>,
) -> Option<Answer> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("PEM"))
        .expect("a CA");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match identity {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => config
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM"),
            )
            .expect("an identity"),
    };
    let stream = TcpStream::connect(running.address).await.expect("connects");
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .ok()?;
    let image = small(1);
    let request = head("POST", "/v1/classify", &[], image.len());
    stream.write_all(request.as_bytes()).await.ok()?;
    stream.write_all(&image).await.ok()?;
    let mut bytes = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut bytes).await;
    Answer::parse(&bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_stand_for_keys() {
    let server_ca = Authority::new();
    let client_ca = Authority::new();
    let (certificate, key) = server_ca.certificate("localhost");
    let known = client_ca.certificate("forum");
    let unknown = client_ca.certificate("other");
    let foreign = Authority::new().certificate("forum");
    let der = CertificateDer::from_pem_slice(known.0.as_bytes()).expect("PEM");
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(&der));
    let keys = format!("[[key]]\nname = \"forum\"\ncertificate_sha256 = \"{digest}\"\n");
    let emulator = Arc::new(
        Emulator::builder()
            .start()
            .await
            .expect("the emulator starts"),
    );
    let gateway = Gateway::builder(client(&emulator))
        .keys(keys.parse().expect("keys"))
        .open()
        .expect("valid");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let tls = ServerTls::new(
        certificate.as_bytes(),
        key.as_bytes(),
        Some(client_ca.pem().as_bytes()),
    )
    .expect("TLS");
    let listener = Listener::tls(listener, tls).expect("a listener");
    let running = Running::serve(emulator, gateway, vec![listener], address);
    let ca = server_ca.pem();
    assert_eq!(
        over_tls(&running, &ca, Some(&known))
            .await
            .expect("an answer")
            .status,
        200
    );
    assert_eq!(
        over_tls(&running, &ca, Some(&unknown))
            .await
            .expect("an answer")
            .status,
        401
    );
    assert!(over_tls(&running, &ca, Some(&foreign)).await.is_none());
    assert!(over_tls(&running, &ca, None).await.is_none());
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_is_for_those_whom_its_mode_lets_in() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("athena.sock");
    let emulator = Arc::new(
        Emulator::builder()
            .start()
            .await
            .expect("the emulator starts"),
    );
    let gateway = Gateway::builder(client(&emulator))
        .host("nobody")
        .open()
        .expect("valid");
    // One that a crash has left behind.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
    let listener = Listener::unix(&path, 0o660).expect("a listener");
    let mode = std::fs::metadata(&path)
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    assert!(
        Listener::unix(&path, 0o660).is_err(),
        "somebody listens there"
    );
    let nowhere = "127.0.0.1:1".parse().expect("an address");
    let mut running = Running::serve(emulator, gateway, vec![listener], nowhere);
    let mut stream = tokio::net::UnixStream::connect(&path)
        .await
        .expect("connects");
    let image = small(1);
    let request = head("POST", "/v1/classify", &[("Host", "whatever")], image.len());
    stream.write_all(request.as_bytes()).await.expect("write");
    stream.write_all(&image).await.expect("write");
    assert_eq!(Answer::read(&mut stream).await.status, 200);
    assert!(running.stop().await.complete);
    assert!(!path.exists());
    std::fs::write(&path, "a file").expect("write");
    assert!(
        Listener::unix(&path, 0o600).is_err(),
        "a file is not replaced"
    );
}
