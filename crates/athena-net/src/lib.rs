//! How a host is reached: whom to trust, who we are, which proxy stands in between, and the
//! connection itself. One home, so that tokens and images go by the same rules.
//!
//! [`Network`] holds the rules. They are checked when it is built; the platform's roots of trust
//! are read once per process, when the first connection needs them.
//!
//! ```
//! # #[cfg(feature = "network")]
//! # fn main() -> Result<(), athena_net::BuildError> {
//! use athena_net::Network;
//!
//! let network = Network::builder().proxy("http://proxy.example.com:3128").build()?;
//! let target = "https://api.example.com".parse().expect("a URI");
//! let proxy = network.proxy_for(&target).expect("the one above");
//! assert_eq!(proxy.address(), "proxy.example.com:3128");
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "network"))]
//! # fn main() {}
//! ```
//!
//! # Whom to trust
//! The roots of the platform (`SSL_CERT_FILE` and `SSL_CERT_DIR` in place of its own, where they
//! are set), Mozilla's list, and the authorities given; or only those.
//!
//! # Which proxy
//! The one given, for every connection. Without it, what the environment says:
//!
//! - `HTTPS_PROXY` for `https` targets, `HTTP_PROXY` for `http` ones, `ALL_PROXY` for what has none
//!   of its own; each name in lower case comes first. A name that is set to nothing counts as not
//!   set. `HTTP_PROXY` in capitals is not read where `REQUEST_METHOD` is set: there a client of a
//!   CGI program could set it.
//! - A proxy is `http://host:port` or `https://host:port`, credentials as `user:password@` before
//!   the host; `http` is assumed. Anything else is an error.
//! - Never for this machine's loopback: see [`is_loopback`].
//! - Never for what `NO_PROXY` lists, separated by commas: `*` for everything, a name for itself
//!   and all below it (`example.com`, `.example.com` and `*.example.com` are the same), an address
//!   (`10.1.2.3`, `::1`), a network (`10.0.0.0/8`, `fd00::/8`); a name or an address may end in the
//!   one port meant (`example.com:8443`, `[::1]:8443`).
//!
//! # Features
//! | feature | gives |
//! | --- | --- |
//! | none | [`is_loopback`], and no dependency |
//! | `network` | `Network`: the rules |
//! | `connect` | `Connector`: connections by the rules |
//! | `reqwest` | `Network::http_client`: a reqwest client by the rules |

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "connect")]
mod connect;
#[cfg(feature = "network")]
mod error;
#[cfg(feature = "reqwest")]
mod http_client;
#[cfg(feature = "network")]
mod identity;
mod loopback;
#[cfg(feature = "network")]
mod network;
#[cfg(feature = "network")]
mod proxy;
#[cfg(feature = "network")]
mod roots;

#[cfg(feature = "connect")]
pub use connect::{ConnectError, Connection, Connector, ProxyStatus, Traffic};
#[cfg(feature = "network")]
pub use error::BuildError;
#[cfg(feature = "reqwest")]
pub use http_client::{Refusal, refusal};
#[cfg(feature = "network")]
pub use identity::Identity;
pub use loopback::is_loopback;
#[cfg(feature = "network")]
pub use network::{Network, NetworkBuilder};
#[cfg(feature = "network")]
pub use proxy::Proxy;
#[cfg(feature = "network")]
pub use roots::RootList;
