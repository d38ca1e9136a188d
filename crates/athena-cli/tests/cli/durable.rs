//! `athena serve --queue` and `athena worker`, with a real nats-server where there is one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::common::{athena, bmp};
use crate::nats::NatsServer;

/// A server of images. Killed when it is dropped, as if its machine had gone.
struct Serve {
    child: Child,
    address: String,
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serve {
    fn start(folder: &Path, nats: &NatsServer, more: &[&str]) -> Self {
        let url = nats.url();
        let serve = [
            "serve",
            "--emulator",
            "--json",
            "--listen=127.0.0.1:0",
            "--queue",
            &url,
        ];
        let mut child = athena(folder, &[&serve[..], more].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("one line");
        let ready: Value = serde_json::from_str(&line).expect("JSON");
        let url = ready["urls"][0].as_str().expect("a place");
        let address = url.trim_start_matches("http://").to_owned();
        Self { child, address }
    }

    /// The status, and the body as JSON.
    fn request(&self, line: &str, headers: &str, body: &[u8]) -> (u16, Value) {
        let mut connection = TcpStream::connect(&self.address).expect("a connection");
        let head = format!(
            "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        connection.write_all(head.as_bytes()).expect("sent");
        connection.write_all(body).expect("sent");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head[9..12].parse().expect("a status");
        (status, serde_json::from_str(body).expect("JSON"))
    }

    fn queue(&self, key: &str, more: &str, image: &[u8]) -> (u16, Value) {
        let headers = format!("content-type: image/bmp\r\nidempotency-key: {key}\r\n");
        self.request(
            &format!("POST /v1/classify?queue=true{more}"),
            &headers,
            image,
        )
    }

    fn outcome(&self, key: &str, more: &str) -> (u16, Value) {
        self.request(&format!("GET /v1/outcomes/{key}{more}"), "", b"")
    }
}

fn work(nats: &NatsServer, folder: &Path) {
    let worked = nats.athena(folder, &["worker", "--emulator", "--until-empty"]);
    assert_eq!(worked.code, Some(0), "{worked:?}");
}

#[test]
fn what_was_answered_202_has_its_outcome_though_the_server_is_killed() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let Some(nats) = NatsServer::start(folder, "") else {
        return;
    };
    let serve = Serve::start(folder, &nats, &[]);
    for number in 0..5 {
        let (status, body) = serve.queue(&format!("upload-{number}"), "&frames=2", &bmp(number));
        assert_eq!(status, 202, "{body}");
        assert_eq!(body["location"], format!("/v1/outcomes/upload-{number}"));
    }
    let (status, body) = serve.queue("broken", "", &bmp(9)[..60]);
    assert_eq!(status, 202, "{body}");
    drop(serve);

    work(&nats, folder);
    let results = nats.athena(folder, &["jobs", "results"]).json();
    assert_eq!(results.len(), 6, "one outcome for each");

    let serve = Serve::start(folder, &nats, &[]);
    for number in 0..5 {
        let (status, record) = serve.outcome(&format!("upload-{number}"), "");
        assert_eq!((status, &record["status"]), (200, &json!("classified")));
    }
    let (status, problem) = serve.outcome("broken", "");
    assert_eq!(
        (status, &problem["outcome"]["error"]["kind"]),
        (422, &json!("truncated"))
    );
    assert_eq!(serve.outcome("unknown", "?wait=5").0, 404);

    // Sent again: the same image has its outcome, another has none under this key.
    assert_eq!(serve.queue("upload-1", "", &bmp(1)).0, 200);
    assert_eq!(serve.queue("upload-1", "", &bmp(2)).0, 409);
    // While it waits, too.
    assert_eq!(serve.queue("waits", "", &bmp(7)).0, 202);
    assert_eq!(serve.queue("waits", "", &bmp(7)).0, 202);
    assert_eq!(serve.queue("waits", "", &bmp(8)).0, 409);
    assert_eq!(serve.outcome("waits", "").0, 202);
}

#[test]
fn who_waits_hears_of_an_outcome_when_a_worker_leaves_it() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let Some(nats) = NatsServer::start(folder, "") else {
        return;
    };
    let serve = Serve::start(folder, &nats, &[]);
    std::thread::scope(|scope| {
        let posted = scope.spawn(|| serve.queue("a", "&wait=30", &bmp(1)));
        assert_eq!(serve.queue("b", "", &bmp(2)).0, 202);
        let found = scope.spawn(|| serve.outcome("b", "?wait=30"));
        // Both wait before there is a worker.
        while nats
            .athena(folder, &["jobs", "status", "--json", "--over=0s"])
            .json()[0]["lag"]
            != 2
        {}
        work(&nats, folder);
        for answer in [posted, found] {
            let (status, record) = answer.join().expect("no panic");
            assert_eq!((status, &record["status"]), (200, &json!("classified")));
        }
    });
}

#[test]
fn a_queue_that_is_gone_is_said_and_queues_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    let Some(nats) = NatsServer::start(folder, "") else {
        return;
    };
    let serve = Serve::start(folder, &nats, &[]);
    assert_eq!(
        serve.request("GET /readyz", "", b"").1["queue"],
        json!(true)
    );
    drop(nats);
    let (status, problem) = serve.queue("a", "", &bmp(1));
    assert_eq!(
        (status, &problem["type"]),
        (503, &json!("urn:athena:problem:queue-unavailable"))
    );
    assert_eq!(serve.request("GET /readyz", "", b"").0, 503);
}
