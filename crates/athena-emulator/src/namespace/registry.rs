use std::collections::HashMap;
use std::sync::{Arc, RwLock, RwLockReadGuard};

use data_encoding::HEXLOWER;

use super::{NamespaceState, Setup};
use crate::config::{ClientConfig, Config};
use crate::error::Error;
use crate::observe::Recording;
use crate::sync::{read, write};

/// The name of the namespace of the configured clients.
const DEFAULT: &str = "default";
/// How many namespaces there may be besides that one.
const MAX_NAMESPACES: usize = 1000;
/// The longest name, in characters.
const MAX_NAME: usize = 64;

/// All namespaces, by name and by client.
pub(crate) struct Namespaces {
    config: Config,
    setup: Setup,
    recording: Option<Arc<Recording>>,
    default: Arc<NamespaceState>,
    others: RwLock<Others>,
}

#[derive(Default)]
struct Others {
    by_name: HashMap<String, Arc<NamespaceState>>,
    by_client: HashMap<String, Arc<NamespaceState>>,
    created: u64,
}

impl Namespaces {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let setup = Setup::new(config)?;
        let recording = config.record.as_deref().map(Recording::open).transpose()?;
        let recording = recording.map(Arc::new);
        let client = config.effective_clients().swap_remove(0);
        let default = NamespaceState::new(DEFAULT, client, config, &setup, recording.clone())?;
        Ok(Self {
            config: config.clone(),
            setup,
            recording,
            default: Arc::new(default),
            others: RwLock::default(),
        })
    }

    pub(crate) fn setup(&self) -> &Setup {
        &self.setup
    }

    pub(crate) fn default(&self) -> &Arc<NamespaceState> {
        &self.default
    }

    pub(crate) fn named(&self, name: &str) -> Option<Arc<NamespaceState>> {
        if name == DEFAULT {
            return Some(self.default.clone());
        }
        self.others().by_name.get(name).cloned()
    }

    /// The namespace of a client; the default one for the configured and the unknown.
    pub(crate) fn of_client(&self, id: &str) -> Arc<NamespaceState> {
        let others = self.others();
        others.by_client.get(id).unwrap_or(&self.default).clone()
    }

    /// All of them, the default one first, the others by name.
    pub(crate) fn list(&self) -> Vec<Arc<NamespaceState>> {
        let mut list: Vec<_> = self.others().by_name.values().cloned().collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list.insert(0, self.default.clone());
        list
    }

    /// A fresh namespace with a client of its own, as configured otherwise.
    pub(crate) fn create(
        &self,
        name: Option<String>,
        affiliates: Vec<String>,
    ) -> Result<Arc<NamespaceState>, Error> {
        let invalid = |reason: String| Error::setting("the namespace", reason);
        let mut others = write(&self.others);
        if others.by_name.len() >= MAX_NAMESPACES {
            return Err(invalid(format!(
                "there are {MAX_NAMESPACES} already: delete some"
            )));
        }
        others.created += 1;
        let name = name.unwrap_or_else(|| format!("namespace-{}", others.created));
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(allowed) {
            return Err(invalid(format!(
                "{name:?} is not a name: 1 to {MAX_NAME} of A-Z, a-z, 0-9, dot, dash, underscore"
            )));
        }
        if name == DEFAULT || others.by_name.contains_key(&name) {
            return Err(invalid(format!("{name:?} exists already")));
        }
        // Configured clients may have any id: a name of theirs is not taken twice.
        let id = format!("{name}@namespaces");
        let mut client = ClientConfig::new(&id, secret()?);
        client.affiliates = affiliates;
        if client.affiliates.is_empty() {
            client.affiliates.push("emulator".into());
        }
        let client = client.with_default_scope();
        let recording = self.recording.clone();
        let namespace = NamespaceState::new(&name, client, &self.config, &self.setup, recording)?;
        let namespace = Arc::new(namespace);
        others.by_name.insert(name, namespace.clone());
        others.by_client.insert(id, namespace.clone());
        Ok(namespace)
    }

    /// Forgets a namespace and ends its streams. The default one stays.
    pub(crate) fn remove(&self, name: &str) -> Option<Arc<NamespaceState>> {
        let mut others = write(&self.others);
        let namespace = others.by_name.remove(name)?;
        others.by_client.remove(&namespace.client.id);
        drop(others);
        namespace.clear_deployments();
        Some(namespace)
    }

    fn others(&self) -> RwLockReadGuard<'_, Others> {
        read(&self.others)
    }
}

/// A client secret that nobody guesses.
fn secret() -> Result<String, Error> {
    let mut bytes = [0; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .map_err(|_| Error::setting("the namespace", "the system gives no random numbers"))?;
    Ok(HEXLOWER.encode(&bytes))
}
