//! The client-credentials source against a real HTTPS endpoint.
//!
//! Both ends run on one thread with a paused clock, so that time only passes when neither has
//! anything to do: pauses between attempts take no time, and nothing times out by accident.
#![cfg(feature = "oauth")]

mod answers;
mod network;
mod requests;
mod rotation;
mod settings;
#[path = "../support/mod.rs"]
mod support;
mod usage;

use athena_auth::{AuthError, AuthErrorKind, OAuthBuilder, OAuthClientCredentials, TokenSource};

use support::{Endpoint, Reply};

pub(crate) fn builder(endpoint: &Endpoint) -> OAuthBuilder {
    OAuthClientCredentials::builder("the-id", "the-secret")
        .token_url(endpoint.url())
        .ca_certificate(endpoint.ca_pem())
}

/// What a cold call ends in if the endpoint always answers like this, and how many requests it took.
pub(crate) async fn outcome(reply: Reply) -> (Result<String, AuthError>, usize) {
    let endpoint = Endpoint::start(move |_| reply.clone()).await;
    let source = builder(&endpoint).build().expect("good settings");
    let result = source
        .token()
        .await
        .map(|token| token.expose_secret().to_owned());
    (result, endpoint.received().len())
}

pub(crate) async fn assert_final(reply: Reply, kind: AuthErrorKind) -> AuthError {
    let (result, requests) = outcome(reply).await;
    let error = result.expect_err("a failure");
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(!error.is_transient());
    assert_eq!(requests, 1, "final at once: {error:?}");
    error
}

pub(crate) async fn assert_retried(reply: Reply, kind: AuthErrorKind) -> AuthError {
    let (result, requests) = outcome(reply).await;
    let error = result.expect_err("a failure");
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(error.is_transient());
    assert!(requests > 1, "tried again: {error:?}");
    error
}
