//! The token itself.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::{AuthError, AuthErrorKind};

/// A token, ready to be sent: scheme and secret as one finished `authorization` header.
///
/// A clone shares the secret by reference count; the memory that holds it is zeroed when the
/// last clone goes, those inside finished requests included. `Debug` shows no secret, and the
/// header is marked sensitive so that HTTP/2 does not index it and debug output hides it.
#[derive(Clone)]
pub struct Token(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    header: HeaderValue,
    scheme_len: usize,
    lifetime: Option<Duration>,
    expires_at: Option<SystemTime>,
    id: TokenId,
}

/// Tells one obtained token from the next, even when the server hands out the same text twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenId(u64);

impl Token {
    /// A bearer token (RFC 6750). White space around it, such as a file's last newline, is dropped.
    ///
    /// # Errors
    /// [`AuthErrorKind::InvalidToken`] if it is empty or not made of visible ASCII characters.
    pub fn bearer(secret: impl Into<String>) -> Result<Self, AuthError> {
        Self::new("Bearer", secret)
    }

    /// A token of any scheme. An empty scheme, or `bearer` in any case, is read as `Bearer`.
    ///
    /// # Errors
    /// [`AuthErrorKind::InvalidToken`] if scheme or secret cannot stand in a header.
    pub fn new(scheme: &str, secret: impl Into<String>) -> Result<Self, AuthError> {
        let secret = Zeroizing::new(secret.into());
        let secret = secret.trim();
        if secret.is_empty() {
            return Err(AuthError::new(
                AuthErrorKind::InvalidToken,
                "the token is empty",
            ));
        }
        let scheme = match scheme.trim() {
            "" => "Bearer",
            scheme if scheme.eq_ignore_ascii_case("bearer") => "Bearer",
            scheme => scheme,
        };
        if !is_visible(scheme) || !is_visible(secret) {
            return Err(AuthError::new(
                AuthErrorKind::InvalidToken,
                "the token holds characters that a header cannot carry",
            ));
        }
        let mut value = Zeroizing::new(Vec::with_capacity(scheme.len() + 1 + secret.len()));
        value.extend_from_slice(scheme.as_bytes());
        value.push(b' ');
        value.extend_from_slice(secret.as_bytes());
        let mut header =
            HeaderValue::from_maybe_shared(Bytes::from_owner(value)).map_err(|error| {
                AuthError::new(
                    AuthErrorKind::InvalidToken,
                    "the token holds characters that a header cannot",
                )
                .with_source(error)
            })?;
        header.set_sensitive(true);
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Ok(Self(Arc::new(Inner {
            header,
            scheme_len: scheme.len(),
            lifetime: None,
            expires_at: None,
            id: TokenId(NEXT.fetch_add(1, Ordering::Relaxed)),
        })))
    }

    /// Says how long the token is valid, from now. Without it a token never expires.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        let inner = Arc::make_mut(&mut self.0);
        inner.lifetime = Some(lifetime);
        inner.expires_at = SystemTime::now().checked_add(lifetime);
        self
    }

    /// The finished value for the `authorization` header, marked sensitive.
    pub fn header_value(&self) -> &HeaderValue {
        &self.0.header
    }

    /// The authentication scheme, normally `Bearer`.
    pub fn scheme(&self) -> &str {
        &self.text()[..self.0.scheme_len]
    }

    /// The secret in the clear, for the rare caller that has to hand it on. Never log it.
    pub fn expose_secret(&self) -> &str {
        &self.text()[self.0.scheme_len + 1..]
    }

    /// How long the token was valid when it was obtained; `None` if it does not expire.
    pub fn lifetime(&self) -> Option<Duration> {
        self.0.lifetime
    }

    /// When the token expires by the wall clock, for display only: caches judge by a clock that
    /// does not jump.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.0.expires_at
    }

    pub(crate) fn id(&self) -> TokenId {
        self.0.id
    }

    fn text(&self) -> &str {
        // Checked to be visible ASCII by `new`.
        self.0.header.to_str().unwrap_or_default()
    }
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("scheme", &self.scheme())
            .field("secret", &"[redacted]")
            .field("lifetime", &self.lifetime())
            .field("expires_at", &self.expires_at())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_a_header_or_an_error(scheme in ".{0,12}", secret in ".{0,60}") {
            match Token::new(&scheme, secret.clone()) {
                Ok(token) => {
                    prop_assert_eq!(token.expose_secret(), secret.trim());
                    let whole = format!("{} {}", token.scheme(), token.expose_secret());
                    prop_assert_eq!(token.header_value(), whole.as_str());
                    prop_assert!(token.header_value().is_sensitive());
                }
                Err(error) => prop_assert_eq!(error.kind(), AuthErrorKind::InvalidToken),
            }
        }
    }

    #[test]
    fn white_space_around_a_token_is_dropped() {
        let token = Token::bearer(" abc\r\n").expect("a good token");
        assert_eq!(token.header_value(), "Bearer abc");
    }

    #[test]
    fn a_token_shows_no_secret() {
        let token = Token::bearer("abc-secret").expect("a good token");
        let shown = format!("{token:?} {token:#?} {:?}", token.header_value());
        assert!(!shown.contains("abc-secret"), "{shown}");
    }

    #[test]
    fn clones_share_one_copy_of_the_secret() {
        let token = Token::bearer("abc").expect("a good token");
        let clone = token.clone();
        assert_eq!(
            token.expose_secret().as_ptr(),
            clone.expose_secret().as_ptr()
        );
        assert_eq!(
            token.expose_secret().as_ptr(),
            clone.header_value().as_bytes()[7..].as_ptr()
        );
    }
}
