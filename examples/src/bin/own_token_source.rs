//! A token source of your own: `cargo run -p examples --bin own_token_source`
//!
//! Here a sidecar (think of Vault's agent) keeps a fresh token in a file. One async function reads
//! it; `Cached` gives it a single flight, early refresh and back-off.

use std::{path::PathBuf, time::Duration};

use athena_client::{
    Client,
    auth::{AuthError, AuthErrorKind, Cached, OAuthClientCredentials, Token, TokenSource},
};
use athena_emulator::Emulator;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let athena = Emulator::builder().start().await?;
    let file = std::env::temp_dir().join(format!("athena-token-{}", std::process::id()));
    play_sidecar(&athena, &file).await?;

    let path = file.clone();
    let client = Client::builder()
        .endpoint(athena.endpoint())
        .ca_certificate(athena.ca_pem())
        .token_source(Cached::new(move || read(path.clone())))
        .affiliate(athena.affiliate())
        .build()?;
    println!("{} deployments", client.list_deployments().await?.len());

    tokio::fs::remove_file(&file).await?;
    athena.shutdown().await;
    Ok(())
}

/// The whole of the source: where the token is, and how long it may be used before the next look.
async fn read(path: PathBuf) -> Result<Token, AuthError> {
    let secret = tokio::fs::read_to_string(&path).await.map_err(|error| {
        AuthError::new(
            AuthErrorKind::Unavailable,
            format!("cannot read {}", path.display()),
        )
        .with_source(error)
    })?;
    Ok(Token::bearer(secret.trim())?.with_lifetime(Duration::from_secs(300)))
}

async fn play_sidecar(athena: &Emulator, file: &PathBuf) -> Result<(), Box<dyn std::error::Error>> {
    let credentials = OAuthClientCredentials::builder(athena.client_id(), athena.client_secret())
        .token_url(athena.token_url())
        .audience(athena.audience())
        .ca_certificate(athena.ca_pem())
        .build()?;
    let token = credentials.token().await?;
    tokio::fs::write(file, token.expose_secret()).await?;
    Ok(())
}
