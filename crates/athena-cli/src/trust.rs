//! Who is trusted: the roots that the SDK's client uses, for the requests that the tool makes itself.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome, chain};

/// Who is trusted, by where it was said.
#[derive(Debug)]
pub(crate) struct Roots {
    lists: [(&'static str, RootCertStore); 3],
}

impl Roots {
    /// The CA of the settings, the system's list and Mozilla's: what the client trusts.
    pub(crate) fn load(ca_certificate: Option<&[u8]>) -> Outcome<Self> {
        let mut own = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_certificate.unwrap_or_default()) {
            let usable = certificate.ok().and_then(|found| own.add(found).ok());
            usable.ok_or_else(|| {
                Failure::configuration("the CA certificate cannot be used")
                    .remedy("it must be PEM: -----BEGIN CERTIFICATE-----")
            })?;
        }
        let mut system = RootCertStore::empty();
        system.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let mut mozilla = RootCertStore::empty();
        mozilla.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        Ok(Self {
            lists: [
                ("--ca", own),
                ("the system's list", system),
                ("Mozilla's list", mozilla),
            ],
        })
    }

    pub(crate) fn config(&self) -> Outcome<ClientConfig> {
        let mut roots = RootCertStore::empty();
        for (_, list) in &self.lists {
            roots.extend(list.roots.iter().cloned());
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::new(Exit::Unreachable, chain(&error)))?;
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }

    /// The list that holds the root above this certificate.
    pub(crate) fn holding(&self, issuer: &[u8]) -> Option<&'static str> {
        let holds = |list: &RootCertStore| list.roots.iter().any(|root| *root.subject == *issuer);
        let found = self.lists.iter().find(|(_, list)| holds(list));
        found.map(|(name, _)| *name)
    }

    /// A client for plain HTTP requests, which follows no redirects.
    pub(crate) fn http_client(&self, timeout: Duration) -> Outcome<reqwest::Client> {
        reqwest::Client::builder()
            .tls_backend_preconfigured(self.config()?)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(timeout)
            .build()
            .map_err(|error| Failure::new(Exit::Unreachable, chain(&error)))
    }
}
