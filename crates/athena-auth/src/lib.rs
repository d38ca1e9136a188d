//! OAuth 2.0 tokens for any tower, tonic, hyper or reqwest client: single-flight cache, early refresh, authorization layer.

mod cache;
mod error;
mod fetch;
mod fixed;
mod layer;
mod loopback;
#[cfg(feature = "oauth")]
mod oauth;
mod source;
mod token;

pub use cache::{Cached, Timing};
pub use error::{AuthError, ErrorKind};
pub use fetch::Fetch;
pub use fixed::Static;
pub use layer::{Authorization, AuthorizationLayer, ResponseFuture};
#[cfg(feature = "oauth")]
pub use oauth::{
    ATHENA_AUDIENCE, ATHENA_TOKEN_URL, ConfigError, OAuthBuilder, OAuthClientCredentials,
};
pub use source::{BoxFuture, TokenSource};
pub use token::Token;

/// Any error, as tower services pass it on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
