//! Athena's own: where the live service is, and the environment variables that its clients share.
//!
//! The names stand here and nowhere else. Values from the environment lose the line breaks and
//! blanks around them, and one that is set to nothing counts as not set.

#[cfg(feature = "oauth")]
use std::ffi::OsString;

#[cfg(feature = "oauth")]
use athena_auth::{
    ClientAuthentication, OAuthBuilder, OAuthClientCredentials, Secret, SecretFile, Static,
};

#[cfg(feature = "oauth")]
use crate::error::BuildError;

/// Where the live service is.
pub const DEFAULT_ENDPOINT: &str = "https://api.athena-risk-intelligence.com:443";
/// The token endpoint of the live service.
pub const DEFAULT_TOKEN_URL: &str = "https://crispthinking.auth0.com/oauth/token";
/// The audience of the live service's tokens.
pub const DEFAULT_AUDIENCE: &str = "crisp-athena-live";

/// The variable for the service's address, as `host:port` or `https://host:port`.
pub const HOST: &str = "ATHENA_HOST";
/// The variable for the affiliate that images belong to.
pub const AFFILIATE: &str = "ATHENA_AFFILIATE";
/// The variable for the path of a file with CA certificates (PEM) to trust as well.
pub const CA_FILE: &str = "ATHENA_CA_FILE";
/// The variable for a finished token, which cannot be renewed. Client credentials go before it.
pub const TOKEN: &str = "ATHENA_TOKEN";
/// The variable for the OAuth client id.
pub const CLIENT_ID: &str = "OAUTH_CLIENT_ID";
/// The variable for the client secret.
pub const CLIENT_SECRET: &str = "OAUTH_CLIENT_SECRET";
/// The variable for the path of a file that holds the client secret, and is read for each token
/// request: a secret that is replaced there needs no restart.
pub const CLIENT_SECRET_FILE: &str = "OAUTH_CLIENT_SECRET_FILE";
/// The variable for the token endpoint.
pub const TOKEN_URL: &str = "OAUTH_AUTH_URL";
/// The variable for the audience.
pub const AUDIENCE: &str = "OAUTH_AUDIENCE";

/// Client credentials for the live service: with [`DEFAULT_TOKEN_URL`] and [`DEFAULT_AUDIENCE`],
/// to be changed and built.
///
/// ```
/// use athena_client::{auth::SecretFile, auth::ClientAuthentication, environment};
///
/// let secret = ClientAuthentication::secret(SecretFile::new("/run/secrets/athena"));
/// let tokens = environment::credentials("my-client-id", secret)
///     .audience("crisp-athena-qa")
///     .build()?;
/// # Ok::<(), athena_client::auth::BuildError>(())
/// ```
#[cfg(feature = "oauth")]
pub fn credentials(
    client_id: impl Into<String>,
    authentication: impl Into<ClientAuthentication>,
) -> OAuthBuilder {
    OAuthClientCredentials::builder(client_id, authentication)
        .token_url(DEFAULT_TOKEN_URL)
        .audience(DEFAULT_AUDIENCE)
}

/// Client credentials as the environment says, to be changed and built: [`CLIENT_ID`], and
/// [`CLIENT_SECRET`] or [`CLIENT_SECRET_FILE`], are required; [`TOKEN_URL`] and [`AUDIENCE`] have
/// the live service's values by default.
///
/// # Errors
/// [`BuildError`] names the variable that is missing, not Unicode, or too many.
#[cfg(feature = "oauth")]
pub fn credentials_from_env() -> Result<OAuthBuilder, BuildError> {
    Variables(&|name| std::env::var_os(name)).credentials()
}

/// The process's variables, or those of a test.
#[cfg(feature = "oauth")]
pub(crate) struct Variables<'a>(pub(crate) &'a dyn Fn(&str) -> Option<OsString>);

/// What the environment has to show the service.
#[cfg(feature = "oauth")]
#[derive(Debug)]
pub(crate) enum Credentials {
    Client(Box<OAuthBuilder>),
    Token(Static),
}

#[cfg(feature = "oauth")]
impl Variables<'_> {
    pub(crate) fn optional(&self, name: &'static str) -> Result<Option<String>, BuildError> {
        let Some(value) = (self.0)(name) else {
            return Ok(None);
        };
        let value = value
            .into_string()
            .map_err(|_| BuildError::new(name, "is not valid Unicode"))?;
        Ok(Some(value.trim().to_owned()).filter(|value| !value.is_empty()))
    }

    fn required(&self, name: &'static str) -> Result<String, BuildError> {
        self.optional(name)?
            .ok_or_else(|| BuildError::new(name, "is not set"))
    }

    fn credentials(&self) -> Result<OAuthBuilder, BuildError> {
        let client_id = self.required(CLIENT_ID)?;
        let secret = match self.optional(CLIENT_SECRET_FILE)? {
            None => ClientAuthentication::secret(Secret::new(self.required(CLIENT_SECRET)?)),
            Some(_) if self.optional(CLIENT_SECRET)?.is_some() => {
                let problem = format!("is set, and so is {CLIENT_SECRET}: keep one of them");
                return Err(BuildError::new(CLIENT_SECRET_FILE, problem));
            }
            Some(path) => ClientAuthentication::secret(SecretFile::new(path)),
        };
        let mut builder = credentials(client_id, secret);
        if let Some(url) = self.optional(TOKEN_URL)? {
            builder = builder.token_url(url);
        }
        if let Some(audience) = self.optional(AUDIENCE)? {
            builder = builder.audience(audience);
        }
        Ok(builder)
    }

    /// Client credentials, or else a finished token.
    pub(crate) fn any_credentials(&self) -> Result<Credentials, BuildError> {
        let token = self.optional(TOKEN)?;
        match (token, self.optional(CLIENT_ID)?) {
            (Some(token), None) => Static::bearer(token)
                .map(Credentials::Token)
                .map_err(|error| BuildError::new(TOKEN, "is not a token").with_source(error)),
            (None, None) => Err(BuildError::new(
                CLIENT_ID,
                format!("is not set, and neither is {TOKEN}"),
            )),
            (token, Some(_)) => {
                if token.is_some() {
                    tracing::warn!("{TOKEN} is not used, since {CLIENT_ID} is set: remove it");
                }
                Ok(Credentials::Client(Box::new(self.credentials()?)))
            }
        }
    }
}

#[cfg(all(test, feature = "oauth"))]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Result<Credentials, &'static str> {
        let lookup = |wanted: &str| {
            let found = variables.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| OsString::from(value))
        };
        let credentials = Variables(&lookup).any_credentials();
        credentials.map_err(|error| error.setting())
    }

    #[test]
    fn what_is_missing_empty_or_too_much_is_named() {
        for (variables, named) in [
            (&[][..], CLIENT_ID),
            (&[(CLIENT_ID, " \n")], CLIENT_ID),
            (&[(CLIENT_ID, "id")], CLIENT_SECRET),
            (&[(CLIENT_ID, "id"), (CLIENT_SECRET, "\n")], CLIENT_SECRET),
            (&[(CLIENT_ID, "id"), (TOKEN, "a-token")], CLIENT_SECRET),
            (
                &[
                    (CLIENT_ID, "id"),
                    (CLIENT_SECRET, "s"),
                    (CLIENT_SECRET_FILE, "/run/secret"),
                ],
                CLIENT_SECRET_FILE,
            ),
            (&[(TOKEN, "two words")], TOKEN),
        ] {
            assert_eq!(found(variables).expect_err(named), named);
        }
    }

    #[test]
    fn credentials_go_before_a_token_and_a_line_break_is_no_part_of_either() {
        let secret = [(CLIENT_ID, "id\n"), (CLIENT_SECRET, "secret\r\n")];
        let file = [(CLIENT_ID, "id"), (CLIENT_SECRET_FILE, "/run/secret\n")];
        let both = [(TOKEN, "a-token"), secret[0], secret[1]];
        for variables in [&secret[..], &file, &both] {
            match found(variables).expect("enough") {
                Credentials::Client(builder) => drop(builder.build().expect("good settings")),
                Credentials::Token(_) => panic!("a token"),
            }
        }
        match found(&[(TOKEN, "a-token\n"), (CLIENT_ID, "")]).expect("enough") {
            Credentials::Token(token) => {
                let token = athena_auth::TokenSource::cached(&token).expect("fixed");
                assert_eq!(token.expose_secret(), "a-token");
            }
            Credentials::Client(_) => panic!("no credentials"),
        }
    }
}
