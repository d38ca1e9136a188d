//! Single calls: answers, errors, retries, deadlines.

use std::error::Error as _;
use std::time::Duration;

use athena_client::auth::Static;
use athena_client::{Client, Delivery, ErrorKind, Image, Payload};
use athena_emulator::{Delay, Emulator, Faults, RejectStatus, TokenKind, When};

use crate::support::{builder, client, emulator, frame, hash, knows, png, start};

#[tokio::test]
async fn an_image_file_gets_its_verdict() {
    let emulator = emulator().await;
    let image = Image::from_bytes(png(64)).correlation_id("upload-7");
    let verdict = client(&emulator).classify(image).await.unwrap();
    assert_eq!(verdict.correlation_id(), "upload-7");
    assert!(verdict.pcsam().is_some_and(|p| (0.0..=1.0).contains(&p)));
    assert!(verdict.hash_checked() && !verdict.known_match());

    let input = &emulator.inputs()[0];
    assert_eq!(input.correlation_id, "upload-7");
    let clients = emulator.stats().clients;
    let version = concat!("athena-rust-client/", env!("CARGO_PKG_VERSION"));
    assert!(
        clients.keys().any(|name| name.contains("rust")),
        "{clients:?}"
    );
    assert!(
        clients.keys().any(|name| name.contains(version)),
        "{clients:?}"
    );
}

#[tokio::test]
async fn known_content_is_recognised_by_the_hash_of_the_original() {
    let emulator = start(knows(Emulator::builder(), 2)).await;
    let client = client(&emulator);
    assert!(client.classify(hash(0)).await.unwrap().known_match());
    assert!(!client.classify(hash(1)).await.unwrap().known_match());
}

#[tokio::test]
async fn an_undecodable_file_is_an_error_that_carries_the_word_on_its_hashes() {
    let emulator = start(knows(Emulator::builder(), 0)).await;
    let text = Image::from_bytes(&b"this is not an image"[..]);
    let error = client(&emulator).classify(text.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Undecodable);
    assert!(error.source().is_some());
    let lookup = error.hash_verdict().unwrap();
    assert!(lookup.hash_checked() && !lookup.known_match());

    let without = builder(&emulator).hash_undecodable(false).build().unwrap();
    let error = without.classify(text).await.unwrap_err();
    assert_eq!(error.delivery(), Delivery::NotSent);
    assert!(error.hash_verdict().is_none());
    assert_eq!(emulator.stats().inputs, 1);
}

#[tokio::test]
async fn deployments_are_listed() {
    let emulator = emulator().await;
    let client = client(&emulator);
    assert!(client.list_deployments().await.unwrap().is_empty());
    let session = client.session().deployment("shared").open().unwrap();
    session.submit(hash(1)).await.unwrap().await.unwrap();
    let deployments = client.list_deployments().await.unwrap();
    assert_eq!(deployments[0].id, "shared");
}

#[tokio::test]
async fn what_the_service_cannot_take_is_refused_before_it_is_sent() {
    let emulator = emulator().await;
    let client = client(&emulator);
    let short = Image::from_payload(Payload::raw_bgr(vec![0; 100]));
    let unnamed = frame(0).correlation_id("");
    for image in [short, unnamed] {
        let error = client.classify(image).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert_eq!(error.delivery(), Delivery::NotSent);
    }
    assert_eq!(emulator.stats().inputs, 0);
}

#[tokio::test]
async fn a_foreign_affiliate_is_named() {
    let emulator = emulator().await;
    let image = frame(0).affiliate("nobody");
    let error = client(&emulator).classify(image).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotPermitted);
    assert!(error.to_string().contains("nobody"), "{error}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let emulator = emulator().await;
    let client = client(&emulator);
    client.classify(hash(1)).await.unwrap();
    emulator.revoke_tokens();
    client.classify(hash(2)).await.unwrap();
    assert_eq!(emulator.stats().tokens_granted, 2);

    let bad = Static::bearer(emulator.mint(TokenKind::Expired).unwrap()).unwrap();
    let client = builder(&emulator).token_source(bad).build().unwrap();
    let before = emulator.stats().calls_unauthenticated;
    let error = client.classify(hash(3)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert_eq!(emulator.stats().calls_unauthenticated - before, 2);
}

#[tokio::test]
async fn a_wrong_secret_is_an_authentication_error_with_its_cause() {
    let emulator = emulator().await;
    let wrong = athena_client::auth::OAuthClientCredentials::builder(
        emulator.client_id(),
        "not-the-secret",
    )
    .token_url(emulator.token_url())
    .ca_certificate(emulator.ca_pem())
    .build()
    .unwrap();
    let client = builder(&emulator).token_source(wrong).build().unwrap();
    let error = client.classify(hash(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(!error.is_transient());
    let cause = error.source().expect("the token error").to_string();
    let all = format!("{error} {cause} {error:?}");
    assert!(!all.contains("not-the-secret"), "{all}");
}

#[tokio::test]
async fn ready_tells_what_is_wrong_before_the_first_image() {
    let emulator = emulator().await;
    client(&emulator).ready().await.expect("all is well");
    assert_eq!(emulator.stats().tokens_granted, 1);

    let wrong = athena_client::auth::OAuthClientCredentials::builder("nobody", "nothing")
        .token_url(emulator.token_url())
        .ca_certificate(emulator.ca_pem())
        .build()
        .unwrap();
    let client = builder(&emulator).token_source(wrong).build().unwrap();
    let error = client.ready().await.expect_err("wrong credentials");
    assert_eq!(error.kind(), ErrorKind::Authentication);
    let cause = error.source().expect("the token error").to_string();
    assert!(cause.contains("invalid_client"), "{cause}");

    let expired = Static::bearer(emulator.mint(TokenKind::Expired).unwrap()).unwrap();
    let client = builder(&emulator).token_source(expired).build().unwrap();
    let error = client.ready().await.expect_err("a token of yesterday");
    assert_eq!(error.kind(), ErrorKind::Authentication);

    let nowhere = builder(&emulator).endpoint("https://localhost:9").build();
    let error = nowhere.unwrap().ready().await.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::Connect);
    let stranger = Client::builder()
        .endpoint(emulator.endpoint())
        .token_source(crate::support::credentials(&emulator))
        .build();
    let error = stranger.unwrap().ready().await.expect_err("an unknown CA");
    assert_eq!(error.kind(), ErrorKind::Tls);
}

#[tokio::test]
async fn unavailability_is_retried_and_pushback_is_obeyed() {
    let emulator = emulator().await;
    let client = client(&emulator);
    let unavailable =
        |when, pushback| Faults::none().reject(when, RejectStatus::Unavailable, pushback);
    emulator.set_faults(unavailable(When::Next(2), Some(Duration::from_millis(1))));
    client.classify(hash(1)).await.unwrap();
    assert_eq!(emulator.faults_struck(), 2);

    emulator.set_faults(unavailable(When::Rate(1.0), Some(Duration::from_millis(1))));
    let error = client.classify(hash(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_transient());
    assert!(emulator.faults_struck() <= 4);
}

#[tokio::test]
async fn an_internal_error_is_not_retried() {
    let emulator = emulator().await;
    emulator.set_faults(Faults::none().reject(When::Next(1), RejectStatus::Internal, None));
    let error = client(&emulator).classify(hash(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Service);
    assert_eq!(error.delivery(), Delivery::Unknown);
    assert_eq!(emulator.stats().inputs, 0);
}

#[tokio::test]
async fn a_call_ends_at_its_deadline() {
    let emulator = emulator().await;
    emulator.set_faults(Faults::none().delay(Delay::Constant(Duration::from_secs(3600))));
    let client = client(&emulator);
    // Connected, so that the image's time is the service's.
    client.list_deployments().await.unwrap();
    let image = hash(1).timeout(Duration::from_millis(500));
    let error = client.classify(image).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(
        (error.delivery(), error.sends()),
        (Delivery::Unknown, Some(1))
    );
}

#[tokio::test]
async fn a_client_without_tokens_is_told_so() {
    let emulator = emulator().await;
    let client = Client::builder()
        .endpoint(emulator.endpoint())
        .ca_certificate(emulator.ca_pem())
        .no_proxy()
        .build()
        .unwrap();
    let error = client.classify(hash(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
}
