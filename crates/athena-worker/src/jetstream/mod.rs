//! NATS JetStream as a queue: jobs in a stream that forgets what is done, outcomes and dead letters in two others.
//!
//! | stream | subjects | keeps |
//! | --- | --- | --- |
//! | `ATHENA_JOBS` | `ATHENA_JOBS.live.KEY`, `ATHENA_JOBS.backfill.KEY` | jobs until they are settled (work-queue retention) |
//! | `ATHENA_OUTCOMES` | `ATHENA_OUTCOMES.KEY` | one record for a key |
//! | `ATHENA_JOBS_DEAD` | `ATHENA_JOBS_DEAD.KEY` | jobs that were given up, as they came |
//!
//! What must be there once is published with `Nats-Expected-Last-Subject-Sequence: 0`, which the server takes only
//! while the subject has no message: that is `put_once`, and it is how a job that is queued is not queued again. The
//! window of `Nats-Msg-Id` would end after minutes, and would swallow a job that is submitted again on purpose.

mod contents;
mod dead;
mod durable;
mod intake;
mod outcomes;
mod raw;
mod reader;
mod status;
mod stuck;
mod subject;
mod submit;

use std::future::{Future, IntoFuture};
use std::time::Duration;

use async_nats::client::FlushErrorKind;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, pull};
use async_nats::jetstream::context::{PublishErrorKind, traits::Publisher};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{self, DiscardPolicy, RetentionPolicy, Stream};
use async_nats::jetstream::{self, Context};
use athena_client::BoxError;
use tokio::time::{sleep, timeout};

pub use self::contents::{StreamJob, StreamJobs};
pub use self::dead::DeadLetter;
pub use self::intake::JetStreamIntake;
pub use self::outcomes::{JetStreamOutcomes, StoredOutcome};
pub use self::reader::Stored;
pub use self::status::{LaneStatus, QueueStatus};
pub use self::stuck::Released;
pub use self::subject::token;
pub use self::submit::Submitted;
pub use crate::machine::Lane;
use crate::seam::QueueError;

/// How long the server may take for what it is asked.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a message beside the image: keys, affiliates and contexts are bounded.
const OVERHEAD: usize = 16 << 10;
/// The lease of a consumer that is made.
const LEASE: Duration = Duration::from_secs(30);

/// What the streams are called, and how those are made that are missing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct QueueNames {
    /// The stream of jobs. Default: `ATHENA_JOBS`. Dead letters are in the stream of this name and `_DEAD`.
    pub jobs: String,
    /// The stream of outcomes. Default: `ATHENA_OUTCOMES`.
    pub outcomes: String,
    /// Servers that keep each stream. Default: 1.
    pub replicas: usize,
    /// How long a job is a worker's own before it is delivered again: sets the consumers that are there. Default: as they
    /// are, or 30 s.
    pub lease: Option<Duration>,
}

impl Default for QueueNames {
    fn default() -> Self {
        Self {
            jobs: "ATHENA_JOBS".to_owned(),
            outcomes: "ATHENA_OUTCOMES".to_owned(),
            replicas: 1,
            lease: None,
        }
    }
}

/// The three streams. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Queue {
    context: Context,
    names: QueueNames,
    jobs: Stream,
    outcomes: Stream,
    dead: Stream,
}

impl Queue {
    /// Finds the streams, and makes those that are missing.
    ///
    /// # Errors
    /// When the server does not answer, may not be asked, or has a stream of this name for something else.
    pub async fn open(client: async_nats::Client, names: QueueNames) -> Result<Self, QueueError> {
        for name in [&names.jobs, &names.outcomes] {
            if !is_name(name) {
                let what = format!("{name:?}: a stream's name has letters, digits, - and _");
                return Err(QueueError::new(what));
            }
        }
        let mut context = jetstream::new(client);
        context.set_timeout(PATIENCE);
        let dead = format!("{}_DEAD", names.jobs);
        let lanes = Lane::ALL.map(|lane| format!("{}.{}.>", names.jobs, lane.as_str()));
        let queue_like = RetentionPolicy::WorkQueue;
        let replicas = names.replicas;
        let jobs = ensure(&context, &names.jobs, lanes.to_vec(), queue_like, replicas).await?;
        let limits = RetentionPolicy::Limits;
        let all = |name: &str| vec![format!("{name}.>")];
        let outcomes = ensure(
            &context,
            &names.outcomes,
            all(&names.outcomes),
            limits,
            replicas,
        )
        .await?;
        let dead = ensure(&context, &dead, all(&dead), limits, replicas).await?;
        let queue = Self {
            context,
            names,
            jobs,
            outcomes,
            dead,
        };
        // Before there is a worker: what scales workers by their lag finds them.
        for lane in Lane::ALL {
            queue.consumer(lane).await?;
        }
        Ok(queue)
    }

    /// What the streams' settings put at risk, as far as the server tells its clients.
    pub fn risks(&self) -> Vec<String> {
        let configs =
            [&self.jobs, &self.outcomes, &self.dead].map(|stream| &stream.cached_info().config);
        let names = |at_risk: fn(&stream::Config) -> bool| {
            let names = configs.iter().filter(|config| at_risk(config));
            let names: Vec<&str> = names.map(|config| config.name.as_str()).collect();
            (!names.is_empty()).then(|| names.join(", "))
        };
        let mut risks = Vec::new();
        if let Some(names) = names(|config| config.num_replicas < 3) {
            risks.push(format!(
                "{names}: fewer than three servers keep them, and what was confirmed may be lost when power fails, \
                 unless they run with `sync_interval: always`, which they do not tell. `athena reconcile` finds what is lost"
            ));
        }
        if let Some(names) = names(|config| config.storage == stream::StorageType::Memory) {
            risks.push(format!("{names}: kept in memory alone"));
        }
        if let Some(names) = names(|config| config.no_ack) {
            risks.push(format!("{names}: nothing is confirmed (no_ack)"));
        }
        if configs[0].retention != RetentionPolicy::WorkQueue {
            risks.push(format!("{}: jobs that are done are kept", configs[0].name));
        }
        risks
    }

    /// The largest job that the server takes, in bytes.
    pub fn largest_job(&self) -> usize {
        self.context.client().max_payload()
    }

    /// The largest image that a job may hold, in bytes: what is left beside its subject and headers.
    pub fn largest_image(&self) -> usize {
        self.largest_job().saturating_sub(OVERHEAD)
    }

    /// The connection.
    pub fn client(&self) -> async_nats::Client {
        self.context.client()
    }

    /// Completes when the client has ended for good, as it does at a message that makes its task panic: nothing more
    /// comes of this queue. While the server is away it does not.
    pub async fn lost(&self) {
        let client = self.context.client();
        while !matches!(client.flush().await, Err(error) if error.kind() == FlushErrorKind::SendError)
        {
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Where the jobs of a lane come from.
    ///
    /// # Errors
    /// When its consumer is not there and cannot be made.
    pub async fn intake(&self, lane: Lane) -> Result<JetStreamIntake, QueueError> {
        JetStreamIntake::open(self.clone(), lane).await
    }

    /// Where outcomes go.
    pub fn outcomes(&self) -> JetStreamOutcomes {
        JetStreamOutcomes::new(self.clone())
    }

    /// The name of a lane's consumer.
    fn consumer_name(lane: Lane) -> String {
        format!("athena-{}", lane.as_str())
    }

    /// The consumer that all workers share; made where it is missing.
    async fn consumer(&self, lane: Lane) -> Result<Consumer<pull::Config>, QueueError> {
        let name = Self::consumer_name(lane);
        let config = pull::Config {
            durable_name: Some(name.clone()),
            filter_subject: format!("{}.{}.>", self.names.jobs, lane.as_str()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.names.lease.unwrap_or(LEASE),
            // Workers give up themselves: what the server gives up is in no queue and no count.
            max_deliver: -1,
            // Jobs that wait for their next attempt count as well, and must not stop the others.
            max_ack_pending: -1,
            ..pull::Config::default()
        };
        let what = format!("the consumer {name} of {}", self.names.jobs);
        let made = self.jobs.get_or_create_consumer(&name, config.clone());
        let consumer = in_time(&what, made).await?;
        match self.names.lease {
            Some(lease) if consumer.cached_info().config.ack_wait != lease => {
                in_time(&what, self.jobs.create_consumer(config)).await
            }
            _ => Ok(consumer),
        }
    }

    /// Publishes unless the subject has a message already. Whether it was published.
    async fn publish_once(
        &self,
        subject: String,
        message: PublishMessage,
    ) -> Result<bool, QueueError> {
        self.publish_after(subject, message, 0).await
    }

    /// Publishes if the last message of the subject has this number, 0 for none. Whether it was published.
    async fn publish_after(
        &self,
        subject: String,
        message: PublishMessage,
        last: u64,
    ) -> Result<bool, QueueError> {
        let message = message
            .expected_last_subject_sequence(last)
            .outbound_message(subject.clone());
        let confirmed = async {
            self.context
                .publish_message(message)
                .await?
                .into_future()
                .await
        };
        match timeout(PATIENCE, confirmed).await {
            Ok(Ok(_)) => Ok(true),
            Ok(Err(error)) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(false),
            Ok(Err(error)) => Err(QueueError::because(
                format!("cannot publish {subject}"),
                error,
            )),
            Err(_) => Err(QueueError::new(format!(
                "{subject} was not confirmed in time"
            ))),
        }
    }
}

async fn ensure(
    context: &Context,
    name: &str,
    subjects: Vec<String>,
    retention: RetentionPolicy,
    replicas: usize,
) -> Result<Stream, QueueError> {
    let config = stream::Config {
        name: name.to_owned(),
        subjects: subjects.clone(),
        retention,
        num_replicas: replicas,
        // Where somebody sets a limit, new ones are refused: nothing that was taken is dropped.
        discard: DiscardPolicy::New,
        allow_direct: true,
        ..stream::Config::default()
    };
    let stream = in_time(
        &format!("the stream {name}"),
        context.get_or_create_stream(config),
    )
    .await?;
    let there = &stream.cached_info().config.subjects;
    let covered = |subject: &String| {
        let all = format!("{name}.>");
        there.contains(subject) || there.contains(&all)
    };
    if !subjects.iter().all(covered) {
        return Err(QueueError::new(format!(
            "the stream {name} is for {}, not for {}",
            there.join(", "),
            subjects.join(", ")
        )));
    }
    Ok(stream)
}

/// An answer of the server, within its time.
async fn in_time<T, E: Into<BoxError>>(
    what: &str,
    asked: impl Future<Output = Result<T, E>>,
) -> Result<T, QueueError> {
    match timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(QueueError::because(what, error)),
        Err(_) => Err(QueueError::new(format!("{what}: no answer in time"))),
    }
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=64).contains(&name.len()) && name.bytes().all(fits)
}
