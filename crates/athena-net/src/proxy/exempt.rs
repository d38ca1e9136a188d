//! `NO_PROXY`: what is reached without a proxy.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::BuildError;

/// The entries of a list, each for all ports or for one.
#[derive(Debug, Default)]
pub(crate) struct Exemptions(Vec<(Hosts, Option<u16>)>);

#[derive(Debug, PartialEq)]
enum Hosts {
    All,
    Network(IpNet),
    /// A name and all names below it, in lower case.
    Domain(String),
}

impl Exemptions {
    /// Entries stand between commas or blanks.
    pub(crate) fn parse(setting: &'static str, list: &str) -> Result<Self, BuildError> {
        let entries = list.split(|c: char| c == ',' || c.is_whitespace());
        let entries = entries.filter(|entry| !entry.is_empty()).map(|entry| {
            parse(entry).ok_or_else(|| {
                let problem = format!(
                    "{entry:?} is none of *, example.com, .example.com, *.example.com, 10.1.2.3, \
                     10.0.0.0/8, each with a :port or none"
                );
                BuildError::new(setting, problem)
            })
        });
        entries.collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn holds(&self, host: &str, port: u16) -> bool {
        let host = bare(host);
        let address = host
            .parse()
            .ok()
            .map(|address: IpAddr| address.to_canonical());
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.0.iter().any(|(hosts, only)| {
            only.is_none_or(|only| only == port)
                && match (hosts, address) {
                    (Hosts::All, _) => true,
                    (Hosts::Network(network), Some(address)) => network.contains(&address),
                    (Hosts::Domain(domain), None) => is_at_or_below(&host, domain),
                    _ => false,
                }
        })
    }
}

fn is_at_or_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|front| front.is_empty() || front.ends_with('.'))
}

/// An address without the brackets that it wears in a URL.
fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

fn parse(entry: &str) -> Option<(Hosts, Option<u16>)> {
    if let Some(hosts) = hosts(entry) {
        return Some((hosts, None));
    }
    let (front, port) = entry.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    Some((hosts(front)?, Some(port)))
}

fn hosts(text: &str) -> Option<Hosts> {
    if text == "*" {
        return Some(Hosts::All);
    }
    let address = bare(text);
    if let Ok(address) = address.parse::<IpAddr>() {
        return Some(Hosts::Network(address.to_canonical().into()));
    }
    if address.contains('/') {
        return address.parse().ok().map(Hosts::Network);
    }
    let name = text.strip_prefix('*').unwrap_or(text);
    if name.len() < text.len() && !name.starts_with('.') {
        return None;
    }
    let name = name.strip_prefix('.').unwrap_or(name);
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let strange = |c: char| matches!(c, ':' | '*' | '[' | ']' | '@');
    (!name.is_empty() && !name.contains(strange)).then_some(Hosts::Domain(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(list: &str, host: &str, port: u16) -> bool {
        Exemptions::parse("NO_PROXY", list)
            .expect(list)
            .holds(host, port)
    }

    #[test]
    fn every_form_of_an_entry() {
        for (list, host, port, expected) in [
            ("*", "anything.example", 443, true),
            ("*", "10.1.2.3", 443, true),
            ("example.com", "example.com", 443, true),
            ("example.com", "api.example.com", 443, true),
            ("example.com", "API.Example.COM.", 443, true),
            ("Example.com.", "api.example.com", 443, true),
            ("example.com", "notexample.com", 443, false),
            ("example.com", "example.com.evil.test", 443, false),
            (".example.com", "api.example.com", 443, true),
            (".example.com", "example.com", 443, true),
            ("*.example.com", "a.b.example.com", 443, true),
            ("*.example.com", "notexample.com", 443, false),
            ("example.com:8443", "example.com", 8443, true),
            ("example.com:8443", "example.com", 443, false),
            ("*:8443", "anything.example", 8443, true),
            ("10.1.2.3", "10.1.2.3", 443, true),
            ("10.1.2.3", "10.1.2.4", 443, false),
            ("10.1.2.3:8443", "10.1.2.3", 8443, true),
            ("10.1.2.3:8443", "10.1.2.3", 443, false),
            ("10.0.0.0/8", "10.255.0.1", 443, true),
            ("10.0.0.0/8", "11.0.0.1", 443, false),
            ("10.1.2.3/8", "10.255.0.1", 443, true),
            ("10.0.0.0/8", "10.example.com", 443, false),
            ("10.0.0.0/8", "[::ffff:10.1.2.3]", 443, true),
            ("::1", "[::1]", 443, true),
            ("[::1]:8443", "[::1]", 8443, true),
            ("[::1]:8443", "[::1]", 443, false),
            ("fd00::/8", "[fd12:3456::1]", 443, true),
            ("fd00::/8", "[fe80::1]", 443, false),
            ("a.example, b.example c.example,", "c.example", 443, true),
            ("", "example.com", 443, false),
        ] {
            assert_eq!(holds(list, host, port), expected, "{list:?} {host} {port}");
        }
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        for list in [
            "10.0.0.0/33",
            "example.com/8",
            "example.com:",
            "example.com:0",
            "example.com:99999",
            "http://example.com",
            "api.*.com",
            "*example.com",
            ".",
            "[::1",
        ] {
            assert!(Exemptions::parse("NO_PROXY", list).is_err(), "{list}");
        }
    }
}
