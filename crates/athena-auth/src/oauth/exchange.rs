//! One token request and what becomes of it.

use http::StatusCode;
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
};
use oauth2::{
    AuthType, ClientId, ClientSecret, RequestTokenError, Scope, StandardRevocableToken, TokenUrl,
};
use zeroize::{Zeroize, Zeroizing};

use super::answer::Answer;
use super::transport::{Head, Transport};
use crate::{AuthError, ErrorKind, Fetch, Token};

/// The oauth2 crate's client with our own token response.
type Client = oauth2::Client<
    BasicErrorResponse,
    Answer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

/// Obtains tokens by the client-credentials grant.
pub(super) struct Exchange {
    pub(super) client_id: String,
    pub(super) client_secret: Zeroizing<String>,
    pub(super) token_url: TokenUrl,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) scopes: Vec<String>,
    pub(super) basic: bool,
    pub(super) http: reqwest::Client,
}

impl Fetch for Exchange {
    async fn fetch(&self) -> Result<Token, AuthError> {
        // Made anew for each request: the oauth2 crate does not zero the secret it holds.
        let client = Client::new(ClientId::new(self.client_id.clone()))
            .set_client_secret(ClientSecret::new(self.client_secret.to_string()))
            .set_token_uri(self.token_url.clone())
            .set_auth_type(if self.basic {
                AuthType::BasicAuth
            } else {
                AuthType::RequestBody
            });
        let mut request = client
            .exchange_client_credentials()
            .add_scopes(self.scopes.iter().cloned().map(Scope::new));
        for (name, value) in &self.parameters {
            request = request.add_extra_param(name, value);
        }
        let transport = Transport::new(self.http.clone());
        let answer = request.request_async(&transport).await;
        match answer {
            Ok(answer) => answer.into_token(),
            Err(RequestTokenError::Request(error)) => Err(error),
            Err(error) => Err(self.explain(error, transport.head())),
        }
    }

    fn name(&self) -> &str {
        self.token_url.url().host_str().unwrap_or_default()
    }
}

impl Exchange {
    /// An answer that is not a token response.
    fn explain(
        &self,
        error: RequestTokenError<AuthError, BasicErrorResponse>,
        head: Option<&Head>,
    ) -> AuthError {
        let status = head.map_or(StatusCode::OK, |head| head.status);
        let code = match &error {
            RequestTokenError::ServerResponse(answer) => self.checked_code(answer.error().as_ref()),
            _ => None,
        };
        let (kind, message) = match status.as_u16() {
            200 if is_cut_off(&error) => (
                ErrorKind::Unavailable,
                "the token endpoint's answer was cut off",
            ),
            200 => (
                ErrorKind::InvalidResponse,
                "the token endpoint's answer is not a token response",
            ),
            400 | 401 | 403 => (ErrorKind::Denied, refusal(code)),
            408 | 500..=599 => (
                ErrorKind::Unavailable,
                "the token endpoint cannot answer now",
            ),
            429 => (
                ErrorKind::RateLimited,
                "the token endpoint asks for fewer requests",
            ),
            300..=399 => (
                ErrorKind::InvalidResponse,
                "the token endpoint redirects, which is not followed: the client secret would go along",
            ),
            _ => (
                ErrorKind::InvalidResponse,
                "the token URL does not lead to a token endpoint",
            ),
        };
        let mut explained = AuthError::new(kind, message).with_status(status);
        if let Some(code) = code {
            explained = explained.with_code(code);
        }
        if let Some(wait) = head.and_then(|head| head.retry_after) {
            explained = explained.with_retry_after(wait);
        }
        if let RequestTokenError::Parse(_, mut body) = error {
            body.zeroize();
        }
        explained
    }

    /// The error code, if it looks like one: nothing else of the body is ever shown, least of
    /// all something that could be part of the secret.
    fn checked_code<'a>(&self, code: &'a str) -> Option<&'a str> {
        let plausible = (1..=40).contains(&code.len())
            && code
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            && !code.contains(self.client_secret.as_str())
            && !self.client_secret.contains(code);
        plausible.then_some(code)
    }
}

fn refusal(code: Option<&str>) -> &'static str {
    match code {
        Some("invalid_client") => {
            "the token endpoint does not know this client id, or the secret is wrong"
        }
        Some("unauthorized_client") => "this client may not use the client-credentials grant",
        Some("access_denied") => {
            "this client may not have tokens for this audience: check client id, secret and audience"
        }
        Some("invalid_scope") => "the token endpoint refused the scope",
        _ => "the token endpoint refused the request: check client id, secret, audience and scope",
    }
}

fn is_cut_off(error: &RequestTokenError<AuthError, BasicErrorResponse>) -> bool {
    matches!(error, RequestTokenError::Parse(error, _) if error.inner().is_eof())
}
