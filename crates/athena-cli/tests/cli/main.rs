//! The real binary, as a user runs it.

mod actions;
#[cfg(all(feature = "stores", feature = "worker"))]
mod bucket;
#[cfg(feature = "serve")]
mod by_url;
mod classify;
mod common;
mod doctor;
#[cfg(feature = "worker")]
mod durable;
mod exit_codes;
mod failures;
mod hostile;
#[cfg(feature = "serve")]
mod http;
#[cfg(feature = "worker")]
mod jobs;
#[cfg(not(all(feature = "avif", feature = "stores", feature = "worker")))]
mod left_out;
#[cfg(all(feature = "stores", feature = "worker"))]
mod listings;
#[cfg(feature = "worker")]
mod nats;
mod policy;
mod scan;
#[cfg(feature = "serve")]
mod serve;
#[cfg(feature = "otel")]
mod telemetry;
mod tools;
#[cfg(feature = "serve")]
mod watching;
