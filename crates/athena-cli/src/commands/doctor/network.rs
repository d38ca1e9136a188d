//! From a name to a trusted connection: proxy, DNS, TCP, TLS, and the clock.

use std::time::{Duration, Instant, SystemTime};

use athena_net::{Connector, Network};
use reqwest::header::DATE;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Checkup, certificate, milliseconds};
use crate::exit::Exit;
use crate::failure::{Failure, chain, reason};
use crate::trust::{self, handshake};

/// The longest wait for one step.
const PATIENCE: Duration = Duration::from_secs(10);
/// A clock that is further off makes tokens look expired, or not yet valid.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(30);

/// Walks to the address. True when it can be reached.
pub(super) async fn examine(
    name: &str,
    address: &str,
    network: &Network,
    checkup: &mut Checkup,
) -> bool {
    match walk(name, address, network, checkup).await {
        Ok(()) => true,
        Err((step, failure)) => {
            checkup.fail(&step, &failure);
            false
        }
    }
}

async fn walk(
    name: &str,
    address: &str,
    network: &Network,
    checkup: &mut Checkup,
) -> Result<(), (String, Failure)> {
    let step = |what: &str| format!("{name}: {what}");
    let at = |what: &str, failure: Failure| (step(what), failure);
    let url = match address.contains("://") {
        true => address.to_owned(),
        false => format!("https://{address}"),
    };
    let uri: http::Uri = url.parse().map_err(|_| {
        let failure = Failure::configuration(format!("{address} is not an address"));
        at(
            "address",
            failure.remedy("give host:port, or https://host:port"),
        )
    })?;
    let secure = uri.scheme_str() != Some("http");
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    if let Some(proxy) = network.proxy_for(&uri) {
        checkup.ok(
            &step("proxy"),
            format!("{}, from {}", proxy.address(), proxy.setting()),
        );
        let host = proxy.host().trim_matches(['[', ']']);
        connect(host, proxy.port(), &step, checkup).await?;
        return through_proxy(network, uri.clone(), &step, checkup).await;
    }
    let stream = connect(host, port, &step, checkup).await?;
    if !secure {
        // The SDK refuses it for other machines.
        checkup.ok(&step("TLS"), "none: http:// on this machine");
        return Ok(());
    }
    let started = Instant::now();
    let server = ServerName::try_from(host.to_owned()).map_err(|_| {
        let failure = Failure::configuration(format!("{host} is not a host name"));
        at("TLS", failure)
    })?;
    let connecting = TlsConnector::from(network.ready_tls().await).connect(server, stream);
    let stream = match tokio::time::timeout(PATIENCE, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let plain = handshake::speaks_plain_http(host, port).await;
            return Err(at("TLS", handshake::failure(&error, host, port, plain)));
        }
        Err(_) => {
            let failure = Failure::new(Exit::Unreachable, "no answer to the TLS handshake");
            return Err(at(
                "TLS",
                failure.remedy("is it a TLS port? Does a firewall look inside?"),
            ));
        }
    };
    let (_, session) = stream.get_ref();
    let certificates = session.peer_certificates().unwrap_or_default();
    let summary = certificate::summary(certificates, network);
    let version = session
        .protocol_version()
        .and_then(|version| version.as_str());
    let detail = format!(
        "{}, {}; {}",
        version.unwrap_or("TLS").replace("v1_", " 1."),
        milliseconds(started.elapsed()),
        summary.text
    );
    if summary.expires_soon {
        checkup.warn(
            &step("TLS"),
            detail,
            "its operator must renew the certificate",
        );
    } else {
        checkup.ok(&step("TLS"), detail);
    }
    Ok(())
}

/// The rest of the way, which only the proxy sees: to the target, and TLS with it.
async fn through_proxy(
    network: &Network,
    target: http::Uri,
    step: &impl Fn(&str) -> String,
    checkup: &mut Checkup,
) -> Result<(), (String, Failure)> {
    let started = Instant::now();
    let connected = match Connector::new(network.clone(), target, None) {
        Ok(connector) => connector.connect().await.map_err(|error| chain(&error)),
        Err(error) => Err(chain(&error)),
    };
    match connected {
        Ok(_) => {
            let took = milliseconds(started.elapsed());
            checkup.ok(&step("tunnel"), format!("the proxy connects, {took}"));
            Ok(())
        }
        Err(cause) => {
            let failure = Failure::new(Exit::Unreachable, cause);
            let remedy = "correct the proxy, or name the host in NO_PROXY";
            Err((step("tunnel"), failure.remedy(remedy)))
        }
    }
}

async fn connect(
    host: &str,
    port: u16,
    step: &impl Fn(&str) -> String,
    checkup: &mut Checkup,
) -> Result<TcpStream, (String, Failure)> {
    let started = Instant::now();
    let resolved = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, port))).await;
    let unreachable = |why: String| Failure::new(Exit::Unreachable, why);
    let addresses: Vec<_> = match resolved {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => {
            let failure = unreachable(format!("{host}: {}", reason(&error)));
            let remedy = "check the spelling and the machine's DNS";
            return Err((step("DNS"), failure.remedy(remedy)));
        }
        Err(_) => {
            let failure = unreachable(format!("{host}: the DNS server does not answer"));
            return Err((step("DNS"), failure.remedy("check the machine's DNS")));
        }
    };
    let texts: Vec<String> = addresses.iter().map(|a| a.ip().to_string()).collect();
    let took = milliseconds(started.elapsed());
    checkup.ok(
        &step("DNS"),
        format!("{host} is {}, {took}", texts.join(", ")),
    );

    let started = Instant::now();
    let connected = tokio::time::timeout(PATIENCE, TcpStream::connect(addresses.as_slice())).await;
    let failure = match connected {
        Ok(Ok(stream)) => {
            let took = milliseconds(started.elapsed());
            checkup.ok(&step("TCP"), format!("port {port} answers, {took}"));
            return Ok(stream);
        }
        Ok(Err(error)) => unreachable(format!("port {port}: {}", reason(&error))),
        Err(_) => unreachable(format!("port {port}: no answer")),
    };
    let remedy = "check the port, the firewall, and whether a proxy is needed (HTTPS_PROXY)";
    Err((step("TCP"), failure.remedy(remedy)))
}

/// Compares the clock with that of the token endpoint.
pub(super) async fn clock(token_url: &str, network: &Network, checkup: &mut Checkup) {
    let Some(theirs) = date(token_url, network).await else {
        return checkup.skip("clock", "the token endpoint does not tell the time");
    };
    let ours = SystemTime::now();
    let off = match ours.duration_since(theirs) {
        Ok(ahead) => ahead,
        Err(behind) => behind.duration(),
    };
    // The header has whole seconds.
    let seconds = off.as_secs();
    if off <= CLOCK_TOLERANCE {
        checkup.ok(
            "clock",
            format!("within {} s of the token endpoint's", seconds + 1),
        );
    } else {
        let direction = if ours > theirs { "ahead" } else { "behind" };
        let detail = format!("{seconds} s {direction} of the token endpoint's");
        checkup.warn("clock", detail, "synchronise it (NTP): tokens depend on it");
    }
}

async fn date(token_url: &str, network: &Network) -> Option<SystemTime> {
    let client = trust::http_client(network, PATIENCE).await.ok()?;
    let response = client.head(token_url).send().await.ok()?;
    httpdate::parse_http_date(response.headers().get(DATE)?.to_str().ok()?).ok()
}
