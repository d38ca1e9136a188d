//! Every call needs a good token.

use std::time::Duration;

use athena_emulator::{ClientConfig, Emulator, TokenKind};
use tonic::Code;

use crate::support::{client_with, hash_input, http};

async fn call(emulator: &Emulator, authorization: &str) -> Result<(), tonic::Status> {
    let mut client = client_with(emulator, authorization).await;
    client.list_deployments(()).await.map(drop)
}

#[tokio::test]
async fn every_bad_token_is_unauthenticated_with_its_reason() {
    let emulator = Emulator::builder().start().await.unwrap();
    let minted = |kind| format!("Bearer {}", emulator.mint(kind).unwrap());
    let cases = [
        (String::new(), "missing"),
        ("Bearer".into(), "scheme must be Bearer"),
        (
            minted(TokenKind::Valid).replacen("Bearer", "Basic", 1),
            "scheme must be Bearer",
        ),
        (minted(TokenKind::Malformed), "not a JSON Web Token"),
        (minted(TokenKind::Expired), "expired"),
        (minted(TokenKind::Foreign), "signature"),
        (minted(TokenKind::Unsigned), "algorithm"),
        (minted(TokenKind::WrongAudience), "audience"),
        // The signature's last character, changed.
        (format!("{}x", minted(TokenKind::Valid)), "JSON Web Token"),
    ];
    for (authorization, reason) in &cases {
        let status = call(&emulator, authorization).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{status}");
        assert!(status.message().contains(reason), "{reason}: {status}");
    }
    call(&emulator, &minted(TokenKind::Valid)).await.unwrap();
    assert_eq!(emulator.stats().calls_unauthenticated, cases.len() as u64);
}

#[tokio::test]
async fn each_method_checks_the_token() {
    let emulator = Emulator::builder().start().await.unwrap();
    let mut client = client_with(&emulator, "").await;
    let single = client.classify_single(hash_input(&emulator, "a")).await;
    assert_eq!(single.unwrap_err().code(), Code::Unauthenticated);
    let stream = client.classify(tokio_stream::pending()).await;
    assert_eq!(stream.unwrap_err().code(), Code::Unauthenticated);
    let list = client.list_deployments(()).await;
    assert_eq!(list.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_platform_token_of_the_same_issuer_is_refused() {
    let emulator = Emulator::builder()
        .client(
            ClientConfig::new("id", "secret")
                .audience("platform")
                .affiliate("acme"),
        )
        .start()
        .await
        .unwrap();
    let answer: serde_json::Value = http(&emulator)
        .post(emulator.token_url())
        .form(&[
            ("grant_type", "client_credentials"),
            ("client_id", "id"),
            ("client_secret", "secret"),
            ("audience", "platform"),
        ])
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let token = answer["access_token"].as_str().unwrap();
    let status = call(&emulator, &format!("Bearer {token}"))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(status.message().contains("platform"), "{status}");
}

#[tokio::test]
async fn revoking_refuses_the_tokens_issued_so_far_and_no_later_ones() {
    let emulator = Emulator::builder().start().await.unwrap();
    let before = format!("bearer {}", emulator.mint(TokenKind::Valid).unwrap());
    call(&emulator, &before).await.unwrap();
    emulator.revoke_tokens();
    let status = call(&emulator, &before).await.unwrap_err();
    assert!(status.message().contains("revoked"), "{status}");
    let after = format!("Bearer {}", emulator.mint(TokenKind::Valid).unwrap());
    call(&emulator, &after).await.unwrap();
}

#[tokio::test]
async fn a_kept_folder_keeps_the_authority_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let ports = athena_emulator::Ports::FREE;
        Emulator::builder()
            .ports(ports)
            .certificates(folder.path())
            .token_lifetime(Duration::from_secs(60))
            .start()
    };
    let first = start().await.unwrap();
    let ca = first.ca_pem().to_owned();
    first.shutdown().await;
    let second = start().await.unwrap();
    assert_eq!(second.ca_pem(), ca);
    // A client that was given the first CA reaches the second emulator.
    call(
        &second,
        &format!("Bearer {}", second.mint(TokenKind::Valid).unwrap()),
    )
    .await
    .unwrap();
    #[cfg(unix)]
    for secret in ["ca-key.pem", "token-key.pk8"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = folder
            .path()
            .join(secret)
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{secret} is readable by others");
    }
}
