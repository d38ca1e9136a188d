//! JSON Web Tokens (RFC 7519) signed with Ed25519 (RFC 8037).
//!
//! Written on ring: of the JWT crates, those without an RSA or AWS-LC build need a crypto provider
//! of about this size, and install it for the whole process, which a library in somebody else's
//! tests must not do.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::certificates::write_private;
use crate::error::{Error, Repr};

const KEY_FILE: &str = "token-key.pk8";

/// The claims of an access token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) sub: String,
    pub(crate) aud: String,
    pub(crate) iat: u64,
    pub(crate) exp: u64,
    /// The client that asked for the token.
    pub(crate) azp: String,
    /// Counts up with each token, so that revoking all of them is one comparison.
    pub(crate) jti: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) scope: String,
}

/// Why a token is not one of ours. The text goes to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("it is not a JSON Web Token")]
    Malformed,
    #[error("its algorithm is not EdDSA")]
    Algorithm,
    #[error("its signature is not this emulator's")]
    Signature,
}

/// The key pair that signs tokens.
pub(crate) struct SigningKey {
    pair: Ed25519KeyPair,
    id: String,
}

impl SigningKey {
    pub(crate) fn generate() -> Result<Self, Error> {
        Self::from_pkcs8(&Self::generate_pkcs8()?)
    }

    /// Takes the key kept in `folder`, or makes one and keeps it there.
    pub(crate) fn load_or_create(folder: Option<&Path>) -> Result<Self, Error> {
        let Some(folder) = folder else {
            return Self::generate();
        };
        let path = folder.join(KEY_FILE);
        match std::fs::read(&path) {
            Ok(pkcs8) => Self::from_pkcs8(&pkcs8),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let pkcs8 = Self::generate_pkcs8()?;
                write_private(&path, &pkcs8)?;
                Self::from_pkcs8(&pkcs8)
            }
            Err(error) => Err(Error::file("read", path)(error)),
        }
    }

    fn generate_pkcs8() -> Result<Vec<u8>, Error> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|error| Repr::Certificate(error.to_string().into()))?;
        Ok(document.as_ref().to_vec())
    }

    fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, Error> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8)
            .map_err(|error| Repr::Certificate(error.to_string().into()))?;
        let digest = ring::digest::digest(&ring::digest::SHA256, pair.public_key().as_ref());
        let id = BASE64.encode(&digest.as_ref()[..12]);
        Ok(Self { pair, id })
    }

    pub(crate) fn sign(&self, claims: &Claims) -> String {
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": self.id});
        let message = format!("{}.{}", encode(&header), encode(claims));
        let signature = self.pair.sign(message.as_bytes());
        format!("{message}.{}", BASE64.encode(signature))
    }

    /// The claims of a token that this key signed. Whether they still hold is the caller's question.
    pub(crate) fn verify(&self, token: &str) -> Result<Claims, Invalid> {
        let (message, signature) = token.rsplit_once('.').ok_or(Invalid::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(Invalid::Malformed)?;
        let header: Value = decode(header)?;
        if header["alg"] != "EdDSA" {
            return Err(Invalid::Algorithm);
        }
        let signature = BASE64.decode(signature).map_err(|_| Invalid::Malformed)?;
        UnparsedPublicKey::new(&ED25519, self.pair.public_key().as_ref())
            .verify(message.as_bytes(), &signature)
            .map_err(|_| Invalid::Signature)?;
        decode(claims)
    }

    /// The public half as a JSON Web Key Set (RFC 7517).
    pub(crate) fn key_set(&self) -> Value {
        json!({"keys": [{
            "kty": "OKP",
            "crv": "Ed25519",
            "use": "sig",
            "alg": "EdDSA",
            "kid": self.id,
            "x": BASE64.encode(self.pair.public_key()),
        }]})
    }
}

/// A token with the algorithm `none`, as an attacker would forge it.
pub(crate) fn unsigned(claims: &Claims) -> String {
    format!(
        "{}.{}.",
        encode(&json!({"alg": "none", "typ": "JWT"})),
        encode(claims)
    )
}

fn encode(value: &impl Serialize) -> String {
    // Neither claims nor headers hold anything that JSON cannot express.
    BASE64.encode(serde_json::to_vec(value).unwrap_or_default())
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, Invalid> {
    let json = BASE64.decode(part).map_err(|_| Invalid::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| Invalid::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            iss: "https://localhost/".into(),
            sub: "id@clients".into(),
            aud: "audience".into(),
            iat: 1,
            exp: 2,
            azp: "id".into(),
            jti: "7".into(),
            scope: String::new(),
        }
    }

    #[test]
    fn a_token_is_verified_by_the_key_that_signed_it_alone() {
        let (key, other) = (
            SigningKey::generate().unwrap(),
            SigningKey::generate().unwrap(),
        );
        let token = key.sign(&claims());
        assert_eq!(key.verify(&token), Ok(claims()));
        assert_eq!(other.verify(&token), Err(Invalid::Signature));
        assert_eq!(key.verify(&unsigned(&claims())), Err(Invalid::Algorithm));
    }

    #[test]
    fn no_character_of_a_token_can_be_changed_or_cut_off() {
        let key = SigningKey::generate().unwrap();
        let token = key.sign(&claims());
        for position in 0..token.len() {
            for replacement in ["A", "B", "_", ".", "", "=", "é"] {
                let mut changed = token.clone();
                changed.replace_range(position..=position, replacement);
                assert!(
                    changed == token || key.verify(&changed).is_err(),
                    "{changed}"
                );
            }
            assert!(key.verify(&token[..position]).is_err());
        }
    }
}
