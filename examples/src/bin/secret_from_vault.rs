//! A client secret in HashiCorp Vault (or OpenBao), picked up when it changes:
//! `cargo run -p examples --bin secret_from_vault -- MOUNT PATH FIELD`
//!
//! `VAULT_ADDR` and `VAULT_TOKEN` are read as Vault's own tool reads them; the secret stands in a
//! key-value engine of version 2.

use std::env;
use std::time::Duration;

use athena_client::auth::{
    AuthError, AuthErrorKind, ClientAuthentication, Network, Secret, TokenSource,
};
use athena_client::environment;
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [mount, path, field] = &arguments[..] else {
        return Err("usage: secret_from_vault MOUNT PATH FIELD".into());
    };
    let url = format!("{}/v1/{mount}/data/{path}", env::var("VAULT_ADDR")?);
    let (token, field) = (env::var("VAULT_TOKEN")?, field.clone());
    let secret = move || read(url.clone(), token.clone(), field.clone());

    let source = environment::credentials(
        env::var(environment::CLIENT_ID)?,
        ClientAuthentication::secret(secret),
    )
    .build()?;
    source.ready().await?;
    println!("the token endpoint accepts the secret");
    Ok(())
}

async fn read(url: String, token: String, field: String) -> Result<Secret, AuthError> {
    let unavailable = || AuthError::new(AuthErrorKind::Unavailable, "Vault did not answer");
    let network = Network::builder().build().map_err(|error| {
        AuthError::new(AuthErrorKind::Secret, "no way to Vault").with_source(error)
    })?;
    let http = network.http_client().await.build();
    let response = http
        .map_err(|error| unavailable().with_source(error))?
        .get(url)
        .header("x-vault-token", token)
        .send()
        .await;
    let response = response.map_err(|error| unavailable().with_source(error))?;
    let status = response.status();
    let answer = response.bytes().await;
    let answer = answer.map_err(|error| unavailable().with_source(error))?;
    let value: Value = serde_json::from_slice(&answer).unwrap_or_default();
    match value["data"]["data"][&field].as_str() {
        // Asked again after a minute, or at once when the endpoint refuses the secret.
        Some(secret) => Ok(Secret::new(secret).valid_for(Duration::from_secs(60))),
        // Sealed, or a standby that is catching up.
        None if status.is_server_error() => Err(unavailable()),
        None => Err(AuthError::new(
            AuthErrorKind::Secret,
            format!("Vault has no such secret for us: {status}"),
        )),
    }
}
