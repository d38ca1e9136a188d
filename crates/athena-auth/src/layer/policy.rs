//! Which requests may carry a token.

use http::header::AUTHORIZATION;
use http::{Request, Uri};

use crate::loopback::is_loopback;
use crate::{AuthError, ErrorKind};

#[derive(Clone, Debug, Default)]
pub(super) struct Policy {
    /// Whether requests without a scheme of their own go where a token may.
    origin_is_safe: Option<bool>,
    pub(super) allow_plaintext: bool,
    pub(super) overwrite: bool,
}

impl Policy {
    pub(super) fn set_origin(&mut self, origin: &Uri) {
        self.origin_is_safe = is_safe(origin);
    }

    /// Whether this request gets a token.
    pub(super) fn wants_token<B>(&self, request: &Request<B>) -> bool {
        self.overwrite || !request.headers().contains_key(AUTHORIZATION)
    }

    /// Whether a token may travel with this request.
    pub(super) fn check(&self, uri: &Uri) -> Result<(), AuthError> {
        if self.allow_plaintext {
            return Ok(());
        }
        match is_safe(uri).or(self.origin_is_safe) {
            Some(true) => Ok(()),
            Some(false) => Err(AuthError::new(
                ErrorKind::Insecure,
                "refused to send a token over plain http: use https, or allow plaintext on the authorization layer",
            )),
            None => Err(AuthError::new(
                ErrorKind::Insecure,
                "refused to send a token to an unknown place: the request has no scheme, so tell the \
                 authorization layer its origin",
            )),
        }
    }
}

/// `None` if the URL does not say where it leads.
fn is_safe(uri: &Uri) -> Option<bool> {
    let scheme = uri.scheme_str()?;
    Some(scheme == "https" || uri.host().is_some_and(is_loopback))
}
