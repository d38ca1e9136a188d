//! Where settings come from, and those that cannot work.

use std::process::Command;

use athena_auth::{OAuthClientCredentials, TokenSource};

use crate::support::{Endpoint, token};

/// Variables can only be set for another process: this test runs the next one in it.
#[tokio::test]
async fn everything_can_come_from_the_environment() {
    let endpoint = Endpoint::start(|_| token("abc", 3600)).await;
    let ca = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(ca.path(), endpoint.ca_pem()).expect("a file");
    let mut child = Command::new(std::env::current_exe().expect("this test"));
    child
        .args(["--exact", "settings::in_another_process", "--ignored"])
        .env("OAUTH_CLIENT_ID", "from-env")
        .env("OAUTH_CLIENT_SECRET", "secret-from-env")
        .env("OAUTH_AUTH_URL", endpoint.url())
        .env("OAUTH_AUDIENCE", "")
        .env("SSL_CERT_FILE", ca.path())
        // Not asked: the endpoint is on this machine.
        .env("HTTPS_PROXY", "http://localhost:9");
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
