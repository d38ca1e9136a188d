//! The endpoint's answer (RFC 6749, sections 5.1 and 5.2), read as leniently as existing clients
//! do: its content type and a byte order mark count for nothing.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::{AuthError, AuthErrorKind, Token};

/// What existing clients assume when the answer names no lifetime.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);

/// A token response; the token is in zeroed memory.
#[derive(Deserialize)]
pub(super) struct Answer {
    access_token: Secret,
    #[serde(default)]
    token_type: Option<String>,
    /// Unread, since it may be a number that no type of ours can hold.
    #[serde(default)]
    expires_in: Option<Box<RawValue>>,
}

/// What an error answer says.
pub(super) struct Said {
    pub(super) code: String,
    /// In the endpoint's words: never shown.
    pub(super) description: String,
}

pub(super) fn read(body: &[u8]) -> Result<Answer, serde_json::Error> {
    serde_json::from_slice(without_mark(body))
}

pub(super) fn said(body: &[u8]) -> Option<Said> {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
        #[serde(default)]
        error_description: Value,
    }
    let refusal: Refusal = serde_json::from_slice(without_mark(body)).ok()?;
    Some(Said {
        code: refusal.error,
        description: refusal
            .error_description
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    })
}

/// The body without the byte order mark of UTF-8, which some servers put there.
fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)
}

#[derive(Deserialize)]
#[serde(from = "String")]
struct Secret(Zeroizing<String>);

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(Zeroizing::new(secret))
    }
}

impl Answer {
    pub(super) fn into_token(mut self) -> Result<Token, AuthError> {
        let secret = std::mem::take(&mut *self.access_token.0);
        let lifetime = match self.expires_in.as_deref().map(RawValue::get) {
            None => DEFAULT_LIFETIME,
            Some(expires_in) => lifetime(expires_in).unwrap_or_else(|| {
                tracing::warn!(
                    "the token endpoint's expires_in is not a number of seconds: an hour is assumed"
                );
                DEFAULT_LIFETIME
            }),
        };
        if lifetime.is_zero() {
            return Err(AuthError::new(
                AuthErrorKind::InvalidResponse,
                "the token endpoint issued a token that had expired already",
            ));
        }
        let scheme = self.token_type.as_deref().unwrap_or_default();
        Ok(Token::new(scheme, secret)?.with_lifetime(lifetime))
    }
}

/// Seconds, as a number or as a number in a string. Zero and less mean that the token is expired;
/// what is too large for a `Duration` is its maximum. `None` for anything else, numbers beyond
/// those of a computer included.
fn lifetime(expires_in: &str) -> Option<Duration> {
    let text: String = match expires_in.starts_with('"') {
        true => serde_json::from_str(expires_in).ok()?,
        false => expires_in.to_owned(),
    };
    let text = text.trim();
    // Rust reads words such as `infinity` as well.
    let is_number = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let seconds: f64 = text.parse().ok().filter(|_| is_number)?;
    if !seconds.is_finite() {
        None
    } else if seconds <= 0.0 {
        Some(Duration::ZERO)
    } else {
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Token, AuthError> {
        super::read(json.as_bytes())
            .expect("a token response")
            .into_token()
    }

    #[test]
    fn the_scheme_is_read_as_existing_clients_do() {
        for kind in [
            "",
            r#","token_type":"""#,
            r#","token_type":null"#,
            r#","token_type":"bearer""#,
            r#","token_type":"BEARER""#,
        ] {
            let token = read(&format!(r#"{{"access_token":"abc"{kind}}}"#)).expect(kind);
            assert_eq!(token.header_value(), "Bearer abc", "{kind}");
        }
        let token = read(r#"{"access_token":"abc","token_type":"DPoP"}"#).expect("another scheme");
        assert_eq!(token.header_value(), "DPoP abc");
    }

    #[test]
    fn the_lifetime_is_read_in_every_form_that_servers_send() {
        for (expires_in, seconds) in [
            ("null", 3600),
            ("60", 60),
            ("\"60\"", 60),
            ("\" 60 \"", 60),
            ("60.9", 60),
            ("\"soon\"", 3600),
            ("\"NaN\"", 3600),
            ("[]", 3600),
            ("\"inf\"", 3600),
            ("true", 3600),
            ("6e1", 60),
            ("1e400", 3600),
            ("\"1e999\"", 3600),
            ("\"3600abc\"", 3600),
            ("\"1h\"", 3600),
            ("-1e400", 3600),
        ] {
            let token = read(&format!(
                r#"{{"access_token":"abc","expires_in":{expires_in}}}"#
            ))
            .expect(expires_in);
            assert_eq!(
                token.lifetime().expect("always one").as_secs(),
                seconds,
                "{expires_in}"
            );
        }
        assert_eq!(
            read(r#"{"access_token":"abc"}"#)
                .expect("no lifetime")
                .lifetime(),
            Some(DEFAULT_LIFETIME)
        );
        for forever in ["99999999999999999999999999999999", "1e300", "\"1e300\""] {
            let token = read(&format!(
                r#"{{"access_token":"abc","expires_in":{forever}}}"#
            ))
            .expect(forever);
            assert_eq!(token.lifetime(), Some(Duration::MAX), "{forever}");
        }
        for expired in ["0", "-1", "\"0\"", "-1e300"] {
            let error = read(&format!(
                r#"{{"access_token":"abc","expires_in":{expired}}}"#
            ))
            .expect_err(expired);
            assert_eq!(error.kind(), AuthErrorKind::InvalidResponse, "{expired}");
        }
    }
}
