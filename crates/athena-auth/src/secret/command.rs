//! A secret that a command prints.

use std::ffi::{OsStr, OsString};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::{MAX_BYTES, Secret, SecretSource, error, from_bytes};
use crate::{AuthError, BoxFuture};

/// A secret that a command prints, such as that of a password manager or of a cloud's own tool.
/// White space around it is dropped.
///
/// The command gets no standard input; its standard error is this process's, where it may say
/// what is wrong. It is killed when the token request that asked for it runs out of time.
///
/// ```
/// use std::time::Duration;
/// use athena_auth::SecretCommand;
///
/// let secret = SecretCommand::new("pass")
///     .args(["show", "athena/client-secret"])
///     .valid_for(Duration::from_secs(600));
/// ```
#[derive(Clone, Debug)]
pub struct SecretCommand {
    program: OsString,
    arguments: Vec<OsString>,
    lifetime: Option<Duration>,
}

impl SecretCommand {
    /// Runs this program, as it is found in the search path, without a shell.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            lifetime: None,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let arguments = arguments.into_iter();
        self.arguments
            .extend(arguments.map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// For how long the command need not be run again: see [`Secret::valid_for`].
    #[must_use]
    pub fn valid_for(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    async fn run(&self) -> Result<Secret, AuthError> {
        let name = self.program.display();
        let failed = |cause| {
            error(format!(
                "the command {name}, which prints the secret, failed"
            ))
            .with_source(cause)
        };
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        // Never grows, so that no copy stays behind.
        let mut printed = Vec::with_capacity(MAX_BYTES + 1);
        if let Some(stdout) = child.stdout.take() {
            let mut stdout = stdout.take(MAX_BYTES as u64 + 1);
            stdout.read_to_end(&mut printed).await.map_err(failed)?;
        }
        let secret = from_bytes(printed, &format_args!("what the command {name} printed"))?;
        let status = child.wait().await.map_err(failed)?;
        if !status.success() {
            return Err(error(format!(
                "the command {name}, which prints the secret, failed: {status}"
            )));
        }
        Ok(match self.lifetime {
            Some(lifetime) => secret.valid_for(lifetime),
            None => secret,
        })
    }
}

impl SecretSource for SecretCommand {
    fn secret(&self) -> BoxFuture<'_, Result<Secret, AuthError>> {
        Box::pin(self.run())
    }
}
