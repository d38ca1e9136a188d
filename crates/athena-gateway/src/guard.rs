//! Before anything else is looked at: is this request meant for us, and who sends it?

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::gateway::Gateway;
use crate::keys::Caller;
use crate::problem::{Kind, Problem};

/// The other end of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    /// Whether it came by a Unix socket.
    pub(crate) unix: bool,
    /// SHA-256 of the client certificate that was verified, if there was one.
    pub(crate) certificate: Option<[u8; 32]>,
}

#[cfg(unix)]
impl Peer {
    pub(crate) fn unix() -> Self {
        Self {
            unix: true,
            certificate: None,
        }
    }
}

/// Paths that a prober asks for, which has no key and asks by an address. They say nothing that is worth
/// keeping from anybody.
const OPEN: [&str; 2] = ["/livez", "/readyz"];

/// Checks Host and Origin, then the key or certificate; puts the [`Caller`] with the request.
pub(crate) async fn check(
    State(gateway): State<Gateway>,
    mut request: Request,
    next: Next,
) -> Response {
    // Without a connection of our own, in a server of somebody else's, nothing is known of the peer.
    let peer = request
        .extensions()
        .get::<Peer>()
        .cloned()
        .unwrap_or_default();
    let open = OPEN.contains(&request.uri().path());
    if let Err(problem) = meant_for_us(&gateway, &peer, request.headers(), request.uri())
        && !open
    {
        return problem.closing().into_response();
    }
    // RFC 9112, 6.3: a request that names its length in two ways may be an attempt at smuggling. Hyper
    // has dropped the one by the time we look, so no request follows one with a transfer coding.
    let framed_by_coding = request.headers().contains_key(header::TRANSFER_ENCODING)
        && request.version() == Version::HTTP_11;
    match caller(&gateway, &peer, request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
        }
        Err(problem) if !open => return problem.closing().into_response(),
        Err(_) => {}
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if framed_by_coding {
        headers.insert(
            header::CONNECTION,
            header::HeaderValue::from_static("close"),
        );
    }
    headers.insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-store"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        header::HeaderValue::from_static("nosniff"),
    );
    response
}

/// A page in a browser must not reach a server on the user's own machine: neither by a name of its own that
/// resolves here (Host), nor from another origin (Origin, Sec-Fetch-Site).
fn meant_for_us(
    gateway: &Gateway,
    peer: &Peer,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<(), Problem> {
    let text = |value: &header::HeaderValue| value.to_str().unwrap_or("").to_owned();
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = text(origin);
        if !gateway.settings().origins.contains(&origin) {
            return Err(Problem::new(
                Kind::Forbidden,
                "requests from web pages of this origin are not taken",
            ));
        }
    } else if headers
        .get("sec-fetch-site")
        .is_some_and(|site| !matches!(site.as_bytes(), b"none" | b"same-origin"))
    {
        return Err(Problem::new(
            Kind::Forbidden,
            "requests from web pages of another site are not taken",
        ));
    }
    if peer.unix {
        return Ok(());
    }
    let hosts = headers.get_all(header::HOST);
    if hosts.iter().count() > 1 {
        return Err(Problem::bad_request("more than one Host"));
    }
    let host = match uri.authority() {
        Some(authority) => authority.host().to_owned(),
        None => match hosts.iter().next() {
            Some(host) => host_name(&text(host)).to_owned(),
            None => return Err(Problem::bad_request("no Host")),
        },
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if gateway.settings().knows_host(host) {
        return Ok(());
    }
    Err(Problem::new(
        Kind::HostNotAllowed,
        "the Host is not a name of this server: add it with --hostname",
    ))
}

/// The name in `name:port`.
fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        // Not inside the brackets of an IPv6 address.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn caller(gateway: &Gateway, peer: &Peer, headers: &HeaderMap) -> Result<Arc<Caller>, Problem> {
    let settings = gateway.settings();
    if let Some(certificate) = &peer.certificate {
        let known = (settings.keys.as_ref()).and_then(|keys| keys.by_certificate(certificate));
        if let Some(caller) = known {
            return Ok(Arc::clone(caller));
        }
        if settings.keys.is_none() {
            return Ok(Arc::clone(&settings.certified));
        }
    }
    let Some(keys) = &settings.keys else {
        return Ok(Arc::clone(&settings.anybody));
    };
    let key = bearer(headers).or_else(|| headers.get("x-api-key").map(|value| value.as_bytes()));
    let Some(key) = key else {
        return Err(Problem::new(
            Kind::Unauthorized,
            "send the key as `Authorization: Bearer KEY`",
        ));
    };
    keys.by_key(key)
        .cloned()
        .ok_or_else(|| Problem::new(Kind::Unauthorized, "this key is not known"))
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_host_is_without_its_port() {
        for (host, name) in [
            ("localhost", "localhost"),
            ("localhost:8080", "localhost"),
            ("[::1]:8080", "[::1]"),
            ("[::1]", "[::1]"),
            ("127.0.0.1:1", "127.0.0.1"),
        ] {
            assert_eq!(host_name(host), name);
        }
    }
}
