//! How a cache gets its tokens.

use std::future::Future;

use crate::{AuthError, Token};

/// Obtains one fresh token. Implemented for every async closure that returns a
/// `Result<Token, AuthError>`, so that it seldom needs to be implemented by hand.
///
/// [`Cached`](crate::Cached) calls it from a task of its own, never twice at the same time,
/// and puts a time limit on each call.
pub trait Fetch: Send + Sync + 'static {
    /// Obtains one fresh token.
    ///
    /// Say how long it is valid with [`Token::with_lifetime`]: a token without a lifetime is
    /// kept until the server rejects it. Whether a failure is tried again is decided by the
    /// error's [kind](crate::AuthErrorKind::is_transient).
    fn fetch(&self) -> impl Future<Output = Result<Token, AuthError>> + Send;

    /// The server rejected this token, which was obtained here.
    fn rejected(&self, token: &Token) {
        let _ = token;
    }

    /// What log events call this source. Must hold no secret.
    fn name(&self) -> &str {
        "custom"
    }
}

impl<F, R> Fetch for F
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Result<Token, AuthError>> + Send,
{
    fn fetch(&self) -> impl Future<Output = Result<Token, AuthError>> + Send {
        self()
    }
}
