//! A proxy, as its URL says.

use std::fmt;

use http::uri::Authority;
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use crate::BuildError;

/// A proxy that carries connections of TCP (HTTP CONNECT).
#[derive(Clone)]
pub struct Proxy {
    setting: &'static str,
    encrypted: bool,
    host: String,
    port: u16,
    credentials: Option<Credentials>,
}

#[derive(Clone)]
#[cfg_attr(not(any(feature = "connect", feature = "reqwest")), expect(dead_code))]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: Zeroizing<String>,
}

impl Proxy {
    /// Reads `scheme://user:password@host:port`, of which the host is all that must be there.
    ///
    /// By hand, since URL parsers differ in what they make of a host without a scheme and of
    /// passwords with an `@`, and their errors show the password.
    pub(crate) fn parse(setting: &'static str, text: &str) -> Result<Self, BuildError> {
        let refuse = |problem: &str| BuildError::new(setting, problem);
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let encrypted = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => {
                return Err(refuse(
                    "a proxy is http://host:port or https://host:port; SOCKS and others are not supported",
                ));
            }
        };
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (Some(credentials), rest),
            None => (None, rest),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let no_host = || refuse("is not a proxy: give http://host:port");
        let authority: Authority = authority.parse().map_err(|_| no_host())?;
        let host = authority.host();
        if host.is_empty() {
            return Err(no_host());
        }
        let port = match (authority.port(), authority.port_u16()) {
            (None, _) if authority.as_str().len() > host.len() => return Err(no_host()),
            (None, _) if encrypted => 443,
            (None, _) => 80,
            (Some(_), Some(port)) if port > 0 => port,
            _ => return Err(refuse("names a port that does not exist")),
        };
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(|text| text.into_owned())
                .map_err(|_| refuse("holds credentials that are not text"))
        };
        let credentials = credentials.map(|credentials| {
            let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
            Ok(Credentials {
                user: decoded(user)?,
                password: Zeroizing::new(decoded(password)?),
            })
        });
        Ok(Self {
            setting,
            encrypted,
            host: host.to_owned(),
            port,
            credentials: credentials.transpose()?,
        })
    }

    /// The environment variable, or the builder's method, that names this proxy.
    pub fn setting(&self) -> &'static str {
        self.setting
    }

    /// Its host; an IPv6 address stands in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Whether the proxy itself is spoken to over TLS.
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    #[cfg_attr(not(any(feature = "connect", feature = "reqwest")), expect(dead_code))]
    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }
}

/// Shows no credentials.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.encrypted { "https" } else { "http" };
        write!(
            f,
            "{scheme}://{}:{} ({})",
            self.host, self.port, self.setting
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_in_every_form() {
        for (text, shown) in [
            ("http://proxy:3128", "http://proxy:3128 (proxy)"),
            ("HTTP://proxy:3128/", "http://proxy:3128 (proxy)"),
            (" proxy:3128 ", "http://proxy:3128 (proxy)"),
            ("proxy", "http://proxy:80 (proxy)"),
            ("https://proxy.example", "https://proxy.example:443 (proxy)"),
            ("http://[::1]:3128", "http://[::1]:3128 (proxy)"),
            ("10.0.0.1:3128", "http://10.0.0.1:3128 (proxy)"),
        ] {
            let proxy = Proxy::parse("proxy", text).expect(text);
            assert_eq!(format!("{proxy:?}"), shown);
            assert!(proxy.credentials().is_none());
        }
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        for (text, user, password) in [
            ("http://user:hunter2@proxy:1", "user", "hunter2"),
            ("user:hunter2@proxy:1", "user", "hunter2"),
            ("http://user:p%40ss%3A@proxy:1", "user", "p@ss:"),
            ("http://user:p@ss:word@proxy:1", "user", "p@ss:word"),
            ("http://user@proxy:1", "user", ""),
        ] {
            let proxy = Proxy::parse("proxy", text).expect(text);
            let found = proxy.credentials().expect(text);
            assert_eq!(
                (found.user.as_str(), found.password.as_str()),
                (user, password)
            );
            assert_eq!(format!("{proxy:?}"), "http://proxy:1 (proxy)");
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_showing_it() {
        for text in [
            "",
            "http://",
            "://proxy",
            ":3128",
            "http://:3128",
            "http://proxy:0",
            "http://proxy:99999",
            "http://proxy:port",
            "http://proxy:",
            "http://proxy:3128/path",
            "http://pro xy:3128",
            "not a url",
            "ftp://proxy",
            "socks5://proxy:1080",
            "socks5h://proxy:1080",
            "http://user:hunter2@",
            "http://user:%ff@proxy:1",
        ] {
            let error = Proxy::parse("proxy", text).expect_err(text);
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }
}
