//! What a client and its sessions have in common.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::error::{Error, ErrorKind};
use crate::prepare::Preparer;
use crate::telemetry::Membership;
use crate::transport::Transport;
use crate::unary::Unary;

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) transport: Transport,
    pub(crate) unary: Unary,
    pub(crate) preparer: Preparer,
    pub(crate) affiliate: Arc<str>,
    pub(crate) timeout: Duration,
    pub(crate) _membership: Membership,
}

/// The runtime that timers, threads and connections need.
pub(crate) fn runtime() -> Result<Handle, Error> {
    Handle::try_current().map_err(|error| {
        let message = "there is no Tokio runtime here: call from async code that Tokio runs";
        Error::new(ErrorKind::InvalidRequest, message).with_source(error)
    })
}
