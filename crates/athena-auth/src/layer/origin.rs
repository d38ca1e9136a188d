//! Origins: scheme, host and port.

use std::borrow::Cow;
use std::fmt;

use http::Uri;

use athena_net::is_loopback;

/// Where a request goes, as browsers tell places apart (RFC 6454): scheme, host and port, the
/// latter by the scheme's default when the URL names none. Borrowed from a URL as a rule, since
/// every request is judged by one.
#[derive(Clone, Debug)]
pub(super) struct Origin<'a> {
    scheme: Cow<'a, str>,
    host: Cow<'a, str>,
    port: Option<u16>,
}

impl<'a> Origin<'a> {
    /// Where a request with this URL goes. What the URL leaves out is `base`'s; `None` if it
    /// leaves something out and there is no base.
    pub(super) fn of(uri: &'a Uri, base: Option<&'a Self>) -> Option<Self> {
        let Some(host) = uri.host() else {
            return base.cloned();
        };
        let scheme = match uri.scheme_str() {
            Some(scheme) => scheme,
            None => &base?.scheme,
        };
        let port = uri.port_u16().or(match scheme {
            "https" => Some(443),
            "http" => Some(80),
            _ => None,
        });
        Some(Self {
            scheme: scheme.into(),
            host: host.into(),
            port,
        })
    }

    pub(super) fn into_owned(self) -> Origin<'static> {
        Origin {
            scheme: self.scheme.into_owned().into(),
            host: self.host.to_ascii_lowercase().into(),
            port: self.port,
        }
    }

    /// Whether what is sent there is encrypted, or stays on this machine.
    pub(super) fn is_safe(&self) -> bool {
        self.scheme == "https" || is_loopback(&self.host)
    }
}

impl PartialEq<Origin<'_>> for Origin<'_> {
    fn eq(&self, other: &Origin<'_>) -> bool {
        self.port == other.port
            && self.scheme.eq_ignore_ascii_case(&other.scheme)
            && self.host.eq_ignore_ascii_case(&other.host)
    }
}

/// As it would stand in a URL, with the port always there.
impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(uri: &'static str) -> Option<Origin<'static>> {
        Origin::of(&Uri::from_static(uri), None).map(Origin::into_owned)
    }

    #[test]
    fn a_default_port_and_capitals_make_no_difference() {
        for (one, other) in [
            ("https://example.com", "https://EXAMPLE.com:443/path?query"),
            ("http://example.com", "HTTP://example.com:80"),
            ("https://user@example.com", "https://example.com"),
            ("http://[::1]", "http://[::1]:80/"),
        ] {
            assert_eq!(origin(one), origin(other), "{one} {other}");
        }
    }

    #[test]
    fn scheme_host_and_port_all_count() {
        let here = origin("https://example.com");
        for other in [
            "http://example.com",
            "http://example.com:443",
            "https://example.com:8443",
            "https://api.example.com",
            "https://example.com.evil.example",
            "https://example.com@evil.example",
        ] {
            assert_ne!(here, origin(other), "{other}");
        }
    }

    #[test]
    fn what_a_url_leaves_out_is_that_of_the_base() {
        assert_eq!(origin("/path"), None);
        assert_eq!(origin("example.com:443"), None, "a CONNECT names no scheme");
        let base = origin("https://example.com");
        for (uri, resolved) in [
            ("/path", "https://example.com"),
            ("example.com:443", "https://example.com"),
            ("evil.example:443", "https://evil.example"),
        ] {
            let uri = Uri::from_static(uri);
            assert_eq!(Origin::of(&uri, base.as_ref()), origin(resolved), "{uri}");
        }
    }

    #[test]
    fn it_is_shown_with_its_port_and_without_credentials() {
        let shown = origin("https://user:secret@example.com/a?b").expect("absolute");
        assert_eq!(shown.to_string(), "https://example.com:443");
    }
}
