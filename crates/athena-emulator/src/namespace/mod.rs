//! Namespaces: what one test has of an emulator that others use at the same time.

mod expectation;
mod registry;
mod state;

use std::sync::Arc;

pub use expectation::{Expectation, Unmet};
pub(crate) use registry::Namespaces;
pub(crate) use state::NamespaceState;

use crate::classification::KnownHashes;
use crate::config::Config;
use crate::deployments::DeploymentInfo;
use crate::error::Error;
use crate::faults::Faults;
use crate::listener::{Scope, Signal};
use crate::oauth::TokenKind;
use crate::observe::{RecordedInput, Stats};
use crate::rules::{self, Rule, RuleInfo, Selector};
use crate::state::Emulated;

/// How a namespace begins, and what a reset returns to.
pub(crate) struct Setup {
    pub(crate) known: KnownHashes,
    pub(crate) rules: Vec<Rule>,
    pub(crate) faults: Faults,
}

impl Setup {
    fn new(config: &Config) -> Result<Self, Error> {
        Ok(Self {
            known: KnownHashes::new(config)?,
            rules: rules::configured(config)?,
            faults: config.faults.clone(),
        })
    }
}

/// A part of an emulator with credentials, rules, faults, deployments and figures of its own, so that
/// tests that run at the same time can share one emulator.
///
/// It begins as the emulator was configured, and lasts until it is [deleted](Self::delete) or the
/// emulator stops.
#[derive(Clone)]
pub struct Namespace {
    emulator: Arc<Emulated>,
    state: Arc<NamespaceState>,
}

impl Namespace {
    pub(crate) fn new(emulator: Arc<Emulated>, state: Arc<NamespaceState>) -> Self {
        Self { emulator, state }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// The client's id; the first client's in the namespace of the configured ones.
    pub fn client_id(&self) -> &str {
        &self.state.client.id
    }

    /// That client's secret.
    pub fn client_secret(&self) -> &str {
        &self.state.client.secret
    }

    /// An affiliate that the client may classify for.
    pub fn affiliate(&self) -> &str {
        match self.state.client.affiliates.first().map(String::as_str) {
            Some("*") => "emulator",
            Some(affiliate) => affiliate,
            None => "",
        }
    }

    /// Adds a rule behind those there are: the first that fits an input decides its answer.
    ///
    /// # Errors
    /// When the rule says what cannot be.
    pub fn add_rule(&self, rule: Rule) -> Result<(), Error> {
        self.state.classifier.rules.add(vec![rule])
    }

    /// Replaces all rules; counts start anew.
    ///
    /// # Errors
    /// When a rule says what cannot be; those in force stay.
    pub fn set_rules(&self, rules: impl IntoIterator<Item = Rule>) -> Result<(), Error> {
        self.state.classifier.rules.set(rules.into_iter().collect())
    }

    /// The rules, and how many inputs each has answered.
    pub fn rules(&self) -> Vec<RuleInfo> {
        self.state.classifier.rules.list()
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
        self.state.cut_streams();
    }

    /// Sends `GOAWAY` on the connections that its clients have used: their streams go on, new calls
    /// need a new one.
    pub fn goaway(&self) {
        self.emulator
            .signal(Signal::GoAway, Scope::Namespace(self.state.name.clone()));
    }

    /// Drops the connections that its clients have used, without a farewell.
    pub fn disconnect(&self) {
        self.emulator.signal(
            Signal::Disconnect,
            Scope::Namespace(self.state.name.clone()),
        );
    }

    /// Refuses every token that its clients were issued so far.
    pub fn revoke_tokens(&self) {
        self.emulator.revoke_tokens(&self.state);
    }

    /// An access token for tests, good or bad.
    ///
    /// # Errors
    /// When the foreign key of [`TokenKind::Foreign`] cannot be made.
    pub fn mint(&self, kind: TokenKind) -> Result<String, Error> {
        self.emulator.issuer.mint(kind, &self.state.client.id)
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
        self.state.observer.inputs(&Selector::any())
    }

    /// The deployments of its clients, by client and id.
    pub fn deployments(&self) -> Vec<DeploymentInfo> {
        self.state.deployments.list()
    }

    /// Waits until as many inputs have arrived as are expected, and returns them.
    ///
    /// ```
    /// # use athena_emulator::{Emulator, Expectation, Selector};
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let athena = Emulator::builder().start().await?;
    /// let none = athena
    ///     .expect(Expectation::of(Selector::any().affiliate("acme")).exactly(0))
    ///     .await?;
    /// # assert!(none.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When that is not so within the expectation's time: the error lists what did arrive.
    pub async fn expect(&self, expectation: Expectation) -> Result<Vec<RecordedInput>, Unmet> {
        expectation.wait(&self.state.observer).await
    }

    /// Back to how it began: rules, faults and known hashes as configured, figures and inputs
    /// forgotten, deployments gone and their streams cut.
    ///
    /// # Errors
    /// Never for a configuration that the emulator started with.
    pub fn reset(&self) -> Result<(), Error> {
        self.state.reset(self.emulator.namespaces.setup())
    }

    /// Ends it: its streams are cut, its tokens refused. The namespace of the configured clients stays.
    pub fn delete(self) {
        self.emulator.delete_namespace(&self.state.name);
    }
}

impl std::fmt::Debug for Namespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Namespace")
            .field("name", &self.state.name)
            .finish_non_exhaustive()
    }
}
