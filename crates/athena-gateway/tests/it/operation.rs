//! Running it: health, figures, the description, and the end.

use std::time::Duration;

use athena_emulator::{Faults, When};
use athena_gateway::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answer, Running, head, small};

#[tokio::test(flavor = "multi_thread")]
async fn readiness_is_whether_the_work_can_be_done() {
    let running = Running::start(|g| g).await;
    let ready = running.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["ready"]), (200, &true.into()));
    let faults = Faults::none().token(When::Every(1), athena_emulator::TokenFault::Error);
    let running = Running::with(athena_emulator::Emulator::builder().faults(faults), |g| g).await;
    let ready = running.get("/readyz").await;
    assert_eq!(
        (ready.status, &ready.json()["ready"]),
        (503, &false.into()),
        "{ready:?}"
    );
    assert_eq!(running.get("/livez").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_by_route_and_name_nobody() {
    let running = Running::start(|g| g).await;
    let headers = [("Idempotency-Key", "secret-name"), ("Athena-Affiliate", "")];
    running.post("/v1/classify", &headers[..1], &small(1)).await;
    running.post("/v1/outcomes/secret-path", &[], b"").await;
    running.get("/secret-path").await;
    let text = String::from_utf8(running.get("/metrics").await.body).expect("text");
    for line in [
        "athena_http_requests_total{route=\"/v1/classify\",method=\"POST\",code=\"200\"} 1",
        "athena_http_requests_total{route=\"other\",method=\"GET\",code=\"404\"} 1",
        "athena_outcomes_total{status=\"classified\",decision=\"none\"} 1",
        "athena_verdicts_total 1",
        "athena_stuck 0",
        "athena_oldest_seconds 0",
        "athena_errors_total{kind=\"timeout\"} 0",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is missing:\n{text}"
        );
    }
    assert!(!text.contains("secret"), "{text}");
}

/// The names of a structure's fields, from how it shows itself.
fn fields(debug: &str) -> Vec<String> {
    let (_, inside) = debug.split_once(" { ").expect("fields");
    let mut depth = 0;
    let mut names = Vec::new();
    let mut word = String::new();
    for character in inside.chars() {
        match character {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            ':' if depth == 0 => names.push(std::mem::take(&mut word)),
            c if c.is_alphanumeric() || c == '_' => word.push(c),
            _ => word.clear(),
        }
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_session_counts_is_a_figure() {
    let running = Running::start(|g| g).await;
    let text = String::from_utf8(running.get("/metrics").await.body).expect("text");
    let names = fields(&format!("{:?}", athena_client::Stats::default()));
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let name = match name.as_str() {
            "bytes_sent" => "sent_bytes".to_owned(),
            "queue_time" => "queue_seconds".to_owned(),
            "service_time" => "service_seconds".to_owned(),
            _ => name,
        };
        let kinds = [format!("athena_{name} "), format!("athena_{name}_total ")];
        let found = kinds
            .iter()
            .any(|kind| text.contains(&format!("# TYPE {kind}")));
        assert!(found, "{name} is missing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_is_finished_before_the_end() {
    let mut running = Running::start(|g| g).await;
    let slow = Faults::none().delay(athena_emulator::Delay::Constant(Duration::from_millis(300)));
    running.emulator.set_faults(slow);
    let image = small(1);
    let mut idle = TcpStream::connect(running.address).await.expect("connects");
    let mut stream = TcpStream::connect(running.address).await.expect("connects");
    let request = head("POST", "/v1/classify", &[], image.len());
    stream.write_all(request.as_bytes()).await.expect("write");
    stream.write_all(&image).await.expect("write");
    let detached = running.post("/v1/classify?wait=0", &[], &small(2)).await;
    assert_eq!(detached.status, 202);
    while running.gateway.session().stats().in_flight == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let stopping = running.stop();
    let (drained, answer) = tokio::join!(stopping, Answer::read(&mut stream));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(drained.complete, "{drained:?}");
    assert_eq!(running.gateway.session().stats().verdicts, 2);
    let mut end = Vec::new();
    assert_eq!(
        idle.read_to_end(&mut end)
            .await
            .expect("closed in good order"),
        0
    );
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_is_cut_off_and_counted() {
    let mut limits = Limits::default();
    limits.drain = Duration::from_millis(300);
    let mut running = Running::start(|g| g.limits(limits)).await;
    running
        .emulator
        .set_faults(Faults::none().swallow(When::Every(1)));
    let image = small(1);
    let mut stream = TcpStream::connect(running.address).await.expect("connects");
    let request = head("POST", "/v1/classify", &[], image.len());
    stream.write_all(request.as_bytes()).await.expect("write");
    stream.write_all(&image).await.expect("write");
    while running.gateway.session().stats().in_flight < 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let drained = running.stop().await;
    assert!(!drained.complete, "{drained:?}");
    let mut end = Vec::new();
    let _ = stream.read_to_end(&mut end).await;
    assert!(!end.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_served() {
    let running = Running::start(|g| g).await;
    let answer = running.get("/openapi.json").await;
    assert_eq!(answer.json()["openapi"], "3.1.0");
}
