//! Assertions that the client signs itself: `private_key_jwt` and `client_secret_jwt`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

use super::key::PrivateKey;
use super::{ClientAuthentication, Method};
use crate::{AuthError, AuthErrorKind, SecretSource};

/// Each assertion is for one request, made at once.
const LIFETIME: Duration = Duration::from_secs(60);

/// A JSON Web Token that the client signs for each token request, in place of a secret that is
/// sent (OpenID Connect Core 1.0, section 9; RFC 7523).
///
/// It is good for a minute and for one use: every request has a fresh `jti`. Issuer and subject
/// are the client id, the audience is the token endpoint's URL.
///
/// ```no_run
/// use athena_auth::{JwtAssertion, OAuthClientCredentials, SecretFile, SigningAlgorithm};
///
/// let key = SecretFile::new("/run/secrets/athena-key.pem");
/// let assertion = JwtAssertion::private_key_jwt(key)
///     .algorithm(SigningAlgorithm::Ps256)
///     .key_id("2026-11");
/// let source = OAuthClientCredentials::builder("my-client-id", assertion)
///     .token_url("https://login.example.com/oauth/token")
///     .build()?;
/// # Ok::<(), athena_auth::BuildError>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct JwtAssertion(ClientAuthentication);

/// How an assertion is signed with a private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl SigningAlgorithm {
    /// As it stands in a token's header (RFC 7518, section 3.1; RFC 8037).
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Rs256, Self::Ps256, Self::Es256, Self::EdDsa]
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }
}

/// What an assertion says besides who the client is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    key_id: Option<String>,
    algorithm: Option<SigningAlgorithm>,
    audience: Option<String>,
}

impl JwtAssertion {
    /// Signed with the client's private key, whose public half the endpoint knows: RSA of 2048 bits
    /// or more, P-256, or Ed25519, as PEM (PKCS #8, and what OpenSSL wrote before) or as a
    /// JSON Web Key. The key may come from any source, and is asked for like a client secret: a
    /// key that was replaced is used by the next request.
    pub fn private_key_jwt(key: impl SecretSource) -> Self {
        Self::new(Method::PrivateKeyJwt(Options::default()), key)
    }

    /// Signed with the client secret (HS256), which is not sent itself.
    pub fn client_secret_jwt(secret: impl SecretSource) -> Self {
        Self::new(Method::SecretJwt(Options::default()), secret)
    }

    fn new(method: Method, source: impl SecretSource) -> Self {
        Self(ClientAuthentication::new(method, source))
    }

    /// The `kid` by which the endpoint finds the key. By default that of the JSON Web Key, if it
    /// has one.
    pub fn key_id(self, id: impl Into<String>) -> Self {
        let id = id.into();
        self.change(|options| options.key_id = Some(id))
    }

    /// How a private key signs. By default as the JSON Web Key says, or as its kind suggests: RS256,
    /// ES256 or EdDSA. Nothing to a client secret.
    pub fn algorithm(self, algorithm: SigningAlgorithm) -> Self {
        self.change(|options| options.algorithm = Some(algorithm))
    }

    /// The audience of the assertion, for an endpoint that does not go by its URL: often the URL
    /// of the issuer.
    pub fn audience(self, audience: impl Into<String>) -> Self {
        let audience = audience.into();
        self.change(|options| options.audience = Some(audience))
    }

    fn change(mut self, change: impl FnOnce(&mut Options)) -> Self {
        if let Method::PrivateKeyJwt(options) | Method::SecretJwt(options) = &mut self.0.method {
            change(options);
        }
        self
    }
}

impl From<JwtAssertion> for ClientAuthentication {
    fn from(assertion: JwtAssertion) -> Self {
        assertion.0
    }
}

/// Whom an assertion names.
pub(super) struct Parties<'a> {
    pub(super) client_id: &'a str,
    pub(super) token_url: &'a str,
}

/// An assertion signed with a private key.
pub(super) fn by_private_key(
    key: &PrivateKey,
    options: &Options,
    parties: &Parties<'_>,
) -> Result<String, AuthError> {
    let algorithm = key.algorithm(options.algorithm).map_err(unusable)?;
    let key_id = options.key_id.as_deref().or(key.id());
    let message = message(algorithm.name(), key_id, options, parties)?;
    let signature = key.sign(algorithm, message.as_bytes()).map_err(unusable)?;
    Ok(format!("{message}.{}", BASE64.encode(signature)))
}

/// An assertion signed with the client secret.
pub(super) fn by_secret(
    secret: &str,
    options: &Options,
    parties: &Parties<'_>,
) -> Result<String, AuthError> {
    let message = message("HS256", options.key_id.as_deref(), options, parties)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hmac::sign(&key, message.as_bytes());
    Ok(format!("{message}.{}", BASE64.encode(signature)))
}

/// Header and claims, as they are signed.
fn message(
    algorithm: &str,
    key_id: Option<&str>,
    options: &Options,
    parties: &Parties<'_>,
) -> Result<String, AuthError> {
    let mut id = [0; 16];
    SystemRandom::new()
        .fill(&mut id)
        .map_err(|_| unusable("cannot be used: the system has no random numbers"))?;
    // By the wall clock, as the endpoint's own.
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let mut header = json!({"alg": algorithm, "typ": "JWT"});
    if let Some(key_id) = key_id {
        header["kid"] = key_id.into();
    }
    let claims = json!({
        "iss": parties.client_id,
        "sub": parties.client_id,
        "aud": options.audience.as_deref().unwrap_or(parties.token_url),
        "jti": BASE64.encode(id),
        "iat": now,
        "exp": now + LIFETIME.as_secs(),
    });
    let part = |value: &Value| BASE64.encode(value.to_string());
    Ok(format!("{}.{}", part(&header), part(&claims)))
}

fn unusable(problem: &'static str) -> AuthError {
    AuthError::new(AuthErrorKind::Secret, format!("the private key {problem}"))
}
