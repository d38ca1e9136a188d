//! What ends a command when the token endpoint or the service does not play along.

use athena_auth::{AuthError, AuthErrorKind};
use athena_client::{Delivery, ErrorKind};
use athena_outcome::text::sdk_error;

use super::{Credentials, Target};
use crate::exit::Exit;
use crate::failure::{Failure, chain};

/// The end of a command that could not get a token.
pub(crate) fn auth_failure(error: &AuthError, credentials: &Credentials) -> Failure {
    let from = match credentials {
        Credentials::Client { token_url, .. } => format!(" from {token_url}"),
        Credentials::Token => String::new(),
    };
    let (exit, remedy) = match error.kind() {
        AuthErrorKind::Denied => (
            Exit::Refused,
            "check OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET and OAUTH_AUDIENCE; `athena config show` tells where they come from",
        ),
        AuthErrorKind::Tls => (
            Exit::Unreachable,
            "trust its CA with --ca FILE, or correct the URL or the clock",
        ),
        AuthErrorKind::Proxy => (
            Exit::Unreachable,
            "correct HTTPS_PROXY, or name the host in NO_PROXY",
        ),
        AuthErrorKind::RateLimited => (Exit::Unreachable, "wait before trying again"),
        AuthErrorKind::Unavailable | AuthErrorKind::Timeout => (
            Exit::Unreachable,
            "check OAUTH_AUTH_URL, the network and the proxy",
        ),
        AuthErrorKind::InvalidResponse => (
            Exit::Service,
            "check that OAUTH_AUTH_URL is a token endpoint and that no proxy answers in its place",
        ),
        _ => (
            Exit::Configuration,
            "check the credentials and where they come from: `athena config show`",
        ),
    };
    let failure = Failure::new(exit, format!("no token{from}: {}", chain(error))).remedy(remedy);
    match error.kind() {
        AuthErrorKind::Unavailable | AuthErrorKind::Timeout => failure.see_doctor(),
        _ => failure,
    }
}

/// The end of a command that the service, or the way to it, has stopped.
pub(crate) fn service_failure(error: &athena_client::Error, target: &Target) -> Failure {
    let text = sdk_error(error);
    let (_, address) = (target.endpoint.split_once("://")).unwrap_or(("", &target.endpoint));
    let cause = match text.contains(address.trim_end_matches('/')) {
        true => text,
        false => format!("{}: {text}", target.endpoint),
    };
    let (exit, remedy) = match error.kind() {
        ErrorKind::Authentication if error.is_transient() => (
            Exit::Unreachable,
            "the token endpoint does not answer: check OAUTH_AUTH_URL, the network and the proxy",
        ),
        ErrorKind::Authentication => (
            Exit::Refused,
            "check OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET and OAUTH_AUDIENCE; `athena token` tests them",
        ),
        ErrorKind::NotPermitted => (
            Exit::Refused,
            "check the affiliate: --affiliate or ATHENA_AFFILIATE",
        ),
        ErrorKind::Connect => (
            Exit::Unreachable,
            "check ATHENA_HOST, the network and the proxy",
        ),
        ErrorKind::Tls => (
            Exit::Unreachable,
            "correct ATHENA_HOST, trust its CA with --ca FILE, or correct the clock",
        ),
        ErrorKind::Protocol => (Exit::Service, "check that ATHENA_HOST is the service"),
        // An answer, if only to say that there is none to be had now.
        _ if error.is_transient() && error.delivery() == Delivery::Answered => {
            (Exit::Service, "try again later")
        }
        _ if error.is_transient() => (Exit::Unreachable, "try again"),
        _ => (
            Exit::Service,
            "try again; if it lasts, send `athena doctor --json` to the service's support",
        ),
    };
    let failure = Failure::new(exit, cause).remedy(remedy);
    match error.kind() {
        ErrorKind::NotPermitted | ErrorKind::Tls | ErrorKind::Service => failure,
        ErrorKind::Authentication if !error.is_transient() => failure,
        _ => failure.see_doctor(),
    }
}

/// An error that every other image would meet as well.
pub(crate) fn concerns_all(error: &athena_client::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Authentication
            | ErrorKind::NotPermitted
            | ErrorKind::Connect
            | ErrorKind::Tls
            | ErrorKind::Protocol
    )
}
