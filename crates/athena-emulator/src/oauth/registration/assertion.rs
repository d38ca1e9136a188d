//! Assertions by which a client authenticates (RFC 7523, section 3).

use std::collections::HashMap;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::hmac;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Registration;
use crate::sync::lock;

/// How far the client's clock may be off, in seconds.
const LEEWAY: u64 = 10;
/// The longest time that an assertion may still be valid for, in seconds: an hour, as with Auth0
/// and others.
const LONGEST: u64 = 3600;
/// The longest `jti`.
const MAX_ID: usize = 256;
/// No more uses are remembered. An endpoint that forgot would accept a replay, so it refuses new
/// assertions until old ones have expired.
const MAX_REMEMBERED: usize = 100_000;

/// An assertion as it was sent.
pub(in crate::oauth) struct Assertion<'a> {
    pub(in crate::oauth) text: &'a str,
    /// Audiences that stand for this endpoint.
    pub(in crate::oauth) audiences: &'a [String],
    /// Seconds since 1970.
    pub(in crate::oauth) now: u64,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: u64,
    nbf: Option<u64>,
    iat: Option<u64>,
    #[serde(default)]
    jti: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// The client that an assertion says it is of, believing nothing yet.
pub(in crate::oauth) fn unverified_client(text: &str) -> Option<String> {
    let claims = text.split('.').nth(1)?;
    decode::<Claims>(claims).map(|claims| claims.sub)
}

impl Assertion<'_> {
    /// Whether it is this client's, for this endpoint, at this time, and new.
    ///
    /// # Errors
    /// What is wrong, in words for the client.
    pub(in crate::oauth) fn verify(
        &self,
        client: &str,
        secret: &str,
        registration: &Registration,
        replays: &Replays,
    ) -> Result<(), String> {
        const MALFORMED: &str =
            "the client assertion is not a JSON Web Token with iss, sub, aud and exp";
        let parts: Vec<_> = self.text.split('.').collect();
        let [header, claims, signature] = parts[..] else {
            return Err(MALFORMED.into());
        };
        let message = &self.text.as_bytes()[..header.len() + 1 + claims.len()];
        let signature = BASE64.decode(signature).map_err(|_| MALFORMED)?;
        let header: Header = decode(header).ok_or(MALFORMED)?;
        let claims: Claims = decode(claims).ok_or(MALFORMED)?;
        verify_signature(&header, message, &signature, secret, registration)?;
        self.judge(&claims, client)?;
        replays.first_use(client, &claims, self.now)
    }

    fn judge(&self, claims: &Claims, client: &str) -> Result<(), String> {
        if claims.iss != client || claims.sub != client {
            return Err("the client assertion's iss and sub must both be the client id".into());
        }
        let named: &[String] = match &claims.aud {
            Audience::One(one) => std::slice::from_ref(one),
            Audience::Several(several) => several,
        };
        if !named.iter().any(|name| self.audiences.contains(name)) {
            return Err(format!(
                "the client assertion is for the audience {named:?}, not for this endpoint: {:?}",
                self.audiences
            ));
        }
        if claims.exp + LEEWAY <= self.now {
            return Err(format!(
                "the client assertion expired {} s ago",
                self.now - claims.exp
            ));
        }
        if claims.exp > self.now + LONGEST + LEEWAY {
            return Err(format!(
                "the client assertion's lifetime is too long: it may expire {LONGEST} s from now at most"
            ));
        }
        let begins = claims.nbf.into_iter().chain(claims.iat).max();
        if begins.is_some_and(|begins| begins > self.now + LEEWAY) {
            return Err("the client assertion is not yet valid".into());
        }
        Ok(())
    }
}

fn verify_signature(
    header: &Header,
    message: &[u8],
    signature: &[u8],
    secret: &str,
    registration: &Registration,
) -> Result<(), String> {
    if header.alg == "HS256" {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        // Without a secret anybody could make this signature.
        return match !secret.is_empty() && hmac::verify(&key, message, signature).is_ok() {
            true => Ok(()),
            false => Err("the client assertion's signature is not by this client's secret".into()),
        };
    }
    let keys = registration
        .keys
        .iter()
        .filter(|key| key.answers_to(header.kid.as_deref()));
    let verified: Vec<_> = keys
        .filter_map(|key| key.verify(&header.alg, message, signature))
        .collect();
    match verified[..] {
        [] => Err(format!(
            "no key of this client goes with the client assertion's algorithm {:?} and key id {:?}",
            header.alg,
            header.kid.as_deref().unwrap_or_default()
        )),
        _ if verified.contains(&true) => Ok(()),
        _ => Err("the client assertion's signature is not by a key of this client".into()),
    }
}

/// The assertions that were used and have not expired.
#[derive(Debug, Default)]
pub(in crate::oauth) struct Replays(Mutex<HashMap<(String, String), u64>>);

impl Replays {
    fn first_use(&self, client: &str, claims: &Claims, now: u64) -> Result<(), String> {
        if claims.jti.is_empty() || claims.jti.len() > MAX_ID {
            return Err("the client assertion needs a jti of at most 256 bytes".into());
        }
        let mut used = lock(&self.0);
        if used.len() >= MAX_REMEMBERED {
            used.retain(|_, end| *end > now);
        }
        if used.len() >= MAX_REMEMBERED {
            return Err("too many client assertions are in use".into());
        }
        let id = (client.to_owned(), claims.jti.clone());
        match used.insert(id, claims.exp + LEEWAY) {
            Some(end) if end > now => {
                Err("the client assertion was used before: its jti is replayed".into())
            }
            _ => Ok(()),
        }
    }
}

fn decode<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&BASE64.decode(part).ok()?).ok()
}
