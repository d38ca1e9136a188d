//! Who we are: the client's certificate and private key, for servers that ask (mutual TLS).

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use tracing::{info, warn};
use zeroize::Zeroizing;

use crate::BuildError;
use crate::network::{certificates_in, provider};

/// No certificate chain or key is longer.
const MOST_BYTES: u64 = 1 << 20;

/// A certificate chain and its private key.
#[derive(Clone)]
pub struct Identity(Arc<Kind>);

enum Kind {
    Fixed(Arc<CertifiedKey>),
    Files(Files),
}

impl Identity {
    /// From PEM text.
    ///
    /// # Errors
    /// If there is no certificate, no key, or the key belongs to another certificate.
    pub fn from_pem(
        certificates: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
    ) -> Result<Self, BuildError> {
        let pair = certified(certificates.as_ref(), key.as_ref())?;
        Ok(Self(Arc::new(Kind::Fixed(Arc::new(pair)))))
    }

    /// From PEM files, which may be one and the same. Both are read for every connection, so that
    /// a renewed pair is used at once and needs no restart; while the two do not belong together,
    /// as in the middle of a renewal, the pair before is used.
    ///
    /// # Errors
    /// If a file cannot be read, or as for [`from_pem`](Self::from_pem).
    pub fn from_files(
        certificates: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, BuildError> {
        let (certificates, key) = (certificates.into(), key.into());
        let pems = Pems::read(&certificates, &key)?;
        let pair = Arc::new(pems.certified()?);
        Ok(Self(Arc::new(Kind::Files(Files {
            certificates,
            key,
            current: Mutex::new((pems, pair)),
        }))))
    }

    pub(crate) fn resolver(&self) -> Arc<dyn ResolvesClientCert> {
        Arc::new(self.clone())
    }

    fn current(&self) -> Arc<CertifiedKey> {
        match &*self.0 {
            Kind::Fixed(pair) => Arc::clone(pair),
            Kind::Files(files) => files.current(),
        }
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let pair = self.current();
        pair.key.choose_scheme(schemes).is_some().then_some(pair)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Fixed(_) => f.write_str("Identity"),
            Kind::Files(files) => f
                .debug_struct("Identity")
                .field("certificates", &files.certificates)
                .field("key", &files.key)
                .finish(),
        }
    }
}

struct Files {
    certificates: PathBuf,
    key: PathBuf,
    current: Mutex<(Pems, Arc<CertifiedKey>)>,
}

impl Files {
    fn current(&self) -> Arc<CertifiedKey> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match Pems::read(&self.certificates, &self.key) {
            Ok(pems) if pems == current.0 => {}
            Ok(pems) => match pems.certified() {
                Ok(pair) => {
                    info!(certificates = %self.certificates.display(), "a renewed client certificate");
                    *current = (pems, Arc::new(pair));
                }
                Err(error) => warn!(%error, "the client certificate before is used"),
            },
            Err(error) => warn!(%error, "the client certificate before is used"),
        }
        Arc::clone(&current.1)
    }
}

#[derive(PartialEq)]
struct Pems {
    certificates: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Pems {
    fn read(certificates: &Path, key: &Path) -> Result<Self, BuildError> {
        Ok(Self {
            certificates: std::mem::take(&mut *read(certificates)?),
            key: read(key)?,
        })
    }

    fn certified(&self) -> Result<CertifiedKey, BuildError> {
        certified(&self.certificates, &self.key)
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, BuildError> {
    let failed =
        |problem: &str| BuildError::new("identity", format!("{} {problem}", path.display()));
    let mut bytes = Zeroizing::new(Vec::with_capacity(16 << 10));
    let read = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Ok(length) if length as u64 > MOST_BYTES => Err(failed("is longer than 1 MiB")),
        Ok(_) => Ok(bytes),
        Err(error) => Err(failed("cannot be read").with_source(error)),
    }
}

fn certified(certificates: &[u8], key: &[u8]) -> Result<CertifiedKey, BuildError> {
    let chain = certificates_in("identity", certificates)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
        let problem = "there is no private key in this PEM text";
        BuildError::new("identity", problem).with_source(error)
    })?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| {
        let problem = "certificate and private key do not work together";
        BuildError::new("identity", problem).with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(["guest".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (certificate, key) = pair();
        assert!(Identity::from_pem(&certificate, &key).is_ok());
        for (certificate, key) in [
            (certificate.clone(), pair().1),
            (certificate, "no pem".to_owned()),
            (key.clone(), key),
        ] {
            let error = Identity::from_pem(certificate, key).expect_err("no pair");
            assert_eq!(error.setting(), "identity");
        }
    }

    #[test]
    fn renewed_files_are_used_once_both_are_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let (certificates, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        let write = |path: &Path, text: &str| std::fs::write(path, text).expect("written");
        let (old, new) = (pair(), pair());
        write(&certificates, &old.0);
        write(&key, &old.1);
        let identity = Identity::from_files(&certificates, &key).expect("a pair");
        let first = identity.current();
        assert!(Arc::ptr_eq(&first, &identity.current()));

        write(&certificates, &new.0);
        assert!(Arc::ptr_eq(&first, &identity.current()), "half renewed");
        write(&key, &new.1);
        let second = identity.current();
        assert_ne!(first.cert, second.cert);
        std::fs::remove_file(&key).expect("removed");
        assert!(Arc::ptr_eq(&second, &identity.current()));
        assert!(!format!("{identity:?}").contains("BEGIN"));
    }
}
