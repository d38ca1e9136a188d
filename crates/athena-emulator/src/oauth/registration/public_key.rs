//! Public keys, as PEM or as JSON Web Keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaParameters, UnparsedPublicKey,
};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use x509_cert::der::Decode;
use x509_cert::spki::SubjectPublicKeyInfoRef;

/// A key that a client's assertions are verified with.
#[derive(Debug)]
pub(super) struct PublicKey {
    id: Option<String>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The key as in RFC 8017, appendix A.1.1.
    Rsa(Vec<u8>),
    RsaNumbers {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point.
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl PublicKey {
    /// One key in PEM, or one or more as a JSON Web Key or a set of them.
    pub(super) fn read(text: &str) -> Result<Vec<Self>, &'static str> {
        if !text.trim_start().starts_with('{') {
            return pem(text).map(|kind| vec![Self { id: None, kind }]);
        }
        let value: Value = serde_json::from_str(text).map_err(|_| "is not JSON")?;
        match value.get("keys").and_then(Value::as_array) {
            Some(keys) => keys.iter().map(jwk).collect(),
            None => Ok(vec![jwk(&value)?]),
        }
    }

    /// Whether a token that names this key id may be signed with this key.
    pub(super) fn answers_to(&self, id: Option<&str>) -> bool {
        match (&self.id, id) {
            (Some(own), Some(wanted)) => own == wanted,
            _ => true,
        }
    }

    /// Whether the signature is by this key. `None` if the key does not go with the algorithm.
    pub(super) fn verify(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> Option<bool> {
        let padding: &'static RsaParameters = match algorithm {
            "PS256" => &RSA_PSS_2048_8192_SHA256,
            _ => &RSA_PKCS1_2048_8192_SHA256,
        };
        let verified = match (&self.kind, algorithm) {
            (Kind::Rsa(key), "RS256" | "PS256") => {
                UnparsedPublicKey::new(padding, key).verify(message, signature)
            }
            (Kind::RsaNumbers { n, e }, "RS256" | "PS256") => {
                PublicKeyComponents { n, e }.verify(padding, message, signature)
            }
            (Kind::P256(point), "ES256") => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            (Kind::Ed25519(key), "EdDSA") => {
                UnparsedPublicKey::new(&ED25519, key).verify(message, signature)
            }
            _ => return None,
        };
        Some(verified.is_ok())
    }
}

fn pem(text: &str) -> Result<Kind, &'static str> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes())
        .map_err(|_| "is not a public key: PEM or a JSON Web Key is wanted")?;
    let info = SubjectPublicKeyInfoRef::from_der(&der).map_err(|_| "is not a sound public key")?;
    let key = info.subject_public_key.raw_bytes().to_vec();
    match info.algorithm.oid.to_string().as_str() {
        // rsaEncryption, id-ecPublicKey, id-Ed25519.
        "1.2.840.113549.1.1.1" => Ok(Kind::Rsa(key)),
        "1.2.840.10045.2.1" if key.len() == 65 => Ok(Kind::P256(key)),
        "1.3.101.112" => Ok(Kind::Ed25519(key)),
        _ => Err("is of a kind that is not supported: RSA, P-256 or Ed25519 is wanted"),
    }
}

fn jwk(value: &Value) -> Result<PublicKey, &'static str> {
    let number = |name: &str| {
        let text = value[name].as_str().ok_or("lacks a number")?;
        BASE64.decode(text).map_err(|_| "is not base64url")
    };
    let kind = match (value["kty"].as_str(), value["crv"].as_str()) {
        (Some("RSA"), _) => Kind::RsaNumbers {
            n: number("n")?,
            e: number("e")?,
        },
        (Some("EC"), Some("P-256")) => Kind::P256([vec![4], number("x")?, number("y")?].concat()),
        (Some("OKP"), Some("Ed25519")) => Kind::Ed25519(number("x")?),
        _ => return Err("is of a kind that is not supported: RSA, P-256 or Ed25519 is wanted"),
    };
    Ok(PublicKey {
        id: value["kid"].as_str().map(str::to_owned),
        kind,
    })
}
