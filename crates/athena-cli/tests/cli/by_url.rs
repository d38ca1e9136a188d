//! Images by URL, from a web server with a certificate of its own CA.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::common::{athena, bmp};
use crate::http::Serve;
use crate::serve::certificates;

/// Has a picture under `/u/`, and a redirect from `/u/away` to an address of the link. Ends with the process.
struct WebServer {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl WebServer {
    fn start(folder: &Path) -> Self {
        certificates(folder);
        let chain = CertificateDer::pem_file_iter(folder.join("localhost.pem")).expect("read");
        let chain = chain.map(|found| found.expect("a certificate")).collect();
        let key = PrivateKeyDer::from_pem_file(folder.join("localhost.key")).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        let config = Arc::new(config.expect("sound"));
        // Whichever address the name has here.
        let listener = TcpListener::bind("localhost:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::Relaxed);
                let server = ServerConnection::new(Arc::clone(&config)).expect("sound");
                let mut stream = BufReader::new(StreamOwned::new(server, connection));
                std::thread::spawn(move || {
                    let mut head = String::new();
                    stream.read_line(&mut head).ok()?;
                    let mut line = String::new();
                    while stream.read_line(&mut line).ok()? > 2 {
                        line.clear();
                    }
                    let path = head.split([' ', '?']).nth(1)?;
                    let (status, body) = match path {
                        "/u/a.bmp" => ("200 OK", bmp(1)),
                        "/u/away" => (
                            "302 Found\r\nlocation: https://169.254.169.254/u/",
                            Vec::new(),
                        ),
                        _ => ("404 Not Found", Vec::new()),
                    };
                    let length = body.len();
                    let head = format!(
                        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
                    );
                    let stream = stream.get_mut();
                    stream.write_all(head.as_bytes()).ok()?;
                    stream.write_all(&body).ok()?;
                    stream.conn.send_close_notify();
                    stream.flush().ok()
                });
            }
        });
        Self { port, connections }
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}/u/{path}", self.port)
    }
}

fn trusting<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    command.env("AWS_CA_BUNDLE", folder.join("ca.pem"))
}

fn ask(serve: &Serve, url: &str) -> (u16, Value) {
    let json = json!({"url": url}).to_string();
    let headers = "content-type: application/json\r\n";
    serve.request("POST /v1/classify", headers, json.as_bytes())
}

#[test]
fn a_server_fetches_over_tls_that_is_checked_and_from_no_private_address_unless_told() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let web = WebServer::start(folder);
    let allow = format!("--allow-url={}", web.url(""));
    let listen = [
        "serve",
        "--emulator",
        "--json",
        "--listen=127.0.0.1:0",
        &allow,
    ];

    // The name is on the list. What it resolves to is not asked.
    let serve = Serve::start(trusting(&mut athena(folder, &listen), folder));
    let (status, problem) = ask(&serve, &web.url("a.bmp"));
    assert_eq!(
        (status, &problem["type"]),
        (403, &json!("urn:athena:problem:forbidden")),
        "{problem}"
    );
    assert_eq!(web.connections.load(Ordering::Relaxed), 0);
    let nowhere = ask(&serve, "https://localhost:1/u/a.bmp");
    assert_eq!(nowhere.0, 403, "{nowhere:?}");

    let listen = [&listen[..], &["--allow-private"]].concat();
    let serve = Serve::start(trusting(&mut athena(folder, &listen), folder));
    let (status, record) = ask(&serve, &web.url("a.bmp?signature=secret"));
    assert_eq!(
        (status, &record["status"]),
        (200, &json!("classified")),
        "{record}"
    );
    assert_eq!(
        record["url"],
        web.url("a.bmp"),
        "without what may be a secret"
    );
    assert_eq!(ask(&serve, &web.url("none.bmp")).0, 400);
    let away = ask(&serve, &web.url("away"));
    assert_eq!(away.0, 403, "{away:?}");

    // A CA that nobody has told of.
    let serve = Serve::start(&mut athena(folder, &listen));
    assert_eq!(ask(&serve, &web.url("a.bmp")).0, 502);
}

#[cfg(feature = "worker")]
#[test]
fn a_worker_fetches_by_the_same_rules() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let Some(nats) = crate::nats::NatsServer::start(folder, "") else {
        return;
    };
    let web = WebServer::start(folder);
    let job = |key: &str, path: &str| format!("{}\n", json!({"key": key, "url": web.url(path)}));
    let allow = format!("--allow-url={}", web.url(""));
    let work = |list: String, more: &[&str]| {
        std::fs::write(folder.join("list"), list).expect("write");
        let submitted = nats.athena(folder, &["jobs", "submit", "--from=list"]);
        assert_eq!(submitted.code, Some(0), "{submitted:?}");
        let worker = ["worker", "--emulator", "--until-empty", &allow];
        let mut worker = athena(folder, &[&worker[..], more].concat());
        let run = crate::common::run(trusting(&mut worker, folder).env("NATS_URL", nats.url()));
        assert_eq!(run.code, Some(0), "{run:?}");
    };
    work(job("private", "a.bmp"), &[]);
    assert_eq!(web.connections.load(Ordering::Relaxed), 0);
    // By way of a server, which does not go there itself, and by which a repeated job is known.
    let queue = format!("--queue={}", nats.url());
    let listen = [
        "serve",
        "--emulator",
        "--json",
        "--listen=127.0.0.1:0",
        &allow,
    ];
    let serve = Serve::start(&mut athena(folder, &[&listen[..], &[&queue]].concat()));
    let ask = |path: &str| {
        let json = json!({"url": web.url(path)}).to_string();
        let headers = "content-type: application/json\r\nidempotency-key: asked\r\n";
        serve.request("POST /v1/classify?queue=true", headers, json.as_bytes())
    };
    assert_eq!(ask("a.bmp?signature=1").0, 202);
    let list = job("sound", "a.bmp") + &job("missing", "none.bmp") + &job("away", "away");
    work(list, &["--allow-private"]);

    let records = nats.athena(folder, &["jobs", "results"]).json();
    let of = |key: &str| {
        let mut records = records.iter();
        records
            .find(|record| record["key"] == key)
            .expect("an outcome")
    };
    assert_eq!(of("sound")["status"], "classified");
    assert_eq!(of("asked")["url"], web.url("a.bmp"));
    let (status, record) = ask("a.bmp?signature=1");
    assert_eq!((status, &record["status"]), (200, &json!("classified")));
    assert_eq!(ask("none.bmp").0, 409);
    for (key, kind) in [
        ("private", "refused"),
        ("missing", "not_found"),
        ("away", "refused"),
    ] {
        let record = of(key);
        assert_eq!(record["error"]["kind"], kind, "{record}");
        // Told at once: no later attempt would go elsewhere.
        assert_eq!(
            (&record["attempts"], &record["sends"]),
            (&json!(1), &json!(0))
        );
    }
}
