//! A place where processes share a token.

mod file;

use std::fmt;

pub use self::file::TokenFile;
use crate::{AuthError, BoxFuture, Secret};

/// A place outside the process where a token is kept, so that many workers which start together
/// cost one token request: a file on a host, or something of your own for a fleet.
///
/// What is kept is opaque to the store: text that holds a token, so a secret. Trouble with the
/// store fails no call: it is logged, and the endpoint is asked as if there were none. An error of
/// kind [`AuthErrorKind::Insecure`](crate::AuthErrorKind::Insecure) is the exception.
pub trait TokenStore: fmt::Debug + Send + Sync + 'static {
    /// Waits until no other process is at the store, and keeps the others out for as long as what
    /// is returned lives. A caller that gives up drops the future.
    fn enter(&self) -> BoxFuture<'_, Result<Box<dyn StoreAccess>, AuthError>>;
}

/// Sole access to a store. Dropping it lets the next one in.
pub trait StoreAccess: Send {
    /// What is kept, if anything is.
    fn read(&mut self) -> BoxFuture<'_, Result<Option<Secret>, AuthError>>;

    /// Keeps this in its place, all of it or nothing.
    fn write(&mut self, kept: &Secret) -> BoxFuture<'_, Result<(), AuthError>>;
}
