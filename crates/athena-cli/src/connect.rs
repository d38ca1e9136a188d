//! From settings to a client: of the service, or of an emulator started for this run.

use std::time::Duration;

use athena_auth::{
    AuthError, ErrorKind as AuthErrorKind, OAuthClientCredentials, Timing, TokenSource,
};
use athena_client::{Client, ErrorKind};
use athena_emulator::Emulator;
use athena_outcome::text::sdk_error;

use crate::config::{ConnectArgs, Secret, Setting, Settings, read_ca};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, chain, one_line};
use crate::output::terminal::{NOTICE, say};

/// The longest wait for a first token: somebody is watching.
const TOKEN_PATIENCE: Duration = Duration::from_secs(6);

/// What is needed to reach the service, secrets included.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) endpoint: String,
    pub(crate) affiliate: String,
    pub(crate) token_url: String,
    pub(crate) audience: String,
    pub(crate) ca_certificate: Option<Vec<u8>>,
    client_id: String,
    client_secret: Secret,
}

impl Target {
    /// From the settings; the secret is fetched here.
    pub(crate) fn from_settings(settings: &Settings) -> Outcome<Self> {
        settings.permit()?;
        let required = |found: Option<&Setting>, name, variable, flag| {
            found.map(|setting| setting.value.clone()).ok_or_else(|| {
                Failure::configuration(format!("no {name} is configured")).remedy(format!(
                    "set {variable}, use {flag}, or try --emulator, which needs no account"
                ))
            })
        };
        let client_id = required(
            settings.client_id.as_ref(),
            "client id",
            "OAUTH_CLIENT_ID",
            "--client-id",
        )?;
        let secret = settings.client_secret.as_ref().ok_or_else(|| {
            Failure::configuration("no client secret is configured").remedy(
                "set OAUTH_CLIENT_SECRET, or use --client-secret-file or --client-secret-command",
            )
        })?;
        let affiliate = required(
            settings.affiliate.as_ref(),
            "affiliate",
            "ATHENA_AFFILIATE",
            "--affiliate",
        )?;
        let ca = settings.ca_certificate.as_ref();
        Ok(Self {
            endpoint: settings.host.value.clone(),
            affiliate,
            token_url: settings.token_url.value.clone(),
            audience: settings.audience.value.clone(),
            ca_certificate: ca.map(|setting| read_ca(&setting.value)).transpose()?,
            client_id,
            client_secret: secret.value.fetch()?,
        })
    }

    /// Of an emulator; flags may still ask for what it refuses.
    fn from_emulator(emulator: &Emulator, args: &ConnectArgs) -> Outcome<Self> {
        let or = |flag: &Option<String>, value: &str| flag.clone().unwrap_or_else(|| value.into());
        let secret = args.secret().map(|found| found.value.fetch()).transpose()?;
        Ok(Self {
            endpoint: emulator.endpoint(),
            affiliate: or(&args.affiliate, emulator.affiliate()),
            token_url: emulator.token_url().to_owned(),
            audience: or(&args.audience, emulator.audience()),
            ca_certificate: Some(emulator.ca_pem().as_bytes().to_vec()),
            client_id: or(&args.client_id, emulator.client_id()),
            client_secret: secret
                .unwrap_or_else(|| Secret::new(emulator.client_secret().to_owned())),
        })
    }

    pub(crate) fn tokens(&self) -> Outcome<OAuthClientCredentials> {
        let mut builder =
            OAuthClientCredentials::builder(&self.client_id, self.client_secret.expose())
                .token_url(&self.token_url)
                .audience(&self.audience)
                .timing(Timing::default().patience(TOKEN_PATIENCE));
        if let Some(pem) = &self.ca_certificate {
            builder = builder.ca_certificate(pem);
        }
        builder.build().map_err(|error| {
            Failure::configuration(chain(&error))
                .remedy("`athena config show` tells where the value comes from")
        })
    }

    pub(crate) fn client(
        &self,
        tokens: OAuthClientCredentials,
        timeout: Duration,
    ) -> Outcome<Client> {
        let mut builder = Client::builder()
            .endpoint(&self.endpoint)
            .affiliate(self.affiliate.as_str())
            .token_source(tokens)
            .timeout(timeout);
        if let Some(pem) = &self.ca_certificate {
            builder = builder.ca_certificate(pem);
        }
        builder.build().map_err(|error| {
            Failure::configuration(chain(&error))
                .remedy("`athena config show` tells where the value comes from")
        })
    }
}

/// A client, and the emulator behind it when there is one.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) tokens: OAuthClientCredentials,
    pub(crate) target: Target,
    /// Stops when dropped.
    _emulator: Option<Emulator>,
}

impl Connection {
    /// Prepares everything; only the emulator, if any, is started.
    pub(crate) async fn prepare(args: &ConnectArgs) -> Outcome<Self> {
        let (target, emulator) = if args.emulator {
            let emulator = start_emulator().await?;
            (Target::from_emulator(&emulator, args)?, Some(emulator))
        } else {
            let settings = Settings::load(args)?;
            for note in &settings.notes {
                say(format_args!("{NOTICE}note:{NOTICE:#} {}", one_line(note)));
            }
            (Target::from_settings(&settings)?, None)
        };
        Self::new(target, emulator, args.timeout)
    }

    /// To the service that the settings name.
    pub(crate) fn from_settings(settings: &Settings, timeout: Duration) -> Outcome<Self> {
        Self::new(Target::from_settings(settings)?, None, timeout)
    }

    fn new(target: Target, emulator: Option<Emulator>, timeout: Duration) -> Outcome<Self> {
        let tokens = target.tokens()?;
        Ok(Self {
            client: target.client(tokens.clone(), timeout)?,
            tokens,
            target,
            _emulator: emulator,
        })
    }

    /// As [`prepare`](Self::prepare), and gets a token, so that wrong credentials are reported once
    /// and before anything else.
    pub(crate) async fn open(args: &ConnectArgs) -> Outcome<Self> {
        let connection = Self::prepare(args).await?;
        match connection.tokens.token().await {
            Ok(_) => Ok(connection),
            Err(error) => Err(auth_failure(&error, &connection.target.token_url)),
        }
    }

    /// One small call: a stream, which reconnects with patience, would report a wrong address late.
    pub(crate) async fn check(&self) -> Outcome<()> {
        match self.client.list_deployments().await {
            Err(error) if concerns_all(&error) || error.is_transient() => {
                Err(service_failure(&error, &self.target))
            }
            _ => Ok(()),
        }
    }
}

async fn start_emulator() -> Outcome<Emulator> {
    Emulator::builder()
        .start()
        .await
        .map_err(|error| Failure::local(format!("cannot start the emulator: {}", chain(&error))))
}

/// Runs a command's future to its end.
pub(crate) fn block_on<T>(future: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::local(format!("cannot start threads: {error}")))?;
    let outcome = runtime.block_on(future);
    // A file that is still being read must not keep the process.
    runtime.shutdown_background();
    outcome
}

/// The end of a command that could not get a token.
pub(crate) fn auth_failure(error: &AuthError, token_url: &str) -> Failure {
    let cause = format!("no token from {token_url}: {}", chain(error));
    let (exit, remedy) = match error.kind() {
        AuthErrorKind::Denied => (
            Exit::Refused,
            "check OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET and OAUTH_AUDIENCE; `athena config show` tells where they come from",
        ),
        AuthErrorKind::Tls => (
            Exit::Unreachable,
            "trust its CA with --ca FILE, or correct the URL or the clock",
        ),
        AuthErrorKind::RateLimited => (Exit::Unreachable, "wait before trying again"),
        AuthErrorKind::Unavailable | AuthErrorKind::Timeout => (
            Exit::Unreachable,
            "check OAUTH_AUTH_URL, the network and the proxy; `athena doctor` looks closer",
        ),
        AuthErrorKind::InvalidResponse => (
            Exit::Service,
            "check that OAUTH_AUTH_URL is a token endpoint and that no proxy answers in its place",
        ),
        _ => (Exit::Configuration, "`athena doctor` looks closer"),
    };
    Failure::new(exit, cause).remedy(remedy)
}

/// The end of a command that the service, or the way to it, has stopped.
pub(crate) fn service_failure(error: &athena_client::Error, target: &Target) -> Failure {
    let cause = format!("{}: {}", target.endpoint, sdk_error(error));
    let (exit, remedy) = match error.kind() {
        ErrorKind::Authentication if error.is_transient() => (
            Exit::Unreachable,
            "the token endpoint does not answer; `athena doctor` looks closer",
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
            "check ATHENA_HOST, the network and the proxy; `athena doctor` looks closer",
        ),
        ErrorKind::Tls => (
            Exit::Unreachable,
            "trust its CA with --ca FILE, or correct the host name or the clock",
        ),
        _ if error.is_transient() => (Exit::Unreachable, "try again; `athena doctor` looks closer"),
        _ => (Exit::Service, "`athena doctor` looks closer"),
    };
    Failure::new(exit, cause).remedy(remedy)
}

/// An error that every other image would meet as well.
pub(crate) fn concerns_all(error: &athena_client::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Authentication | ErrorKind::NotPermitted | ErrorKind::Connect | ErrorKind::Tls
    )
}
