//! The real binary, as a user runs it.

mod actions;
mod classify;
mod common;
mod doctor;
#[cfg(feature = "worker")]
mod durable;
mod exit_codes;
mod failures;
mod hostile;
#[cfg(feature = "worker")]
mod jobs;
#[cfg(feature = "worker")]
mod nats;
mod policy;
mod scan;
mod serve;
#[cfg(feature = "otel")]
mod telemetry;
mod tools;
