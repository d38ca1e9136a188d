//! How the client shows the token endpoint who it is.

mod credentials;
#[cfg(feature = "jwt")]
mod jwt;
#[cfg(feature = "jwt")]
mod key;

use std::fmt;

use athena_net::Identity;

pub(super) use self::credentials::{Authenticator, Credentials, Form, Shown};
#[cfg(feature = "jwt")]
pub use self::jwt::{JwtAssertion, SigningAlgorithm};
use super::BuildError;
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
#[derive(Debug)]
pub(super) enum Method {
    /// `client_secret` in the body of the request.
    SecretPost,
    /// Id and secret in the `authorization` header.
    SecretBasic,
    /// The secret signs a `client_assertion`.
    #[cfg(feature = "jwt")]
    SecretJwt(jwt::Options),
    /// The secret is a private key that signs a `client_assertion`.
    #[cfg(feature = "jwt")]
    PrivateKeyJwt(jwt::Options),
    /// The secret is a finished `client_assertion`.
    Assertion,
    /// The connection shows a certificate; there is no secret.
    Certificate(Identity),
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
    /// # Ok::<(), athena_auth::BuildError>(())
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
    /// # Ok::<(), athena_auth::BuildError>(())
    /// ```
    pub fn assertion(source: impl SecretSource) -> Self {
        Self::new(Method::Assertion, source)
    }

    /// A certificate for the connection itself: mutual TLS client authentication (RFC 8705,
    /// section 2). The request names the client id and holds no secret.
    ///
    /// An [`Identity`] of files is read for each connection, and every token request makes one: a
    /// certificate that was renewed needs no restart. Not to be had with an
    /// [HTTP client of your own](crate::OAuthBuilder::http_client), which has a certificate of its
    /// own or none.
    ///
    /// ```no_run
    /// use athena_auth::{ClientAuthentication, Identity, OAuthClientCredentials};
    ///
    /// # fn main() -> Result<(), athena_auth::BoxError> {
    /// let identity = Identity::from_files("/run/tls/tls.crt", "/run/tls/tls.key")?;
    /// let source = OAuthClientCredentials::builder("my-client-id", ClientAuthentication::certificate(identity))
    ///     .token_url("https://mtls.login.example.com/oauth/token")
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn certificate(identity: Identity) -> Self {
        Self::new(Method::Certificate(identity), "")
    }

    pub(super) fn new(method: Method, source: impl SecretSource) -> Self {
        Self {
            method,
            source: Box::new(source),
        }
    }

    /// Looks at what can be looked at before anything is sent.
    pub(super) fn check(&self) -> Result<(), BuildError> {
        let Some(secret) = self.source.fixed() else {
            return Ok(());
        };
        match self.method.problem(&secret) {
            Some(problem) => Err(BuildError::new(self.method.setting(), problem)),
            None => Ok(()),
        }
    }
}

impl Method {
    /// What the secret is called.
    fn setting(&self) -> &'static str {
        match self {
            Self::SecretPost | Self::SecretBasic => "client_secret",
            #[cfg(feature = "jwt")]
            Self::SecretJwt(_) => "client_secret",
            #[cfg(feature = "jwt")]
            Self::PrivateKeyJwt(_) => "private_key",
            Self::Assertion => "client_assertion",
            Self::Certificate(_) => "certificate",
        }
    }

    /// What is wrong with the secret, if anything is.
    fn problem(&self, secret: &Secret) -> Option<&'static str> {
        match self {
            // Line breaks around PEM mean nothing.
            #[cfg(feature = "jwt")]
            Self::PrivateKeyJwt(_) => key::PrivateKey::read(secret.expose()).err(),
            Self::Certificate(_) => None,
            _ => secret.problem(),
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
