//! The real binary, as a user runs it.

mod actions;
mod bucket;
mod by_url;
mod classify;
mod common;
mod doctor;
#[cfg(feature = "worker")]
mod durable;
mod exit_codes;
mod failures;
mod hostile;
mod http;
#[cfg(feature = "worker")]
mod jobs;
mod listings;
#[cfg(feature = "worker")]
mod nats;
mod policy;
mod scan;
mod serve;
#[cfg(feature = "otel")]
mod telemetry;
mod tools;
mod watching;
