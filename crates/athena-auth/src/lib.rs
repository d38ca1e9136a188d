//! OAuth 2.0 tokens for any tower, tonic, hyper or reqwest client.
//!
//! A client that calls an API with bearer tokens needs more than one request to a token
//! endpoint: one cache however many calls run, a refresh before the token expires, patience with
//! an endpoint that fails, and a new token when the server rejects the old one. This crate is
//! that, and knows nothing of the API that is called.
//!
//! - [`TokenSource`] is the trait that everything plugs into.
//! - [`OAuthClientCredentials`] gets tokens by the client-credentials grant; [`Static`] has a
//!   fixed one; [`Cached`] puts the same cache in front of any async function.
//! - [`AuthorizationLayer`] puts the token on each request of a tower stack.
//!
//! # With tonic
//! The layer wraps a channel; the generated client does not notice.
//!
//! ```no_run
//! # #[cfg(feature = "oauth")]
//! use athena_auth::{AuthorizationLayer, OAuthClientCredentials};
//! use tonic::transport::Channel;
//! use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
//! use tower::ServiceBuilder;
//!
//! # #[cfg(feature = "oauth")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let source = OAuthClientCredentials::builder("my-client-id", std::env::var("MY_SECRET")?)
//!     .token_url("https://login.example.com/oauth/token")
//!     .audience("my-api")
//!     .build()?;
//!
//! let channel = Channel::from_static("https://api.example.com").connect_lazy();
//! let authorized = ServiceBuilder::new()
//!     .layer(AuthorizationLayer::new(source))
//!     .service(channel);
//!
//! // The origin tells the layer that requests go over TLS.
//! let mut client = HealthClient::with_origin(authorized, "https://api.example.com".parse()?);
//! client.check(HealthCheckRequest::default()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # With reqwest
//! A client that is not a tower service takes the header from the source. When the server rejects
//! the token, say so, and try once more:
//!
//! ```no_run
//! # #[cfg(feature = "oauth")]
//! # mod example {
//! use athena_auth::{BoxError, TokenSource};
//! use reqwest::{Client, Response, StatusCode, header::AUTHORIZATION};
//!
//! async fn get(client: &Client, source: &dyn TokenSource, url: &str) -> Result<Response, BoxError> {
//!     let token = source.token().await?;
//!     let response = client.get(url).header(AUTHORIZATION, token.header_value()).send().await?;
//!     if response.status() != StatusCode::UNAUTHORIZED {
//!         return Ok(response);
//!     }
//!     source.invalidate(&token);
//!     let token = source.token().await?;
//!     Ok(client.get(url).header(AUTHORIZATION, token.header_value()).send().await?)
//! }
//! # }
//! ```
//!
//! # With a token source of your own
//! Give [`Cached`] the one async function that obtains a token:
//!
//! ```
//! use std::time::Duration;
//! use athena_auth::{AuthError, Cached, AuthErrorKind, Token, TokenSource};
//!
//! # struct Vault;
//! # impl Vault {
//! #     async fn read(&self, _: &str) -> std::io::Result<String> { Ok("a-token".into()) }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), AuthError> {
//! # let vault = Vault;
//! let vault = std::sync::Arc::new(vault);
//! let source = Cached::new(move || {
//!     let vault = vault.clone();
//!     async move {
//!         let secret = vault.read("secret/my-api").await.map_err(|error| {
//!             AuthError::new(AuthErrorKind::Unavailable, "the vault did not answer").with_source(error)
//!         })?;
//!         Ok(Token::bearer(secret)?.with_lifetime(Duration::from_secs(600)))
//!     }
//! });
//!
//! assert_eq!(source.token().await?.header_value(), "Bearer a-token");
//! # Ok(())
//! # }
//! ```
//!
//! # Secrets
//! Client secret and token are held in memory that is zeroed when the last handle goes, the
//! header that rides on requests included. No `Debug`, `Display`, error or log event shows
//! either, or any of a response body but a checked error code. Copies that HTTP and TLS libraries
//! make while they send and receive are out of reach.
//!
//! # Telemetry
//! Events of the `tracing` crate: `token requested` (debug), `token obtained` (info, with its
//! lifetime and how long it took), `token request failed` (warn, with kind, attempt, time of the
//! next try, and whether a valid token is still at hand), and a warning when the server rejects a
//! token.
//!
//! # Features
//! | feature | default | what it gives | what it needs |
//! | --- | --- | --- | --- |
//! | `oauth` | yes | `OAuthClientCredentials` | oauth2, reqwest, rustls with ring |
//! | `jwt` | no | `JwtAssertion`: assertions that the client signs itself | ring, which `oauth` brings along |
//! | `store` | no | `TokenStore`, `TokenFile`: a token shared by processes | fs4 |
//!
//! Without it nothing here opens a connection, and the crate is a few small dependencies.
//!
//! # Types of other crates
//! The interface speaks `http` 1 and the traits of `tower-service` and `tower-layer`, and, in
//! [`OAuthBuilder::http_client`](crate::OAuthBuilder::http_client) alone, reqwest. Nothing of
//! oauth2, rustls or tonic shows. `Network` and `is_loopback` are `athena-net`'s.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod cache;
mod error;
mod fetch;
mod fixed;
mod layer;
#[cfg(feature = "oauth")]
mod oauth;
#[cfg(feature = "oauth")]
mod secret;
mod source;
#[cfg(feature = "store")]
mod store;
mod sync;
mod token;

pub use athena_net::is_loopback;
#[cfg(feature = "oauth")]
pub use athena_net::{Identity, Network, NetworkBuilder};
pub use cache::{Cached, Timing, TokenEvent, Usage};
pub use error::{AuthError, AuthErrorKind};
pub use fetch::Fetch;
pub use fixed::Static;
pub use layer::{Authorization, AuthorizationLayer, ResponseFuture};
#[cfg(feature = "oauth")]
pub use oauth::{BuildError, ClientAuthentication, OAuthBuilder, OAuthClientCredentials};
#[cfg(feature = "jwt")]
pub use oauth::{JwtAssertion, SigningAlgorithm};
#[cfg(feature = "oauth")]
pub use secret::{Secret, SecretCommand, SecretFile, SecretSource, SecretVariable};
pub use source::{BoxFuture, TokenSource};
#[cfg(feature = "store")]
pub use store::{StoreAccess, TokenFile, TokenStore};
pub use token::Token;

/// Any error, as tower services pass it on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What callers hold may go to any thread.
const _: () = {
    const fn assert<T: Send + Sync>() {}
    assert::<Token>();
    assert::<AuthError>();
    assert::<Static>();
    assert::<AuthorizationLayer>();
    assert::<Authorization<()>>();
    #[cfg(feature = "oauth")]
    {
        assert::<OAuthClientCredentials>();
        assert::<OAuthBuilder>();
        assert::<BuildError>();
        assert::<Secret>();
    }
};
