//! `athena worker`: jobs out of a queue, exactly one outcome for each.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use athena_gateway::Listener;
use athena_gateway::operations::{Exposition, Readiness, Watched, watch};
use athena_worker::jetstream::{Queue, QueueStatus};
use athena_worker::{Figures, JobLimits, Lane, Patience, SdkJudge, Worker};
use clap::{Args, ValueEnum};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::policy::PolicyArg;
use crate::allowed::AllowedSources;
use crate::config::{ConnectArgs, duration};
use crate::connect::{Connection, block_on, service_failure};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, reason};
use crate::interrupt::on_interrupt;
use crate::output::terminal::{BOLD, DIM, GOOD, NOTICE, count, say};
use crate::queue::{NatsArgs, queue_failure};
use crate::telemetry::{self, TelemetryArgs};

const EXAMPLES: &str = "\
Examples:
  nats-server -js & athena worker --emulator         Try it: no account
  athena jobs submit photos/                         Something to do
  athena jobs results > outcomes.jsonl
  athena worker --nats tls://nats.example:4222 --nats-creds worker.creds --policy policy.toml
  athena worker --allow-url s3://uploads/ --listen 0.0.0.0:8081

docs/worker.md has the jobs, what is promised, and how to run many of them.";

/// How long the session may take to say good-bye.
const CLOSING: Duration = Duration::from_secs(2);
/// How often the queue is asked for its figures.
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// An image that is under way for so much longer than it may be is not coming back.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// Take jobs from a queue (NATS JetStream), and leave exactly one outcome for each
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WorkerArgs {
    #[command(flatten)]
    nats: NatsArgs,
    /// Take jobs of this lane alone
    #[arg(long, value_name = "LANE", help_heading = "Work")]
    only: Option<LaneArg>,
    /// URLs that begin so may be fetched: s3://…, gs://…, az://…, https://… or file:///…. May be repeated
    #[arg(long, value_name = "URL", help_heading = "Work")]
    allow_url: Vec<String>,
    /// Addresses of --allow-url may be of this machine and of private networks
    #[arg(long, requires = "allow_url", help_heading = "Work")]
    allow_private: bool,
    #[command(flatten)]
    policy: PolicyArg,
    /// End when the queue is empty
    #[arg(long, help_heading = "Work")]
    until_empty: bool,
    /// Jobs that are held at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096), help_heading = "Limits")]
    window: u32,
    /// Memory for jobs, and as much again for images that are fetched, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(32..=1_048_576), help_heading = "Limits")]
    max_memory: u32,
    /// Largest image, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=256), help_heading = "Limits")]
    max_image: u32,
    /// Attempts after which a job is dead
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Limits")]
    attempts: u32,
    /// How long a job waits after its first failure; each time twice as long, up to 10 minutes
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration, help_heading = "Limits")]
    retry_delay: Duration,
    /// How long what is under way may take after SIGTERM
    #[arg(long, value_name = "DURATION", default_value = "25s", value_parser = duration, help_heading = "Limits")]
    drain: Duration,
    /// Serve /livez, /readyz and /metrics there: ADDRESS:PORT. They name no image, and ask for no key
    #[arg(long, value_name = "WHERE", help_heading = "Watching")]
    listen: Option<SocketAddr>,
    /// Deployment to use, instead of one for this process
    #[arg(long, value_name = "ID", help_heading = "Connection")]
    deployment: Option<String>,
    #[command(flatten)]
    telemetry: TelemetryArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// A lane, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LaneArg {
    /// Somebody waits for it
    Live,
    /// It has time
    Backfill,
}

impl From<LaneArg> for Lane {
    fn from(lane: LaneArg) -> Self {
        match lane {
            LaneArg::Live => Self::Live,
            LaneArg::Backfill => Self::Backfill,
        }
    }
}

pub(crate) fn run(args: &WorkerArgs) -> Outcome {
    block_on(work(args))
}

async fn work(args: &WorkerArgs) -> Outcome {
    let policy = args.policy.load()?;
    let sources = AllowedSources::open(&args.allow_url, args.allow_private).await?;
    let listener = match args.listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    // Before the client, which reports to it.
    let export = telemetry::start(&args.telemetry).await?;
    let connection = Connection::open(&args.connect).await?;
    let queue = args.nats.open().await?;
    for risk in queue.risks() {
        say(format_args!("{NOTICE}note:{NOTICE:#} {risk}"));
    }

    let mut limits = JobLimits::default();
    limits.image_bytes = (args.max_image as usize) << 20;
    let mut judge = SdkJudge::builder(connection.client.clone())
        .timeout(args.connect.timeout)
        .window(args.window as usize)
        .memory((args.max_memory as usize) << 20)
        .limits(limits);
    if let Some(policy) = policy {
        judge = judge.policy(policy);
    }
    if let Some(sources) = sources {
        judge = judge.fetch(Arc::new(sources));
    }
    if let Some(id) = &args.deployment {
        judge = judge.deployment(id.as_str());
    }
    let judge = judge
        .open()
        .map_err(|error| service_failure(&error, &connection.target))?;
    let judge = Arc::new(judge);

    let mut patience = Patience::default();
    patience.window = args.window as usize;
    patience.bytes = (args.max_memory as usize) << 20;
    patience.largest = queue.largest_job();
    patience.attempts = args.attempts;
    patience.retry_first = args.retry_delay;
    patience.drain = args.drain;
    let mut worker = Worker::builder(Arc::clone(&judge), queue.outcomes())
        .limits(limits)
        .patience(patience);
    let takes = |lane| args.only.is_none_or(|only| Lane::from(only) == lane);
    if takes(Lane::Live) {
        worker = worker.live(
            queue
                .intake(Lane::Live)
                .await
                .map_err(|error| queue_failure(&error))?,
        );
    }
    if takes(Lane::Backfill) {
        let intake = queue
            .intake(Lane::Backfill)
            .await
            .map_err(|error| queue_failure(&error))?;
        worker = worker.backfill(intake);
    }
    let worker = worker.build();

    let interrupted = on_interrupt();
    let watched = Arc::new(Overseen {
        figures: worker.figures(),
        judge: Arc::clone(&judge),
        queue: queue.clone(),
        status: Mutex::default(),
        // To fetch it, to hand it over, to be answered.
        longest: args.connect.timeout * 3 + STUCK_AFTER,
    });
    say(format_args!(
        "{GOOD}working{GOOD:#}: jobs of {BOLD}{}{BOLD:#}, outcomes to {BOLD}{}{BOLD:#}",
        args.nats.jobs(),
        args.nats.outcomes()
    ));
    let ended = CancellationToken::new();
    let watching = async {
        if let Some(listener) = listener {
            watch(watched.clone(), vec![listener], ended.cancelled()).await;
        }
    };
    let stop = async {
        tokio::select! {
            () = interrupted.cancelled() => say(format_args!(
                "{NOTICE}stopping{NOTICE:#}: what is under way is finished first"
            )),
            () = empty(&watched, args.until_empty) => {}
        }
    };
    let working = async {
        let figures = worker.run(stop).await;
        // What was settled last must have left before the process ends.
        let flushed = tokio::time::timeout(Duration::from_secs(5), queue.client().flush()).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!(
                "the queue was not told of everything: some jobs come again, and their outcomes are found"
            );
        }
        ended.cancel();
        figures
    };
    let looking = async {
        tokio::select! {
            () = watched.look(args.listen.is_some()) => {}
            () = ended.cancelled() => {}
        }
    };
    let all = async { tokio::join!(working, watching, looking) };
    let (figures, (), ()) = tokio::select! {
        ended = all => ended,
        () = queue.lost() => {
            let cause = "the queue: its client has ended by what it was sent";
            return Err(Failure::new(Exit::Unreachable, cause).remedy(
                "start the worker again: what it held comes again, and what has ended it is given up",
            ));
        }
    };
    // Nothing is under way any more that anybody waits for: its streams are to end in good order.
    let _ = tokio::time::timeout(CLOSING, judge.session().close()).await;
    if let Some(export) = export {
        export.finish().await;
    }
    let snapshot = figures.snapshot();
    say(format_args!(
        "{DIM}{} outcomes stored, {} dead, {} given back or tried again later{DIM:#}",
        count(snapshot.stored),
        count(snapshot.dead),
        count(snapshot.retried)
    ));
    Ok(Exit::Done)
}

async fn listen(address: SocketAddr) -> Outcome<Listener> {
    let unusable = |error: std::io::Error| {
        Failure::local(format!("cannot listen on {address}: {}", reason(&error)))
    };
    let listener = TcpListener::bind(address).await.map_err(unusable)?;
    Listener::tcp(listener).map_err(unusable)
}

/// Completes when there is nothing left to do, if that is wanted.
async fn empty(watched: &Overseen, wanted: bool) {
    if !wanted {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let held = watched.figures.snapshot().held;
        if held == 0
            && watched
                .queue
                .status()
                .await
                .is_ok_and(|status| status.lag == 0)
        {
            return;
        }
    }
}

/// What is served to those who watch.
#[derive(Debug)]
struct Overseen {
    figures: Figures,
    judge: Arc<SdkJudge>,
    queue: Queue,
    status: Mutex<Option<QueueStatus>>,
    longest: Duration,
}

impl Overseen {
    /// Keeps the queue's figures fresh, where they are served.
    async fn look(&self, serves: bool) {
        if !serves {
            return std::future::pending().await;
        }
        loop {
            let status = self.queue.status().await.ok();
            *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
            tokio::time::sleep(STATUS_EVERY).await;
        }
    }
}

impl Watched for Overseen {
    fn is_stuck(&self) -> bool {
        self.figures
            .snapshot()
            .oldest
            .is_some_and(|age| age > self.longest)
    }

    fn readiness(&self) -> BoxFuture<'_, Readiness> {
        async {
            let service = self.judge.service().ask(self.judge.client()).await;
            let snapshot = self.figures.snapshot();
            let connected = matches!(
                self.queue.client().connection_state(),
                async_nats::connection::State::Connected
            );
            let queue = connected && !snapshot.queue_failed;
            let available = service.reachable && !snapshot.away;
            let flowing = !self.is_stuck();
            let ready = service.token && available && queue && flowing && !snapshot.stopping;
            Readiness {
                ready,
                parts: serde_json::json!({
                    "ready": ready,
                    "token": service.token,
                    "service": available,
                    "queue": queue,
                    "flowing": flowing,
                    "stopping": snapshot.stopping,
                }),
            }
        }
        .boxed()
    }

    fn figures(&self, text: &mut Exposition) {
        self.figures.render(text);
        text.one(
            "stuck",
            "gauge",
            "Whether an image is under way that should have ended long ago.",
            u8::from(self.is_stuck()),
        );
        let status = self
            .status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(status) = status {
            status.render(text);
        }
        text.session(&self.judge.session().stats());
    }
}
