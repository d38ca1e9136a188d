//! The emulator over real sockets, one module for each promise.

#![allow(clippy::unwrap_used)]

mod authorization;
mod classify;
mod deployments;
mod faults;
mod hostile;
mod inspection;
mod namespaces;
mod rules;
mod support;
mod tokens;
