//! Which HTTP CONNECT proxy, if any, stands before the service.

use std::fmt;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

/// The choice of a proxy.
pub(crate) enum Proxy {
    /// `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, read when the client is built.
    Environment(Matcher),
    /// This one for every connection.
    Always(Matcher),
    /// None, whatever the environment says.
    Direct,
}

impl Proxy {
    pub(crate) fn environment() -> Self {
        Self::Environment(Matcher::from_env())
    }

    pub(crate) fn always(url: &str) -> Self {
        Self::Always(Matcher::builder().all(url).build())
    }

    pub(crate) fn for_target(&self, target: &Uri) -> Option<Intercept> {
        match self {
            Self::Environment(matcher) | Self::Always(matcher) => matcher.intercept(target),
            Self::Direct => None,
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A proxy's URL may hold a password.
        f.write_str(match self {
            Self::Environment(_) => "from the environment",
            Self::Always(_) => "set by the caller",
            Self::Direct => "none",
        })
    }
}
