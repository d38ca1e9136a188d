//! Outcomes that are fetched later, sent by webhook, or not wanted any more.

use std::time::Duration;

use athena_emulator::{Faults, When};
use athena_gateway::{AddressRules, Guard, Limits, Webhooks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Running, form, head, small};

/// Waits until the figures are as wanted.
async fn until(running: &Running, wanted: impl Fn(&athena_client::Stats) -> bool) {
    while !wanted(&running.gateway.session().stats()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_wait_comes_back_for_the_outcome() {
    let running = Running::start(|g| g).await;
    let answer = running.post("/v1/classify?wait=0", &[], &small(1)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let location = answer.header("location").expect("a place").to_owned();
    assert!(location.starts_with("/v1/outcomes/"), "{location}");
    let outcome = running.get(&format!("{location}?wait=20")).await;
    assert_eq!(outcome.status, 200, "{outcome:?}");
    assert_eq!(outcome.json()["status"], "classified");
    // It stays for those who ask twice.
    assert_eq!(running.get(&location).await.status, 200);
    assert_eq!(
        running.get("/v1/outcomes/other").await.problem(),
        "not-found"
    );
    let prefer = [("Prefer", "respond-async"), ("Idempotency-Key", "a/b")];
    let answer = running.post("/v1/classify", &prefer, &small(2)).await;
    assert_eq!(answer.header("location"), Some("/v1/outcomes/a%2Fb"));
    let outcome = running.get("/v1/outcomes/a%2Fb?wait=20").await;
    assert_eq!(outcome.json()["key"], "a/b", "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_key_is_one_image_sent_once() {
    let running = Running::start(|g| g).await;
    let key = [("Idempotency-Key", "upload-1")];
    let image = small(1);
    let posts = (0..10).map(|_| running.post("/v1/classify", &key, &image));
    let answers = futures_util::future::join_all(posts).await;
    for answer in &answers {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["pcsam"], answers[0].json()["pcsam"]);
    }
    let again = running.post("/v1/classify", &key, &image).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(running.emulator.inputs().len(), 1, "sent once");
    let other = running.post("/v1/classify", &key, &small(2)).await;
    assert_eq!(
        (other.status, other.problem().as_str()),
        (409, "key-reused")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_for_now_is_tried_again_by_the_same_key() {
    let running = Running::start(|g| g).await;
    running
        .emulator
        .set_faults(Faults::none().swallow(When::Every(1)));
    let key = [("Idempotency-Key", "k")];
    let first = running
        .post("/v1/classify?timeout=100ms", &key, &small(1))
        .await;
    assert_eq!(first.status, 504, "{first:?}");
    running.emulator.set_faults(Faults::none());
    let second = running.post("/v1/classify", &key, &small(1)).await;
    assert_eq!(second.status, 200, "{second:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_hangs_up_cancels_its_image() {
    let running = Running::start(|g| g).await;
    running
        .emulator
        .set_faults(Faults::none().swallow(When::Every(1)));
    let image = small(1);
    let mut stream = TcpStream::connect(running.address).await.expect("connects");
    let request = head(
        "POST",
        "/v1/classify",
        &[("Idempotency-Key", "k")],
        image.len(),
    );
    stream.write_all(request.as_bytes()).await.expect("write");
    stream.write_all(&image).await.expect("write");
    until(&running, |stats| stats.in_flight == 1).await;
    drop(stream);
    until(&running, |stats| stats.cancelled == 1 && stats.pending == 0).await;
    assert_eq!(running.get("/v1/outcomes/k").await.status, 404);
    running.emulator.set_faults(Faults::none());
    let again = running
        .post("/v1/classify", &[("Idempotency-Key", "k")], &image)
        .await;
    assert_eq!(again.status, 200, "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_first_hangs_up_the_second_has_its_turn() {
    let running = Running::start(|g| g).await;
    running
        .emulator
        .set_faults(Faults::none().swallow(When::Every(1)));
    let image = small(1);
    let mut first = TcpStream::connect(running.address).await.expect("connects");
    let request = head(
        "POST",
        "/v1/classify",
        &[("Idempotency-Key", "k")],
        image.len(),
    );
    first.write_all(request.as_bytes()).await.expect("write");
    first.write_all(&image).await.expect("write");
    until(&running, |stats| stats.in_flight == 1).await;
    running.emulator.set_faults(Faults::none());
    let key = [("Idempotency-Key", "k")];
    let second = running.post("/v1/classify", &key, &image);
    let (answer, ()) = tokio::join!(second, async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(first);
    });
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_files_each_is_answered_for_when_one_finds_no_place() {
    let mut limits = Limits::default();
    limits.in_flight = 2;
    limits.waiting = 0;
    let running = Running::start(|g| g.limits(limits)).await;
    let swallow = Faults::none().swallow(When::Every(1));
    running.emulator.set_faults(swallow);
    let images = [small(1), small(2), small(3)];
    let (kind, body) = form(&[("a", &images[0]), ("b", &images[1]), ("c", &images[2])]);
    let headers = [("Content-Type", &*kind), ("Idempotency-Key", "k")];
    let answer = running
        .post("/v1/classify?wait=0.05&timeout=3", &headers, &body)
        .await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let outcomes = answer.json()["outcomes"]
        .as_array()
        .expect("a list")
        .clone();
    assert_eq!(outcomes.len(), 3);
    // All places are taken by those that go on: now there is nothing to tell apart.
    let full = running
        .post("/v1/classify", &[("Content-Type", &*kind)], &body)
        .await;
    assert_eq!((full.status, &*full.problem()), (503, "overloaded"));

    let mut gone_on = 0;
    for outcome in &outcomes {
        match outcome["location"].as_str() {
            Some(location) => {
                let found = running.get(&format!("{location}?wait=20")).await;
                assert_eq!(found.status, 504, "{found:?}");
                gone_on += 1;
            }
            None => assert_eq!(
                (&outcome["error"]["kind"], &outcome["sends"]),
                (&"overloaded".into(), &0.into())
            ),
        }
    }
    assert_eq!(gone_on, 2);
}

/// Receives requests, and answers each with the next status.
async fn receiver(statuses: Vec<u16>) -> (String, tokio::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!(
        "http://{}/hooks/athena",
        listener.local_addr().expect("address")
    );
    let (sender, received) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        for status in statuses {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut text = Vec::new();
            let mut buffer = [0; 4096];
            while !complete(&text) {
                let read = stream.read(&mut buffer).await.expect("read");
                text.extend_from_slice(&buffer[..read]);
            }
            let answer = format!(
                "HTTP/1.1 {status} X\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await.expect("write");
            let _ = sender
                .send(String::from_utf8_lossy(&text).into_owned())
                .await;
        }
    });
    (url, received)
}

fn complete(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse::<usize>().ok())?
    });
    body.len() >= length.unwrap_or(0)
}

fn webhooks(url: &str, private: bool) -> Webhooks {
    let guard = Guard::new(AddressRules { private })
        .allow(url)
        .expect("a URL");
    let network = athena_net::Network::builder().build().expect("valid");
    Webhooks::new(b"0123456789abcdef", guard, network).expect("a secret")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_signed_and_sent_until_it_is_taken() {
    let (url, mut received) = receiver(vec![500, 302, 204]).await;
    let running = Running::start(|g| g.webhooks(webhooks(&url, true))).await;
    let path = format!("/v1/classify?wait=0&webhook={url}");
    let answer = running
        .post(&path, &[("Idempotency-Key", "k")], &small(1))
        .await;
    assert_eq!(answer.status, 202, "{answer:?}");
    for _ in 0..3 {
        let request = received.recv().await.expect("a request");
        let (head, body) = request.split_once("\r\n\r\n").expect("a body");
        assert!(head.starts_with("POST /hooks/athena HTTP/1.1"), "{head}");
        let signature = head
            .lines()
            .find_map(|line| line.strip_prefix("athena-signature: "));
        let (time, signature) = signature
            .expect("signed")
            .split_once(",v1=")
            .expect("parts");
        let time = time.strip_prefix("t=").expect("a time");
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"0123456789abcdef");
        let expected = ring::hmac::sign(&key, format!("{time}.{body}").as_bytes());
        assert_eq!(signature, data_encoding::HEXLOWER.encode(expected.as_ref()));
        let record: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(record["key"], "k");
    }
    let delivered = "athena_webhooks_total{result=\"delivered\"} 1";
    while !String::from_utf8_lossy(&running.get("/metrics").await.body).contains(delivered) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_go_nowhere_but_where_they_may() {
    let listed = "http://localhost:1/hooks";
    let running = Running::start(|g| g.webhooks(webhooks(listed, false))).await;
    for url in [
        "http://127.0.0.1:1/hooks",
        "http://localhost:1/other",
        "http://localhost:2/hooks",
        "http://169.254.169.254/latest/meta-data",
        "http://localhost:1@evil.example/hooks",
        "file:///etc/passwd",
    ] {
        let path = format!("/v1/classify?webhook={url}");
        let answer = running.post(&path, &[], &small(1)).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (403, "forbidden"),
            "{url}"
        );
    }
    assert_eq!(running.emulator.inputs().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_are_kept_in_bounded_number() {
    let mut limits = Limits::default();
    limits.outcomes = 2;
    let running = Running::start(|g| g.limits(limits)).await;
    for number in 0..5 {
        let key = format!("k{number}");
        running
            .post("/v1/classify", &[("Idempotency-Key", &key)], &small(number))
            .await;
    }
    assert_eq!(running.get("/v1/outcomes/k0").await.status, 404);
    assert_eq!(running.get("/v1/outcomes/k4").await.status, 200);
}
