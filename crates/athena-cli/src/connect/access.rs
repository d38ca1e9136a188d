//! Where tokens come from.

use std::sync::Arc;
use std::time::Duration;

use athena_auth::{
    ClientAuthentication, OAuthClientCredentials, SecretFile, Static, Timing, Token, TokenSource,
};
use athena_emulator::Emulator;

use super::{auth_failure, invalid};
use crate::config::{ConnectArgs, Secret, SecretOrigin, Setting, Settings, read_ca};
use crate::failure::{Failure, Outcome};

/// The longest wait for a first token: somebody is watching.
const TOKEN_PATIENCE: Duration = Duration::from_secs(6);

/// What is shown to the service, or exchanged for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// Client credentials, for tokens of this endpoint.
    Client { token_url: String, audience: String },
    /// A finished token.
    Token,
}

/// A source of tokens, ready to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) tokens: Arc<dyn TokenSource>,
    pub(crate) credentials: Credentials,
    pub(crate) ca_certificate: Option<Vec<u8>>,
}

impl Access {
    /// Says what is wrong with the settings as far as it can be told without the secret, whose
    /// command may ask for a passphrase.
    pub(super) fn check(settings: &Settings) -> Outcome<()> {
        settings.permit()?;
        if settings.finished_token().is_some() {
            return Ok(());
        }
        let client_id = settings.client_id.as_ref();
        required(client_id, "client id", "OAUTH_CLIENT_ID", "--client-id")?;
        if settings.client_secret.is_none() {
            return Err(no_secret());
        }
        Ok(())
    }

    /// From the settings, if they may be followed; the secret is fetched here.
    pub(crate) fn from_settings(settings: &Settings) -> Outcome<Self> {
        Self::check(settings)?;
        let ca = settings.ca_certificate.as_ref();
        let ca = ca.map(|setting| read_ca(&setting.value)).transpose()?;
        if let Some(token) = settings.finished_token() {
            let tokens = Static::bearer(token.value.expose()).map_err(|error| invalid(&error))?;
            return Ok(Self {
                tokens: Arc::new(tokens),
                credentials: Credentials::Token,
                ca_certificate: ca,
            });
        }
        let client_id = settings.client_id.as_ref();
        let client_id = required(client_id, "client id", "OAUTH_CLIENT_ID", "--client-id")?;
        let secret = settings.client_secret.as_ref().ok_or_else(no_secret)?;
        // What is wrong with it is told before anything is sent.
        let fetched = secret.value.fetch()?;
        let authentication = match &secret.value {
            // Some commands run for days: the file is read for each token. A pipe cannot be.
            SecretOrigin::File(path) if path.is_file() => {
                ClientAuthentication::secret(SecretFile::new(path))
            }
            _ => fetched.expose().into(),
        };
        Self::of_client(
            &client_id,
            authentication,
            &settings.token_url.value,
            &settings.audience.value,
            ca,
        )
    }

    /// Of an emulator; flags may still ask for what it refuses.
    pub(crate) fn from_emulator(emulator: &Emulator, args: &ConnectArgs) -> Outcome<Self> {
        let secret = match args.secret() {
            Some(found) => found.value.fetch()?,
            None => Secret::new(emulator.client_secret().to_owned()),
        };
        Self::of_client(
            args.client_id.as_deref().unwrap_or(emulator.client_id()),
            secret.expose().into(),
            emulator.token_url(),
            args.audience.as_deref().unwrap_or(emulator.audience()),
            Some(emulator.ca_pem().as_bytes().to_vec()),
        )
    }

    fn of_client(
        client_id: &str,
        authentication: ClientAuthentication,
        token_url: &str,
        audience: &str,
        ca_certificate: Option<Vec<u8>>,
    ) -> Outcome<Self> {
        let mut builder = OAuthClientCredentials::builder(client_id, authentication)
            .token_url(token_url)
            .audience(audience)
            .timing(Timing::default().patience(TOKEN_PATIENCE));
        if let Some(pem) = &ca_certificate {
            builder = builder.ca_certificate(pem);
        }
        Ok(Self {
            tokens: Arc::new(builder.build().map_err(|error| invalid(&error))?),
            credentials: Credentials::Client {
                token_url: token_url.to_owned(),
                audience: audience.to_owned(),
            },
            ca_certificate,
        })
    }

    /// A token, or why there is none.
    pub(crate) async fn token(&self) -> Outcome<Token> {
        let token = self.tokens.token().await;
        token.map_err(|error| auth_failure(&error, &self.credentials))
    }
}

fn no_secret() -> Failure {
    Failure::configuration("no client secret is configured")
        .remedy("set OAUTH_CLIENT_SECRET, or use --client-secret-file or --client-secret-command")
}

pub(super) fn required(
    found: Option<&Setting>,
    name: &str,
    variable: &str,
    flag: &str,
) -> Outcome<String> {
    found.map(|setting| setting.value.clone()).ok_or_else(|| {
        Failure::configuration(format!("no {name} is configured")).remedy(format!(
            "set {variable}, use {flag}, or try --emulator, which needs no account"
        ))
    })
}
