//! From settings to a client: of the service, or of an emulator started for this run.

mod access;
mod failures;

use std::sync::Arc;
use std::time::Duration;

use athena_client::Client;
use athena_emulator::Emulator;

pub(crate) use self::access::{Access, Credentials};
pub(crate) use self::failures::{auth_failure, concerns_all, service_failure};
use crate::config::{ConnectArgs, Settings};
use crate::failure::{Failure, Outcome, chain, one_line};
use crate::output::terminal::{NOTICE, say};

/// Which service is meant, and for whom.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) endpoint: String,
    pub(crate) affiliate: String,
}

/// A client, and the emulator behind it when there is one.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) access: Access,
    pub(crate) target: Target,
    /// Stops when dropped.
    _emulator: Option<Emulator>,
}

impl Connection {
    /// Prepares everything; only the emulator, if any, is started.
    pub(crate) async fn prepare(args: &ConnectArgs) -> Outcome<Self> {
        if !args.emulator {
            return Self::from_settings(&settings(args)?, args.timeout);
        }
        let emulator = start_emulator().await?;
        let affiliate = args.affiliate.as_deref();
        let target = Target {
            endpoint: emulator.endpoint(),
            affiliate: affiliate.unwrap_or(emulator.affiliate()).to_owned(),
        };
        let access = Access::from_emulator(&emulator, args)?;
        Self::new(target, access, Some(emulator), args.timeout)
    }

    /// To the service that the settings name.
    pub(crate) fn from_settings(settings: &Settings, timeout: Duration) -> Outcome<Self> {
        Access::check(settings)?;
        let affiliate = access::required(
            settings.affiliate.as_ref(),
            "affiliate",
            "ATHENA_AFFILIATE",
            "--affiliate",
        )?;
        let target = Target {
            endpoint: settings.host.value.clone(),
            affiliate,
        };
        Self::new(target, Access::from_settings(settings)?, None, timeout)
    }

    fn new(
        target: Target,
        access: Access,
        emulator: Option<Emulator>,
        timeout: Duration,
    ) -> Outcome<Self> {
        let mut builder = Client::builder()
            .endpoint(&target.endpoint)
            .affiliate(target.affiliate.as_str())
            .token_source(Arc::clone(&access.tokens))
            // Records have it.
            .sha256(true)
            .timeout(timeout);
        if let Some(pem) = &access.ca_certificate {
            builder = builder.ca_certificate(pem);
        }
        Ok(Self {
            client: builder.build().map_err(|error| invalid(&error))?,
            access,
            target,
            _emulator: emulator,
        })
    }

    /// As [`prepare`](Self::prepare), and gets a token, so that wrong credentials are reported once
    /// and before anything else.
    pub(crate) async fn open(args: &ConnectArgs) -> Outcome<Self> {
        let connection = Self::prepare(args).await?;
        connection.access.token().await?;
        Ok(connection)
    }

    /// One small call: a stream, which reconnects with patience, would report late that the service
    /// cannot be reached or is none.
    pub(crate) async fn check(&self) -> Outcome<()> {
        let listed = self.client.list_deployments().await;
        listed
            .map(drop)
            .map_err(|error| service_failure(&error, &self.target))
    }
}

/// Runs a command that needs tokens and no service.
pub(crate) async fn with_access<T>(
    args: &ConnectArgs,
    run: impl AsyncFnOnce(&Access) -> Outcome<T>,
) -> Outcome<T> {
    if !args.emulator {
        return run(&Access::from_settings(&settings(args)?)?).await;
    }
    let emulator = start_emulator().await?;
    run(&Access::from_emulator(&emulator, args)?).await
}

/// The settings; what was left out is said.
fn settings(args: &ConnectArgs) -> Outcome<Settings> {
    let settings = Settings::load(args)?;
    for note in &settings.notes {
        say(format_args!("{NOTICE}note:{NOTICE:#} {}", one_line(note)));
    }
    Ok(settings)
}

/// A setting that the SDK refuses.
fn invalid(error: &dyn std::error::Error) -> Failure {
    Failure::configuration(chain(error))
        .remedy("`athena config show` tells where the value comes from")
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
