//! The queue of jobs: how it is reached, what is read from stores, and which jobs an input stands for.

mod connect;
mod input;
mod sources;

pub(crate) use connect::{NatsArgs, queue_failure};
pub(crate) use input::{Listed, listing};
pub(crate) use sources::AllowedSources;
