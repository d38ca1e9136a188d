//! The gateway over real sockets, in front of an emulator.

mod adapters;
mod batch;
mod callers;
mod classify;
mod durable;
mod faults;
mod hostile;
mod later;
mod operation;
mod support;
