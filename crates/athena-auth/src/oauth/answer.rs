//! The endpoint's token response (RFC 6749, section 5.1), read as leniently as existing clients do.

use std::fmt;
use std::time::Duration;

use oauth2::basic::BasicTokenType;
use oauth2::{AccessToken, RefreshToken, Scope, TokenResponse};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{AuthError, ErrorKind, Token};

/// What existing clients assume when the answer names no lifetime.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);

/// Holds the token in zeroed memory; the fields that the oauth2 crate's trait wants stay empty.
#[derive(Deserialize)]
pub(super) struct Answer {
    access_token: Secret,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    expires_in: Option<Value>,
    #[serde(skip, default = "nothing")]
    placeholder: AccessToken,
    #[serde(skip, default = "bearer")]
    placeholder_type: BasicTokenType,
}

#[derive(Deserialize)]
#[serde(from = "String")]
struct Secret(Zeroizing<String>);

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(Zeroizing::new(secret))
    }
}

fn nothing() -> AccessToken {
    AccessToken::new(String::new())
}

fn bearer() -> BasicTokenType {
    BasicTokenType::Bearer
}

impl Answer {
    pub(super) fn into_token(mut self) -> Result<Token, AuthError> {
        let secret = std::mem::take(&mut *self.access_token.0);
        let lifetime = lifetime(self.expires_in.as_ref());
        if lifetime.is_zero() {
            return Err(AuthError::new(
                ErrorKind::InvalidResponse,
                "the token endpoint issued a token that had expired already",
            ));
        }
        let scheme = self.token_type.as_deref().unwrap_or_default();
        Ok(Token::new(scheme, secret)?.with_lifetime(lifetime))
    }
}

/// Seconds as a number or as digits in a string. Missing or unreadable means an hour; zero and
/// less mean that the token is expired; what is too large for a `Duration` is its maximum.
fn lifetime(expires_in: Option<&Value>) -> Duration {
    let seconds = match expires_in {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|seconds| !seconds.is_nan()),
        _ => None,
    };
    match seconds {
        None => DEFAULT_LIFETIME,
        Some(seconds) if seconds <= 0.0 => Duration::ZERO,
        Some(seconds) => Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX),
    }
}

impl TokenResponse for Answer {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.placeholder
    }

    fn token_type(&self) -> &BasicTokenType {
        &self.placeholder_type
    }

    fn expires_in(&self) -> Option<Duration> {
        Some(lifetime(self.expires_in.as_ref()))
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        None
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

/// The trait asks for it; a token is never written out.
impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
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
        serde_json::from_str::<Answer>(json)
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
        for forever in ["99999999999999999999999999999999", "1e300", "\"1e999\""] {
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
            assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{expired}");
        }
    }
}
