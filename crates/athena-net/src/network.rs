//! The rules by which hosts are reached, and how they are set.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Uri;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::proxy::{Proxies, Proxy};
use crate::roots::{self, RootList};
use crate::{BuildError, Identity};

/// TLS sessions kept for resumption. A network is mostly used for one host.
const SESSIONS: usize = 8;

/// By which rules hosts are reached. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Network(Arc<Rules>);

struct Rules {
    authorities: Vec<CertificateDer<'static>>,
    only_given_authorities: bool,
    identity: Option<Identity>,
    proxies: Proxies,
    connect_timeout: Duration,
    tls: OnceLock<Arc<ClientConfig>>,
}

impl Network {
    /// Starts with the public roots of trust, the proxies of the environment, and 10 s for a
    /// connection.
    pub fn builder() -> NetworkBuilder {
        NetworkBuilder::default()
    }

    /// The proxy for this target, if one stands before it.
    pub fn proxy_for(&self, target: &Uri) -> Option<&Proxy> {
        self.0.proxies.before(target)
    }

    /// How long a connection may take: name, TCP, proxy and TLS.
    pub fn connect_timeout(&self) -> Duration {
        self.0.connect_timeout
    }

    /// The TLS configuration, without application protocols. The first one of a process reads the
    /// platform's roots: [`ready_tls`](Self::ready_tls) does that beside the async runtime.
    pub fn tls(&self) -> Arc<ClientConfig> {
        let config = self.0.tls.get_or_init(|| Arc::new(self.0.tls()));
        Arc::clone(config)
    }

    /// As [`tls`](Self::tls), and never blocks the async runtime.
    pub async fn ready_tls(&self) -> Arc<ClientConfig> {
        if !self.0.only_given_authorities && !roots::are_loaded() {
            // Should the runtime be going away, they are read below.
            let _ = tokio::task::spawn_blocking(|| roots::platform().len()).await;
        }
        self.tls()
    }

    /// The list that holds the root with this name: the DER of a certificate's issuer, without
    /// its outer header.
    pub fn root_list(&self, issuer: &[u8]) -> Option<RootList> {
        roots::holding(&self.0.authorities, self.0.only_given_authorities, issuer)
    }
}

impl Rules {
    fn tls(&self) -> ClientConfig {
        let roots = roots::store(&self.authorities, self.only_given_authorities);
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring supports the default protocol versions")
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => config.with_no_client_auth(),
            Some(identity) => config.with_client_cert_resolver(identity.resolver()),
        };
        config.resumption = match &self.identity {
            None => Resumption::in_memory_sessions(SESSIONS),
            // A resumed session stands for the certificate that it began with.
            Some(_) => Resumption::disabled(),
        };
        config
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("authorities", &self.0.authorities.len())
            .field("only_given_authorities", &self.0.only_given_authorities)
            .field("identity", &self.0.identity)
            .field("proxies", &self.0.proxies)
            .field("connect_timeout", &self.0.connect_timeout)
            .finish()
    }
}

/// ring, shared: a provider is a few kilobytes.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let provider = PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider()));
    Arc::clone(provider)
}

/// The settings of a [`Network`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct NetworkBuilder {
    authorities: Vec<Vec<u8>>,
    only_given_authorities: bool,
    identity: Option<Identity>,
    proxy: ProxySetting,
    connect_timeout: Option<Duration>,
}

/// What the builder was told of proxies.
#[derive(Clone, Default)]
enum ProxySetting {
    #[default]
    Environment,
    Direct,
    /// A URL, which may hold a password.
    Given(String),
}

impl fmt::Debug for ProxySetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "from the environment",
            Self::Direct => "none",
            Self::Given(_) => "given",
        })
    }
}

impl NetworkBuilder {
    /// Trusts these CA certificates (PEM) as well. May be called several times.
    pub fn ca_certificate(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.authorities.push(pem.as_ref().to_vec());
        self
    }

    /// Trusts nothing but what [`ca_certificate`](Self::ca_certificate) gives.
    pub fn only_given_authorities(mut self) -> Self {
        self.only_given_authorities = true;
        self
    }

    /// The certificate to show to servers that ask for one.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// This proxy for every connection, whatever the environment says.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = ProxySetting::Given(url.into());
        self
    }

    /// No proxy, whatever the environment says.
    pub fn no_proxy(mut self) -> Self {
        self.proxy = ProxySetting::Direct;
        self
    }

    /// How long a connection may take: name, TCP, proxy and TLS.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// Takes from `other` what it knows more: its authorities as well, and its proxy where none
    /// was set here. Its client certificate stays its own: it was given for other hosts.
    pub fn complete_from(mut self, other: &Self) -> Self {
        self.authorities.extend(other.authorities.iter().cloned());
        self.only_given_authorities |= other.only_given_authorities;
        if matches!(self.proxy, ProxySetting::Environment) {
            self.proxy = other.proxy.clone();
        }
        self
    }

    /// Checks the settings. Reads environment variables; opens nothing.
    ///
    /// # Errors
    /// [`BuildError::setting`] names what cannot work.
    pub fn build(self) -> Result<Network, BuildError> {
        let mut authorities = Vec::new();
        for pem in &self.authorities {
            for certificate in certificates_in("ca_certificate", pem)? {
                // A store of its own, only to learn whether it is one.
                rustls::RootCertStore::empty()
                    .add(certificate.clone())
                    .map_err(|error| {
                        let problem = "this is not a usable CA certificate";
                        BuildError::new("ca_certificate", problem).with_source(error)
                    })?;
                authorities.push(certificate);
            }
        }
        if self.only_given_authorities && authorities.is_empty() {
            let problem = "nobody would be trusted: give a `ca_certificate`";
            return Err(BuildError::new("only_given_authorities", problem));
        }
        Ok(Network(Arc::new(Rules {
            authorities,
            only_given_authorities: self.only_given_authorities,
            identity: self.identity,
            proxies: match self.proxy {
                ProxySetting::Environment => Proxies::from_env(|name| std::env::var_os(name))?,
                ProxySetting::Direct => Proxies::None,
                ProxySetting::Given(url) => Proxies::Always(Proxy::parse("proxy", &url)?),
            },
            connect_timeout: self.connect_timeout.unwrap_or(Duration::from_secs(10)),
            tls: OnceLock::new(),
        })))
    }
}

pub(crate) fn certificates_in(
    setting: &'static str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, BuildError> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| BuildError::new(setting, "this is not PEM text").with_source(error))?;
    if certificates.is_empty() {
        return Err(BuildError::new(
            setting,
            "there is no certificate in this PEM text (-----BEGIN CERTIFICATE-----)",
        ));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_named() {
        for (builder, setting) in [
            (Network::builder().ca_certificate("hello"), "ca_certificate"),
            (
                Network::builder().only_given_authorities(),
                "only_given_authorities",
            ),
            (
                Network::builder().proxy("ftp://user:hunter2@proxy"),
                "proxy",
            ),
        ] {
            let error = builder.build().expect_err(setting);
            assert_eq!(error.setting(), setting);
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }

    #[test]
    fn no_debug_output_shows_a_password() {
        let builder = Network::builder().proxy("http://user:hunter2@proxy:3128");
        assert!(!format!("{builder:?}").contains("hunter2"));
        let network = builder.build().expect("a proxy");
        assert!(!format!("{network:?}").contains("hunter2"));
    }

    #[test]
    fn a_token_endpoint_is_reached_as_the_service_is() {
        let target = Uri::from_static("https://login.example.com");
        let service = Network::builder().proxy("http://proxy:3128");
        let own = Network::builder().no_proxy();
        let taken = Network::builder()
            .complete_from(&service)
            .build()
            .expect("rules");
        assert!(taken.proxy_for(&target).is_some());
        let kept = own.complete_from(&service).build().expect("rules");
        assert!(kept.proxy_for(&target).is_none());
    }
}
