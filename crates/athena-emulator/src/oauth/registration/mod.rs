//! What the token endpoint knows of a client besides its secret: keys and certificates.

mod assertion;
mod public_key;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

pub(super) use self::assertion::{Assertion, Replays, unverified_client};
use self::public_key::PublicKey;
use crate::config::ClientConfig;
use crate::error::Error;

/// The public halves of what a client may show instead of a secret.
#[derive(Debug, Default)]
pub(super) struct Registration {
    keys: Vec<PublicKey>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Registration {
    /// # Errors
    /// When a key or certificate cannot be read, or the client has nothing to show at all.
    pub(super) fn of(client: &ClientConfig) -> Result<Self, Error> {
        let named = |what: &str, problem: &str| {
            Error::setting("clients", format!("{what} of {:?} {problem}", client.id))
        };
        if client.id.is_empty() {
            return Err(Error::setting("clients", "a client needs an id"));
        }
        if client.secret.is_empty() && client.keys.is_empty() && client.certificates.is_empty() {
            return Err(Error::setting(
                "clients",
                format!(
                    "the client {:?} needs a secret, a key or a certificate",
                    client.id
                ),
            ));
        }
        let mut keys = Vec::new();
        for text in &client.keys {
            keys.extend(PublicKey::read(text).map_err(|problem| named("a key", problem))?);
        }
        let certificates = client.certificates.iter().map(|pem| {
            CertificateDer::from_pem_slice(pem.as_bytes())
                .map_err(|_| named("a certificate", "is not PEM"))
        });
        Ok(Self {
            keys,
            certificates: certificates.collect::<Result<_, _>>()?,
        })
    }

    /// Whether the connection's certificate is the client's (RFC 8705, section 2.2). That the peer
    /// has its key was shown in the handshake.
    pub(super) fn knows(&self, certificate: &CertificateDer<'_>) -> bool {
        self.certificates.iter().any(|known| known == certificate)
    }
}
