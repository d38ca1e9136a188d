//! What the emulator has seen: counters, the last inputs, metrics for Prometheus.

mod metrics;
mod observer;
mod record;
mod stats;

pub(crate) use metrics::render;
pub(crate) use observer::Observer;
pub use record::RecordedInput;
pub(crate) use record::{Recording, format_name};
pub use stats::Stats;
