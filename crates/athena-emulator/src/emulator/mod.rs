mod control;
mod launch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::EmulatorBuilder;
use crate::deployments::DeploymentInfo;
use crate::environment::Environment;
use crate::error::Error;
use crate::faults::Faults;
use crate::listener::Signal;
use crate::oauth::TokenKind;
use crate::observe::{RecordedInput, Stats};
use crate::state::Emulated;
pub(crate) use control::Control;

/// A running emulator. It stops when dropped; [`shutdown`](Self::shutdown) lets work in progress
/// finish first.
#[must_use = "the emulator stops when it is dropped"]
pub struct Emulator {
    state: Arc<Emulated>,
    control: Arc<Control>,
    tasks: JoinSet<()>,
    audience: String,
    ca_file: Option<PathBuf>,
    host: String,
    token_url: String,
    admin_url: String,
}

impl Emulator {
    /// Configures an emulator.
    pub fn builder() -> EmulatorBuilder {
        EmulatorBuilder::default()
    }

    /// The gRPC endpoint, as `https://localhost:PORT`.
    pub fn endpoint(&self) -> String {
        format!("https://{}", self.host)
    }

    /// The gRPC endpoint as `host:port`, the form that `ATHENA_HOST` has.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The token endpoint's URL.
    pub fn token_url(&self) -> &str {
        &self.token_url
    }

    /// The admin API's base URL.
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// The certificate of the CA that clients must trust, as PEM.
    pub fn ca_pem(&self) -> &str {
        &self.state.ca_pem
    }

    /// The file that holds the CA's certificate, when a folder for certificates or an environment
    /// file is configured.
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    /// The first client's id.
    pub fn client_id(&self) -> &str {
        &self.state.client.id
    }

    /// The first client's secret.
    pub fn client_secret(&self) -> &str {
        &self.state.client.secret
    }

    /// The audience that tokens must have.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// An affiliate that the first client may classify for.
    pub fn affiliate(&self) -> &str {
        match self.state.client.affiliates.first().map(String::as_str) {
            Some("*") => "emulator",
            Some(affiliate) => affiliate,
            None => "",
        }
    }

    /// The environment variables for clients in any language, as lines `NAME=value`, given the file
    /// that holds the [CA's certificate](Self::ca_pem).
    pub fn environment(&self, ca_file: &Path) -> String {
        Environment {
            host: &self.host,
            token_url: &self.token_url,
            client_id: &self.state.client.id,
            client_secret: &self.state.client.secret,
            audience: &self.audience,
            affiliate: self.affiliate(),
            admin_url: &self.admin_url,
            ca_file,
        }
        .render()
    }

    /// Replaces the plan of faults; counting starts anew.
    ///
    /// # Panics
    /// When the plan says what cannot be, such as a rate of 1.5: a slip in the test that sets it.
    /// Plans from files, flags and the admin API are refused with an error.
    pub fn set_faults(&self, faults: Faults) {
        if let Err(error) = self.state.faults.set(faults) {
            panic!("{error}");
        }
    }

    /// How many faults have struck since the plan was set.
    pub fn faults_struck(&self) -> u64 {
        self.state.faults.struck()
    }

    /// Ends all open streams with `UNAVAILABLE`. Results nobody collected wait in the backlog.
    pub fn cut_streams(&self) {
        self.control.cut_streams();
    }

    /// Sends `GOAWAY` on all gRPC connections: their streams go on, new calls need a new one.
    pub fn goaway(&self) {
        self.control.signal(Signal::GoAway);
    }

    /// Drops all gRPC connections without a farewell.
    pub fn disconnect(&self) {
        self.control.signal(Signal::Disconnect);
    }

    /// Closes the gRPC port and all its connections, and opens it again after `downtime`. Returns
    /// once it is open.
    ///
    /// A restart that is asked for during the downtime of another begins its own in the place of that.
    ///
    /// # Errors
    /// When `downtime` is above an hour, or the emulator has stopped, as it does when somebody else
    /// has taken the port meanwhile.
    pub async fn restart(&self, downtime: Duration) -> Result<(), Error> {
        self.control.restart(downtime).await
    }

    /// Refuses every token issued so far.
    pub fn revoke_tokens(&self) {
        self.state.issuer.revoke_all();
    }

    /// An access token for tests, good or bad.
    ///
    /// # Errors
    /// When the foreign key of [`TokenKind::Foreign`] cannot be made.
    pub fn mint(&self, kind: TokenKind) -> Result<String, Error> {
        self.state.issuer.mint(kind, &self.state.client.id)
    }

    /// Adds an MD5 or SHA-1 digest, in hexadecimal, to the list of known content.
    ///
    /// # Errors
    /// When it is not 32 or 40 hexadecimal digits.
    pub fn add_known_hash(&self, digest: &str) -> Result<(), Error> {
        self.state.classifier.known.insert(digest)
    }

    /// What has happened so far.
    pub fn stats(&self) -> Stats {
        self.state.observer.stats()
    }

    /// The last inputs, up to a thousand, oldest first.
    pub fn inputs(&self) -> Vec<RecordedInput> {
        self.state.observer.inputs()
    }

    /// The deployments of all clients, by client and id.
    pub fn deployments(&self) -> Vec<DeploymentInfo> {
        self.state.deployments.list()
    }

    /// Stops: no new work, results in progress are handed out, streams end with `UNAVAILABLE`.
    /// Returns when all connections are closed or the drain time is over.
    pub async fn shutdown(mut self) {
        self.state.closing.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

impl std::fmt::Debug for Emulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Emulator")
            .field("host", &self.host)
            .field("token_url", &self.token_url)
            .field("admin_url", &self.admin_url)
            .finish_non_exhaustive()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // Tells what runs outside the aborted tasks: readers of streams and their work.
        self.state.closing.cancel();
    }
}
