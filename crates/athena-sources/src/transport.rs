//! How requests travel: by the rules of a [`Network`], with bounds on what comes back.

use std::fmt;
use std::time::Duration;

use athena_net::Network;
use reqwest::Client;
use url::Url;

use crate::error::{Error, SourceErrorKind};

/// A metadata service is a hop away, or is not there.
const METADATA_PATIENCE: Duration = Duration::from_secs(2);

/// Clients for hosts anywhere, and for the metadata services of clouds, which no proxy reaches.
#[derive(Clone)]
pub(crate) struct Transport {
    far: Client,
    metadata: Client,
}

impl Transport {
    pub(crate) async fn new(network: &Network) -> Result<Self, Error> {
        let unusable = |error: &dyn fmt::Display| {
            Error::new(
                SourceErrorKind::Unusable,
                format!("no client for HTTP requests: {error}"),
            )
        };
        let far = network.http_client().await;
        // Nothing for so long is the end: what trickles has its bound where a request is made.
        let far = far.read_timeout(Duration::from_secs(30)).build();
        let direct = Network::builder()
            .no_proxy()
            .connect_timeout(METADATA_PATIENCE)
            .build()
            .map_err(|error| unusable(&error))?;
        let metadata = direct
            .http_client()
            .await
            .timeout(METADATA_PATIENCE)
            .build();
        Ok(Self {
            far: far.map_err(|error| unusable(&error))?,
            metadata: metadata.map_err(|error| unusable(&error))?,
        })
    }

    /// The client for requests to this address.
    pub(crate) fn client(&self, url: &Url) -> &Client {
        match is_metadata(url) {
            true => &self.metadata,
            false => &self.far,
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

/// Whether this is where a cloud keeps the credentials of its machines: addresses of the link (169.254/16, which
/// AWS, Google and Azure all use), AWS's of IPv6, and Google's name.
pub(crate) fn is_metadata(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_link_local(),
        Some(url::Host::Ipv6(address)) => address.segments().starts_with(&[0xfd00, 0xec2]),
        Some(url::Host::Domain(name)) => name == "metadata.google.internal" || name == "metadata",
        None => false,
    }
}

/// Whether a request may go there as it is: with TLS, or to this machine or its cloud's metadata.
pub(crate) fn may_go(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => url.host_str().is_some_and(athena_net::is_loopback) || is_metadata(url),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_the_machine() {
        for (url, allowed) in [
            ("https://example.com/", true),
            ("http://127.0.0.1:9000/", true),
            ("http://localhost/", true),
            ("http://169.254.169.254/latest/", true),
            ("http://[fd00:ec2::254]/latest/", true),
            ("http://metadata.google.internal/", true),
            ("http://minio:9000/", false),
            ("http://10.0.0.1/", false),
            ("ftp://localhost/", false),
        ] {
            assert_eq!(may_go(&url.parse().expect(url)), allowed, "{url}");
        }
    }
}
