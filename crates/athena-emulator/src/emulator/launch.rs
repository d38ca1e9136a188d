//! Puts an emulator together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Control, Emulator};
use crate::certificates::{Authority, CA_CERTIFICATE, ClientCertificates, write_private};
use crate::config::Config;
use crate::error::Error;
use crate::listener::{Bound, Listener};
use crate::namespace::Namespace;
use crate::state::Emulated;
use crate::{admin, oauth, rpc};

/// How often expired results and deployments are looked for.
const SWEEP: Duration = Duration::from_millis(500);
/// Connections to the token endpoint and the admin API carry a request at a time.
const HTTP_STREAMS: u32 = 100;

impl Emulator {
    pub(crate) async fn start(config: Config) -> Result<Self, Error> {
        let ports = BoundPorts::new(&config).await?;
        let addresses = Addresses::new(&config, &ports);
        let folder = config.certificates.as_deref();
        let authority = Authority::load_or_create(folder)?;
        let state = Arc::new(Emulated::new(
            &config,
            &authority,
            addresses.issuer.clone(),
        )?);
        let (restarts, restarted) = mpsc::channel(1);
        let control = Arc::new(Control { restarts });

        let names = config.names();
        let grpc_tls = authority.server_config(&names, &[b"h2"], ClientCertificates::Ignored)?;
        let client_certificates = match state.issuer.wants_certificates() {
            true => ClientCertificates::Wanted,
            false => ClientCertificates::Ignored,
        };
        let oauth_tls = match config.plain_token_endpoint {
            true => None,
            false => {
                let protocols: [&[u8]; 2] = [b"h2", b"http/1.1"];
                Some(authority.server_config(&names, &protocols, client_certificates)?)
            }
        };
        let grpc = rpc::router(state.clone(), &config).await?;
        let oauth = oauth::router(state.clone());
        let urls = admin::Urls {
            admin: addresses.admin.clone(),
            token: addresses.token(),
            audience: config.audience.clone(),
        };
        let admin = admin::router(state.clone(), control.clone(), urls, &config);
        let max_streams = config.limits.streams_per_connection;
        let listeners = [
            Listener::new(ports.grpc, grpc, Some(grpc_tls), max_streams)
                .controlled_by(state.notices.clone(), restarted),
            Listener::new(ports.oauth, oauth, oauth_tls, HTTP_STREAMS),
            Listener::new(ports.admin, admin, None, HTTP_STREAMS),
        ];
        let mut tasks = JoinSet::new();
        for listener in listeners {
            tasks.spawn(listener.run(state.closing.clone(), config.drain));
        }
        tasks.spawn(sweep(state.clone()));

        let emulator = Self {
            audience: config.audience.clone(),
            ca_file: ca_file(&config, authority.pem())?,
            token_url: addresses.token(),
            host: addresses.host,
            admin_url: addresses.admin,
            default: Namespace::new(state.clone(), state.namespaces.default().clone()),
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
            "emulator ready: it is not a classifier, its weights are computed from pixels and mean nothing"
        );
        for address in [config.address, config.admin_address] {
            if !address.is_loopback() {
                tracing::warn!(
                    %address,
                    "the emulator can be reached from other machines: it is made for tests and protects nothing"
                );
            }
        }
    }
}

struct BoundPorts {
    grpc: Bound,
    oauth: Bound,
    admin: Bound,
}

impl BoundPorts {
    async fn new(config: &Config) -> Result<Self, Error> {
        let address = |port| SocketAddr::new(config.address, port);
        let admin = SocketAddr::new(config.admin_address, config.ports.admin);
        Ok(Self {
            grpc: Bound::new(address(config.ports.grpc), "gRPC").await?,
            oauth: Bound::new(address(config.ports.oauth), "the token endpoint").await?,
            admin: Bound::new(admin, "the admin API").await?,
        })
    }
}

/// What clients are told.
struct Addresses {
    host: String,
    issuer: String,
    admin: String,
}

impl Addresses {
    fn new(config: &Config, ports: &BoundPorts) -> Self {
        let host = &config.public_host;
        let scheme = if config.plain_token_endpoint {
            "http"
        } else {
            "https"
        };
        let admin = SocketAddr::new(config.admin_address, ports.admin.port());
        Self {
            host: format!("{host}:{}", ports.grpc.port()),
            issuer: format!("{scheme}://{host}:{}/", ports.oauth.port()),
            admin: match config.admin_address.is_loopback() {
                true => format!("http://{admin}"),
                false => format!("http://{host}:{}", admin.port()),
            },
        }
    }
}

impl Addresses {
    fn token(&self) -> String {
        format!("{}oauth/token", self.issuer)
    }
}

/// Where the CA's certificate is kept: in the folder, else next to the environment file.
fn ca_file(config: &Config, pem: &str) -> Result<Option<PathBuf>, Error> {
    if let Some(folder) = &config.certificates {
        return absolute(folder.join(CA_CERTIFICATE)).map(Some);
    }
    let Some(env_file) = &config.env_file else {
        return Ok(None);
    };
    // Named after the file, so that two emulators may write theirs to one folder.
    let mut name = env_file.file_name().unwrap_or_default().to_owned();
    name.push(".ca.pem");
    let path = absolute(env_file.with_file_name(name))?;
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
            _ = ticks.tick() => {
                for namespace in state.namespaces.list() {
                    namespace.deployments.sweep();
                }
            }
            () = state.closing.cancelled() => return,
        }
    }
}
