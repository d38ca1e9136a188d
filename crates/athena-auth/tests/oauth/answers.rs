//! What becomes of every answer that an endpoint can give.

use std::time::{Duration, SystemTime};

use athena_auth::{AuthErrorKind, OAuthClientCredentials, TokenSource};
use tokio::time::Instant;

use crate::support::{Endpoint, Reply, answer, json, token};
use crate::{assert_final, assert_retried, builder, outcome};

#[tokio::test(start_paused = true)]
async fn answers_that_are_tokens() {
    let body = r#"{"access_token":"abc"}"#;
    for headers in [
        &["content-type: application/json; charset=utf-8"][..],
        &["Content-Type: Application/JSON"],
        &["content-type: text/plain"],
        &["content-type: application/vnd.example.token+json"],
        &[],
    ] {
        for status in [200, 201] {
            for mark in ["", "\u{feff}"] {
                let body = format!("{mark}{body}");
                let (result, requests) = outcome(answer(status, headers, &body)).await;
                assert_eq!(result.expect("a token"), "abc");
                assert_eq!(requests, 1);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_are_final_and_say_why() {
    for (status, code) in [
        (400, "invalid_request"),
        (401, "invalid_client"),
        (403, "access_denied"),
        (400, "invalid_scope"),
    ] {
        let body = format!(r#"{{"error":"{code}","error_description":"something long"}}"#);
        let error = assert_final(json(status, &body), AuthErrorKind::Denied).await;
        assert_eq!(
            (error.status(), error.oauth_code()),
            (Some(status), Some(code))
        );
    }
    for body in [
        "<html><h1>Forbidden</h1></html>",
        "",
        "{}",
        r#"{"error":7}"#,
        "null",
    ] {
        let error = assert_final(
            answer(403, &["content-type: text/html"], body),
            AuthErrorKind::Denied,
        )
        .await;
        assert_eq!((error.status(), error.oauth_code()), (Some(403), None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_with_the_status_of_a_success_keeps_its_code() {
    let refusal = r#"{"error":"invalid_client"}"#;
    let error = assert_final(json(200, refusal), AuthErrorKind::Denied).await;
    assert_eq!(
        (error.status(), error.oauth_code()),
        (Some(200), Some("invalid_client"))
    );
}

#[tokio::test(start_paused = true)]
async fn codes_and_statuses_that_mean_later_are_tried_again() {
    for status in [200, 400, 401] {
        for (code, kind) in [
            ("temporarily_unavailable", AuthErrorKind::Unavailable),
            ("server_error", AuthErrorKind::Unavailable),
            ("slow_down", AuthErrorKind::RateLimited),
        ] {
            let body = format!(r#"{{"error":"{code}"}}"#);
            let error = assert_retried(json(status, &body), kind).await;
            assert_eq!(
                (error.status(), error.oauth_code()),
                (Some(status), Some(code))
            );
        }
    }
    assert_retried(answer(425, &[], ""), AuthErrorKind::Unavailable).await;
}

#[tokio::test(start_paused = true)]
async fn an_error_code_that_could_be_the_secret_is_not_shown() {
    for code in [
        "the-secret",
        "the",
        "secret",
        "A Secret",
        "x".repeat(41).as_str(),
    ] {
        let error = assert_final(
            json(401, &format!(r#"{{"error":"{code}"}}"#)),
            AuthErrorKind::Denied,
        )
        .await;
        assert_eq!(error.oauth_code(), None, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn outages_are_tried_again() {
    for status in [408, 500, 502, 503, 504] {
        let error = assert_retried(
            answer(status, &["content-type: text/html"], "<html>"),
            AuthErrorKind::Unavailable,
        )
        .await;
        assert_eq!(error.status(), Some(status));
    }
    assert_retried(Reply::Reset, AuthErrorKind::Unavailable).await;
    assert_retried(
        Reply::Bytes(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()),
        AuthErrorKind::Unavailable,
    )
    .await;
    assert_retried(Reply::Bytes(Vec::new()), AuthErrorKind::Unavailable).await;
}

#[tokio::test(start_paused = true)]
async fn answers_cut_off_are_tried_again() {
    let longer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"access_token\":\"ab";
    assert_retried(Reply::Bytes(longer.into()), AuthErrorKind::Unavailable).await;
    let unsized_body =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"access_token\":\"ab";
    assert_retried(
        Reply::Bytes(unsized_body.into()),
        AuthErrorKind::Unavailable,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_endpoint_times_out() {
    let before = Instant::now();
    assert_retried(Reply::Hang, AuthErrorKind::Timeout).await;
    assert!(
        before.elapsed() <= Duration::from_secs(31),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_waited_out() {
    let endpoint = Endpoint::start(|number| match number {
        1 => answer(503, &[], ""),
        2 => Reply::Reset,
        3 => Reply::Hang,
        _ => token("abc", 3600),
    })
    .await;
    let source = builder(&endpoint).build().expect("good settings");
    assert_eq!(
        source.token().await.expect("a token").expose_secret(),
        "abc"
    );
    assert_eq!(endpoint.received().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured() {
    let endpoint = Endpoint::start(|number| match number {
        1 => answer(429, &["retry-after: 12"], ""),
        _ => token("abc", 3600),
    })
    .await;
    let source = builder(&endpoint).build().expect("good settings");
    let before = Instant::now();
    source.token().await.expect("a token");
    assert!(
        before.elapsed() >= Duration::from_secs(12),
        "{:?}",
        before.elapsed()
    );
    assert_eq!(endpoint.received().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_the_patience_is_passed_on_at_once() {
    let in_a_minute = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
    for (status, wait, kind) in [
        (429, "60", AuthErrorKind::RateLimited),
        (503, "60", AuthErrorKind::Unavailable),
        (429, in_a_minute.as_str(), AuthErrorKind::RateLimited),
    ] {
        let endpoint = Endpoint::start({
            let header = format!("retry-after: {wait}");
            move |_| answer(status, &[&header], "")
        })
        .await;
        let source = builder(&endpoint).build().expect("good settings");
        let before = Instant::now();
        for _ in 0..3 {
            let error = source.token().await.expect_err("a failure");
            assert_eq!(error.kind(), kind);
            let told = error.retry_after().expect("it was told").as_secs();
            assert!((55..=60).contains(&told), "{told}");
        }
        assert_eq!(before.elapsed(), Duration::ZERO);
        assert_eq!(endpoint.received().len(), 1, "the endpoint is left alone");
    }
}

#[tokio::test(start_paused = true)]
async fn something_else_that_answers_is_found_out() {
    let html = "<html>Please sign in</html>";
    assert_final(
        answer(200, &["content-type: text/html"], html),
        AuthErrorKind::InvalidResponse,
    )
    .await;
    for body in [
        html,
        "",
        "{}",
        "[]",
        "null",
        r#"{"access_token":7}"#,
        r#"{"error":7}"#,
    ] {
        assert_final(json(200, body), AuthErrorKind::InvalidResponse).await;
    }
    for status in [201, 204, 404, 405, 410] {
        let error = assert_final(answer(status, &[], ""), AuthErrorKind::InvalidResponse).await;
        assert_eq!(error.status(), Some(status));
    }
    let error = assert_final(
        json(200, r#"{"access_token":"line\nbreak"}"#),
        AuthErrorKind::InvalidToken,
    )
    .await;
    assert!(error.to_string().contains("header"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_end_is_given_up() {
    let padding = "x".repeat(70 * 1024);
    assert_final(
        json(200, &format!(r#"{{"padding":"{padding}"}}"#)),
        AuthErrorKind::InvalidResponse,
    )
    .await;
    let unsized_body = format!("HTTP/1.1 500 Oops\r\n\r\n{padding}{padding}");
    assert_final(
        Reply::Bytes(unsized_body.into()),
        AuthErrorKind::InvalidResponse,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn nobody_listening_is_an_outage() {
    let endpoint = Endpoint::start(|_| Reply::Hang).await;
    let url = endpoint.url();
    drop(endpoint);
    tokio::task::yield_now().await;
    let source = OAuthClientCredentials::builder("the-id", "the-secret")
        .token_url(url)
        .build()
        .expect("good settings");
    assert_eq!(
        source.token().await.expect_err("refused").kind(),
        AuthErrorKind::Unavailable
    );
}
