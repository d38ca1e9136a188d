//! What `athena serve` and `athena worker` export, and a collector that takes it in.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::common::{athena, athena_in, bmp, signal};
use crate::http::Serve;

/// The bodies that were exported to each path.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Export>>>);

/// What was sent.
struct Export {
    path: String,
    /// In which trace, where its head says so.
    trace: Option<String>,
    body: Vec<u8>,
}

impl Collector {
    fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let this = Self::default();
        let exported = this.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let exported = exported.clone();
                std::thread::spawn(move || exported.take_in(&connection));
            }
        });
        (this, url)
    }

    fn take_in(&self, connection: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(connection);
        loop {
            let (mut head, mut length, mut trace) = (String::new(), 0, None);
            reader.read_line(&mut head).ok().filter(|read| *read > 0)?;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).ok()?;
                let line = line.trim().to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().ok()?;
                }
                if let Some(value) = line.strip_prefix("traceparent:") {
                    trace = Some(value.trim().to_owned());
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let path = head.split(' ').nth(1)?.to_owned();
            self.0
                .lock()
                .expect("no panic")
                .push(Export { path, trace, body });
            let mut connection = connection;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            connection.write_all(answer).ok()?;
        }
    }

    /// Whether something with these bytes was exported to the path. Protobuf has text and ids as they are.
    fn has(&self, path: &str, bytes: &[u8]) -> bool {
        self.count(path, bytes) > 0
    }

    /// How often these bytes were exported to the path.
    fn count(&self, path: &str, bytes: &[u8]) -> usize {
        let exported = self.0.lock().expect("no panic");
        let bodies = exported.iter().filter(|export| export.path == path);
        bodies
            .map(|export| {
                let parts = export.body.windows(bytes.len());
                parts.filter(|part| *part == bytes).count()
            })
            .sum()
    }

    /// In which traces something was sent to the path.
    fn traces(&self, path: &str) -> Vec<Option<String>> {
        let exported = self.0.lock().expect("no panic");
        let sent = exported.iter().filter(|export| export.path == path);
        sent.map(|export| export.trace.clone()).collect()
    }
}

fn serve(variables: &[(&str, &str)], more: &[&str]) -> (Serve, String) {
    let folder = tempfile::tempdir().expect("folder");
    let listen = ["serve", "--emulator", "--json", "--listen=127.0.0.1:0"];
    let arguments = [&listen[..], more].concat();
    let server = Serve::start(athena(folder.path(), &arguments).envs(variables.iter().copied()));
    let address = server.address().to_owned();
    (server, address)
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// The trace's id, as it is exported.
fn trace_id() -> [u8; 16] {
    let id = u128::from_str_radix(TRACE, 16).expect("hexadecimal");
    id.to_be_bytes()
}

fn ask(address: &str) -> String {
    post(address, "/v1/classify", "image/bmp", &bmp(1))
}

fn post(address: &str, path: &str, content: &str, body: &[u8]) -> String {
    let mut connection = TcpStream::connect(address).expect("a connection");
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content}\r\n\
         idempotency-key: upload-7\r\nconnection: close\r\n\
         traceparent: 00-{TRACE}-b7ad6b7169203331-01\r\ntracestate: vendor=7\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).expect("sent");
    connection.write_all(body).expect("sent");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("an answer");
    answer
}

fn end(mut server: Serve) {
    signal(&server.child, "TERM");
    let status = server.child.wait().expect("ends");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn an_image_is_in_the_trace_of_its_request() {
    let (collector, url) = Collector::start();
    // Shown once by a flag, and once by the variable.
    for by_flag in [true, false] {
        let flag = format!("--otlp={url}");
        let (server, address) = match by_flag {
            true => serve(&[], &[&flag]),
            false => serve(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)], &[]),
        };
        let answer = ask(&address);
        assert!(
            answer.contains("200 OK") && answer.contains("\"sends\":1"),
            "{answer}"
        );
        end(server);
        for told in [
            &trace_id()[..],
            b"POST /v1/classify",
            b"athena.classify",
            b"athena.ClassifierService/Classify",
            b"service.name\x12\x08\x0a\x06athena",
        ] {
            let shown = String::from_utf8_lossy(told);
            assert!(collector.has("/v1/traces", told), "{shown}");
        }
        for told in [
            "http.server.request.duration",
            "athena.client.image.ended",
            "athena.client.token.requests",
        ] {
            assert!(collector.has("/v1/metrics", told.as_bytes()), "{told}");
        }
        collector.0.lock().expect("no panic").clear();
    }
}

#[test]
fn the_images_of_a_batch_and_a_webhook_are_in_the_trace_of_their_request() {
    let (collector, url) = Collector::start();
    let folder = tempfile::tempdir().expect("folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "0123456789abcdef").expect("write");
    let (server, address) = serve(
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)],
        &[
            &format!("--webhook-allow={url}/hook"),
            &format!("--webhook-secret-file={}", secret.display()),
            "--webhook-private",
        ],
    );
    let mut body = Vec::new();
    for number in 1..=3 {
        body.extend_from_slice(
            b"--x\r\ncontent-disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n",
        );
        body.extend_from_slice(&bmp(number));
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--x--\r\n");
    let form = "multipart/form-data; boundary=x";
    let answer = post(&address, "/v1/classify:batch", form, &body);
    assert_eq!(answer.matches("\"sends\":1").count(), 3, "{answer}");

    let path = format!("/v1/classify?wait=0&webhook={url}/hook");
    assert!(post(&address, &path, "image/bmp", &bmp(4)).contains("202 Accepted"));
    while collector.traces("/hook").is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let sent = collector.traces("/hook")[0].clone().expect("a trace");
    assert!(sent.starts_with(&format!("00-{TRACE}-")), "{sent}");
    end(server);
    // Two requests, and the four images that came with them.
    let spans = collector.count("/v1/traces", &trace_id());
    assert!(spans >= 6, "{spans} in the trace");
    assert!(collector.has("/v1/traces", b"POST /v1/classify:batch"));
    assert_eq!(collector.count("/v1/traces", b"\x2a\x0fathena.classify"), 4);
}

#[cfg(feature = "worker")]
#[test]
fn a_job_is_in_the_trace_of_whoever_has_submitted_it() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let Some(nats) = crate::nats::NatsServer::start(folder, "") else {
        return;
    };
    std::fs::write(folder.join("a.bmp"), bmp(2)).expect("write");
    let (collector, url) = Collector::start();
    for by_http in [true, false] {
        match by_http {
            true => {
                let queue = format!("--queue={}", nats.url());
                let (server, address) = serve(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)], &[&queue]);
                let answer = post(&address, "/v1/classify?queue=true", "image/bmp", &bmp(1));
                assert!(answer.contains("202 Accepted"), "{answer}");
                end(server);
            }
            false => {
                let mut submit = athena(folder, &["jobs", "submit", "a.bmp"]);
                submit.env("TRACEPARENT", format!("00-{TRACE}-b7ad6b7169203331-01"));
                submit.env("TRACESTATE", "vendor=7");
                let run = crate::common::run(submit.env("NATS_URL", nats.url()));
                assert_eq!(run.code, Some(0), "{run:?}");
            }
        }
        collector.0.lock().expect("no panic").clear();
        let otlp = format!("--otlp={url}");
        let worked = nats.athena(folder, &["worker", "--emulator", "--until-empty", &otlp]);
        assert_eq!(worked.code, Some(0), "{worked:?}");
        // The attempt, and the image in it.
        assert_eq!(collector.count("/v1/traces", &trace_id()), 2, "{by_http}");
        assert_eq!(collector.count("/v1/traces", b"vendor=7"), 2, "{by_http}");
        for told in ["athena.job", "athena.classify", "athena.key"] {
            assert!(collector.has("/v1/traces", told.as_bytes()), "{told}");
        }
        let figures = "athena.client.image.ended";
        assert!(collector.has("/v1/metrics", figures.as_bytes()));
    }
}

#[test]
fn a_collector_that_is_gone_costs_no_image() {
    let nowhere = "http://127.0.0.1:9";
    let (server, address) = serve(&[("OTEL_EXPORTER_OTLP_ENDPOINT", nowhere)], &[]);
    assert!(ask(&address).contains("200 OK"));
    end(server);
}

#[test]
fn what_cannot_be_exported_is_said_at_the_start() {
    let folder = tempfile::tempdir().expect("folder");
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "missing.pem"),
    ] {
        let mut serve = athena(folder.path(), &["serve", "--emulator", "--otlp"]);
        let run = crate::common::run(serve.env(name, value));
        assert_eq!(run.code, Some(3), "{run:?}");
        assert!(run.stderr.contains(name), "{run:?}");
    }
    let wrong = athena_in(folder.path(), &["serve", "--emulator", "--otlp", "no URL"]);
    assert_eq!(wrong.code, Some(3), "{wrong:?}");
}
