//! What whoever runs a process wants to know of it: is it alive, is it ready, and its figures.
//!
//! A [gateway](crate::Gateway) answers beside its callers. What has no callers, such as a worker of a queue, is
//! [`Watched`], and [`watch`] serves `/livez`, `/readyz` and `/metrics` for it by the same connections and limits.

mod exposition;
mod probe;
mod watched;

pub use exposition::Exposition;
pub use probe::{Service, ServiceProbe};
pub use watched::{Readiness, Watched, watch};
