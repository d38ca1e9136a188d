//! What is sent, to whom, and how often.

use std::sync::Arc;

use athena_auth::{AuthErrorKind, OAuthClientCredentials, TokenSource};

use crate::support::{Endpoint, answer, token};
use crate::{assert_final, builder};

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
        AuthErrorKind::InvalidResponse
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
        AuthErrorKind::Unavailable
    );
    assert!(
        proxy.received()[0]
            .head
            .starts_with("CONNECT login.example.com:443 HTTP/1.1")
    );
}

#[tokio::test(start_paused = true)]
async fn redirects_are_not_followed() {
    let target = Endpoint::start(|_| token("stolen", 3600)).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("location: {}", target.url());
        assert_final(
            answer(status, &[&location], ""),
            AuthErrorKind::InvalidResponse,
        )
        .await;
    }
    assert!(target.received().is_empty());
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
        AuthErrorKind::Tls
    );
    let source = builder(&endpoint)
        .token_url(format!("https://127.0.0.1:{}/oauth/token", endpoint.port()))
        .build()
        .expect("good settings");
    assert_eq!(
        source.token().await.expect_err("another name").kind(),
        AuthErrorKind::Tls
    );
    assert!(endpoint.received().is_empty(), "the secret stayed here");
}
