//! Obtains tokens by the client-credentials grant.

use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;
use oauth2::basic::BasicClient;
use oauth2::{AuthType, ClientId, ClientSecret, RequestTokenError, Scope, TokenUrl};

use super::answer::Answer;
use super::authentication::{Authenticator, Credentials, Form};
use super::http_client::HttpClient;
use super::quota::Quota;
use super::request::{Finished, Request};
#[cfg(feature = "store")]
use super::shared::Shared;
use super::transport::Transport;
use crate::{AuthError, AuthErrorKind, Fetch, Token};

pub(super) struct Exchange {
    pub(super) authenticator: Authenticator,
    pub(super) token_url: TokenUrl,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) scopes: Vec<String>,
    pub(super) http: HttpClient,
    pub(super) quota: Quota,
    /// Requests sent: a renewed secret makes one fetch two of them.
    pub(super) requests: AtomicU64,
    #[cfg(feature = "store")]
    pub(super) shared: Option<Shared>,
}

impl Fetch for Exchange {
    async fn fetch(&self) -> Result<Token, AuthError> {
        #[cfg(feature = "store")]
        if let Some(shared) = &self.shared {
            return shared.token(self.obtain()).await;
        }
        self.obtain().await
    }

    #[cfg(feature = "store")]
    fn rejected(&self, token: &Token) {
        if let Some(shared) = &self.shared {
            shared.reject(token);
        }
    }

    fn name(&self) -> &str {
        self.token_url.url().host_str().unwrap_or_default()
    }
}

impl Exchange {
    async fn obtain(&self) -> Result<Token, AuthError> {
        let credentials = self.authenticator.credentials().await?;
        let error = match self.request(&credentials).await {
            Err(error) if is_about_the_client(&error) => error,
            result => return result?.into_token(),
        };
        // The secret may have been replaced since the source was asked.
        match self.authenticator.renewed(&credentials).await? {
            Some(renewed) => self.request(&renewed).await?.into_token(),
            None => Err(error),
        }
    }

    async fn request(&self, credentials: &Credentials) -> Result<Answer, AuthError> {
        let client = BasicClient::new(ClientId::new(self.authenticator.client_id().to_owned()))
            .set_token_uri(self.token_url.clone());
        let client = match credentials.form {
            Form::Fields(_) => client.set_auth_type(AuthType::RequestBody),
            // The header is replaced by ours; what counts is that the id leaves the body.
            Form::Header(_) => client
                .set_auth_type(AuthType::BasicAuth)
                .set_client_secret(ClientSecret::new(String::new())),
        };
        let mut request = client
            .exchange_client_credentials()
            .add_scopes(self.scopes.iter().cloned().map(Scope::new));
        for (name, value) in &self.parameters {
            request = request.add_extra_param(name, value);
        }
        let http = Request {
            transport: Transport::new(self.http.get().await?),
            credentials,
            quota: &self.quota,
        };
        self.requests.fetch_add(1, Ordering::Relaxed);
        match request.request_async(&http).await {
            Err(RequestTokenError::Request(Finished(result))) => result,
            // Not sent: the oauth2 crate could not write it.
            _ => Err(AuthError::new(
                AuthErrorKind::InvalidResponse,
                "the token URL is one that no request can be sent to",
            )),
        }
    }
}

/// Whether the endpoint does not accept the client's credentials. Some say so by the status alone,
/// or with a code of their own beside it.
fn is_about_the_client(error: &AuthError) -> bool {
    error.kind() == AuthErrorKind::Denied
        && (error.oauth_code() == Some("invalid_client")
            || error.status() == Some(StatusCode::UNAUTHORIZED.as_u16()))
}
