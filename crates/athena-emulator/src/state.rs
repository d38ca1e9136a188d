use std::sync::Arc;

use tokio::sync::{Semaphore, broadcast};
use tokio_util::sync::CancellationToken;

use crate::certificates::Authority;
use crate::config::{ClientConfig, Config};
use crate::error::Error;
use crate::listener::{Notice, Scope, Signal};
use crate::namespace::{NamespaceState, Namespaces};
use crate::oauth::Issuer;

/// What all parts of a running emulator share.
pub(crate) struct Emulated {
    /// The CA's certificate.
    pub(crate) ca_pem: String,
    pub(crate) issuer: Issuer,
    pub(crate) namespaces: Namespaces,
    /// Whether calls are passed on to another service.
    pub(crate) relays: bool,
    /// Bounds the messages of streams that are held in memory; further ones wait on the wire.
    pub(crate) messages: Arc<Semaphore>,
    /// Keeps decoding from taking more threads than there are cores.
    pub(crate) cpu: Semaphore,
    /// To the gRPC connections.
    pub(crate) notices: broadcast::Sender<Notice>,
    /// Cancelled once the emulator shuts down.
    pub(crate) closing: CancellationToken,
}

/// How many messages of streams are worked on or wait for it.
const MESSAGES: usize = 64;

/// Who makes a call.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) namespace: Arc<NamespaceState>,
}

impl Emulated {
    pub(crate) fn new(
        config: &Config,
        authority: &Authority,
        issuer_url: String,
    ) -> Result<Self, Error> {
        Ok(Self {
            ca_pem: authority.pem().to_owned(),
            issuer: Issuer::new(config, issuer_url, config.certificates.as_deref())?,
            namespaces: Namespaces::new(config)?,
            relays: config.relays(),
            messages: Arc::new(Semaphore::new(MESSAGES)),
            cpu: Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from)),
            notices: broadcast::channel(16).0,
            closing: CancellationToken::new(),
        })
    }

    pub(crate) fn create_namespace(
        &self,
        name: Option<String>,
        affiliates: Vec<String>,
    ) -> Result<Arc<NamespaceState>, Error> {
        let namespace = self.namespaces.create(name, affiliates)?;
        self.issuer.register(namespace.client.clone());
        Ok(namespace)
    }

    /// Tells whether there was such a namespace.
    pub(crate) fn delete_namespace(&self, name: &str) -> bool {
        let removed = self.namespaces.remove(name);
        if let Some(namespace) = &removed {
            self.issuer.unregister(&namespace.client.id);
        }
        removed.is_some()
    }

    /// Refuses every token that the namespace's clients were issued so far.
    pub(crate) fn revoke_tokens(&self, namespace: &NamespaceState) {
        self.issuer
            .revoke(|client| self.namespaces.of_client(client).name == namespace.name);
    }

    /// Without a connection there is nobody to be told.
    pub(crate) fn signal(&self, signal: Signal, scope: Scope) {
        let _ = self.notices.send(Notice { signal, scope });
    }
}
