//! A secret in a file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{MAX_BYTES, Secret, SecretSource, error, from_bytes};
use crate::{AuthError, AuthErrorKind, BoxFuture};

/// A secret in a file, such as a secret that Kubernetes mounts: read before each token request, so
/// that a file that was replaced counts from the next one on. White space around it is dropped.
#[derive(Clone, Debug)]
pub struct SecretFile {
    path: PathBuf,
}

impl SecretFile {
    /// The secret is what this file holds.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl SecretSource for SecretFile {
    fn secret(&self) -> BoxFuture<'_, Result<Secret, AuthError>> {
        let path = self.path.clone();
        Box::pin(async move {
            tokio::task::spawn_blocking(move || read(&path))
                .await
                .map_err(|error| {
                    AuthError::new(
                        AuthErrorKind::Runtime,
                        "the reading of a secret was cut short",
                    )
                    .with_source(error)
                })?
        })
    }
}

fn read(path: &Path) -> Result<Secret, AuthError> {
    // Never grows, so that no copy stays behind.
    let mut bytes = Vec::with_capacity(MAX_BYTES + 1);
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|cause| {
            error(format!("cannot read the secret file {}", path.display())).with_source(cause)
        })?;
    from_bytes(bytes, &format_args!("the secret file {}", path.display()))
}
