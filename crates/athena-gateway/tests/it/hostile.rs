//! Callers who lie, stall, flood or smuggle.

use std::time::Duration;

use athena_emulator::{Faults, When};
use athena_gateway::Limits;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answer, Running, form, head, small};

async fn raw(running: &Running, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(running.address).await.expect("connects");
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

fn answers(bytes: &[u8]) -> usize {
    bytes
        .windows(9)
        .filter(|nine| *nine == b"HTTP/1.1 ")
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_request_cannot_hide_in_the_body_of_a_first() {
    let mut limits = Limits::default();
    limits.idle = Duration::from_millis(500);
    let running = Running::start(|g| g.limits(limits)).await;
    let hidden = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let post =
        "POST /v1/hash HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n";
    let length = hidden.len();
    for (name, request) in [
        // Two lengths, one of which a proxy in front may have gone by: whatever follows is not answered.
        (
            "CL.TE",
            format!(
                "{post}Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
                length + 5
            ),
        ),
        (
            "TE.CL",
            format!(
                "{post}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n1\r\na\r\n0\r\n\r\n{hidden}"
            ),
        ),
        (
            "CL.CL",
            format!("{post}Content-Length: 0\r\nContent-Length: {length}\r\n\r\n{hidden}"),
        ),
        (
            "list",
            format!("{post}Content-Length: 0, {length}\r\n\r\n{hidden}"),
        ),
        (
            "plus",
            format!("{post}Content-Length: +{length}\r\n\r\n{hidden}"),
        ),
        (
            "TE twice",
            format!("{post}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        (
            "TE unknown",
            format!("{post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        (
            "folded",
            format!("{post}Content-Length:\r\n {length}\r\n\r\n{hidden}"),
        ),
        (
            "space",
            format!("{post}Content-Length : {length}\r\n\r\n{hidden}"),
        ),
        (
            "HTTP/1.0",
            format!(
                "{}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
                post.replace("1.1", "1.0")
            ),
        ),
        (
            "two hosts",
            format!("{post}Host: other\r\nContent-Length: 1\r\n\r\na{hidden}"),
        ),
    ] {
        let answer = raw(&running, request.as_bytes()).await;
        let text = String::from_utf8_lossy(&answer);
        assert!(answers(&answer) <= 1, "{name}: {text}");
        assert!(
            !text.contains("athena_http_requests_total"),
            "{name}: {text}"
        );
    }
    // Two sound requests on one connection are two answers.
    let both = format!("{post}Content-Length: 1\r\n\r\na{hidden}");
    assert_eq!(answers(&raw(&running, both.as_bytes()).await), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_senders_hold_no_place() {
    let mut limits = Limits::default();
    limits.in_flight = 1;
    limits.waiting = 0;
    let running = Running::start(|g| g.limits(limits)).await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(running.address).await.expect("connects");
        let request = head("POST", "/v1/classify", &[], 1000);
        stream.write_all(request.as_bytes()).await.expect("write");
        stream.write_all(b"P6").await.expect("write");
        slow.push(stream);
    }
    let answer = running.post("/v1/classify", &[], &small(1)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_and_heads_that_do_not_come_are_cut_off() {
    let mut limits = Limits::default();
    limits.body_time = Duration::from_millis(200);
    limits.idle = Duration::from_millis(200);
    let running = Running::start(|g| g.limits(limits)).await;
    let body = raw(
        &running,
        format!("{}x", head("POST", "/v1/classify", &[], 9)).as_bytes(),
    )
    .await;
    assert_eq!(
        Answer::parse(&body).expect("an answer").problem(),
        "slow-body"
    );
    assert!(
        raw(&running, b"POST /v1/classify HTTP/1.1\r\nHost: loc")
            .await
            .is_empty()
    );
    assert!(raw(&running, b"").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_is_refused_before_it_is_read() {
    let mut limits = Limits::default();
    limits.image_bytes = 1000;
    limits.held_bytes = 200 << 10;
    let running = Running::start(|g| g.limits(limits)).await;
    let announced = raw(&running, head("POST", "/v1/classify", &[], 1001).as_bytes()).await;
    assert_eq!(
        Answer::parse(&announced).expect("an answer").problem(),
        "too-large"
    );
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    let chunked = format!(
        "POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"
    );
    let answer = raw(&running, chunked.as_bytes()).await;
    assert_eq!(
        Answer::parse(&answer).expect("an answer").problem(),
        "too-large"
    );
    let (kind, body) = form(&[("a", &[0; 1001])]);
    let answer = running
        .post("/v1/classify", &[("Content-Type", &kind)], &body)
        .await;
    assert_eq!(answer.problem(), "too-large");
    let long = format!(
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "x".repeat(70_000)
    );
    let answer = raw(&running, long.as_bytes()).await;
    assert!(
        answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"),
        "{:?}",
        String::from_utf8_lossy(&answer)
    );
    let many = "X: y\r\n".repeat(500);
    let answer = raw(
        &running,
        format!("GET /livez HTTP/1.1\r\nHost: localhost\r\n{many}\r\n").as_bytes(),
    )
    .await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"));
    assert_eq!(running.emulator.inputs().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_says_so_and_when_to_come_again() {
    let mut limits = Limits::default();
    limits.in_flight = 2;
    limits.waiting = 1;
    limits.waiting_time = Duration::from_millis(50);
    let running = Running::start(|g| g.limits(limits)).await;
    running
        .emulator
        .set_faults(Faults::none().swallow(When::Every(1)));
    let posts: Vec<Vec<u8>> = (0..10).map(small).collect();
    let posts = posts
        .iter()
        .map(|image| running.post("/v1/classify?timeout=2", &[], image));
    let answers = futures_util::future::join_all(posts).await;
    // The rest is of the service's making: no answer, or a session that takes no more for now.
    let full: Vec<_> = answers
        .iter()
        .filter(|answer| answer.problem() == "overloaded")
        .collect();
    assert_eq!(full.len(), 8, "{answers:?}");
    for answer in full {
        assert_eq!(answer.status, 503);
        assert!(answer.header("retry-after").is_some());
    }
    assert!(answers.iter().all(|answer| answer.status >= 503));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_of_a_part_that_never_ends_costs_little() {
    let running = Running::start(|g| g).await;
    let mut body =
        b"--frontier\r\nContent-Disposition: form-data; name=\"a\"; filename=\"".to_vec();
    body.extend(std::iter::repeat_n(b'x', 8 << 20));
    for path in ["/v1/classify", "/v1/classify:batch"] {
        let kind = [("Content-Type", "multipart/form-data; boundary=frontier")];
        let answer = running.post(path, &kind, &body).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(
            text.contains("bad-request") || text.contains("bad_request"),
            "{text}"
        );
    }
}

#[test]
fn whatever_the_form_the_answer_is_of_our_own_making() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut limits = Limits::default();
    limits.body_time = Duration::from_secs(2);
    let running = runtime.block_on(Running::start(|g| g.limits(limits)));
    let (_, sound) = form(&[("a.ppm", &small(1)), ("b.ppm", &small(2))]);
    let change = (0..sound.len(), any::<u8>(), 0..4_u8);
    proptest!(ProptestConfig::with_cases(200), |(changes in proptest::collection::vec(change, 1..6))| {
        let mut body = sound.clone();
        for (at, byte, what) in changes {
            let at = at.min(body.len().saturating_sub(1));
            match what {
                0 => body[at] = byte,
                1 => body.truncate(at.max(1)),
                2 => body.insert(at, byte),
                _ => { let tail = body[at..].to_vec(); body.extend(tail); }
            }
        }
        let answer = runtime.block_on(async {
            let kind = [("Content-Type", "multipart/form-data; boundary=frontier")];
            running.post("/v1/classify", &kind, &body).await
        });
        prop_assert!(matches!(answer.status, 200 | 400 | 413 | 415 | 422), "{answer:?}");
        if answer.status == 200 {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            prop_assert!(text.contains("\"classified\"") && !text.contains("\"failed\""), "{text}");
        }
    });
}
