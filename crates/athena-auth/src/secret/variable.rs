//! A secret in an environment variable.

use std::future::ready;

use super::{Secret, SecretSource, error};
use crate::{AuthError, BoxFuture};

/// A secret in an environment variable of this process. White space around it is dropped.
#[derive(Clone, Debug)]
pub struct SecretVariable {
    name: String,
}

impl SecretVariable {
    /// The secret is the value of the variable of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}

impl SecretSource for SecretVariable {
    fn secret(&self) -> BoxFuture<'_, Result<Secret, AuthError>> {
        let name = &self.name;
        let secret = match std::env::var_os(name).map(std::ffi::OsString::into_string) {
            Some(Ok(value)) => Ok(Secret::trimmed(value)),
            Some(Err(_)) => Err(error(format!("the variable {name} is not valid Unicode"))),
            None => Err(error(format!("the variable {name} is not set"))),
        };
        Box::pin(ready(secret))
    }
}
