//! What can go wrong while connecting.

use std::io;
use std::time::Duration;

use super::BoxError;

/// Which step of a connection failed. Shows no credentials.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name has no address, or nothing answers there.
    #[error("cannot connect to {0}")]
    Tcp(String, #[source] BoxError),
    /// The proxy cannot be reached, or does not speak as one.
    #[error("cannot reach {target} through the proxy {proxy}")]
    Proxy {
        /// Host and port of the proxy.
        proxy: String,
        /// Host and port of the target.
        target: String,
        /// What failed.
        source: BoxError,
    },
    /// The proxy answered, and not with a connection.
    #[error("{}", refused(proxy, target, *source))]
    ProxyRefused {
        /// Host and port of the proxy.
        proxy: String,
        /// Host and port of the target.
        target: String,
        /// Its answer.
        source: ProxyStatus,
    },
    /// The TLS handshake failed.
    #[error("no secure connection to {0}")]
    Tls(String, #[source] io::Error),
    /// The server speaks something else.
    #[error("{0} does not offer HTTP/2: is it the service's address, or does a proxy intervene?")]
    NoHttp2(String),
    /// It was asked in the clear.
    #[error("{0} speaks TLS: give https:// in place of http://")]
    SpeaksTls(String),
    /// It took too long.
    #[error("no connection to {0} within {1:?}")]
    Timeout(String, Duration),
}

/// The HTTP status with which a proxy refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("HTTP {0}")]
pub struct ProxyStatus(pub u16);

impl ProxyStatus {
    /// 408, 429 and the 5xx speak of the moment, the others of a rule.
    fn is_transient(self) -> bool {
        matches!(self.0, 408 | 429 | 500..)
    }
}

fn refused(proxy: &str, target: &str, status: ProxyStatus) -> String {
    match status.0 {
        407 => format!(
            "the proxy {proxy} wants credentials, or others: give http://user:password@{proxy}"
        ),
        _ => format!("the proxy {proxy} does not connect to {target}"),
    }
}

impl ConnectError {
    /// Whether another attempt may succeed with nothing changed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::ProxyRefused { source, .. } => source.is_transient(),
            Self::NoHttp2(_) | Self::SpeaksTls(_) => false,
            Self::Tls(..) | Self::Proxy { .. } => self.tls().is_none(),
            Self::Tcp(..) | Self::Timeout(..) => true,
        }
    }

    /// What TLS has against the server, or against a proxy that is spoken to over TLS. Without it
    /// the network cut the handshake short.
    pub fn tls(&self) -> Option<&rustls::Error> {
        let error = match self {
            Self::Tls(_, error) => error,
            Self::Proxy { source, .. } => source.downcast_ref::<io::Error>()?,
            _ => return None,
        };
        error.get_ref()?.downcast_ref()
    }
}
