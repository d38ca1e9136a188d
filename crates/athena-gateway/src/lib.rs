//! An HTTP server in front of the Athena SDK: programs in any language send it an image and get the outcome.
//!
//! One client, one session, one pool of threads and one token serve any number of callers, and every
//! promise of the SDK holds for them: each image ends in exactly one outcome, and what could not be
//! classified never passes for an answer. `docs/serve.md` has the interface, [`openapi`] its description.
//!
//! ```no_run
//! use athena_client::Client;
//! use athena_gateway::{Gateway, Listener};
//!
//! # async fn run(client: Client) -> Result<(), Box<dyn std::error::Error>> {
//! let gateway = Gateway::builder(client)
//!     .policy(std::fs::read_to_string("policy.toml")?.parse()?)
//!     .open()?;
//! let listener = Listener::tcp(tokio::net::TcpListener::bind("127.0.0.1:8080").await?)?;
//! gateway.serve(vec![listener], async { let _ = tokio::signal::ctrl_c().await; }).await;
//! # Ok(())
//! # }
//! ```
//!
//! [`Gateway::router`] gives the routes alone, for a server of your own on axum 0.8.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod admission;
mod batch;
mod body;
mod builder;
mod classify;
mod compat;
mod durable;
mod fetch;
mod gateway;
mod guard;
mod health;
mod judge;
mod keys;
mod limits;
mod metrics;
mod multipart;
pub mod operations;
mod options;
mod outcomes;
mod problem;
mod reply;
mod router;
mod server;
mod sync;
#[cfg(test)]
mod tests;
mod trace;
mod webhook;

pub use address::{AddressRules, Guard, RefusedAddress};
pub use builder::{GatewayBuilder, SetupError};
pub use durable::{Queue, QueuedImage, QueuedSource, Standing, Submission};
pub use fetch::{Fetch, FetchError, Fetched, literal};
pub use gateway::Gateway;
pub use keys::{Keys, KeysError};
pub use limits::Limits;
pub use server::{Drained, Listener, ServerTls};
pub use trace::TraceContext;
pub use webhook::Webhooks;

/// The OpenAPI description of the interface: what `GET /openapi.json` answers.
pub fn openapi() -> &'static str {
    router::OPENAPI
}
