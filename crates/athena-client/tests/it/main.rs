//! The client against the emulator, over real sockets and real TLS.

mod doors;
mod faults;
mod relay;
mod session;
mod support;
mod transport;
mod unary;
