//! `--queue`: where images go that callers want queued, with the feature `worker`.

#[cfg(feature = "worker")]
pub(super) use self::on::QueueArgs;

#[cfg(not(feature = "worker"))]
pub(super) use self::off::QueueArgs;

#[cfg(feature = "worker")]
mod on {
    use std::sync::Arc;

    use athena_gateway::Queue;
    use clap::{Arg, Args};

    use crate::failure::Outcome;
    use crate::output::terminal::{NOTICE, say};
    use crate::queue::QueueOptions;

    /// The queue of `athena worker`.
    #[derive(Args, Debug)]
    #[command(mut_args(of_queue))]
    pub(crate) struct QueueArgs {
        /// Let callers have images queued for `athena worker`: nats://HOST:PORT or tls://HOST:PORT, several separated
        /// by commas. Without a value: NATS_URL, or nats://127.0.0.1:4222
        #[arg(long, value_name = "URL", num_args = 0..=1, help_heading = "Queue")]
        queue: Option<Option<String>>,
        #[command(flatten)]
        options: QueueOptions,
    }

    /// What says something about the queue is a mistake where there is none.
    fn of_queue(arg: Arg) -> Arg {
        match arg.get_help_heading() == Some("Queue") && arg.get_id() != "queue" {
            true => arg.requires("queue"),
            false => arg,
        }
    }

    impl QueueArgs {
        /// Connects to it, if there is one.
        pub(crate) async fn open(&self) -> Outcome<Option<Arc<dyn Queue>>> {
            let Some(address) = &self.queue else {
                return Ok(None);
            };
            let queue = self.options.open("--queue", address.as_deref()).await?;
            for risk in queue.risks() {
                say(format_args!("{NOTICE}note:{NOTICE:#} {risk}"));
            }
            Ok(Some(Arc::new(queue)))
        }
    }
}

#[cfg(not(feature = "worker"))]
mod off {
    use std::sync::Arc;

    use athena_gateway::Queue;
    use clap::Args;

    use crate::failure::Outcome;
    use crate::left_out::left_out;

    /// Taken so that it can be said what it takes.
    #[derive(Args, Debug)]
    pub(crate) struct QueueArgs {
        #[arg(long, num_args = 0..=1, hide = true)]
        queue: Option<Option<String>>,
    }

    impl QueueArgs {
        #[expect(clippy::unused_async, reason = "with the feature it takes time")]
        pub(crate) async fn open(&self) -> Outcome<Option<Arc<dyn Queue>>> {
            match self.queue {
                Some(_) => Err(left_out("--queue", "queues", "worker")),
                None => Ok(None),
            }
        }
    }
}
