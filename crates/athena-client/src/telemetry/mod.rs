//! What OpenTelemetry is told of images and calls, with the feature `otel`; without it, nothing.

#[cfg(feature = "otel")]
mod instruments;
#[cfg(not(feature = "otel"))]
mod off;
#[cfg(feature = "otel")]
mod on;
#[cfg(feature = "otel")]
mod propagation;
#[cfg(feature = "otel")]
mod registry;

#[cfg(not(feature = "otel"))]
pub(crate) use off::{Call, Membership, Parent, Span, Telemetry, current};
#[cfg(feature = "otel")]
pub use on::Telemetry;
#[cfg(feature = "otel")]
pub(crate) use on::{Call, Parent, Span, current};
#[cfg(feature = "otel")]
pub use propagation::{extract, inject};
#[cfg(feature = "otel")]
pub(crate) use registry::Membership;

/// How an image travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Call,
    Session,
}
