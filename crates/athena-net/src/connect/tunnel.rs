//! A connection through an HTTP proxy (CONNECT, RFC 9110, section 9.3.6).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::{BoxError, Connection};
use crate::Proxy;

pub(super) enum Error {
    /// The proxy answered with this.
    Refused(StatusCode),
    /// The connection to it failed, or it does not speak HTTP.
    Broken(BoxError),
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

/// Asks the proxy for a connection to `target`, a host and port.
pub(super) async fn open(
    to_proxy: Connection,
    proxy: &Proxy,
    target: &str,
) -> Result<Connection, Error> {
    let traffic = to_proxy.traffic();
    let mut request = Request::connect(target)
        .header(HOST, target)
        .body(Empty::<Bytes>::new())?;
    if let Some(credentials) = proxy.credentials() {
        let pair = zeroize::Zeroizing::new(format!(
            "{}:{}",
            credentials.user,
            credentials.password.as_str()
        ));
        let basic = zeroize::Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(&*pair)));
        let mut value = HeaderValue::from_str(&basic)?;
        value.set_sensitive(true);
        request.headers_mut().insert(PROXY_AUTHORIZATION, value);
    }
    let (mut sender, driver) = http1::handshake(TokioIo::new(to_proxy)).await?;
    let mut driver = std::pin::pin!(driver.with_upgrades());
    let mut answer = std::pin::pin!(sender.send_request(request));
    let mut driven = false;
    let answer = tokio::select! {
        answer = &mut answer => answer?,
        // It ends with the answer, if that is a connection, or with the connection to the proxy.
        ended = &mut driver => {
            driven = true;
            ended?;
            answer.await?
        }
    };
    if !answer.status().is_success() {
        return Err(Error::Refused(answer.status()));
    }
    if !driven {
        driver.await?;
    }
    let upgraded = hyper::upgrade::on(answer).await?;
    Ok(Connection::above(traffic, TokioIo::new(upgraded)))
}
