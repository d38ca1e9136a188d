use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::certificates::{Authority, write_private};
use crate::classification::{Classifier, KnownHashes};
use crate::config::Config;
use crate::deployments::{DeploymentInfo, Deployments};
use crate::environment::Environment;
use crate::error::{Error, Repr};
use crate::faults::{Engine, Faults};
use crate::listener::{Bound, Listener, Restart, Signal};
use crate::oauth::{self, Issuer, TokenKind};
use crate::observe::{Observer, RecordedInput, Stats};
use crate::state::Emulated;
use crate::{EmulatorBuilder, admin, rpc};

/// How often expired results and deployments are looked for.
const SWEEP: Duration = Duration::from_millis(500);
/// How many messages of streams are worked on or wait for it.
const MESSAGES: usize = 64;
/// Connections to the token endpoint and the admin API carry a request at a time.
const HTTP_STREAMS: u32 = 100;

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

/// What can be done to the listeners.
pub(crate) struct Control {
    state: Arc<Emulated>,
    restarts: mpsc::Sender<Restart>,
}

impl Control {
    pub(crate) fn cut_streams(&self) {
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Without a connection there is nobody to be told.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = self.state.signals.send(signal);
    }

    pub(crate) async fn restart(&self, downtime: Duration) -> Result<(), Error> {
        let (done, restarted) = oneshot::channel();
        let stopped = |_| Error::from(Repr::Stopped);
        self.restarts
            .send(Restart { downtime, done })
            .await
            .map_err(|_| stopped(()))?;
        restarted.await.map_err(|_| stopped(()))
    }
}

impl Emulator {
    /// Configures an emulator.
    pub fn builder() -> EmulatorBuilder {
        EmulatorBuilder::default()
    }

    pub(crate) async fn start(config: Config) -> Result<Self, Error> {
        let address = |port| SocketAddr::new(config.address, port);
        let grpc = Bound::new(address(config.ports.grpc), "gRPC").await?;
        let oauth = Bound::new(address(config.ports.oauth), "the token endpoint").await?;
        let admin_address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), config.ports.admin);
        let admin = Bound::new(admin_address, "the admin API").await?;
        let public = |port| format!("{}:{port}", config.public_host);
        let scheme = if config.plain_token_endpoint {
            "http"
        } else {
            "https"
        };
        let issuer_url = format!("{scheme}://{}/", public(oauth.port()));

        let folder = config.certificates.as_deref();
        let authority = Authority::load_or_create(folder)?;
        let mut names = config.subject_names.clone();
        names.push(config.public_host.clone());
        if !config.address.is_unspecified() {
            names.push(config.address.to_string());
        }
        let grpc_tls = authority.server_config(&names, &[b"h2"])?;
        let oauth_tls = match config.plain_token_endpoint {
            true => None,
            false => Some(authority.server_config(&names, &[b"h2", b"http/1.1"])?),
        };

        let observer = Arc::new(Observer::new(config.record.as_deref())?);
        let state = Arc::new(Emulated {
            client: config.effective_clients().swap_remove(0),
            ca_pem: authority.pem().to_owned(),
            issuer: Issuer::new(&config, issuer_url.clone(), folder)?,
            classifier: Arc::new(Classifier::new(
                KnownHashes::new(&config)?,
                config.labels,
                config.omit_scores_on_match,
                &config.limits,
            )),
            deployments: Deployments::new(&config, observer.clone()),
            faults: Engine::new(config.faults.clone()),
            observer,
            messages: Arc::new(Semaphore::new(MESSAGES)),
            cpu: Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from)),
            signals: broadcast::channel(16).0,
            cuts: watch::channel(0).0,
            closing: CancellationToken::new(),
        });
        let (restarts, restarted) = mpsc::channel(1);
        let control = Arc::new(Control {
            state: state.clone(),
            restarts,
        });

        let host = public(grpc.port());
        let admin_url = format!("http://127.0.0.1:{}", admin.port());
        let grpc_router = rpc::router(state.clone(), &config.limits).await?;
        let listeners = [
            Listener::new(
                grpc,
                grpc_router,
                Some(grpc_tls),
                config.limits.streams_per_connection,
            )
            .controlled_by(state.signals.clone(), restarted),
            Listener::new(oauth, oauth::router(state.clone()), oauth_tls, HTTP_STREAMS),
            Listener::new(
                admin,
                admin::router(state.clone(), control.clone()),
                None,
                HTTP_STREAMS,
            ),
        ];
        let mut tasks = JoinSet::new();
        for listener in listeners {
            tasks.spawn(listener.run(state.closing.clone(), config.drain));
        }
        tasks.spawn(sweep(state.clone()));

        let emulator = Self {
            audience: config.audience.clone(),
            ca_file: ca_file(&config, authority.pem())?,
            token_url: format!("{issuer_url}oauth/token"),
            host,
            admin_url,
            state,
            control,
            tasks,
        };
        if let (Some(path), Some(ca_file)) = (&config.env_file, &emulator.ca_file) {
            write_private(path, emulator.environment(ca_file).as_bytes())?;
        }
        emulator.announce(&config);
        Ok(emulator)
    }

    fn announce(&self, config: &Config) {
        tracing::info!(
            endpoint = self.endpoint(),
            token_url = self.token_url,
            admin_url = self.admin_url,
            "emulator ready: it is no classifier, its weights are computed from pixels and mean nothing"
        );
        if !config.address.is_loopback() {
            tracing::warn!(
                address = %config.address,
                "the emulator can be reached from other machines: it is made for tests and protects nothing"
            );
        }
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
    pub fn set_faults(&self, faults: Faults) {
        self.state.faults.set(faults);
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
    pub fn go_away(&self) {
        self.control.signal(Signal::GoAway);
    }

    /// Drops all gRPC connections without a farewell.
    pub fn disconnect(&self) {
        self.control.signal(Signal::Disconnect);
    }

    /// Closes the gRPC port and all its connections, and opens it again after `downtime`. Returns
    /// once it is open.
    pub async fn restart(&self, downtime: Duration) -> Result<(), Error> {
        self.control.restart(downtime).await
    }

    /// Refuses every token issued so far.
    pub fn revoke_tokens(&self) {
        self.state.issuer.revoke_all();
    }

    /// An access token for tests, good or bad.
    pub fn mint(&self, kind: TokenKind) -> Result<String, Error> {
        self.state.issuer.mint(kind, &self.state.client.id)
    }

    /// Adds an MD5 or SHA-1 digest, in hexadecimal, to the list of known content.
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

/// Where the CA's certificate is kept: in the folder, else next to the environment file.
fn ca_file(config: &Config, pem: &str) -> Result<Option<PathBuf>, Error> {
    if let Some(folder) = &config.certificates {
        return absolute(folder.join(crate::certificates::CA_CERTIFICATE)).map(Some);
    }
    let Some(env_file) = &config.env_file else {
        return Ok(None);
    };
    let path = absolute(env_file.with_file_name("athena-emulator-ca.pem"))?;
    std::fs::write(&path, pem).map_err(Error::file("write", &path))?;
    Ok(Some(path))
}

/// Clients run in other folders.
fn absolute(path: PathBuf) -> Result<PathBuf, Error> {
    std::path::absolute(&path).map_err(Error::file("find", path))
}

async fn sweep(state: Arc<Emulated>) {
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            _ = ticks.tick() => state.deployments.sweep(),
            () = state.closing.cancelled() => return,
        }
    }
}
