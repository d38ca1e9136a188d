//! The TLS configuration: which servers are trusted, and who we are.

use std::fmt;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::BuildError;

/// What the builder knows of TLS, as PEM.
#[derive(Default)]
pub(crate) struct TlsSettings {
    pub(crate) authorities: Vec<Vec<u8>>,
    pub(crate) identity: Option<(Vec<u8>, Vec<u8>)>,
    pub(crate) only_given_authorities: bool,
}

impl TlsSettings {
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, BuildError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring supports the default protocol versions")
            .with_root_certificates(self.roots()?);
        let mut config = match &self.identity {
            None => config.with_no_client_auth(),
            Some((certificates, key)) => {
                let chain = certificates_in("identity", certificates)?;
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
                    BuildError::new("identity", "there is no private key in this PEM text")
                        .with_source(error)
                })?;
                config.with_client_auth_cert(chain, key).map_err(|error| {
                    BuildError::new(
                        "identity",
                        "certificate and private key do not work together",
                    )
                    .with_source(error)
                })?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    fn roots(&self) -> Result<RootCertStore, BuildError> {
        let mut roots = RootCertStore::empty();
        if !self.only_given_authorities {
            // Mozilla's list makes minimal containers work, the platform's has what companies
            // add to it. Errors there are common (unreadable files) and not ours.
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        for pem in &self.authorities {
            for certificate in certificates_in("ca_certificate", pem)? {
                roots.add(certificate).map_err(|error| {
                    BuildError::new("ca_certificate", "this is no usable CA certificate")
                        .with_source(error)
                })?;
            }
        }
        Ok(roots)
    }
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings")
            .field("authorities", &self.authorities.len())
            .field("identity", &self.identity.is_some())
            .field("only_given_authorities", &self.only_given_authorities)
            .finish()
    }
}

fn certificates_in(
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
    fn both_root_lists_are_trusted_unless_told_otherwise() {
        let default = TlsSettings::default().roots().unwrap();
        assert!(default.len() >= webpki_roots::TLS_SERVER_ROOTS.len());
        let only = TlsSettings {
            only_given_authorities: true,
            ..TlsSettings::default()
        };
        assert!(only.roots().unwrap().is_empty());
    }

    #[test]
    fn text_without_a_certificate_is_refused() {
        let settings = TlsSettings {
            authorities: vec![b"hello".to_vec()],
            ..TlsSettings::default()
        };
        let error = settings.config().unwrap_err();
        assert_eq!(error.setting(), "ca_certificate");
    }
}
