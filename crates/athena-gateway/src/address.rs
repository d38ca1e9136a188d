//! Where this server may go on a caller's behalf: to nothing that only it can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::{Host, Url};

/// Which addresses may be connected to, once a name is resolved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressRules {
    /// Whether private and loopback addresses may be, too. Those of links (169.254/16, fe80::/10), where clouds
    /// keep their metadata, and everything that is not a single host, never may.
    pub private: bool,
}

/// An address or URL that must not be gone to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RefusedAddress {
    message: String,
    unresolved: bool,
}

impl RefusedAddress {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            unresolved: false,
        }
    }

    /// Whether there is no address at all, for now as far as anybody knows.
    pub fn is_unresolved(&self) -> bool {
        self.unresolved
    }
}

impl AddressRules {
    /// Checks one address: that of a URL, or one that its name was resolved to.
    ///
    /// # Errors
    /// When it is none of a host out there.
    pub fn check(self, address: IpAddr) -> Result<(), RefusedAddress> {
        let refused = |what| Err(RefusedAddress::new(format!("{address} is {what}")));
        // An IPv4 address by any other name: mapped, compatible, NAT64, 6to4.
        let class = match address {
            IpAddr::V4(address) => class_v4(address),
            IpAddr::V6(address) => match embedded(address) {
                Some(inner) => class_v4(inner),
                None => class_v6(address),
            },
        };
        match class {
            Class::Public => Ok(()),
            Class::Private if self.private => Ok(()),
            Class::Private => refused("an address of a private network"),
            Class::Forbidden => refused("an address of no host that may be asked"),
        }
    }

    /// Resolves a name, and gives the addresses only if every one of them may be connected to: what is
    /// checked is what is connected to, whatever the name resolves to the next time.
    ///
    /// # Errors
    /// When the name does not resolve, or to an address that is refused.
    pub async fn resolve(self, host: &str, port: u16) -> Result<Vec<SocketAddr>, RefusedAddress> {
        let unresolved = || RefusedAddress {
            unresolved: true,
            ..RefusedAddress::new(format!("{host} does not resolve"))
        };
        let found = tokio::net::lookup_host((host, port)).await;
        let addresses: Vec<SocketAddr> = found.map_err(|_| unresolved())?.collect();
        for address in &addresses {
            self.check(address.ip())?;
        }
        match addresses.is_empty() {
            true => Err(unresolved()),
            false => Ok(addresses),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Public,
    /// Of this machine or of a network behind it.
    Private,
    /// Of a link, of nobody, or of many.
    Forbidden,
}

/// By the registry of special-purpose addresses (RFC 6890 and its updates).
fn class_v4(address: Ipv4Addr) -> Class {
    match address.octets() {
        [0, ..] | [169, 254, ..] | [192, 0, 0, _] | [198, 18..=19, ..] => Class::Forbidden,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] => {
            Class::Forbidden
        }
        [224..=255, ..] => Class::Forbidden,
        // Shared by carriers, and by clouds for their own services: 100.100.100.200 is metadata.
        [100, 64..=127, ..] => Class::Forbidden,
        // Azure's host node.
        [168, 63, 129, 16] => Class::Forbidden,
        [10, ..] | [127, ..] | [172, 16..=31, ..] | [192, 168, ..] => Class::Private,
        _ => Class::Public,
    }
}

fn class_v6(address: Ipv6Addr) -> Class {
    // AWS's metadata is at fd00:ec2::254, inside the private range.
    if address == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254) {
        return Class::Forbidden;
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Private,
        [0xfc00..=0xfdff, ..] => Class::Private,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Class::Forbidden,
        // Teredo, ORCHID and the like: tunnels, no hosts.
        [0x2001, 0..=0x1ff, ..] => Class::Forbidden,
        [0x2000..=0x3fff, ..] => Class::Public,
        _ => Class::Forbidden,
    }
}

/// The IPv4 address that traffic to an IPv6 one ends at.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(from(high, low))
        }
        [0x64, 0xff9b, 1, _, _, _, high, low] => Some(from(high, low)),
        [0x2002, high, low, ..] => Some(from(high, low)),
        _ => None,
    }
}

/// Which URLs may be gone to, and by which addresses.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    allowed: Vec<Url>,
    rules: AddressRules,
}

impl Guard {
    /// A guard that lets nothing pass yet.
    pub fn new(rules: AddressRules) -> Self {
        Self {
            allowed: Vec::new(),
            rules,
        }
    }

    /// Lets URLs pass that begin so: the same scheme, host and port, and the path or one below it.
    ///
    /// # Errors
    /// When it is not a URL with a host, or has a query, credentials or a fragment.
    pub fn allow(mut self, prefix: &str) -> Result<Self, RefusedAddress> {
        let url = Url::parse(prefix)
            .map_err(|error| RefusedAddress::new(format!("{prefix:?} is not a URL: {error}")))?;
        let plain = url.query().is_none() && url.fragment().is_none();
        if !url.has_host() || !plain || has_credentials(&url) {
            let text = format!("{prefix:?}: expected scheme://host[:port][/path] and nothing else");
            return Err(RefusedAddress::new(text));
        }
        self.allowed.push(url);
        Ok(self)
    }

    /// The rules for addresses.
    pub fn rules(&self) -> AddressRules {
        self.rules
    }

    /// Checks a URL: a caller's, and again each that a redirect leads to.
    ///
    /// # Errors
    /// When it is not on the list, has credentials, or is an address that is refused.
    pub fn check_url(&self, url: &str) -> Result<Url, RefusedAddress> {
        let url = Url::parse(url).map_err(|_| RefusedAddress::new("it is not a URL"))?;
        if has_credentials(&url) {
            return Err(RefusedAddress::new("it has credentials in it"));
        }
        if !self.allowed.iter().any(|prefix| begins_with(&url, prefix)) {
            return Err(RefusedAddress::new(
                "it is not on the list of those that are allowed",
            ));
        }
        match url.host() {
            Some(Host::Ipv4(address)) => self.rules.check(address.into())?,
            Some(Host::Ipv6(address)) => self.rules.check(address.into())?,
            Some(Host::Domain(_)) => {}
            None => return Err(RefusedAddress::new("it has no host")),
        }
        Ok(url)
    }
}

fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn begins_with(url: &Url, prefix: &Url) -> bool {
    let same_place = url.scheme() == prefix.scheme()
        && url.host() == prefix.host()
        && url.port_or_known_default() == prefix.port_or_known_default();
    let (path, below) = (url.path(), prefix.path());
    // Dots are resolved by then; behind an encoded slash or backslash they would not be.
    let lower = path.to_ascii_lowercase();
    let sly = ["%2f", "%5c", "%2e"]
        .iter()
        .any(|code| lower.contains(code));
    let inside = path == below
        || path
            .strip_prefix(below)
            .is_some_and(|rest| below.ends_with('/') || rest.starts_with('/'));
    same_place && inside && (!sly || below == "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(address: &str) -> (bool, bool) {
        let address = address.parse().expect("address");
        let ok = |private| AddressRules { private }.check(address).is_ok();
        (ok(false), ok(true))
    }

    #[test]
    fn only_hosts_out_there_may_be_asked() {
        const PUBLIC: (bool, bool) = (true, true);
        const PRIVATE: (bool, bool) = (false, true);
        const NEVER: (bool, bool) = (false, false);
        for (address, wanted) in [
            ("93.184.216.34", PUBLIC),
            ("2606:2800:220:1::1", PUBLIC),
            ("::ffff:93.184.216.34", PUBLIC),
            ("127.0.0.1", PRIVATE),
            ("10.0.0.1", PRIVATE),
            ("172.16.0.1", PRIVATE),
            ("172.31.255.255", PRIVATE),
            ("192.168.1.1", PRIVATE),
            ("::1", PRIVATE),
            ("fd12::1", PRIVATE),
            ("::ffff:127.0.0.1", PRIVATE),
            ("::ffff:10.1.2.3", PRIVATE),
            ("64:ff9b::a00:1", PRIVATE),
            ("2002:a00:1::", PRIVATE),
            ("169.254.169.254", NEVER),
            ("::ffff:169.254.169.254", NEVER),
            ("64:ff9b::a9fe:a9fe", NEVER),
            ("2002:a9fe:a9fe::", NEVER),
            ("::169.254.169.254", NEVER),
            ("fe80::1", NEVER),
            ("fd00:ec2::254", NEVER),
            ("100.100.100.200", NEVER),
            ("168.63.129.16", NEVER),
            ("0.0.0.0", NEVER),
            ("::", NEVER),
            ("255.255.255.255", NEVER),
            ("224.0.0.1", NEVER),
            ("ff02::1", NEVER),
            ("192.0.2.1", NEVER),
            ("2001:db8::1", NEVER),
        ] {
            assert_eq!(class(address), wanted, "{address}");
        }
    }

    #[test]
    fn a_url_must_be_on_the_list_however_it_is_written() {
        let guard = Guard::new(AddressRules::default())
            .allow("https://images.example.com/u/")
            .expect("valid")
            .allow("http://2130706433:81/")
            .expect("valid");
        assert!(
            guard
                .check_url("https://images.example.com/u/a.jpg?x=1")
                .is_ok()
        );
        assert!(
            guard
                .check_url("HTTPS://IMAGES.example.com:443/u/b")
                .is_ok()
        );
        for url in [
            "http://images.example.com/u/a",
            "https://images.example.com:444/u/a",
            "https://images.example.com/v/a",
            "https://images.example.com/u/../v",
            "https://images.example.com/u/..%2fv",
            "https://images.example.com/u/%2e%2e/v",
            "https://images.example.com.evil.example/u/a",
            "https://images.example.com@evil.example/u/a",
            "https://user@images.example.com/u/a",
            "https://evil.example/https://images.example.com/u/",
            "file:///etc/passwd",
            "//images.example.com/u/a",
            // Loopback by its number: on the list, and refused as an address.
            "http://2130706433:81/",
            "http://0x7f.1:81/",
            "http://127.1:81/",
        ] {
            assert!(guard.check_url(url).is_err(), "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_is_refused_for_what_it_resolves_to() {
        let error = AddressRules::default().resolve("localhost", 80).await;
        assert!(error.expect_err("loopback").to_string().contains("private"));
        let private = AddressRules { private: true };
        assert!(
            !private
                .resolve("localhost", 80)
                .await
                .expect("resolves")
                .is_empty()
        );
    }
}
