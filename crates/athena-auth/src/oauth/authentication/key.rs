//! Private keys, as PEM or as a JSON Web Key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::jwt::SigningAlgorithm;

/// What is wrong with a key, to be read after its name.
type Problem = &'static str;

/// A key that signs.
pub(super) struct PrivateKey {
    pair: Pair,
    /// What a JSON Web Key says of itself.
    id: Option<String>,
    algorithm: Option<SigningAlgorithm>,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl PrivateKey {
    pub(super) fn read(text: &str) -> Result<Self, Problem> {
        if text.trim_start().starts_with('{') {
            return Jwk::read(text);
        }
        let pair = match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
            Ok(PrivateKeyDer::Pkcs8(key)) => pkcs8(key.secret_pkcs8_der()),
            Ok(PrivateKeyDer::Pkcs1(key)) => rsa(RsaKeyPair::from_der(key.secret_pkcs1_der())),
            Ok(PrivateKeyDer::Sec1(key)) => pkcs8(&sec1_in_pkcs8(key.secret_sec1_der())),
            Ok(_) => Err("is of a kind that is not known"),
            Err(_) if text.contains("ENCRYPTED") => {
                Err("is encrypted: decrypt it, and protect the file itself")
            }
            Err(_) => Err("is neither PEM nor a JSON Web Key"),
        };
        Ok(Self {
            pair: pair?,
            id: None,
            algorithm: None,
        })
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The algorithm to sign with, if the key can.
    pub(super) fn algorithm(
        &self,
        wanted: Option<SigningAlgorithm>,
    ) -> Result<SigningAlgorithm, Problem> {
        use SigningAlgorithm::{EdDsa, Es256, Ps256, Rs256};
        let own = match self.pair {
            Pair::Rsa(_) => Rs256,
            Pair::P256(_) => Es256,
            Pair::Ed25519(_) => EdDsa,
        };
        match wanted.or(self.algorithm) {
            None => Ok(own),
            Some(Ps256) if own == Rs256 => Ok(Ps256),
            Some(algorithm) if algorithm == own => Ok(own),
            Some(_) => Err("is of another kind than its algorithm"),
        }
    }

    pub(super) fn sign(
        &self,
        algorithm: SigningAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, Problem> {
        let random = SystemRandom::new();
        let failed = |_| "could not sign";
        match &self.pair {
            Pair::Rsa(pair) => {
                let padding: &'static dyn ring::signature::RsaEncoding = match algorithm {
                    SigningAlgorithm::Ps256 => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(padding, &random, message, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
            Pair::P256(pair) => {
                let signature = pair.sign(&random, message).map_err(failed)?;
                Ok(signature.as_ref().to_vec())
            }
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

fn rsa(pair: Result<RsaKeyPair, ring::error::KeyRejected>) -> Result<Pair, Problem> {
    pair.map(|pair| Pair::Rsa(Box::new(pair)))
        .map_err(|_| "is not an RSA key of 2048 bits or more that can be used")
}

/// Tries each kind: the file does not say which it is where a simple reader would find it.
fn pkcs8(der: &[u8]) -> Result<Pair, Problem> {
    let random = SystemRandom::new();
    if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random) {
        return Ok(Pair::P256(pair));
    }
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
        return Ok(Pair::Ed25519(pair));
    }
    rsa(RsaKeyPair::from_pkcs8(der)).map_err(
        |_| "is none that can be used: RSA of 2048 bits or more, P-256 or Ed25519 is wanted",
    )
}

/// OpenSSL's own form of a P-256 key (RFC 5915) in the one that ring reads (RFC 5958).
fn sec1_in_pkcs8(sec1: &[u8]) -> Zeroizing<Vec<u8>> {
    // Version 0; algorithm id-ecPublicKey on prime256v1.
    const HEAD: [u8; 24] = [
        0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
        0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
    ];
    let mut der = Zeroizing::new(Vec::with_capacity(HEAD.len() + sec1.len() + 8));
    der.push(0x30);
    push_length(
        &mut der,
        HEAD.len() + 1 + length_bytes(sec1.len()) + sec1.len(),
    );
    der.extend_from_slice(&HEAD);
    der.push(0x04);
    push_length(&mut der, sec1.len());
    der.extend_from_slice(sec1);
    der
}

fn length_bytes(length: usize) -> usize {
    match length {
        0..=0x7f => 1,
        0x80..=0xff => 2,
        _ => 3,
    }
}

/// A length in DER. Keys are far shorter than the 64 KiB that three bytes can tell.
fn push_length(der: &mut Vec<u8>, length: usize) {
    let [.., high, low] = length.to_be_bytes();
    match length_bytes(length) {
        1 => der.push(low),
        2 => der.extend_from_slice(&[0x81, low]),
        _ => der.extend_from_slice(&[0x82, high, low]),
    }
}

/// A private JSON Web Key (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    crv: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(default)]
    x: Number,
    #[serde(default)]
    y: Number,
    #[serde(default)]
    d: Number,
    #[serde(default)]
    n: Number,
    #[serde(default)]
    e: Number,
    #[serde(default)]
    p: Number,
    #[serde(default)]
    q: Number,
    #[serde(default)]
    dp: Number,
    #[serde(default)]
    dq: Number,
    #[serde(default)]
    qi: Number,
}

/// Bytes in base64url.
#[derive(Default, Deserialize)]
#[serde(try_from = "String")]
struct Number(Zeroizing<Vec<u8>>);

impl TryFrom<String> for Number {
    type Error = Problem;

    fn try_from(text: String) -> Result<Self, Problem> {
        let text = Zeroizing::new(text);
        let bytes = BASE64
            .decode(text.as_str())
            .map_err(|_| "is not base64url")?;
        Ok(Self(Zeroizing::new(bytes)))
    }
}

impl AsRef<[u8]> for Number {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Jwk {
    fn read(text: &str) -> Result<PrivateKey, Problem> {
        let key: Self = serde_json::from_str(text).map_err(|_| "is not a JSON Web Key")?;
        if key.d.0.is_empty() {
            return Err("is the public half of a key pair: the private one is wanted");
        }
        let algorithm = match key.alg.as_deref() {
            None => None,
            Some(name) => {
                Some(SigningAlgorithm::named(name).ok_or("names an algorithm that is not known")?)
            }
        };
        Ok(PrivateKey {
            pair: key.pair()?,
            id: key.kid,
            algorithm,
        })
    }

    fn pair(&self) -> Result<Pair, Problem> {
        match (self.kty.as_str(), self.crv.as_str()) {
            ("RSA", _) => rsa(RsaKeyPair::from_components(&KeyPairComponents {
                public_key: PublicKeyComponents {
                    n: &self.n,
                    e: &self.e,
                },
                d: &self.d,
                p: &self.p,
                q: &self.q,
                dP: &self.dp,
                dQ: &self.dq,
                qInv: &self.qi,
            })),
            ("EC", "P-256") => {
                // An uncompressed point (SEC 1, section 2.3.3).
                let point = [&[4], self.x.as_ref(), self.y.as_ref()].concat();
                let random = SystemRandom::new();
                let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
                EcdsaKeyPair::from_private_key_and_public_key(
                    algorithm,
                    self.d.as_ref(),
                    &point,
                    &random,
                )
                .map(Pair::P256)
                .map_err(|_| "is not a sound P-256 key")
            }
            ("OKP", "Ed25519") => {
                Ed25519KeyPair::from_seed_and_public_key(self.d.as_ref(), self.x.as_ref())
                    .map(Pair::Ed25519)
                    .map_err(|_| "is not a sound Ed25519 key")
            }
            _ => Err("is of a kind that is not supported: RSA, P-256 or Ed25519 is wanted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_private_key_is_told_apart() {
        for (text, says) in [
            ("hunter2", "neither PEM nor"),
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----",
                "encrypted",
            ),
            (
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
                "none that can be used",
            ),
            (r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#, "public half"),
            (
                r#"{"kty":"EC","crv":"P-256","d":"!"}"#,
                "not a JSON Web Key",
            ),
            (r#"{"kty":"EC","crv":"P-384","d":"AAAA"}"#, "not supported"),
            (
                r#"{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA","d":"AAAA"}"#,
                "not a sound P-256",
            ),
            (
                r#"{"kty":"OKP","crv":"Ed25519","d":"AAAA","alg":"none"}"#,
                "algorithm",
            ),
        ] {
            let problem = PrivateKey::read(text).err().expect(text);
            assert!(problem.contains(says), "{text}: {problem}");
        }
    }
}
