//! Tokens by the OAuth 2.0 client-credentials grant (RFC 6749, section 4.4).

mod answer;
mod authentication;
mod builder;
mod exchange;
mod http_client;
mod quota;
mod refusal;
mod request;
#[cfg(feature = "store")]
mod shared;
mod transport;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub use self::authentication::ClientAuthentication;
#[cfg(feature = "jwt")]
pub use self::authentication::{JwtAssertion, SigningAlgorithm};
pub use self::builder::OAuthBuilder;
use self::exchange::Exchange;
use crate::{AuthError, BoxFuture, Cached, Token, TokenSource, Usage};
pub use athena_net::BuildError;

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
    /// Starts with a client id and how it authenticates: a secret that never changes, or any other
    /// [`ClientAuthentication`]. [`OAuthBuilder::token_url`] must follow.
    pub fn builder(
        client_id: impl Into<String>,
        authentication: impl Into<ClientAuthentication>,
    ) -> OAuthBuilder {
        OAuthBuilder::new(client_id.into(), authentication.into())
    }

    /// What this source, with all its clones, has done so far. [`Usage::quota`] holds what the
    /// endpoint last said of its limits: Auth0's `auth0-client-quota-limit`, and the headers
    /// that begin with `x-ratelimit-` or `ratelimit`.
    pub fn usage(&self) -> Usage {
        let exchange = self.cached.fetch();
        let mut usage = self.cached.usage();
        usage.requests = exchange.requests.load(Ordering::Relaxed);
        usage.quota = exchange.quota.told();
        usage
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

    fn metrics(&self) -> Option<Usage> {
        Some(self.usage())
    }
}

impl fmt::Debug for OAuthClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthClientCredentials")
            .finish_non_exhaustive()
    }
}
