//! What an answer that is not a token response means.

use http::StatusCode;

use super::answer::Said;
use super::authentication::{Credentials, Shown};
use crate::{AuthError, AuthErrorKind};

/// The error for an answer that is not a token response: its status, what it said if it is an error
/// answer (RFC 6749, section 5.2), and whether it ended in the middle.
pub(super) fn explain(
    status: StatusCode,
    said: Option<Said>,
    cut_off: bool,
    credentials: &Credentials,
) -> AuthError {
    let code = said.as_ref().map(|said| said.code.as_str());
    let (kind, message) = match (status.as_u16(), code) {
        (429, _) | (200..=201 | 400..=499, Some("slow_down" | "too_many_requests")) => (
            AuthErrorKind::RateLimited,
            "the token endpoint asks for fewer requests",
        ),
        // Codes of RFC 6749, section 4.1.2.1, that servers send from here as well; 425 is that of
        // RFC 8470: too early, the same request will do later.
        (408 | 425 | 500..=599, _)
        | (200..=201 | 400..=499, Some("temporarily_unavailable" | "server_error")) => (
            AuthErrorKind::Unavailable,
            "the token endpoint cannot answer now",
        ),
        (200..=201, None) if cut_off => (
            AuthErrorKind::Unavailable,
            "the token endpoint's answer was cut off",
        ),
        (200..=201, None) => (
            AuthErrorKind::InvalidResponse,
            "the token endpoint's answer is not a token response",
        ),
        (200..=201 | 400 | 401 | 403, _) => {
            (AuthErrorKind::Denied, refusal(said.as_ref(), credentials))
        }
        (300..=399, _) => (
            AuthErrorKind::InvalidResponse,
            "the token endpoint redirects, which is not followed: the client secret would go along",
        ),
        _ => (
            AuthErrorKind::InvalidResponse,
            "the token URL does not lead to a token endpoint",
        ),
    };
    let error = AuthError::new(kind, message).with_status(status);
    match code.filter(|code| may_be_shown(code, credentials.secret.expose())) {
        Some(code) => error.with_code(code),
        None => error,
    }
}

/// Whether a code looks like one: nothing else of the body is ever shown, least of all something
/// that could be part of the secret.
fn may_be_shown(code: &str, secret: &str) -> bool {
    (1..=40).contains(&code.len())
        && code
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        && (secret.is_empty() || !code.contains(secret) && !secret.contains(code))
}

fn refusal(said: Option<&Said>, credentials: &Credentials) -> &'static str {
    let fault = said
        .filter(|_| credentials.shown() == Shown::Assertion)
        .and_then(|said| assertion_fault(&said.description));
    if let Some(fault) = fault {
        return fault;
    }
    match said.map(|said| said.code.as_str()) {
        Some("invalid_client") => match credentials.shown() {
            Shown::Secret => {
                "the token endpoint does not know this client id, or the secret is wrong"
            }
            Shown::Assertion => {
                "the token endpoint does not know this client id, or does not accept its assertion"
            }
            Shown::Certificate => {
                "the token endpoint does not know this client id, or not by this certificate"
            }
        },
        Some("unauthorized_client") => "this client may not use the client-credentials grant",
        Some("access_denied") => {
            "this client may not have tokens for this audience: check client id, secret and audience"
        }
        Some("invalid_scope") => "the token endpoint refused the scope",
        _ => "the token endpoint refused the request: check client id, secret, audience and scope",
    }
}

/// What the endpoint's words say of an assertion. There is one code for all that can be wrong with
/// it, so the words are searched for what servers name; they are not shown.
fn assertion_fault(description: &str) -> Option<&'static str> {
    const FAULTS: [(&[&str], &str); 4] = [
        (
            &[
                "expired",
                "time range",
                "lifetime",
                "\"exp\"",
                "not yet valid",
            ],
            "the token endpoint says that the client assertion is not valid at this time: check the clock of \
             this machine, and whatever writes the assertion",
        ),
        (
            &["replay", "jti", "already been used", "used before"],
            "the token endpoint says that the client assertion was used before",
        ),
        (
            &["audience", "\"aud\""],
            "the token endpoint says that the client assertion is for another audience: it must name the \
             endpoint's URL or its issuer",
        ),
        (
            &["signature", "signed", "key", "algorithm"],
            "the token endpoint says that the client assertion is not signed by a key that it knows for \
             this client",
        ),
    ];
    let description = description.to_ascii_lowercase();
    let named = |words: &[&str]| words.iter().any(|word| description.contains(word));
    FAULTS
        .iter()
        .find(|(words, _)| named(words))
        .map(|(_, fault)| *fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_well_known_servers_are_understood() {
        for (description, fault) in [
            (
                "AADSTS700024: Client assertion is not within its valid time range.",
                "not valid at this time",
            ),
            ("JWT Token is expired", "not valid at this time"),
            ("Assertion has been replayed", "used before"),
            ("Invalid token audience", "another audience"),
            (
                "The client_assertion token signature was invalid.",
                "not signed by a key",
            ),
        ] {
            let found = assertion_fault(description).expect(description);
            assert!(found.contains(fault), "{description}: {found}");
        }
        assert_eq!(assertion_fault("computer says no"), None);
    }
}
