//! Tokens and secrets, and where they come from.

mod credentials;
mod source;
mod token;

pub(crate) use credentials::OAuthClientCredentials;
pub(crate) use source::{Home, Raised, Source};
pub(crate) use token::{Secret, Token};
