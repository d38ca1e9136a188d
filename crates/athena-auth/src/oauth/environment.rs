//! Settings from environment variables.

use std::ffi::OsString;

use super::{ATHENA_AUDIENCE, ATHENA_TOKEN_URL, ConfigError, OAuthBuilder, OAuthClientCredentials};

pub(super) fn read(lookup: impl Fn(&str) -> Option<OsString>) -> Result<OAuthBuilder, ConfigError> {
    let optional = |name: &'static str| match lookup(name).filter(|value| !value.is_empty()) {
        None => Ok(None),
        Some(value) => value
            .into_string()
            .map(Some)
            .map_err(|_| ConfigError::new(name, "is not valid Unicode")),
    };
    let required =
        |name: &'static str| optional(name)?.ok_or_else(|| ConfigError::new(name, "is not set"));
    let client_id = required("OAUTH_CLIENT_ID")?;
    let client_secret = required("OAUTH_CLIENT_SECRET")?;
    let token_url = optional("OAUTH_AUTH_URL")?.unwrap_or_else(|| ATHENA_TOKEN_URL.into());
    let audience = optional("OAUTH_AUDIENCE")?.unwrap_or_else(|| ATHENA_AUDIENCE.into());
    Ok(OAuthClientCredentials::builder(client_id, client_secret)
        .token_url(token_url)
        .audience(audience))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(variables: &[(&str, &str)]) -> Option<&'static str> {
        let lookup = |wanted: &str| {
            let found = variables.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| OsString::from(value))
        };
        read(lookup).err().map(|error| error.setting())
    }

    #[test]
    fn what_is_missing_or_empty_is_named() {
        assert_eq!(missing(&[]), Some("OAUTH_CLIENT_ID"));
        assert_eq!(missing(&[("OAUTH_CLIENT_ID", "")]), Some("OAUTH_CLIENT_ID"));
        assert_eq!(
            missing(&[("OAUTH_CLIENT_ID", "id")]),
            Some("OAUTH_CLIENT_SECRET")
        );
        assert_eq!(
            missing(&[("OAUTH_CLIENT_ID", "id"), ("OAUTH_CLIENT_SECRET", "secret")]),
            None
        );
    }
}
