//! A gateway in front of an emulator of its own, and a caller that speaks HTTP by hand.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use athena_client::Client;
use athena_client::auth::OAuthClientCredentials;
use athena_emulator::{Emulator, EmulatorBuilder};
use athena_gateway::{Drained, Gateway, GatewayBuilder, Listener};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub(crate) const POLICY: &str = r#"
version = "test"
on_error = "hold"
otherwise = "allow"
[[rules]]
when = "known_match"
then = "block"
[[rules]]
when = "undecodable"
then = "block"
"#;

/// For a policy: an image of which only the hashes were looked up may pass.
pub(crate) const HASHES_SUFFICE: &str = "[[rules]]\nwhen = 'hash_only'\nthen = 'allow'\n";

pub(crate) fn client(emulator: &Emulator) -> Client {
    let tokens = OAuthClientCredentials::builder(emulator.client_id(), emulator.client_secret())
        .token_url(emulator.token_url())
        .audience(emulator.audience())
        .ca_certificate(emulator.ca_pem())
        .build()
        .expect("valid credentials");
    Client::builder()
        .endpoint(emulator.endpoint())
        .token_source(tokens)
        .affiliate(emulator.affiliate())
        .ca_certificate(emulator.ca_pem())
        .no_proxy()
        .sha256(true)
        .build()
        .expect("a valid client")
}

/// A running gateway. Ends when it is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) emulator: Arc<Emulator>,
    pub(crate) gateway: Gateway,
    stop: Arc<Notify>,
    serving: Option<JoinHandle<Drained>>,
}

impl Running {
    pub(crate) async fn start(configure: impl FnOnce(GatewayBuilder) -> GatewayBuilder) -> Self {
        Self::with(Emulator::builder(), configure).await
    }

    pub(crate) async fn with(
        emulator: EmulatorBuilder,
        configure: impl FnOnce(GatewayBuilder) -> GatewayBuilder,
    ) -> Self {
        let emulator = emulator.start().await.expect("the emulator starts");
        let gateway = configure(Gateway::builder(client(&emulator)))
            .open()
            .expect("valid settings");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let listener = Listener::tcp(listener).expect("a listener");
        Self::serve(Arc::new(emulator), gateway, vec![listener], address)
    }

    pub(crate) fn serve(
        emulator: Arc<Emulator>,
        gateway: Gateway,
        listeners: Vec<Listener>,
        address: SocketAddr,
    ) -> Self {
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let serving = gateway
            .clone()
            .serve(listeners, async move { stopped.notified().await });
        Self {
            address,
            emulator,
            gateway,
            stop,
            serving: Some(tokio::spawn(serving)),
        }
    }

    /// Tells the server to stop; completes when it has.
    pub(crate) fn stop(&mut self) -> impl Future<Output = Drained> + use<> {
        self.stop.notify_one();
        let serving = self.serving.take().expect("running");
        async { serving.await.expect("no panic") }
    }

    /// Posts a body.
    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.request("POST", path, headers, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], b"").await
    }

    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.expect("connects");
        let head = head(method, path, headers, body.len());
        // The answer may come before the body is through, and end the connection.
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(body).await;
        Answer::read(&mut stream).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }
}

pub(crate) fn head(method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    let has = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    if !has("host") {
        head += "Host: localhost\r\n";
    }
    if !has("content-type") && method == "POST" {
        head += "Content-Type: application/octet-stream\r\n";
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head + &format!("Content-Length: {length}\r\nConnection: close\r\n\r\n")
}

/// An answer, read to the end of its connection.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) async fn read(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Self {
        let mut bytes = Vec::new();
        // A connection that is reset after its answer has still answered.
        let _ = stream.read_to_end(&mut bytes).await;
        Self::parse(&bytes)
            .unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(&bytes)))
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.get(9..12)?.parse().ok()?;
        let mut body = bytes[end + 4..].to_vec();
        if head
            .to_ascii_lowercase()
            .contains("transfer-encoding: chunked")
        {
            body = dechunked(&body);
        }
        Some(Self { status, head, body })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8_lossy(&self.body);
        text.lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The name of the problem that this is.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let body = self.json();
        assert_eq!(body["status"], self.status);
        let kind = body["type"].as_str().expect("a type");
        let name = kind.strip_prefix("urn:athena:problem:");
        name.expect("a name").to_owned()
    }
}

fn dechunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        let start = end + 2;
        whole.extend_from_slice(&bytes[start..start + size]);
        bytes = &bytes[start + size + 2..];
        if size == 0 {
            break;
        }
    }
    whole
}

/// A picture of the examples.
pub(crate) fn picture() -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/images");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("pictures")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "jpg" || e == "png"))
        .collect();
    files.sort();
    std::fs::read(&files[0]).expect("a picture")
}

/// A small picture, different for each number: a PPM.
pub(crate) fn small(number: usize) -> Vec<u8> {
    let mut bytes = b"P6 2 2 255 ".to_vec();
    let word = (number as u64)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .to_be_bytes();
    bytes.extend_from_slice(&word);
    bytes.extend_from_slice(&(number as u32).to_be_bytes());
    bytes
}

/// Files as the parts of a form, with their boundary's header.
pub(crate) fn form(files: &[(&str, &[u8])]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (name, bytes) in files {
        body.extend_from_slice(b"--frontier\r\n");
        let head = format!(
            "Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--frontier--\r\n");
    ("multipart/form-data; boundary=frontier".to_owned(), body)
}
