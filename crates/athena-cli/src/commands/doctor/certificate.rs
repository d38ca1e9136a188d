//! What a server's certificates say: for whom, by whom, until when.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use athena_net::Network;
use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use crate::trust;

/// Less than this left deserves a warning.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// A chain in one line.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) text: String,
    pub(super) expires_soon: bool,
}

/// Describes a chain that has been verified.
pub(super) fn summary(chain: &[CertificateDer<'_>], network: &Network) -> Summary {
    let parsed: Vec<Certificate> = chain
        .iter()
        .filter_map(|der| Certificate::from_der(der).ok())
        .collect();
    let (Some(leaf), Some(last)) = (parsed.first(), parsed.last()) else {
        return Summary {
            text: "certificate accepted".to_owned(),
            expires_soon: false,
        };
    };
    let leaf = leaf.tbs_certificate();
    let issuer = last.tbs_certificate().issuer();
    let root = issuer.to_der().ok().and_then(|der| {
        // Roots are kept without the outer header of their name.
        let content = x509_cert::der::asn1::AnyRef::from_der(&der).ok()?;
        network.root_list(content.value()).map(trust::list_name)
    });
    let until = UNIX_EPOCH + leaf.validity().not_after.to_unix_duration();
    let left = until.duration_since(SystemTime::now()).unwrap_or_default();
    let trusted = root.map_or(String::new(), |list| format!(" in {list}"));
    let until = humantime::format_rfc3339_seconds(until).to_string();
    let day = until.split('T').next().unwrap_or_default();
    Summary {
        text: format!("valid until {day}, root {issuer}{trusted}"),
        expires_soon: left < SOON,
    }
}
