//! Roots of trust: read once per process, shared by everything that trusts the same ones.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, TrustAnchor};

/// A list of trusted roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RootList {
    /// The authorities that the caller gave.
    Given,
    /// The platform's.
    Platform,
    /// Mozilla's, which comes with this library.
    Mozilla,
}

static PLATFORM: OnceLock<Vec<TrustAnchor<'static>>> = OnceLock::new();

/// The platform's roots. The first call reads them, which takes milliseconds.
pub(crate) fn platform() -> &'static [TrustAnchor<'static>] {
    PLATFORM.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        for error in found.errors {
            tracing::debug!(%error, "some of the platform's roots cannot be read");
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        roots.roots
    })
}

/// Whether [`platform`] is at hand.
pub(crate) fn are_loaded() -> bool {
    PLATFORM.get().is_some()
}

/// Stores by what was given. A process has few sets of authorities and may have many clients.
type Stores = HashMap<(Vec<CertificateDer<'static>>, bool), Weak<RootCertStore>>;

/// The store for these authorities, alone or besides the public lists.
pub(crate) fn store(given: &[CertificateDer<'static>], only_given: bool) -> Arc<RootCertStore> {
    static STORES: Mutex<Option<Stores>> = Mutex::new(None);
    let key = (given.to_vec(), only_given);
    let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    let stores = stores.get_or_insert_default();
    if let Some(store) = stores.get(&key).and_then(Weak::upgrade) {
        return store;
    }
    let store = Arc::new(make(given, only_given));
    stores.retain(|_, store| store.strong_count() > 0);
    stores.insert(key, Arc::downgrade(&store));
    store
}

fn make(given: &[CertificateDer<'static>], only_given: bool) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    if !only_given {
        // Mozilla's list makes minimal containers work, the platform's has what companies add.
        let mozilla = webpki_roots::TLS_SERVER_ROOTS;
        roots.extend(mozilla.iter().cloned());
        let added = platform().iter().filter(|root| !mozilla.contains(root));
        roots.extend(added.map(borrowed));
    }
    roots.add_parsable_certificates(given.iter().cloned());
    roots
}

/// A root that borrows what the process keeps anyway.
fn borrowed(root: &'static TrustAnchor<'static>) -> TrustAnchor<'static> {
    TrustAnchor {
        subject: root.subject.as_ref().into(),
        subject_public_key_info: root.subject_public_key_info.as_ref().into(),
        name_constraints: root
            .name_constraints
            .as_ref()
            .map(|der| der.as_ref().into()),
    }
}

/// The list that holds a root of this name: the DER of the name without its outer header.
pub(crate) fn holding(
    given: &[CertificateDer<'static>],
    only_given: bool,
    subject: &[u8],
) -> Option<RootList> {
    let is_among = |roots: &[TrustAnchor<'_>]| roots.iter().any(|root| *root.subject == *subject);
    if is_among(&make(given, true).roots) {
        Some(RootList::Given)
    } else if only_given {
        None
    } else if is_among(platform()) {
        Some(RootList::Platform)
    } else if is_among(webpki_roots::TLS_SERVER_ROOTS) {
        Some(RootList::Mozilla)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> CertificateDer<'static> {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        certificate.der().clone()
    }

    #[test]
    fn the_public_lists_are_trusted_unless_told_otherwise() {
        let given = [authority()];
        let mozilla = webpki_roots::TLS_SERVER_ROOTS.len();
        assert!(store(&given, false).len() > mozilla);
        assert_eq!(store(&given, true).len(), 1);
    }

    #[test]
    fn who_trusts_the_same_shares_one_store() {
        let given = [authority()];
        let first = store(&given, false);
        assert!(Arc::ptr_eq(&first, &store(&given, false)));
        assert!(!Arc::ptr_eq(&first, &store(&[authority()], false)));
        assert!(!Arc::ptr_eq(&first, &store(&given, true)));
    }

    #[test]
    fn a_root_is_found_in_its_list() {
        let given = [authority()];
        let subject = make(&given, true).roots[0].subject.to_vec();
        assert_eq!(holding(&given, false, &subject), Some(RootList::Given));
        assert_eq!(holding(&[], false, b"nobody"), None);
    }
}
