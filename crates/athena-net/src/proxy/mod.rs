//! Which proxy, if any, stands before a host.

mod exempt;
mod url;

use std::ffi::OsString;
use std::fmt;

use http::Uri;

use self::exempt::Exemptions;
pub use self::url::Proxy;
use crate::{BuildError, is_loopback};

/// The choice of a proxy.
pub(crate) enum Proxies {
    None,
    /// This one for every connection.
    Always(Proxy),
    Environment {
        https: Option<Proxy>,
        http: Option<Proxy>,
        exempt: Exemptions,
    },
}

impl Proxies {
    /// As the environment says. A value that cannot be used is an error, never ignored: traffic
    /// would go another way than somebody meant.
    pub(crate) fn from_env(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, BuildError> {
        let read = |names: &[&'static str]| {
            let found = names.iter().find_map(|name| {
                let value = lookup(name)?;
                (!value.is_empty()).then_some((*name, value))
            });
            let Some((name, value)) = found else {
                return Ok(None);
            };
            let text = value
                .into_string()
                .map_err(|_| BuildError::new(name, "is not valid Unicode"))?;
            Ok(Some((name, text)).filter(|(_, text)| !text.trim().is_empty()))
        };
        let proxy = |names: &[&'static str]| {
            let found = read(names)?;
            found
                .map(|(name, text)| Proxy::parse(name, &text))
                .transpose()
        };
        // A web server passes a request's header `Proxy` to CGI programs as HTTP_PROXY.
        let plain: &[&str] = match lookup("REQUEST_METHOD") {
            Some(_) => &["http_proxy"],
            None => &["http_proxy", "HTTP_PROXY"],
        };
        let all = proxy(&["all_proxy", "ALL_PROXY"])?;
        Ok(Self::Environment {
            https: proxy(&["https_proxy", "HTTPS_PROXY"])?.or_else(|| all.clone()),
            http: proxy(plain)?.or(all),
            exempt: match read(&["no_proxy", "NO_PROXY"])? {
                Some((name, list)) => Exemptions::parse(name, &list)?,
                None => Exemptions::default(),
            },
        })
    }

    /// The proxy before this target.
    pub(crate) fn before(&self, target: &Uri) -> Option<&Proxy> {
        match self {
            Self::None => None,
            Self::Always(proxy) => Some(proxy),
            Self::Environment {
                https,
                http,
                exempt,
            } => {
                let (proxy, port) = match target.scheme_str() {
                    Some("http") => (http, 80),
                    _ => (https, 443),
                };
                let proxy = proxy.as_ref()?;
                let host = target.host()?;
                let port = target.port_u16().unwrap_or(port);
                let direct = is_loopback(host) || exempt.holds(host, port);
                (!direct).then_some(proxy)
            }
        }
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Always(proxy) => fmt::Debug::fmt(proxy, f),
            Self::Environment {
                https,
                http,
                exempt,
            } => f
                .debug_struct("Environment")
                .field("https", https)
                .field("http", http)
                .field("exempt", exempt)
                .finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Result<Proxies, BuildError> {
        Proxies::from_env(|wanted| {
            let found = variables.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    fn before(variables: &[(&str, &str)], target: &'static str) -> Option<String> {
        let proxies = environment(variables).expect("usable values");
        let proxy = proxies.before(&Uri::from_static(target));
        proxy.map(|proxy| format!("{} {}", proxy.setting(), proxy.address()))
    }

    #[test]
    fn each_scheme_has_its_variable_and_all_is_for_the_rest() {
        const SET: &[(&str, &str)] = &[
            ("HTTPS_PROXY", "http://secure:1"),
            ("HTTP_PROXY", "plain:2"),
            ("ALL_PROXY", "http://all:3"),
        ];
        for (variables, target, expected) in [
            (SET, "https://api.example.com", Some("HTTPS_PROXY secure:1")),
            (SET, "http://api.example.com", Some("HTTP_PROXY plain:2")),
            (
                &SET[2..],
                "https://api.example.com",
                Some("ALL_PROXY all:3"),
            ),
            (&SET[2..], "http://api.example.com", Some("ALL_PROXY all:3")),
            (&SET[..1], "http://api.example.com", None),
            (
                &[("https_proxy", "small:4"), SET[0]],
                "https://a.example",
                Some("https_proxy small:4"),
            ),
            (
                &[("https_proxy", ""), SET[0]],
                "https://a.example",
                Some("HTTPS_PROXY secure:1"),
            ),
            (
                &[("REQUEST_METHOD", "GET"), SET[1]],
                "http://a.example",
                None,
            ),
            (&[], "https://api.example.com", None),
        ] {
            assert_eq!(
                before(variables, target).as_deref(),
                expected,
                "{variables:?} {target}"
            );
        }
    }

    #[test]
    fn loopback_is_reached_without() {
        let variables = [
            ("HTTPS_PROXY", "http://proxy:1"),
            ("ALL_PROXY", "http://proxy:1"),
        ];
        for target in [
            "https://localhost:5000",
            "https://127.0.0.1:5000",
            "https://[::1]:5000",
            "http://api.localhost",
        ] {
            assert_eq!(before(&variables, target), None, "{target}");
        }
        let always = Proxies::Always(Proxy::parse("proxy", "proxy:1").expect("a proxy"));
        let local = Uri::from_static("https://localhost:5000");
        assert!(always.before(&local).is_some(), "said for every connection");
    }

    #[test]
    fn no_proxy_names_what_is_reached_without() {
        let variables = |list| [("HTTPS_PROXY", "http://proxy:1"), ("NO_PROXY", list)];
        let list = "internal.example, 10.0.0.0/8,api.example.com:8443";
        for (target, direct) in [
            ("https://deep.internal.example", true),
            ("https://10.9.8.7", true),
            ("https://api.example.com:8443", true),
            ("https://api.example.com", false),
        ] {
            assert_eq!(
                before(&variables(list), target).is_none(),
                direct,
                "{target}"
            );
        }
    }

    #[test]
    fn a_value_that_cannot_be_used_is_an_error() {
        for (name, value) in [
            ("HTTPS_PROXY", "::::"),
            ("https_proxy", "ftp://proxy"),
            ("ALL_PROXY", "socks4://proxy:1080"),
            ("HTTP_PROXY", "http://proxy:99999"),
            ("NO_PROXY", "10.0.0.0/99"),
            ("no_proxy", "example.com:port"),
        ] {
            let error = environment(&[(name, value)]).expect_err(value);
            assert_eq!(error.setting(), name);
        }
    }
}
