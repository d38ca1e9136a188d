//! A worker for Athena: takes jobs from a queue and leaves exactly one outcome for each.
//!
//! Any number of workers share a queue and may be killed at any time. A job is settled only after its outcome is
//! known to be stored, and an outcome is stored once for a key, however often its job is delivered or submitted.
//!
//! The [`Worker`] knows no engine: it works on an [`Intake`], where jobs come from, and [`Outcomes`], where records
//! go. [`jetstream`] has both for NATS JetStream. What judges an image is a [`Judge`]; [`SdkJudge`] asks the service.
//! `docs/worker.md` says how to run it, `athena worker` is it as a program.
//!
//! ```no_run
//! use athena_client::Client;
//! use athena_worker::jetstream::{Lane, Queue, QueueNames};
//! use athena_worker::{SdkJudge, Worker};
//!
//! # async fn run(client: Client) -> Result<(), Box<dyn std::error::Error>> {
//! let connection = async_nats::connect("nats://127.0.0.1:4222").await?;
//! let queue = Queue::open(connection, QueueNames::default()).await?;
//! let judge = SdkJudge::builder(client).open()?;
//! let worker = Worker::builder(judge, queue.outcomes())
//!     .live(queue.intake(Lane::Live).await?)
//!     .backfill(queue.intake(Lane::Backfill).await?)
//!     .build();
//! let ended = worker.run(async { let _ = tokio::signal::ctrl_c().await; }).await;
//! println!("{} outcomes stored", ended.snapshot().stored);
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//! `otel`: a span for each attempt at a job, in the trace of whoever has submitted it.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod figures;
pub mod jetstream;
mod job;
mod judge;
mod machine;
mod seam;
mod trace;
mod worker;

pub use figures::{Figures, Snapshot};
pub use job::{JOB_SCHEMA, Job, JobError, JobLimits, Source};
pub use judge::{End, Fetch, Judge, Judgement, SdkJudge, SdkJudgeBuilder};
pub use machine::{Lane, Patience};
pub use seam::{
    Capabilities, Delivery, Intake, Message, Outcomes, Put, QueueError, Room, Settlement,
};
pub use worker::{Worker, WorkerBuilder};
