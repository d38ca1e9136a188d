//! What a token request carries to show who the client is.

use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::HeaderValue;
use oauth2::TokenUrl;
use oauth2::url::form_urlencoded::byte_serialize;
use tokio::time::Instant;
use zeroize::Zeroizing;

#[cfg(feature = "jwt")]
use super::jwt::{self, Parties};
#[cfg(feature = "jwt")]
use super::key::PrivateKey;
use super::{ClientAuthentication, Method};
use crate::sync::lock;
use crate::{AuthError, AuthErrorKind, Secret, SecretSource};

/// The `client_assertion_type` of a JSON Web Token (RFC 7523, section 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

const ASSERTION: &str = "client_assertion";

/// Keeps the secret for as long as its source says, and makes credentials of it.
pub(crate) struct Authenticator {
    client_id: String,
    #[cfg(feature = "jwt")]
    token_url: String,
    method: Method,
    source: Box<dyn SecretSource>,
    /// The last secret, and until when it is good.
    kept: Mutex<Option<(Secret, Instant)>>,
}

/// The credentials of one request.
pub(crate) struct Credentials {
    /// What they were made of.
    pub(crate) secret: Secret,
    pub(crate) form: Form,
}

impl Credentials {
    /// What the endpoint is shown.
    pub(crate) fn shown(&self) -> Shown {
        match &self.form {
            Form::Fields(fields) if fields.is_empty() => Shown::Certificate,
            Form::Fields(fields) if fields.iter().any(|(name, _)| *name == ASSERTION) => {
                Shown::Assertion
            }
            _ => Shown::Secret,
        }
    }
}

/// What a client shows an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Secret,
    Assertion,
    Certificate,
}

/// Where in a request they stand.
pub(crate) enum Form {
    /// Beside the client id in the body.
    Fields(Vec<(&'static str, Zeroizing<String>)>),
    /// In the `authorization` header, client id included.
    Header(HeaderValue),
}

impl Authenticator {
    pub(crate) fn new(
        client_id: String,
        token_url: &TokenUrl,
        authentication: ClientAuthentication,
    ) -> Self {
        #[cfg(not(feature = "jwt"))]
        let _ = token_url;
        Self {
            client_id,
            #[cfg(feature = "jwt")]
            token_url: token_url.to_string(),
            method: authentication.method,
            source: authentication.source,
            kept: Mutex::new(None),
        }
    }

    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Credentials for a request that is about to be made.
    pub(crate) async fn credentials(&self) -> Result<Credentials, AuthError> {
        match self.kept() {
            Some(secret) => self.sign(secret),
            None => self.sign(self.ask().await?),
        }
    }

    /// Credentials after the endpoint did not accept `refused`. `None` if the source still has the
    /// same secret.
    pub(crate) async fn renewed(
        &self,
        refused: &Credentials,
    ) -> Result<Option<Credentials>, AuthError> {
        if self.source.fixed().is_some() {
            return Ok(None);
        }
        let secret = self.ask().await?;
        if secret.expose() == refused.secret.expose() {
            return Ok(None);
        }
        self.sign(secret).map(Some)
    }

    fn kept(&self) -> Option<Secret> {
        let kept = lock(&self.kept);
        let kept = kept.as_ref().filter(|(_, end)| Instant::now() < *end);
        kept.map(|(secret, _)| secret.clone())
    }

    async fn ask(&self) -> Result<Secret, AuthError> {
        let asked = Instant::now();
        let secret = self.source.secret().await?;
        if let Some(problem) = self.method.problem(&secret) {
            return Err(self.unusable(problem));
        }
        let end = secret.lifetime().and_then(|span| asked.checked_add(span));
        *lock(&self.kept) = end.map(|end| (secret.clone(), end));
        Ok(secret)
    }

    fn unusable(&self, problem: &str) -> AuthError {
        let message = format!("the {} {problem}", self.method.setting());
        AuthError::new(AuthErrorKind::Secret, message)
    }

    #[cfg(feature = "jwt")]
    fn parties(&self) -> Parties<'_> {
        Parties {
            client_id: &self.client_id,
            token_url: &self.token_url,
        }
    }

    fn sign(&self, secret: Secret) -> Result<Credentials, AuthError> {
        let text = Zeroizing::new(secret.expose().to_owned());
        let form = match &self.method {
            Method::SecretPost => Form::Fields(vec![("client_secret", text)]),
            Method::SecretBasic => Form::Header(basic(&self.client_id, &text)?),
            Method::Assertion => assertion(text),
            #[cfg(feature = "jwt")]
            Method::SecretJwt(options) => {
                assertion(jwt::by_secret(&text, options, &self.parties())?.into())
            }
            #[cfg(feature = "jwt")]
            Method::PrivateKeyJwt(options) => {
                let key = PrivateKey::read(&text).map_err(|problem| self.unusable(problem))?;
                assertion(jwt::by_private_key(&key, options, &self.parties())?.into())
            }
            Method::Certificate(_) => Form::Fields(Vec::new()),
        };
        Ok(Credentials { secret, form })
    }
}

fn assertion(text: Zeroizing<String>) -> Form {
    Form::Fields(vec![
        (
            "client_assertion_type",
            Zeroizing::new(JWT_BEARER.to_owned()),
        ),
        (ASSERTION, text),
    ])
}

/// Both parts are form-encoded before they are joined (RFC 6749, section 2.3.1). Every buffer has
/// its final size from the start, and is zeroed.
fn basic(id: &str, secret: &str) -> Result<HeaderValue, AuthError> {
    let mut pair = Zeroizing::new(Vec::with_capacity(3 * (id.len() + secret.len()) + 1));
    for piece in byte_serialize(id.as_bytes()) {
        pair.extend_from_slice(piece.as_bytes());
    }
    pair.push(b':');
    for piece in byte_serialize(secret.as_bytes()) {
        pair.extend_from_slice(piece.as_bytes());
    }
    let mut value = Zeroizing::new(String::with_capacity(8 + pair.len().div_ceil(3) * 4));
    value.push_str("Basic ");
    BASE64.encode_string(&*pair, &mut value);
    let value = Zeroizing::new(std::mem::take(&mut *value).into_bytes());
    let mut header = HeaderValue::from_maybe_shared(Bytes::from_owner(value)).map_err(|error| {
        AuthError::new(AuthErrorKind::Secret, "the client secret fits no header").with_source(error)
    })?;
    header.set_sensitive(true);
    Ok(header)
}
