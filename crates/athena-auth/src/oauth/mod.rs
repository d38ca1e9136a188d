//! Tokens by the OAuth 2.0 client-credentials grant (RFC 6749, section 4.4).

mod answer;
mod builder;
mod environment;
mod error;
mod exchange;
mod http_client;
mod transport;

use std::fmt;
use std::sync::Arc;

pub use self::builder::OAuthBuilder;
pub use self::error::ConfigError;
use self::exchange::Exchange;
use crate::{AuthError, BoxFuture, Cached, Token, TokenSource};

/// The token endpoint of the Athena service.
pub const ATHENA_TOKEN_URL: &str = "https://crispthinking.auth0.com/oauth/token";
/// The audience of the live Athena service.
pub const ATHENA_AUDIENCE: &str = "crisp-athena-live";

/// A cached token source for the OAuth 2.0 client-credentials grant.
///
/// Makes the promises of [`Cached`]. Clones share one cache, so make one per set of
/// credentials and hand clones to every client of the process.
///
/// ```no_run
/// use athena_auth::{OAuthClientCredentials, TokenSource};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let source = OAuthClientCredentials::builder("my-client-id", std::env::var("MY_SECRET")?)
///     .token_url("https://login.example.com/oauth/token")
///     .audience("my-api")
///     .build()?;
/// let token = source.token().await?;
/// println!("valid for {:?}", token.lifetime());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct OAuthClientCredentials {
    cached: Arc<Cached<Exchange>>,
}

impl OAuthClientCredentials {
    /// Starts with a client id and its secret; [`OAuthBuilder::token_url`] must follow.
    pub fn builder(client_id: impl Into<String>, client_secret: impl Into<String>) -> OAuthBuilder {
        OAuthBuilder::new(client_id.into(), client_secret.into())
    }

    /// Starts with the [token endpoint](ATHENA_TOKEN_URL) and the [audience](ATHENA_AUDIENCE)
    /// of the Athena service.
    pub fn athena(client_id: impl Into<String>, client_secret: impl Into<String>) -> OAuthBuilder {
        Self::builder(client_id, client_secret)
            .token_url(ATHENA_TOKEN_URL)
            .audience(ATHENA_AUDIENCE)
    }

    /// Reads everything from the environment variables that Athena's clients share:
    ///
    /// | variable | default |
    /// | --- | --- |
    /// | `OAUTH_CLIENT_ID` | required |
    /// | `OAUTH_CLIENT_SECRET` | required |
    /// | `OAUTH_AUTH_URL` | [`ATHENA_TOKEN_URL`] |
    /// | `OAUTH_AUDIENCE` | [`ATHENA_AUDIENCE`] |
    ///
    /// A variable that is set to nothing counts as not set. To change more than these, go
    /// through [`builder_from_env`](Self::builder_from_env).
    ///
    /// # Errors
    /// If a required variable is missing, or a value cannot work.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::builder_from_env()?.build()
    }

    /// As [`from_env`](Self::from_env), to be changed further before it is built.
    ///
    /// # Errors
    /// If a required variable is missing, or is not Unicode.
    pub fn builder_from_env() -> Result<OAuthBuilder, ConfigError> {
        environment::read(|name| std::env::var_os(name))
    }
}

impl TokenSource for OAuthClientCredentials {
    fn token(&self) -> BoxFuture<'_, Result<Token, AuthError>> {
        self.cached.token()
    }

    fn cached(&self) -> Option<Token> {
        self.cached.cached()
    }

    fn invalidate(&self, rejected: &Token) {
        self.cached.invalidate(rejected);
    }
}

impl fmt::Debug for OAuthClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthClientCredentials")
            .finish_non_exhaustive()
    }
}
