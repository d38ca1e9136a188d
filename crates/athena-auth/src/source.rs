//! The trait that everything else plugs into.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::{AuthError, Token, Usage};

/// An owned, dynamically typed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Something that hands out tokens which are valid now.
///
/// Implement it for a token broker of your own. Where the broker only needs a cache in front of
/// an async function, [`Cached`](crate::Cached) is less work and keeps more promises.
///
/// ```
/// use athena_auth::{AuthError, BoxFuture, Token, TokenSource};
///
/// /// Reads the token from an environment variable each time it is asked.
/// #[derive(Debug)]
/// struct FromEnvironment(&'static str);
///
/// impl TokenSource for FromEnvironment {
///     fn token(&self) -> BoxFuture<'_, Result<Token, AuthError>> {
///         let secret = std::env::var(self.0).unwrap_or_default();
///         Box::pin(async move { Token::bearer(secret) })
///     }
/// }
/// ```
pub trait TokenSource: fmt::Debug + Send + Sync {
    /// A token that is valid now. Cheap when one is cached.
    fn token(&self) -> BoxFuture<'_, Result<Token, AuthError>>;

    /// The cached token, if one can be handed out with no waiting at all.
    ///
    /// Never blocks and never allocates. Callers try it before [`token`](Self::token).
    fn cached(&self) -> Option<Token> {
        None
    }

    /// Whether a token can be had: for the start of a program, so that wrong credentials are told
    /// before anything depends on them. The token is kept for the first call.
    fn ready(&self) -> BoxFuture<'_, Result<(), AuthError>> {
        Box::pin(async move { self.token().await.map(drop) })
    }

    /// The server rejected this very token: forget it, if it is still the current one.
    fn invalidate(&self, rejected: &Token) {
        let _ = rejected;
    }

    /// What it has done since it was made, if it counts that: for metrics.
    fn metrics(&self) -> Option<Usage> {
        None
    }
}

macro_rules! delegate {
    ($($pointer:ty),+) => {$(
        impl<T: TokenSource + ?Sized> TokenSource for $pointer {
            fn token(&self) -> BoxFuture<'_, Result<Token, AuthError>> {
                (**self).token()
            }

            fn cached(&self) -> Option<Token> {
                (**self).cached()
            }

            fn ready(&self) -> BoxFuture<'_, Result<(), AuthError>> {
                (**self).ready()
            }

            fn invalidate(&self, rejected: &Token) {
                (**self).invalidate(rejected);
            }

            fn metrics(&self) -> Option<Usage> {
                (**self).metrics()
            }
        }
    )+};
}

delegate!(&T, Box<T>, Arc<T>);
