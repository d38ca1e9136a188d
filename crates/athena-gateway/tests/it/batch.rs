//! Many images in one request, a line for each.

use athena_gateway::Limits;
use base64_of as b64;
use serde_json::{Value, json};

use crate::support::{HASHES_SUFFICE, POLICY, Running, form, small};

/// Hashes alone: debug builds take their time for pixels.
const BATCH: &str = "/v1/classify:batch?hash_only=true";

/// Base64 by hand: two lines in place of a dependency.
fn base64_of(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word =
            (three.iter().enumerate()).fold(0_u32, |w, (i, b)| w | u32::from(*b) << (16 - 8 * i));
        for digit in 0..4 {
            let index = (word >> (18 - 6 * digit)) as usize & 63;
            text.push(if digit <= three.len() {
                DIGITS[index] as char
            } else {
                '='
            });
        }
    }
    text
}

fn sorted(mut lines: Vec<Value>, by: &str) -> Vec<Value> {
    lines.sort_by_key(|line| line[by].to_string());
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_has_its_line() {
    let running = Running::start(|g| {
        let policy = format!("{POLICY}{HASHES_SUFFICE}");
        g.policy(policy.parse().expect("policy"))
    })
    .await;
    let mut body = String::new();
    for number in 0..50 {
        let line = json!({"key": format!("k{number:02}"), "data": b64(&small(number))});
        body += &format!("{line}\n");
    }
    body += "\nnonsense\n";
    body += &json!({"key": "x2", "data": "*"}).to_string();
    body += "\n";
    // Without a break at its end.
    body += &json!({"key": "x3", "url": "https://a/"}).to_string();
    let kind = [("Content-Type", "application/x-ndjson")];
    let answer = running.post(BATCH, &kind, body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let lines = sorted(answer.lines(), "key");
    assert_eq!(lines.len(), 53);
    for (number, line) in lines[..50].iter().enumerate() {
        assert_eq!(line["key"], format!("k{number:02}"));
        assert_eq!(
            (&line["status"], &line["decision"]),
            (&json!("classified"), &json!("allow"))
        );
    }
    let kinds: Vec<&str> = lines[50..]
        .iter()
        .map(|line| {
            assert_ne!(line["decision"], "allow");
            line["error"]["kind"].as_str().expect("a kind")
        })
        .collect();
    assert_eq!(
        kinds,
        ["bad_request", "unsupported_media_type", "bad_request"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parts_of_a_form_are_a_batch_too() {
    let running = Running::start(|g| g).await;
    let images: Vec<Vec<u8>> = (0..40).map(small).collect();
    let names: Vec<String> = (0..40).map(|n| format!("{n:02}.ppm")).collect();
    let files: Vec<(&str, &[u8])> = names
        .iter()
        .map(String::as_str)
        .zip(images.iter().map(Vec::as_slice))
        .collect();
    let (kind, body) = form(&files);
    let answer = running.post(BATCH, &[("Content-Type", &kind)], &body).await;
    let lines = sorted(answer.lines(), "path");
    assert_eq!(lines.len(), 40);
    for (line, name) in lines.iter().zip(&names) {
        assert_eq!(
            (&line["path"], &line["status"]),
            (&json!(name), &json!("classified"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_ends_with_a_line_that_says_so() {
    let running = Running::start(|g| g).await;
    let (kind, body) = form(&[("a.ppm", &small(1)), ("b.ppm", &small(2))]);
    let answer = running
        .post(BATCH, &[("Content-Type", &kind)], &body[..body.len() - 20])
        .await;
    let lines = answer.lines();
    assert_eq!(
        lines
            .iter()
            .filter(|line| line["status"] == "classified")
            .count(),
        1
    );
    assert_eq!(
        lines.last().expect("lines")["error"]["kind"],
        "bad_request",
        "{lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_bounded() {
    let mut limits = Limits::default();
    limits.batch = 3;
    limits.image_bytes = 100;
    let running = Running::start(|g| g.limits(limits)).await;
    let kind = [("Content-Type", "application/x-ndjson")];
    let line = format!("{}\n", json!({"data": b64(&small(1))}));
    let answer = running.post(BATCH, &kind, line.repeat(5).as_bytes()).await;
    let lines = answer.lines();
    assert_eq!(lines.len(), 4);
    assert!(
        lines
            .iter()
            .any(|line| line["error"]["kind"] == "too_large"),
        "{lines:?}"
    );
    let endless = "x".repeat(20_000);
    let answer = running.post(BATCH, &kind, endless.as_bytes()).await;
    assert_eq!(answer.lines()[0]["error"]["kind"], "too_large");
}
