//! The certificate authority and the server certificate, fresh at each start or kept in a folder.

use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, SignatureScheme};
use time::{Duration, OffsetDateTime};

use crate::error::{Error, Repr};

pub(crate) const CA_CERTIFICATE: &str = "ca.pem";
const CA_KEY: &str = "ca-key.pem";

/// A CA that signs the server's certificate; only its certificate ever leaves this module.
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Takes the authority kept in `folder`, or makes one and keeps it there.
    pub(crate) fn load_or_create(folder: Option<&Path>) -> Result<Self, Error> {
        let Some(folder) = folder else {
            let key = KeyPair::generate().map_err(certificate)?;
            return Self::create(key);
        };
        fs::create_dir_all(folder).map_err(Error::file("create the folder", folder))?;
        let (certificate_path, key_path) = (folder.join(CA_CERTIFICATE), folder.join(CA_KEY));
        if !key_path.exists() {
            let key = KeyPair::generate().map_err(certificate)?;
            let key_pem = key.serialize_pem();
            let authority = Self::create(key)?;
            fs::write(&certificate_path, &authority.pem)
                .map_err(Error::file("write", certificate_path))?;
            write_private(&key_path, key_pem.as_bytes())?;
            return Ok(authority);
        }
        let read = |path| fs::read_to_string(path).map_err(Error::file("read", path));
        let (pem, key) = (read(&certificate_path)?, read(&key_path)?);
        let key = KeyPair::from_pem(&key).map_err(certificate)?;
        // The issuer's name and key identifier follow from these, so it is the same issuer.
        Ok(Self {
            pem,
            issuer: Issuer::new(authority_parameters(), key),
        })
    }

    fn create(key: KeyPair) -> Result<Self, Error> {
        let parameters = authority_parameters();
        let pem = parameters.self_signed(&key).map_err(certificate)?.pem();
        Ok(Self {
            pem,
            issuer: Issuer::new(parameters, key),
        })
    }

    /// The CA's certificate.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A TLS configuration with a certificate for the loopback names and `names`, which asks for
    /// the client's certificate if it is wanted.
    pub(crate) fn server_config(
        &self,
        names: &[String],
        alpn: &[&[u8]],
        clients: ClientCertificates,
    ) -> Result<Arc<rustls::ServerConfig>, Error> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = name("Athena emulator");
        parameters.subject_alt_names = subject_names(names)?;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        // Some TLS stacks refuse server certificates that live for much more than a year.
        parameters.not_before = yesterday();
        parameters.not_after = yesterday() + Duration::days(365);
        let key = KeyPair::generate().map_err(certificate)?;
        let leaf = parameters
            .signed_by(&key, &self.issuer)
            .map_err(certificate)?;

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(certificate)?;
        let config = match clients {
            ClientCertificates::Ignored => config.with_no_client_auth(),
            ClientCertificates::Wanted => {
                config.with_client_cert_verifier(Arc::new(AnyCertificate { algorithms }))
            }
        };
        let mut config = config
            .with_single_cert(
                vec![leaf.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .map_err(certificate)?;
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

/// Whether the server asks clients for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientCertificates {
    Ignored,
    /// Asked for, and not required.
    Wanted,
}

/// The certificate that a client showed in the handshake, among the extensions of its requests.
#[derive(Debug, Clone)]
pub(crate) struct PeerCertificate(pub(crate) CertificateDer<'static>);

/// Takes any certificate whose key the client has: which clients there are is the token endpoint's
/// knowledge, not that of an authority (RFC 8705, section 2.2).
#[derive(Debug)]
struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[rustls::DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn authority_parameters() -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = name("Athena emulator CA (for tests only)");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.not_before = yesterday();
    parameters.not_after = yesterday() + Duration::days(3650);
    parameters
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn subject_names(names: &[String]) -> Result<Vec<SanType>, Error> {
    let mut subjects = vec![
        SanType::DnsName("localhost".try_into().map_err(certificate)?),
        SanType::IpAddress(Ipv4Addr::LOCALHOST.into()),
        SanType::IpAddress(Ipv6Addr::LOCALHOST.into()),
    ];
    for name in names {
        let subject = match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.as_str().try_into().map_err(|_| {
                Error::setting(
                    "subject_names",
                    format!("{name:?} is neither a DNS name nor an IP address"),
                )
            })?),
        };
        if !subjects.contains(&subject) {
            subjects.push(subject);
        }
    }
    Ok(subjects)
}

fn yesterday() -> OffsetDateTime {
    OffsetDateTime::now_utc() - Duration::days(1)
}

fn certificate(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Repr::Certificate(error.into()).into()
}

/// Writes a file that only its owner can read.
pub(crate) fn write_private(path: &Path, contents: &[u8]) -> Result<(), Error> {
    let write = || -> io::Result<()> {
        // A file that exists keeps its permissions when it is opened: replace it.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path)?.write_all(contents)
    };
    write().map_err(Error::file("write", path))
}
