//! A token shared by processes: forty workers that start together, and what a file may look like.
#![cfg(feature = "store")]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use athena_auth::{AuthErrorKind, OAuthClientCredentials, TokenFile, TokenSource};
use support::{Endpoint, token};

fn source(url: &str, path: &Path) -> OAuthClientCredentials {
    OAuthClientCredentials::builder("the-id", "the-secret")
        .token_url(url)
        .token_store(TokenFile::new(path))
        .build()
        .expect("good settings")
}

async fn endpoint() -> Endpoint {
    Endpoint::start_plain(|number| token(&format!("token-{number}"), 3600)).await
}

/// Real processes: this test is run by each of them as the next one.
#[tokio::test]
async fn forty_processes_that_start_together_make_one_request() {
    let endpoint = endpoint().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    let workers: Vec<_> = (0..40)
        .map(|_| {
            Command::new(std::env::current_exe().expect("this test"))
                .args(["--exact", "one_of_forty", "--ignored"])
                .env("TEST_URL", endpoint.url())
                .env("TEST_TOKEN_FILE", &path)
                .stdout(Stdio::null())
                .spawn()
                .expect("it starts")
        })
        .collect();
    let ended = tokio::task::spawn_blocking(move || {
        let ends = workers.into_iter().map(|mut worker| worker.wait());
        ends.filter(|end| !end.as_ref().is_ok_and(|status| status.success()))
            .count()
    });
    assert_eq!(ended.await.expect("no panic"), 0, "all got the token");
    assert_eq!(endpoint.received().len(), 1);
}

#[tokio::test]
#[ignore = "run by forty_processes_that_start_together_make_one_request"]
async fn one_of_forty() {
    let variable = |name| std::env::var(name).expect("set");
    let path = variable("TEST_TOKEN_FILE");
    let source = source(&variable("TEST_URL"), Path::new(&path));
    let token = source.token().await.expect("a token");
    assert_eq!(token.expose_secret(), "token-1");
}

#[tokio::test]
async fn a_rejected_token_is_not_taken_from_the_file_again() {
    let endpoint = endpoint().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    let (one, other) = (
        source(&endpoint.url(), &path),
        source(&endpoint.url(), &path),
    );
    let first = one.token().await.expect("a token");
    let same = other.token().await.expect("the same");
    assert_eq!(same.expose_secret(), first.expose_secret());
    assert_eq!(other.usage().requests, 0);

    one.invalidate(&first);
    let second = one.token().await.expect("another");
    assert_eq!(second.expose_secret(), "token-2");
    // The other process hears of the rejection later, and finds the new one.
    other.invalidate(&same);
    let found = other.token().await.expect("the new one");
    assert_eq!(found.expose_secret(), "token-2");
    assert_eq!(endpoint.received().len(), 2);
}

#[tokio::test]
async fn tokens_of_other_credentials_are_left_alone() {
    let endpoint = endpoint().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    source(&endpoint.url(), &path)
        .token()
        .await
        .expect("a token");
    let other = OAuthClientCredentials::builder("another-id", "the-secret")
        .token_url(endpoint.url())
        .token_store(TokenFile::new(&path))
        .build()
        .expect("good settings");
    let token = other.token().await.expect("its own");
    assert_eq!(token.expose_secret(), "token-2");
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_private_and_refused_when_it_is_not() {
    use std::os::unix::fs::PermissionsExt;

    let endpoint = endpoint().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    source(&endpoint.url(), &path)
        .token()
        .await
        .expect("a token");
    for entry in std::fs::read_dir(folder.path()).expect("a folder") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
    }
    let text = std::fs::read_to_string(&path).expect("written");
    assert!(text.contains("token-1") && !text.contains("the-secret"));

    for mode in [0o640, 0o604, 0o644] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
        let error = source(&endpoint.url(), &path).token().await;
        let error = error.expect_err("refused");
        assert_eq!(error.kind(), AuthErrorKind::Insecure);
        assert!(
            error.to_string().contains(&*path.to_string_lossy()),
            "{error}"
        );
        assert!(!format!("{error} {error:?}").contains("token-1"));
    }
    assert_eq!(endpoint.received().len(), 1);
    std::fs::remove_file(&path).expect("removed");
    source(&endpoint.url(), &path)
        .token()
        .await
        .expect("a new one");
}

#[tokio::test]
async fn trouble_with_the_file_fails_no_call() {
    let endpoint = endpoint().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    for garbage in [&b"{}"[..], b"", b"\xff\xfe", &[b'x'; 300_000]] {
        // Made by a source, so that it is private.
        source(&endpoint.url(), &path)
            .token()
            .await
            .expect("a token");
        std::fs::write(&path, garbage).expect("written");
        source(&endpoint.url(), &path).token().await.expect("anew");
    }
    let nowhere = folder.path().join("no/such/folder/token");
    source(&endpoint.url(), &nowhere)
        .token()
        .await
        .expect("without a store");
}

/// Whoever has the lock may hang: the others wait for a while only.
#[tokio::test(start_paused = true)]
async fn a_store_that_is_never_free_is_passed_by() {
    let endpoint = endpoint().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    let file = Arc::new(TokenFile::new(&path));
    let held = athena_auth::TokenStore::enter(&*file).await.expect("free");
    let before = tokio::time::Instant::now();
    source(&endpoint.url(), &path)
        .token()
        .await
        .expect("without it");
    assert!(
        before.elapsed() <= Duration::from_secs(6),
        "{:?}",
        before.elapsed()
    );
    drop(held);
    source(&endpoint.url(), &path)
        .token()
        .await
        .expect("with it");
    let again = source(&endpoint.url(), &path);
    again.token().await.expect("from the file");
    assert_eq!(again.usage().requests, 0);
}
