//! A client secret that Kubernetes mounts as a file:
//! `cargo run -p examples --bin secret_from_kubernetes -- /run/secrets/athena/client-secret`
//!
//! ```yaml
//! volumes: [{name: athena, secret: {secretName: athena}}]
//! containers: [{…, volumeMounts: [{name: athena, mountPath: /run/secrets/athena, readOnly: true}]}]
//! ```
//!
//! A changed secret reaches the file within about a minute, and the next token request reads it.
//! Mount the folder: a single file that is mounted with `subPath` never changes.

use std::env;

use athena_client::auth::{ClientAuthentication, SecretFile, TokenSource};
use athena_client::environment;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = env::args()
        .nth(1)
        .ok_or("usage: secret_from_kubernetes FILE")?;
    let source = environment::credentials(
        env::var(environment::CLIENT_ID)?,
        ClientAuthentication::secret(SecretFile::new(path)),
    )
    .build()?;
    source.ready().await?;
    println!("the token endpoint accepts the secret");
    Ok(())
}
