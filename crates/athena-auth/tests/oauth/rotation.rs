//! Secrets that change while tokens are asked for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use athena_auth::{
    AuthError, AuthErrorKind, ClientAuthentication, OAuthBuilder, OAuthClientCredentials, Secret,
    SecretCommand, SecretFile, SecretSource, TokenSource,
};
use tokio::time::{Instant, sleep};

use crate::support::{Endpoint, Received, json, token};

/// An endpoint that accepts the secrets listed, for tokens of two seconds.
async fn endpoint(accepted: &Arc<Mutex<Vec<String>>>) -> Endpoint {
    let accepted = Arc::clone(accepted);
    Endpoint::judging(move |number, request: &Received| {
        let secret = request
            .field("client_secret")
            .expect("a secret in the body");
        match accepted.lock().expect("no panic").contains(&secret) {
            true => token(&format!("token-{number}"), 2),
            false => json(401, r#"{"error":"invalid_client"}"#),
        }
    })
    .await
}

fn builder(endpoint: &Endpoint, secret: impl SecretSource) -> OAuthBuilder {
    OAuthClientCredentials::builder("the-id", ClientAuthentication::secret(secret))
        .token_url(endpoint.url())
}

/// A store, and how often it was read.
#[derive(Clone, Default)]
struct Store {
    secret: Arc<Mutex<String>>,
    reads: Arc<AtomicUsize>,
}

impl Store {
    fn source(&self, valid_for: Option<Duration>) -> impl SecretSource {
        let store = self.clone();
        move || {
            store.reads.fetch_add(1, Ordering::Relaxed);
            let secret = Secret::new(store.secret.lock().expect("no panic").clone());
            async move {
                Ok(match valid_for {
                    Some(span) => secret.valid_for(span),
                    None => secret,
                })
            }
        }
    }

    fn put(&self, secret: &str) {
        *self.secret.lock().expect("no panic") = secret.to_owned();
    }
}

/// A thousand calls a second, tokens of two seconds, ten changes of the secret: the store has the
/// new one first, for a moment the endpoint takes both, then the old one is gone.
#[tokio::test(start_paused = true)]
async fn ten_rotations_under_a_thousand_calls_a_second_fail_no_call() {
    // A source whose copy is good for an hour holds the wrong one after each change.
    for valid_for in [None, Some(Duration::from_secs(3600))] {
        let accepted = Arc::new(Mutex::new(vec!["secret-0".to_owned()]));
        let endpoint = endpoint(&accepted).await;
        let store = Store::default();
        store.put("secret-0");
        let source = builder(&endpoint, store.source(valid_for))
            .build()
            .expect("good settings");
        let started = Instant::now();
        let mut calls = 0;
        for change in 1..=11 {
            while started.elapsed() < Duration::from_secs(3 * change) {
                source.token().await.expect("no call fails");
                calls += 1;
                sleep(Duration::from_millis(1)).await;
            }
            let new = format!("secret-{change}");
            store.put(&new);
            accepted.lock().expect("no panic").push(new);
            if change % 2 == 0 {
                sleep(Duration::from_millis(700)).await;
            }
            accepted.lock().expect("no panic").remove(0);
        }
        assert!(calls > 25_000, "{calls}");
        let refused = endpoint.received().len() - store.reads.load(Ordering::Relaxed);
        match valid_for {
            None => assert_eq!(refused, 0, "the store is asked before each request"),
            Some(_) => assert!(store.reads.load(Ordering::Relaxed) <= 12, "and not before"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_the_store_still_has_is_not_sent_twice() {
    let accepted = Arc::default();
    let endpoint = endpoint(&accepted).await;
    let store = Store::default();
    store.put("wrong");
    let source = builder(&endpoint, store.source(Some(Duration::from_secs(60))))
        .build()
        .expect("good settings");
    let error = source.token().await.expect_err("refused");
    assert_eq!(error.kind(), AuthErrorKind::Denied);
    assert_eq!(endpoint.received().len(), 1);
    assert_eq!(store.reads.load(Ordering::Relaxed), 2, "it was asked again");
    // Corrected in the store: the next request has it.
    store.put("right");
    accepted.lock().expect("no panic").push("right".to_owned());
    sleep(Duration::from_secs(2)).await;
    source.token().await.expect("a token");
}

#[tokio::test(start_paused = true)]
async fn a_file_is_read_anew_and_its_line_break_is_dropped() {
    let accepted = Arc::new(Mutex::new(vec!["old".to_owned()]));
    let endpoint = endpoint(&accepted).await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("secret");
    std::fs::write(&path, "old\r\n").expect("written");
    let source = builder(&endpoint, SecretFile::new(&path))
        .build()
        .expect("good settings");
    source.token().await.expect("a token");
    std::fs::write(&path, "new\n").expect("written");
    *accepted.lock().expect("no panic") = vec!["new".to_owned()];
    sleep(Duration::from_secs(3)).await;
    source.token().await.expect("a token");
    assert_eq!(endpoint.received().len(), 2, "never the old one again");

    std::fs::remove_file(&path).expect("removed");
    sleep(Duration::from_secs(3)).await;
    let error = source.token().await.expect_err("no secret");
    assert_eq!(error.kind(), AuthErrorKind::Secret);
    assert!(
        error.to_string().contains(&*path.to_string_lossy()),
        "{error}"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn a_command_is_run_and_what_it_prints_is_shown_nowhere() {
    let accepted = Arc::new(Mutex::new(vec!["printed".to_owned()]));
    let endpoint = endpoint(&accepted).await;
    let command = SecretCommand::new("sh").args(["-c", "echo printed"]);
    let source = builder(&endpoint, command).build().expect("good settings");
    source.token().await.expect("a token");

    for (script, says) in [
        ("echo printed; exit 3", "exit status: 3"),
        ("echo", "is empty"),
        ("head -c 100000 /dev/zero | tr '\\0' x", "too long"),
        ("printf '\\377printed'", "not UTF-8"),
    ] {
        let command = SecretCommand::new("sh").args(["-c", script]);
        let source = builder(&endpoint, command).build().expect("good settings");
        let error = source.token().await.expect_err(script);
        assert_eq!(error.kind(), AuthErrorKind::Secret, "{script}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(
            !format!("{error} {error:?}").contains("printed\""),
            "{error:?}"
        );
    }
    let source = builder(&endpoint, SecretCommand::new("/no/such/program")).build();
    let error = source.expect("good settings").token().await;
    assert_eq!(error.expect_err("no program").kind(), AuthErrorKind::Secret);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_for_a_moment_is_asked_again() {
    let accepted = Arc::new(Mutex::new(vec!["secret".to_owned()]));
    let endpoint = endpoint(&accepted).await;
    let asked = AtomicUsize::new(0);
    let secret = move || {
        let first = asked.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            match first {
                true => Err(AuthError::new(
                    AuthErrorKind::Unavailable,
                    "the vault is sealed",
                )),
                false => Ok(Secret::new("secret")),
            }
        }
    };
    let source = builder(&endpoint, secret).build().expect("good settings");
    source.token().await.expect("a token");
    assert_eq!(endpoint.received().len(), 1);
}
