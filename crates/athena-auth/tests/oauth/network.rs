//! How the endpoint is reached: proxies, and what TLS has against it.

use std::process::Command;

use athena_auth::{AuthError, AuthErrorKind, Network, OAuthClientCredentials, TokenSource};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::builder;
use crate::support::{Endpoint, answer, token};

#[tokio::test(start_paused = true)]
async fn a_proxy_that_wants_credentials_is_not_asked_again() {
    let proxy = Endpoint::start_plain(|_| answer(407, &[], "")).await;
    let source = OAuthClientCredentials::builder("the-id", "the-secret")
        .token_url("https://login.example.com/oauth/token")
        .proxy(format!("http://user:hunter2@localhost:{}", proxy.port()))
        .build()
        .expect("good settings");
    let error = source.token().await.expect_err("no credentials");
    assert_eq!(error.kind(), AuthErrorKind::Proxy);
    assert!(!error.is_transient());
    assert!(error.to_string().contains("407"), "{error}");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    let [request] = &proxy.received()[..] else {
        panic!("asked once")
    };
    // user:hunter2 in base64.
    assert!(request.head.contains("dXNlcjpodW50ZXIy"), "{request:?}");
}

/// An endpoint that answers the first bytes of every connection with these.
async fn says(bytes: &'static [u8]) -> AuthError {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut hello = [0; 1024];
            let _ = connection.read(&mut hello).await;
            let _ = connection.write_all(bytes).await;
        }
    });
    let source = OAuthClientCredentials::builder("the-id", "the-secret")
        .token_url(format!("https://localhost:{port}/oauth/token"))
        .build()
        .expect("good settings");
    let error = source.token().await.expect_err("no TLS");
    server.abort();
    error
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_without_safe_tls_is_told_from_an_outage() {
    // What OpenSSL answers where it is held to TLS 1.1: alert 70, protocol_version.
    let error = says(b"\x15\x03\x02\x00\x02\x02\x46").await;
    assert_eq!(error.kind(), AuthErrorKind::Tls, "{error:?}");
    assert!(!error.is_transient());
    let error = says(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    assert_eq!(
        error.kind(),
        AuthErrorKind::Tls,
        "not a port for TLS: {error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn blank_scopes_and_audiences_are_not_sent() {
    let endpoint = Endpoint::start(|_| token("abc", 3600)).await;
    let blank = builder(&endpoint).audience("one").audience("").scope(" ");
    let source = blank.build().expect("good settings");
    source.token().await.expect("a token");
    let body = &endpoint.received()[0].body;
    assert!(
        !body.contains("scope") && !body.contains("audience"),
        "{body}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_network_of_something_else_will_do() {
    let endpoint = Endpoint::start(|_| token("abc", 3600)).await;
    let network = Network::builder().ca_certificate(endpoint.ca_pem());
    let source = OAuthClientCredentials::builder("the-id", "the-secret")
        .token_url(endpoint.url())
        .network(&network)
        .build()
        .expect("good settings");
    source.token().await.expect("trusted");
}

#[test]
fn what_no_request_can_be_made_of_is_refused_at_build() {
    let builder = || OAuthClientCredentials::builder("the-id", "the-secret");
    let long = format!("https://example.com/{}", "a".repeat(70_000));
    let error = builder().token_url(long).build().expect_err("too long");
    assert_eq!(error.setting(), "token_url");
    for proxy in ["socks5://proxy:1080", "socks5h://proxy", "::::", ""] {
        let settings = builder().token_url("https://example.com").proxy(proxy);
        let error = settings.build().expect_err(proxy);
        assert_eq!(error.setting(), "proxy", "{proxy}");
    }
}

/// Variables can only be set for another process: this test runs the next one in it.
#[test]
fn a_proxy_of_the_environment_that_is_none_is_refused_at_build() {
    for (name, value) in [
        ("HTTPS_PROXY", "ftp://proxy:3128"),
        ("ALL_PROXY", "socks5h://proxy:1080"),
        ("NO_PROXY", "10.0.0.0/99"),
    ] {
        let output = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "network::in_another_process", "--ignored"])
            .env(name, value)
            .env("WRONG", name)
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{name}: {said}");
    }
}

#[test]
#[ignore = "run by a_proxy_of_the_environment_that_is_none_is_refused_at_build"]
fn in_another_process() {
    let settings = OAuthClientCredentials::builder("the-id", "the-secret");
    let error = settings
        .token_url("https://example.com")
        .build()
        .expect_err("a wrong variable");
    assert_eq!(error.setting(), std::env::var("WRONG").expect("set"));
}
