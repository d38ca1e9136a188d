//! The built-in HTTP client.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::ConfigError;

/// A client for token requests. Its TLS comes ready made, so that it needs no crypto provider to
/// be installed for the whole process.
///
/// `loopback` says that the endpoint is on this machine.
pub(super) fn build(
    ca_certificates: &[Vec<u8>],
    proxy: Option<&str>,
    loopback: bool,
    connect_timeout: Duration,
) -> Result<reqwest::Client, ConfigError> {
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls_config(ca_certificates)?)
        .redirect(redirect::Policy::none())
        .connect_timeout(connect_timeout)
        .user_agent(concat!(
            env!("CARGO_PKG_NAME"),
            "/",
            env!("CARGO_PKG_VERSION")
        ))
        // Requests are minutes apart: a kept connection would only be found dead, or tied to
        // a runtime that is gone.
        .pool_max_idle_per_host(0);
    match proxy {
        Some(proxy) => {
            let proxy = reqwest::Proxy::all(proxy).map_err(|error| {
                ConfigError::new("proxy", "is not a proxy URL").with_source(error.without_url())
            })?;
            builder = builder.proxy(proxy);
        }
        // The proxy that the environment names cannot reach this machine's loopback.
        None if loopback => builder = builder.no_proxy(),
        None => {}
    }
    builder.build().map_err(|error| {
        ConfigError::new("http_client", "cannot be made").with_source(error.without_url())
    })
}

fn tls_config(ca_certificates: &[Vec<u8>]) -> Result<ClientConfig, ConfigError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        // A container without certificates, for example.
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for pem in ca_certificates {
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate =
                certificate.map_err(|error| ca_error("is not PEM").with_source(error))?;
            roots.add(certificate).map_err(|error| {
                ca_error("holds a certificate that cannot be used").with_source(error)
            })?;
        }
        if roots.len() == before {
            return Err(ca_error("holds no certificate: expected PEM"));
        }
    }
    Ok(
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| ConfigError::new("tls", "cannot be set up").with_source(error))?
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

fn ca_error(problem: &'static str) -> ConfigError {
    ConfigError::new("ca_certificate", problem)
}
