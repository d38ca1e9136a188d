//! How the client shows the token endpoint who it is.

mod credentials;

use std::fmt;

pub(super) use self::credentials::{Authenticator, Credentials, Form};
use super::ConfigError;
use crate::{Secret, SecretSource};

/// How a client authenticates to the token endpoint (RFC 6749, section 2.3, and what followed).
///
/// Whatever takes one takes a `&str` or a `String` as well: a client secret that never changes, in
/// the body of the request.
pub struct ClientAuthentication {
    pub(super) method: Method,
    pub(super) source: Box<dyn SecretSource>,
}

/// What is done with the secret.
#[derive(Clone, Debug)]
pub(super) enum Method {
    /// `client_secret` in the body of the request.
    SecretPost,
    /// Id and secret in the `authorization` header.
    SecretBasic,
    /// The secret is a finished `client_assertion`.
    Assertion,
}

impl ClientAuthentication {
    /// A client secret, in the body of the request, or, after
    /// [`basic_auth`](crate::OAuthBuilder::basic_auth), in the `authorization` header.
    ///
    /// ```
    /// use athena_auth::{ClientAuthentication, OAuthClientCredentials, SecretFile};
    ///
    /// let secret = ClientAuthentication::secret(SecretFile::new("/run/secrets/athena"));
    /// let source = OAuthClientCredentials::builder("my-client-id", secret)
    ///     .token_url("https://login.example.com/oauth/token")
    ///     .build()?;
    /// # Ok::<(), athena_auth::ConfigError>(())
    /// ```
    pub fn secret(source: impl SecretSource) -> Self {
        Self::new(Method::SecretPost, source)
    }

    /// A JSON Web Token that somebody else signs, sent as `client_assertion` (RFC 7521,
    /// section 4.2): workload identity. A [`SecretFile`](crate::SecretFile) for the token that
    /// Kubernetes or a cloud writes to a file; an async closure for a service that hands it out.
    ///
    /// ```
    /// use athena_auth::{ClientAuthentication, OAuthClientCredentials, SecretFile};
    ///
    /// let token = SecretFile::new("/var/run/secrets/azure/tokens/azure-identity-token");
    /// let source = OAuthClientCredentials::builder("my-client-id", ClientAuthentication::assertion(token))
    ///     .token_url("https://login.example.com/oauth/token")
    ///     .build()?;
    /// # Ok::<(), athena_auth::ConfigError>(())
    /// ```
    pub fn assertion(source: impl SecretSource) -> Self {
        Self::new(Method::Assertion, source)
    }

    pub(super) fn new(method: Method, source: impl SecretSource) -> Self {
        Self {
            method,
            source: Box::new(source),
        }
    }

    /// Looks at what can be looked at before anything is sent.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let Some(secret) = self.source.fixed() else {
            return Ok(());
        };
        match secret.problem() {
            Some(problem) => Err(ConfigError::new(self.method.setting(), problem)),
            None => Ok(()),
        }
    }
}

impl Method {
    /// What the secret is called.
    fn setting(&self) -> &'static str {
        match self {
            Self::SecretPost | Self::SecretBasic => "client_secret",
            Self::Assertion => "client_assertion",
        }
    }
}

impl From<&str> for ClientAuthentication {
    fn from(secret: &str) -> Self {
        Self::secret(Secret::new(secret))
    }
}

impl From<String> for ClientAuthentication {
    fn from(secret: String) -> Self {
        Self::secret(Secret::new(secret))
    }
}

impl From<&String> for ClientAuthentication {
    fn from(secret: &String) -> Self {
        secret.as_str().into()
    }
}

impl fmt::Debug for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuthentication")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}
