//! The OAuth 2.0 side: client-credentials grant, key set and discovery documents.

mod endpoint;
mod issuer;
mod jwt;
mod registration;
mod request;

pub(crate) use endpoint::router;
pub(crate) use issuer::Issuer;
pub use issuer::TokenKind;
