//! A client secret in Azure Key Vault, picked up when it changes:
//! `cargo run -p examples --bin secret_from_azure -- https://my-vault.vault.azure.net my-secret`
//!
//! The vault is asked with the machine's managed identity, whose token is cached like any other.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use athena_client::auth::{
    AuthError, AuthErrorKind, Cached, ClientAuthentication, Network, Secret, Token, TokenSource,
};
use athena_client::environment;
use serde_json::Value;

/// Where a machine in Azure gets tokens for its own identity.
const IDENTITY: &str = "http://169.254.169.254/metadata/identity/oauth2/token\
                        ?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [vault, name] = &arguments[..] else {
        return Err("usage: secret_from_azure VAULT_URL SECRET_NAME".into());
    };
    let url = format!("{vault}/secrets/{name}?api-version=7.4");
    let identity: Arc<dyn TokenSource> = Arc::new(Cached::new(identity));
    let secret = move || read(url.clone(), Arc::clone(&identity));

    let source = environment::credentials(
        env::var(environment::CLIENT_ID)?,
        ClientAuthentication::secret(secret),
    )
    .build()?;
    source.ready().await?;
    println!("the token endpoint accepts the secret");
    Ok(())
}

async fn read(url: String, identity: Arc<dyn TokenSource>) -> Result<Secret, AuthError> {
    let token = identity.token().await?;
    let authorization = token.header_value().to_str().unwrap_or_default().to_owned();
    let answer = get(&url, ("authorization", authorization), true).await?;
    match answer["value"].as_str() {
        Some(secret) => Ok(Secret::new(secret).valid_for(Duration::from_secs(300))),
        None => Err(AuthError::new(
            AuthErrorKind::Secret,
            "Azure Key Vault has no such secret for this identity",
        )),
    }
}

async fn identity() -> Result<Token, AuthError> {
    // Of this machine's own network: no proxy stands in between.
    let answer = get(IDENTITY, ("metadata", "true".to_owned()), false).await?;
    let (Some(token), Some(seconds)) = (
        answer["access_token"].as_str(),
        answer["expires_in"]
            .as_str()
            .and_then(|text| text.parse().ok()),
    ) else {
        return Err(AuthError::new(
            AuthErrorKind::InvalidResponse,
            "this machine has no managed identity",
        ));
    };
    Ok(Token::bearer(token)?.with_lifetime(Duration::from_secs(seconds)))
}

async fn get(url: &str, header: (&str, String), proxy: bool) -> Result<Value, AuthError> {
    let unavailable = || AuthError::new(AuthErrorKind::Unavailable, "Azure did not answer");
    let mut network = Network::builder();
    if !proxy {
        network = network.no_proxy();
    }
    let network = network.build().map_err(|error| {
        AuthError::new(AuthErrorKind::Secret, "no way to Azure").with_source(error)
    })?;
    let http = network.http_client().await.build();
    let response = http
        .map_err(|error| unavailable().with_source(error))?
        .get(url)
        .header(header.0, header.1)
        .send()
        .await;
    let response = response.map_err(|error| unavailable().with_source(error))?;
    if response.status().is_server_error() {
        return Err(unavailable());
    }
    let answer = response.bytes().await;
    let answer = answer.map_err(|error| unavailable().with_source(error))?;
    Ok(serde_json::from_slice(&answer).unwrap_or_default())
}
