//! The client-credentials source against a real HTTPS endpoint.
//!
//! Both ends run on one thread with a paused clock, so that time only passes when neither has
//! anything to do: pauses between attempts take no time, and nothing times out by accident.
#![cfg(feature = "oauth")]

mod support;

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use athena_auth::{AuthError, ErrorKind, OAuthBuilder, OAuthClientCredentials, TokenSource};
use tokio::time::Instant;

use support::{Endpoint, Reply, answer, json, token};

fn builder(endpoint: &Endpoint) -> OAuthBuilder {
    OAuthClientCredentials::builder("the-id", "the-secret")
        .token_url(endpoint.url())
        .ca_certificate(endpoint.ca_pem())
}

/// What a cold call ends in if the endpoint always answers like this, and how many requests it took.
async fn outcome(reply: Reply) -> (Result<String, AuthError>, usize) {
    let endpoint = Endpoint::start(move |_| reply.clone()).await;
    let source = builder(&endpoint).build().expect("good settings");
    let result = source
        .token()
        .await
        .map(|token| token.expose_secret().to_owned());
    (result, endpoint.received().len())
}

async fn assert_final(reply: Reply, kind: ErrorKind) -> AuthError {
    let (result, requests) = outcome(reply).await;
    let error = result.expect_err("a failure");
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(!error.is_transient());
    assert_eq!(requests, 1, "final at once: {error:?}");
    error
}

async fn assert_retried(reply: Reply, kind: ErrorKind) -> AuthError {
    let (result, requests) = outcome(reply).await;
    let error = result.expect_err("a failure");
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(error.is_transient());
    assert!(requests > 1, "tried again: {error:?}");
    error
}

#[tokio::test(start_paused = true)]
async fn sends_a_form_with_everything_in_the_body() {
    let endpoint = Endpoint::start(|_| token("abc", 3600)).await;
    let source = builder(&endpoint)
        .audience("an audience")
        .scope("read")
        .scope("write")
        .parameter("organization", "a&b")
        .build()
        .expect("good settings");
    assert_eq!(
        source.token().await.expect("a token").header_value(),
        "Bearer abc"
    );
    let [request] = &endpoint.received()[..] else {
        panic!("one request")
    };
    let head = request.head.to_ascii_lowercase();
    assert!(head.starts_with("post /oauth/token http/1.1\r\n"), "{head}");
    assert!(
        head.contains("content-type: application/x-www-form-urlencoded"),
        "{head}"
    );
    assert!(!head.contains("authorization"), "{head}");
    let mut fields: Vec<_> = request.body.split('&').collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "audience=an+audience",
            "client_id=the-id",
            "client_secret=the-secret",
            "grant_type=client_credentials",
            "organization=a%26b",
            "scope=read+write",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn sends_basic_credentials_if_asked_to() {
    let endpoint = Endpoint::start(|_| token("abc", 3600)).await;
    let source = builder(&endpoint)
        .basic_auth()
        .build()
        .expect("good settings");
    source.token().await.expect("a token");
    let [request] = &endpoint.received()[..] else {
        panic!("one request")
    };
    // base64 of the-id:the-secret
    assert!(
        request
            .head
            .contains("authorization: Basic dGhlLWlkOnRoZS1zZWNyZXQ="),
        "{}",
        request.head
    );
    assert_eq!(request.body, "grant_type=client_credentials");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_cold_callers_make_one_request() {
    let endpoint = Endpoint::start(|number| token(&format!("token-{number}"), 3600)).await;
    let source = Arc::new(builder(&endpoint).build().expect("good settings"));
    let callers: Vec<_> = (0..10_000)
        .map(|_| {
            let source = Arc::clone(&source);
            tokio::spawn(async move { source.token().await })
        })
        .collect();
    for caller in callers {
        assert_eq!(
            caller
                .await
                .expect("no panic")
                .expect("a token")
                .expose_secret(),
            "token-1"
        );
    }
    assert_eq!(endpoint.received().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_tokens() {
    let body = r#"{"access_token":"abc"}"#;
    for headers in [
        &["content-type: application/json; charset=utf-8"][..],
        &["Content-Type: Application/JSON"],
        &[],
    ] {
        let (result, requests) = outcome(answer(200, headers, body)).await;
        assert_eq!(result.expect("a token"), "abc");
        assert_eq!(requests, 1);
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
        let error = assert_final(json(status, &body), ErrorKind::Denied).await;
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
            ErrorKind::Denied,
        )
        .await;
        assert_eq!((error.status(), error.oauth_code()), (Some(403), None));
    }
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
            ErrorKind::Denied,
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
            ErrorKind::Unavailable,
        )
        .await;
        assert_eq!(error.status(), Some(status));
    }
    assert_retried(Reply::Reset, ErrorKind::Unavailable).await;
    assert_retried(
        Reply::Bytes(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()),
        ErrorKind::Unavailable,
    )
    .await;
    assert_retried(Reply::Bytes(Vec::new()), ErrorKind::Unavailable).await;
}

#[tokio::test(start_paused = true)]
async fn answers_cut_off_are_tried_again() {
    let longer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"access_token\":\"ab";
    assert_retried(Reply::Bytes(longer.into()), ErrorKind::Unavailable).await;
    let unsized_body =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"access_token\":\"ab";
    assert_retried(Reply::Bytes(unsized_body.into()), ErrorKind::Unavailable).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_endpoint_times_out() {
    let before = Instant::now();
    assert_retried(Reply::Hang, ErrorKind::Timeout).await;
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
        (429, "60", ErrorKind::RateLimited),
        (503, "60", ErrorKind::Unavailable),
        (429, in_a_minute.as_str(), ErrorKind::RateLimited),
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
async fn redirects_are_not_followed() {
    let target = Endpoint::start(|_| token("stolen", 3600)).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("location: {}", target.url());
        assert_final(answer(status, &[&location], ""), ErrorKind::InvalidResponse).await;
    }
    assert!(target.received().is_empty());
}

#[tokio::test(start_paused = true)]
async fn something_else_that_answers_is_found_out() {
    let html = "<html>Please sign in</html>";
    assert_final(
        answer(200, &["content-type: text/html"], html),
        ErrorKind::InvalidResponse,
    )
    .await;
    let good = r#"{"access_token":"abc"}"#;
    assert_final(
        answer(200, &["content-type: text/plain"], good),
        ErrorKind::InvalidResponse,
    )
    .await;
    for body in [
        html,
        "",
        "{}",
        "[]",
        "null",
        r#"{"access_token":7}"#,
        r#"{"error":"invalid_client"}"#,
    ] {
        assert_final(json(200, body), ErrorKind::InvalidResponse).await;
    }
    for status in [201, 204, 404, 405, 410] {
        let error = assert_final(answer(status, &[], ""), ErrorKind::InvalidResponse).await;
        assert_eq!(error.status(), Some(status));
    }
    let error = assert_final(
        json(200, r#"{"access_token":"line\nbreak"}"#),
        ErrorKind::InvalidToken,
    )
    .await;
    assert!(error.to_string().contains("header"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_end_is_given_up() {
    let padding = "x".repeat(70 * 1024);
    assert_final(
        json(200, &format!(r#"{{"padding":"{padding}"}}"#)),
        ErrorKind::InvalidResponse,
    )
    .await;
    let unsized_body = format!("HTTP/1.1 500 Oops\r\n\r\n{padding}{padding}");
    assert_final(
        Reply::Bytes(unsized_body.into()),
        ErrorKind::InvalidResponse,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_authority_is_not_trusted() {
    let endpoint = Endpoint::start(|_| token("abc", 3600)).await;
    let source = OAuthClientCredentials::builder("the-id", "the-secret")
        .token_url(endpoint.url())
        .build()
        .expect("good settings");
    assert_eq!(
        source.token().await.expect_err("not trusted").kind(),
        ErrorKind::Tls
    );
    let source = builder(&endpoint)
        .token_url(format!("https://127.0.0.1:{}/oauth/token", endpoint.port()))
        .build()
        .expect("good settings");
    assert_eq!(
        source.token().await.expect_err("another name").kind(),
        ErrorKind::Tls
    );
    assert!(endpoint.received().is_empty(), "the secret stayed here");
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
        ErrorKind::Unavailable
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_of_ones_own_is_used_and_its_redirects_are_noticed() {
    let target = Endpoint::start(|_| token("stolen", 3600)).await;
    let location = format!("location: {}", target.url());
    let endpoint = Endpoint::start(move |number| match number {
        1 => token("abc", 1),
        _ => answer(307, &[&location], ""),
    })
    .await;
    let tls = reqwest::Client::builder()
        .tls_backend_preconfigured(trusting(&[endpoint.ca_pem(), target.ca_pem()]))
        .user_agent("a-platform/1.0")
        .build()
        .expect("a client");
    let source = OAuthClientCredentials::builder("the-id", "the-secret")
        .token_url(endpoint.url())
        .http_client(tls)
        .build()
        .expect("good settings");
    let first = source.token().await.expect("a token");
    assert!(endpoint.received()[0].head.contains("a-platform/1.0"));
    source.invalidate(&first);
    assert_eq!(
        source.token().await.expect_err("redirected").kind(),
        ErrorKind::InvalidResponse
    );
}

fn trusting(authorities: &[&str]) -> rustls::ClientConfig {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;

    let mut roots = rustls::RootCertStore::empty();
    for pem in authorities {
        roots
            .add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM"))
            .expect("a CA");
    }
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[tokio::test(start_paused = true)]
async fn a_proxy_is_asked_to_connect() {
    let proxy = Endpoint::start_plain(|_| answer(403, &[], "")).await;
    let source = OAuthClientCredentials::builder("the-id", "the-secret")
        .token_url("https://login.example.com/oauth/token")
        .proxy(format!("http://localhost:{}", proxy.port()))
        .build()
        .expect("good settings");
    assert_eq!(
        source.token().await.expect_err("the proxy refused").kind(),
        ErrorKind::Unavailable
    );
    assert!(
        proxy.received()[0]
            .head
            .starts_with("CONNECT login.example.com:443 HTTP/1.1")
    );
}

/// Variables can only be set for another process: this test runs the next one in it.
#[tokio::test]
async fn everything_can_come_from_the_environment() {
    let endpoint = Endpoint::start(|_| token("abc", 3600)).await;
    let ca = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(ca.path(), endpoint.ca_pem()).expect("a file");
    let mut child = Command::new(std::env::current_exe().expect("this test"));
    child
        .args(["--exact", "in_another_process", "--ignored"])
        .env("OAUTH_CLIENT_ID", "from-env")
        .env("OAUTH_CLIENT_SECRET", "secret-from-env")
        .env("OAUTH_AUTH_URL", endpoint.url())
        .env("OAUTH_AUDIENCE", "")
        .env("SSL_CERT_FILE", ca.path());
    let output = tokio::task::spawn_blocking(move || child.output())
        .await
        .expect("no panic")
        .expect("it starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let [request] = &endpoint.received()[..] else {
        panic!("one request")
    };
    for field in [
        "client_id=from-env",
        "client_secret=secret-from-env",
        "audience=crisp-athena-live",
    ] {
        assert!(request.body.contains(field), "{}", request.body);
    }
}

#[tokio::test]
#[ignore = "run by everything_can_come_from_the_environment"]
async fn in_another_process() {
    let source = OAuthClientCredentials::from_env().expect("all is set");
    source.token().await.expect("a token");
}

#[test]
fn settings_that_cannot_work_are_found_before_anything_is_sent() {
    let builder = || {
        OAuthClientCredentials::builder("the-id", "the-secret")
            .token_url("https://example.com/token")
    };
    for (builder, setting) in [
        (
            OAuthClientCredentials::builder("", "the-secret").token_url("https://example.com"),
            "client_id",
        ),
        (
            OAuthClientCredentials::builder("the-id", "").token_url("https://example.com"),
            "client_secret",
        ),
        (
            OAuthClientCredentials::builder("the-id", "the-secret"),
            "token_url",
        ),
        (builder().token_url("example.com/token"), "token_url"),
        (builder().token_url("http://example.com/token"), "token_url"),
        (
            builder().token_url("https://id:secret@example.com/token"),
            "token_url",
        ),
        (builder().token_url("ftp://example.com/token"), "token_url"),
        (builder().token_url("mailto:me@example.com"), "token_url"),
        (builder().parameter("client_secret", "twice"), "parameter"),
        (builder().parameter("grant_type", "password"), "parameter"),
        (builder().ca_certificate("no PEM at all"), "ca_certificate"),
        (
            builder()
                .ca_certificate("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "ca_certificate",
        ),
        (builder().proxy("not a proxy"), "proxy"),
    ] {
        let error = builder.build().expect_err(setting);
        assert_eq!(error.setting(), setting, "{error}");
    }
    for url in [
        "http://localhost:8080/token",
        "http://127.0.0.1/token",
        "http://[::1]/token",
        "https://example.com",
    ] {
        builder().token_url(url).build().expect(url);
    }
    builder()
        .token_url("http://example.com")
        .allow_plaintext(true)
        .build()
        .expect("allowed");
}
