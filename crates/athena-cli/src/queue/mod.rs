//! The queue of jobs: how it is reached, and which jobs an input stands for.

mod connect;
mod input;

pub(crate) use connect::{NatsArgs, QueueOptions, queue_failure};
pub(crate) use input::{Entry, Listed, Listing, listing, of_stream};
