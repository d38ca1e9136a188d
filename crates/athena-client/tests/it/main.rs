//! The client against the emulator, over real sockets and real TLS; and, where time matters,
//! against a scripted service on a paused clock.

mod clock;
mod connections;
mod doors;
mod endings;
mod faults;
mod keyless;
mod passing;
mod pause;
mod preparation;
mod protocol;
mod relay;
mod script;
mod session;
mod slow;
mod support;
#[cfg(feature = "otel")]
mod telemetry;
mod transport;
mod unary;
