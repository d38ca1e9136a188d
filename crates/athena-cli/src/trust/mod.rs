//! How the tool reaches hosts for the requests that it makes itself: as the SDK's client does.

pub(crate) mod handshake;

use std::path::Path;
use std::time::Duration;

use athena_net::{Network, NetworkBuilder, RootList};

use crate::exit::Exit;
use crate::failure::{Failure, Outcome, chain, reason};

/// The SDK's rules, with the CA of the settings.
pub(crate) fn network(ca_certificate: Option<&[u8]>) -> Outcome<Network> {
    let builder = ca_certificate
        .iter()
        .fold(Network::builder(), |builder, pem| {
            builder.ca_certificate(pem)
        });
    builder
        .build()
        .map_err(|error| Failure::configuration(chain(&error)))
}

/// The rules for stores, with the CA that users of clouds name for them.
pub(crate) fn stores() -> Outcome<NetworkBuilder> {
    const BUNDLE: &str = "AWS_CA_BUNDLE";
    let network = Network::builder();
    let Some(path) = std::env::var_os(BUNDLE).filter(|path| !path.is_empty()) else {
        return Ok(network);
    };
    let pem = std::fs::read(&path).map_err(|error| {
        let (path, why) = (Path::new(&path).display(), reason(&error));
        Failure::configuration(format!("{BUNDLE}: cannot read {path}: {why}"))
    })?;
    Ok(network.ca_certificate(pem))
}

/// A list of roots, as the user knows it.
pub(crate) fn list_name(list: RootList) -> &'static str {
    match list {
        RootList::Given => "--ca",
        RootList::Platform => "the system's list",
        _ => "Mozilla's list",
    }
}

/// A client for plain HTTP requests, which follows no redirects.
pub(crate) async fn http_client(network: &Network, timeout: Duration) -> Outcome<reqwest::Client> {
    let builder = network.http_client().await.timeout(timeout);
    builder
        .build()
        .map_err(|error| Failure::new(Exit::Unreachable, chain(&error)))
}
