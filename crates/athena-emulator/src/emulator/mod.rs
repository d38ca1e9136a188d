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
use crate::listener::{Scope, Signal};
use crate::namespace::{Expectation, Namespace, Unmet};
use crate::oauth::TokenKind;
use crate::observe::{RecordedInput, Stats};
use crate::rules::{Rule, RuleInfo};
use crate::state::Emulated;
pub(crate) use control::Control;

/// A running emulator. It stops when dropped; [`shutdown`](Self::shutdown) lets work in progress
/// finish first.
#[must_use = "the emulator stops when it is dropped"]
pub struct Emulator {
    state: Arc<Emulated>,
    /// That of the configured clients.
    default: Namespace,
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
        self.default.client_id()
    }

    /// The first client's secret.
    pub fn client_secret(&self) -> &str {
        self.default.client_secret()
    }

    /// The audience that tokens must have.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// An affiliate that the first client may classify for.
    pub fn affiliate(&self) -> &str {
        self.default.affiliate()
    }

    /// The environment variables for clients in any language, as lines `NAME=value`, given the file
    /// that holds the [CA's certificate](Self::ca_pem).
    pub fn environment(&self, ca_file: &Path) -> String {
        Environment {
            host: &self.host,
            token_url: &self.token_url,
            client_id: self.client_id(),
            client_secret: self.client_secret(),
            audience: &self.audience,
            affiliate: self.affiliate(),
            admin_url: &self.admin_url,
            ca_file,
        }
        .render()
    }

    /// A fresh part of this emulator with credentials, rules, faults, deployments and figures of its
    /// own, for a test that shares the emulator with others. What is below of such things is about the
    /// namespace of the configured clients.
    ///
    /// # Errors
    /// When there are a thousand namespaces already.
    pub fn namespace(&self) -> Result<Namespace, Error> {
        let state = self.state.create_namespace(None, Vec::new())?;
        Ok(Namespace::new(self.state.clone(), state))
    }

    /// [`Namespace::add_rule`].
    ///
    /// # Errors
    /// When the rule says what cannot be.
    pub fn add_rule(&self, rule: Rule) -> Result<(), Error> {
        self.default.add_rule(rule)
    }

    /// [`Namespace::set_rules`].
    ///
    /// # Errors
    /// When a rule says what cannot be; those in force stay.
    pub fn set_rules(&self, rules: impl IntoIterator<Item = Rule>) -> Result<(), Error> {
        self.default.set_rules(rules)
    }

    /// [`Namespace::rules`].
    pub fn rules(&self) -> Vec<RuleInfo> {
        self.default.rules()
    }

    /// [`Namespace::expect`].
    ///
    /// # Errors
    /// When the expected inputs do not come in time: the error lists what did.
    pub async fn expect(&self, expectation: Expectation) -> Result<Vec<RecordedInput>, Unmet> {
        self.default.expect(expectation).await
    }

    /// [`Namespace::reset`].
    ///
    /// # Errors
    /// Never for a configuration that the emulator started with.
    pub fn reset(&self) -> Result<(), Error> {
        self.default.reset()
    }

    /// [`Namespace::set_faults`].
    ///
    /// # Panics
    /// When the plan says what cannot be, such as a rate of 1.5.
    pub fn set_faults(&self, faults: Faults) {
        self.default.set_faults(faults);
    }

    /// How many faults have struck since the plan was set.
    pub fn faults_struck(&self) -> u64 {
        self.default.faults_struck()
    }

    /// [`Namespace::cut_streams`].
    pub fn cut_streams(&self) {
        self.default.cut_streams();
    }

    /// Sends `GOAWAY` on all gRPC connections: their streams go on, new calls need a new one.
    pub fn goaway(&self) {
        self.state.signal(Signal::GoAway, Scope::All);
    }

    /// Drops all gRPC connections without a farewell.
    pub fn disconnect(&self) {
        self.state.signal(Signal::Disconnect, Scope::All);
    }

    /// Closes the gRPC port and all its connections, and opens it again after `downtime`. Returns
    /// once it is open. A restart that is asked for during the downtime of another begins its own in
    /// the place of that.
    ///
    /// # Errors
    /// When `downtime` is above an hour, or the emulator has stopped, as it does when somebody else
    /// has taken the port meanwhile.
    pub async fn restart(&self, downtime: Duration) -> Result<(), Error> {
        self.control.restart(downtime).await
    }

    /// [`Namespace::revoke_tokens`].
    pub fn revoke_tokens(&self) {
        self.default.revoke_tokens();
    }

    /// [`Namespace::mint`].
    ///
    /// # Errors
    /// When the foreign key of [`TokenKind::Foreign`] cannot be made.
    pub fn mint(&self, kind: TokenKind) -> Result<String, Error> {
        self.default.mint(kind)
    }

    /// [`Namespace::add_known_hash`].
    ///
    /// # Errors
    /// When it is not 32 or 40 hexadecimal digits.
    pub fn add_known_hash(&self, digest: &str) -> Result<(), Error> {
        self.default.add_known_hash(digest)
    }

    /// [`Namespace::stats`].
    pub fn stats(&self) -> Stats {
        self.default.stats()
    }

    /// [`Namespace::inputs`].
    pub fn inputs(&self) -> Vec<RecordedInput> {
        self.default.inputs()
    }

    /// [`Namespace::deployments`].
    pub fn deployments(&self) -> Vec<DeploymentInfo> {
        self.default.deployments()
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
