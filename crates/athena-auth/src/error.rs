//! What can go wrong while a token is obtained or attached.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why no token could be had.
///
/// Cheap to clone: when many callers wait for one token request, all of them get the same error.
///
/// Neither `Display` nor `Debug` ever shows a client secret, a token, or anything that the
/// token endpoint wrote in a response body other than a short, checked error code.
///
/// # What each kind means, and what to do
///
/// | kind | meaning | what to do |
/// | --- | --- | --- |
/// | [`Denied`](AuthErrorKind::Denied) | the token endpoint refused these credentials, this audience or this scope | correct the settings; retrying cannot help |
/// | [`RateLimited`](AuthErrorKind::RateLimited) | the endpoint answered 429 | wait [`retry_after`](AuthError::retry_after); share one source per process instead of making one per request |
/// | [`Unavailable`](AuthErrorKind::Unavailable) | no connection, a connection that broke, 408 or 5xx | nothing: it was retried already; call again later |
/// | [`Timeout`](AuthErrorKind::Timeout) | the endpoint did not answer in time | look for a firewall or proxy that swallows packets |
/// | [`Tls`](AuthErrorKind::Tls) | the endpoint's certificate is not trusted, or it speaks no safe TLS | add its CA, or correct the host name or the clock |
/// | [`Proxy`](AuthErrorKind::Proxy) | the proxy wants credentials, or others (HTTP 407) | give the proxy as `http://user:password@host:port` |
/// | [`InvalidResponse`](AuthErrorKind::InvalidResponse) | the answer was not a token response | check that the URL is a token endpoint and that no proxy or login page answers in its place |
/// | [`InvalidToken`](AuthErrorKind::InvalidToken) | the token cannot be put in a header | check what the source reads: a truncated file, a binary secret |
/// | [`Secret`](AuthErrorKind::Secret) | the client secret, key or assertion could not be had, or is not one | check the file, variable or command that it comes from |
/// | [`Insecure`](AuthErrorKind::Insecure) | the token would have left in the clear | use `https`, or allow plaintext explicitly |
/// | [`ForeignOrigin`](AuthErrorKind::ForeignOrigin) | the token would have left for another origin than it is for: a redirect, most likely | follow the redirect without a token, or name that origin on the layer |
/// | [`Runtime`](AuthErrorKind::Runtime) | called outside a Tokio runtime, in one that is shutting down, or in one without timers or IO | call from async code on a live runtime made with `enable_all()` |
/// | [`Panicked`](AuthErrorKind::Panicked) | the fetch function panicked | correct the fetch function; the source itself stays usable |
#[derive(Clone)]
pub struct AuthError(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: AuthErrorKind,
    message: Cow<'static, str>,
    status: Option<u16>,
    code: Option<Box<str>>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// The kind of an [`AuthError`]; its documentation says what to do about each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthErrorKind {
    /// The credentials, the audience or the scope were refused (HTTP 400, 401 or 403).
    Denied,
    /// The endpoint asks for fewer requests (HTTP 429).
    RateLimited,
    /// The endpoint cannot be reached or cannot answer now.
    Unavailable,
    /// The endpoint did not answer in time.
    Timeout,
    /// The endpoint's certificate was not accepted, or it speaks no version of TLS that is safe.
    Tls,
    /// The proxy before the endpoint wants credentials, or others.
    Proxy,
    /// Something answered, but not with a token response.
    InvalidResponse,
    /// The token holds characters that no header may carry, or none at all.
    InvalidToken,
    /// The client's own secret, key or assertion could not be had, or cannot be used.
    Secret,
    /// Attaching the token would have sent it over an unencrypted connection.
    Insecure,
    /// Attaching the token would have sent it to an origin that it is not for.
    ForeignOrigin,
    /// There is no usable Tokio runtime.
    Runtime,
    /// The fetch function panicked.
    Panicked,
}

impl AuthErrorKind {
    /// A stable name in snake case, for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Proxy => "proxy",
            Self::InvalidResponse => "invalid_response",
            Self::InvalidToken => "invalid_token",
            Self::Secret => "secret",
            Self::Insecure => "insecure",
            Self::ForeignOrigin => "foreign_origin",
            Self::Runtime => "runtime",
            Self::Panicked => "panicked",
        }
    }

    /// Whether the same request may well succeed later, with nothing changed.
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::RateLimited | Self::Unavailable | Self::Timeout)
    }
}

impl AuthError {
    /// An error of a custom source or fetch function.
    ///
    /// The kind decides whether [`Cached`](crate::Cached) retries: see
    /// [`AuthErrorKind::is_transient`]. Keep secrets out of the message: it is logged.
    ///
    /// ```
    /// use athena_auth::{AuthError, AuthErrorKind};
    ///
    /// let broken = std::io::Error::other("connection reset");
    /// let error = AuthError::new(AuthErrorKind::Unavailable, "the vault did not answer").with_source(broken);
    /// assert!(error.is_transient());
    /// ```
    pub fn new(kind: AuthErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            status: None,
            code: None,
            retry_after: None,
            source: None,
        }))
    }

    /// Adds the underlying error, to be found by [`Error::source`].
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.change(|inner| inner.source = Some(source.into().into()))
    }

    /// Adds the time for which the other side wants to be left alone.
    #[must_use]
    pub fn with_retry_after(self, wait: Duration) -> Self {
        self.change(|inner| inner.retry_after = Some(wait))
    }

    #[cfg(feature = "oauth")]
    pub(crate) fn with_status(self, status: http::StatusCode) -> Self {
        self.change(|inner| inner.status = Some(status.as_u16()))
    }

    #[cfg(feature = "oauth")]
    pub(crate) fn with_code(self, code: &str) -> Self {
        self.change(|inner| inner.code = Some(code.into()))
    }

    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> AuthErrorKind {
        self.0.kind
    }

    /// Whether the same request may well succeed later, with nothing changed.
    pub fn is_transient(&self) -> bool {
        self.0.kind.is_transient()
    }

    /// The HTTP status of the token endpoint's answer, if it gave one.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The OAuth 2.0 error code of the answer (RFC 6749, section 5.2), such as `invalid_client`.
    pub fn oauth_code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// How long the token endpoint asked to be left alone, as it said it.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match (self.0.status, self.oauth_code()) {
            (Some(status), Some(code)) => write!(f, " (HTTP {status}, {code})"),
            (Some(status), None) => write!(f, " (HTTP {status})"),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthError")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("status", &self.0.status)
            .field("oauth_code", &self.0.code)
            .field("retry_after", &self.0.retry_after)
            .field("source", &self.0.source)
            .finish()
    }
}

impl Error for AuthError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_is_shared_can_be_added_to() {
        let shared = AuthError::new(AuthErrorKind::Unavailable, "the vault did not answer");
        let detailed = shared
            .clone()
            .with_retry_after(Duration::from_secs(7))
            .with_source(std::io::Error::other("reset"));
        assert_eq!(detailed.retry_after(), Some(Duration::from_secs(7)));
        assert!(detailed.source().is_some());
        assert!(shared.source().is_none());
    }
}
