//! A token that never changes.

use std::future::ready;

use crate::{AuthError, BoxFuture, Token, TokenSource};

/// A fixed token: for tests, for a short-lived process that was handed one, and for services
/// with keys that do not expire. It cannot refresh: once the server rejects it, every later
/// call is rejected too.
///
/// ```
/// use athena_auth::{Static, TokenSource};
///
/// let source = Static::bearer("a-token-from-elsewhere")?;
/// assert_eq!(source.cached().expect("always there").scheme(), "Bearer");
/// # Ok::<(), athena_auth::AuthError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Static {
    token: Token,
}

impl Static {
    /// Always hands out this token.
    pub fn new(token: Token) -> Self {
        Self { token }
    }

    /// Always hands out this bearer token.
    ///
    /// # Errors
    /// As [`Token::bearer`].
    pub fn bearer(secret: impl Into<String>) -> Result<Self, AuthError> {
        Token::bearer(secret).map(Self::new)
    }
}

impl TokenSource for Static {
    fn token(&self) -> BoxFuture<'_, Result<Token, AuthError>> {
        Box::pin(ready(Ok(self.token.clone())))
    }

    fn cached(&self) -> Option<Token> {
        Some(self.token.clone())
    }
}
