//! Issues access tokens and judges those that come back.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::jwt::{self, Claims, Invalid, SigningKey};
use super::registration::{Assertion, Registration, Replays};
use super::request::Proof;
use crate::certificates::PeerCertificate;
use crate::config::{ClientConfig, Config, RateLimit};
use crate::error::Error;
use crate::sync::{lock, read, write};

/// The kinds of token that [`Emulator::mint`](crate::Emulator::mint) makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenKind {
    /// Accepted until it expires.
    Valid,
    /// Valid once, and expired an hour ago.
    Expired,
    /// Of this issuer, for the audience `some-other-platform`.
    WrongAudience,
    /// Like a valid one, signed by somebody else's key.
    Foreign,
    /// Like a valid one with the algorithm `none` and no signature.
    Unsigned,
    /// Not a JSON Web Token at all.
    Malformed,
}

/// Why a call is refused. The text goes to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the authorization metadata is missing: send `authorization: Bearer <access token>`")]
    Missing,
    #[error("the authorization scheme must be Bearer")]
    Scheme,
    #[error("the access token is refused: {0}")]
    Invalid(#[from] Invalid),
    #[error("the access token is refused: it was issued by {0:?}, not by this emulator")]
    Issuer(String),
    #[error(
        "the access token is refused: its audience is {actual:?}, this service needs {expected:?}"
    )]
    Audience { actual: String, expected: String },
    #[error("the access token is refused: it expired {0} s ago")]
    Expired(u64),
    #[error("the access token is refused: it was revoked")]
    Revoked,
    #[error("the access token is refused: its client is not registered any more")]
    Client,
}

/// How much of its allowance a client has used up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    /// Until the allowance is whole again.
    pub(crate) reset: Duration,
    pub(crate) exceeded: bool,
}

pub(crate) struct Issuer {
    key: SigningKey,
    url: String,
    audience: String,
    lifetime: Duration,
    clients: RwLock<HashMap<String, Registered>>,
    rate_limit: Option<RateLimit>,
    windows: Mutex<HashMap<String, (Instant, u32)>>,
    replays: Replays,
    issued: AtomicU64,
}

struct Registered {
    client: Arc<ClientConfig>,
    registration: Arc<Registration>,
    /// The client's tokens numbered up to this one are revoked.
    revoked: u64,
}

impl Registered {
    fn new(client: ClientConfig, registration: Registration) -> Self {
        Self {
            client: Arc::new(client),
            registration: Arc::new(registration),
            revoked: 0,
        }
    }
}

impl Issuer {
    pub(crate) fn new(config: &Config, url: String, folder: Option<&Path>) -> Result<Self, Error> {
        if config.token_lifetime < Duration::from_secs(1) {
            return Err(Error::setting(
                "token_lifetime",
                "it must be at least a second",
            ));
        }
        let mut clients = HashMap::new();
        for client in config.effective_clients() {
            let registration = Registration::of(&client)?;
            let id = client.id.clone();
            if clients
                .insert(id.clone(), Registered::new(client, registration))
                .is_some()
            {
                return Err(Error::setting(
                    "clients",
                    format!("the id {id:?} appears twice"),
                ));
            }
        }
        Ok(Self {
            key: SigningKey::load_or_create(folder)?,
            url,
            audience: config.audience.clone(),
            lifetime: config.token_lifetime,
            clients: RwLock::new(clients),
            rate_limit: config.token_rate_limit,
            windows: Mutex::default(),
            replays: Replays::default(),
            // Counting from the clock keeps tokens of an earlier run, with a kept key, apart.
            issued: AtomicU64::new(since_epoch().as_micros() as u64),
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn key_set(&self) -> serde_json::Value {
        self.key.key_set()
    }

    pub(crate) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Lets one more client ask for tokens.
    pub(crate) fn register(&self, client: ClientConfig) {
        self.clients_mut().insert(
            client.id.clone(),
            Registered::new(client, Registration::default()),
        );
    }

    /// Knows the client no more: its tokens are refused.
    pub(crate) fn unregister(&self, id: &str) {
        self.clients_mut().remove(id);
        lock(&self.windows).remove(id);
    }

    fn clients(&self) -> RwLockReadGuard<'_, HashMap<String, Registered>> {
        read(&self.clients)
    }

    fn clients_mut(&self) -> RwLockWriteGuard<'_, HashMap<String, Registered>> {
        write(&self.clients)
    }

    /// The client, if the proof is its own; else what is wrong, in words for the client.
    pub(crate) fn authenticate(
        &self,
        id: &str,
        proof: &Proof,
        certificate: Option<&PeerCertificate>,
    ) -> Result<Arc<ClientConfig>, String> {
        const UNKNOWN: &str = "unknown client or wrong client secret";
        let found = self.clients();
        let found = found
            .get(id)
            .map(|found| (found.client.clone(), found.registration.clone()));
        let (client, registration) = found.ok_or(UNKNOWN)?;
        match proof {
            Proof::Secret(secret) => {
                // Comparing digests leaves nothing to learn from how long it takes.
                let digest =
                    |text: &str| ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
                let same = digest(secret).as_ref() == digest(&client.secret).as_ref();
                if client.secret.is_empty() || !same {
                    return Err(UNKNOWN.into());
                }
            }
            Proof::Assertion(text) => {
                let assertion = Assertion {
                    text,
                    audiences: &self.assertion_audiences(),
                    now: since_epoch().as_secs(),
                };
                assertion.verify(id, &client.secret, &registration, &self.replays)?;
            }
            Proof::Certificate => {
                if !certificate.is_some_and(|shown| registration.knows(&shown.0)) {
                    return Err(
                        "the certificate of the connection is not registered for this client"
                            .into(),
                    );
                }
            }
        }
        Ok(client)
    }

    /// What an assertion may name this endpoint: its URL, or the issuer's, with or without the slash.
    fn assertion_audiences(&self) -> [String; 3] {
        let issuer = self.url.trim_end_matches('/');
        [
            format!("{}oauth/token", self.url),
            issuer.to_owned(),
            self.url.clone(),
        ]
    }

    /// Whether some client may authenticate by certificate, so that they must be asked for.
    pub(crate) fn wants_certificates(&self) -> bool {
        let clients = self.clients();
        let has_some = |found: &Registered| !found.client.certificates.is_empty();
        clients.values().any(has_some)
    }

    pub(crate) fn grants_audience(&self, client: &ClientConfig, audience: &str) -> bool {
        audience == self.audience || client.audiences.iter().any(|allowed| allowed == audience)
    }

    /// Counts a request of this client, where requests are limited.
    pub(crate) fn throttle(&self, client: &str, now: Instant) -> Option<Quota> {
        let limit = self.rate_limit?;
        if !self.clients().contains_key(client) {
            return None;
        }
        let mut windows = lock(&self.windows);
        let (start, count) = windows.entry(client.to_owned()).or_insert((now, 0));
        if now.duration_since(*start) >= limit.per {
            (*start, *count) = (now, 0);
        }
        *count += 1;
        Some(Quota {
            limit: limit.requests,
            remaining: limit.requests.saturating_sub(*count),
            reset: limit.per - now.duration_since(*start),
            exceeded: *count > limit.requests,
        })
    }

    pub(crate) fn issue(&self, client: &str, audience: &str, scope: &str) -> String {
        self.key.sign(&self.claims(client, audience, scope))
    }

    fn claims(&self, client: &str, audience: &str, scope: &str) -> Claims {
        let now = since_epoch().as_secs();
        Claims {
            iss: self.url.clone(),
            sub: format!("{client}@clients"),
            aud: audience.to_owned(),
            iat: now,
            exp: now.saturating_add(self.lifetime.as_secs()),
            azp: client.to_owned(),
            jti: (self.issued.fetch_add(1, Ordering::Relaxed) + 1).to_string(),
            scope: scope.to_owned(),
        }
    }

    /// A token for tests, good or bad, for the given client.
    pub(crate) fn mint(&self, kind: TokenKind, client: &str) -> Result<String, Error> {
        let mut claims = self.claims(client, &self.audience, "");
        Ok(match kind {
            TokenKind::Valid => self.key.sign(&claims),
            TokenKind::Expired => {
                claims.iat = claims.iat.saturating_sub(2 * 3600);
                claims.exp = claims.iat + 3600;
                self.key.sign(&claims)
            }
            TokenKind::WrongAudience => {
                claims.aud = "some-other-platform".into();
                self.key.sign(&claims)
            }
            TokenKind::Foreign => SigningKey::generate()?.sign(&claims),
            TokenKind::Unsigned => jwt::unsigned(&claims),
            TokenKind::Malformed => "not-a-json-web-token".into(),
        })
    }

    /// Refuses every token issued so far to the clients that are `meant`.
    pub(crate) fn revoke(&self, meant: impl Fn(&str) -> bool) {
        let issued = self.issued.load(Ordering::Relaxed);
        for (id, registered) in self.clients_mut().iter_mut() {
            if meant(id) {
                registered.revoked = issued;
            }
        }
    }

    /// The client on whose behalf a call comes, judged by its `authorization` header.
    pub(crate) fn authorize(
        &self,
        header: Option<&http::HeaderValue>,
    ) -> Result<Arc<ClientConfig>, Refusal> {
        let header = header.ok_or(Refusal::Missing)?;
        let (scheme, token) = header
            .to_str()
            .ok()
            .and_then(|value| value.split_once(' '))
            .ok_or(Refusal::Scheme)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Refusal::Scheme);
        }
        let claims = self.key.verify(token.trim())?;
        if claims.iss != self.url {
            return Err(Refusal::Issuer(claims.iss));
        }
        if claims.aud != self.audience {
            return Err(Refusal::Audience {
                actual: claims.aud,
                expected: self.audience.clone(),
            });
        }
        let now = since_epoch().as_secs();
        if claims.exp <= now {
            return Err(Refusal::Expired(now - claims.exp));
        }
        let clients = self.clients();
        let registered = clients.get(&claims.azp).ok_or(Refusal::Client)?;
        if claims.jti.parse().unwrap_or(0) <= registered.revoked {
            return Err(Refusal::Revoked);
        }
        Ok(registered.client.clone())
    }
}

fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
