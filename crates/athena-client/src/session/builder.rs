//! How a session is configured.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prost::Message;
use tokio::runtime::Handle;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

use super::Session;
use super::machine::{BatchLimits, Machine, Rules};
use super::shared::{Shared, Timing, Wake, units};
use crate::common::{Core, runtime};
use crate::duration::bounded;
use crate::error::Error;
use crate::id::{self, Mint};
use crate::telemetry;

/// Far more than help anybody, and few enough for a process.
const MOST_CONNECTIONS: usize = 64;

/// The configuration of a [`Session`].
#[derive(Debug, Clone)]
#[must_use]
pub struct SessionBuilder {
    client: Arc<Core>,
    deployment: Option<Arc<str>>,
    connections: usize,
    max_in_flight: usize,
    max_in_flight_bytes: usize,
    max_batch: usize,
    max_message_bytes: usize,
    linger: Duration,
    resends: u32,
    grace: Duration,
    timing: Timing,
}

impl SessionBuilder {
    pub(crate) fn new(client: Arc<Core>) -> Self {
        Self {
            client,
            deployment: None,
            connections: 1,
            max_in_flight: 256,
            max_in_flight_bytes: 256 << 20,
            max_batch: 32,
            max_message_bytes: (4 << 20) - 4096,
            linger: Duration::from_millis(10),
            resends: 2,
            grace: Duration::from_secs(2),
            timing: Timing {
                image: Duration::from_secs(60),
                keepalive: Duration::from_secs(20),
                no_progress: Duration::from_secs(30),
                first_backoff: Duration::from_millis(200),
                most_backoff: Duration::from_secs(15),
                drain: Duration::from_secs(90),
            },
        }
    }

    /// The deployment to join: 1 to 64 bytes of UTF-8. Default: an id of this session alone.
    ///
    /// Streams that share a deployment share its results: those for others' images go to
    /// [`Session::unclaimed`]. Name it only to share on purpose, or to find results again after a
    /// restart.
    pub fn deployment(mut self, id: impl Into<Arc<str>>) -> Self {
        self.deployment = Some(id.into());
        self
    }

    /// Streams, each on a connection of its own. Default: 1, which also batches best; more help
    /// where one TCP connection is the bottleneck. 64 at most.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections.clamp(1, MOST_CONNECTIONS);
        self
    }

    /// Images pending at most: `submit` waits for room. Default: 256.
    ///
    /// Fewer are taken on while answers take a good part of their images' time, on a slow link or
    /// with a busy service, and at first, until it is known how long they take:
    /// [`Stats::window`](crate::Stats::window) tells.
    pub fn max_in_flight(mut self, images: usize) -> Self {
        self.max_in_flight = images.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Bytes held for pending images at most, before and after preparation. Default: 256 MiB. A
    /// single image that is larger takes all of it.
    pub fn max_in_flight_bytes(mut self, bytes: usize) -> Self {
        self.max_in_flight_bytes = bytes;
        self
    }

    /// Images in one request at most. Default: 32.
    pub fn max_batch(mut self, images: usize) -> Self {
        self.max_batch = images.max(1);
        self
    }

    /// Bytes of one request at most. Default: 4 MiB less 4 KiB, for servers that decode 4 MiB: six
    /// raw frames.
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = bytes;
        self
    }

    /// How long an image waits for others to share its request. Default: 10 ms. An image that is
    /// alone does not wait.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = bounded(linger);
        self
    }

    /// How often an image is sent again after its connection broke. Default: 2. With 0 an image
    /// that the service may have seen is never sent twice, as it may be billed twice; otherwise
    /// connections that end because their token has expired do not count.
    pub fn max_resends(mut self, resends: u32) -> Self {
        self.resends = resends;
        self
    }

    /// How long results are waited for after a reconnect before images are sent again. Default: 2 s.
    pub fn resend_grace(mut self, grace: Duration) -> Self {
        self.grace = bounded(grace);
        self
    }

    /// How long an image may take from acceptance to result, unless it says otherwise itself.
    /// Default: 60 s.
    pub fn image_timeout(mut self, timeout: Duration) -> Self {
        self.timing.image = bounded(timeout);
        self
    }

    /// A connection that brings nothing for so long while answers are due is replaced. Default: 30 s.
    pub fn no_progress_timeout(mut self, timeout: Duration) -> Self {
        self.timing.no_progress = bounded(timeout);
        self
    }

    /// After how long without anything sent an empty request keeps the stream alive. Default: 20 s.
    pub fn keepalive(mut self, interval: Duration) -> Self {
        self.timing.keepalive = bounded(interval);
        self
    }

    /// The ceilings of the random wait before a reconnect: the first, and the most that doubling
    /// reaches. Default: 200 ms and 15 s.
    pub fn reconnect_backoff(mut self, first: Duration, most: Duration) -> Self {
        self.timing.first_backoff = bounded(first);
        self.timing.most_backoff = bounded(most);
        self
    }

    /// How long [`Session::close`] waits for pending images. Default: 90 s.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.timing.drain = bounded(timeout);
        self
    }

    /// Starts the session, which connects in the background.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) when the deployment id is
    /// empty or too long, or there is no Tokio runtime to run on.
    pub fn open(self) -> Result<Session, Error> {
        if let Some(deployment) = &self.deployment {
            id::validate("deployment id", deployment)?;
        }
        Ok(self.start(&runtime()?))
    }

    /// Opens with an id that is known to be valid.
    pub(crate) fn start(self, runtime: &Handle) -> Session {
        let deployment = self
            .deployment
            .unwrap_or_else(|| format!("rust-{}", id::unique()).into());
        let envelope = athena_proto::ClassifyRequest {
            deployment_id: deployment.to_string(),
            inputs: Vec::new(),
        };
        let rules = Rules {
            batch: BatchLimits {
                images: self.max_batch,
                bytes: self
                    .max_message_bytes
                    .saturating_sub(envelope.encoded_len()),
                linger: self.linger,
            },
            capacity: self.max_in_flight,
            resends: self.resends,
            request_time: self.timing.no_progress / 8,
            grace: self.grace,
        };
        let most_units = units(self.max_in_flight_bytes).clamp(1, u32::MAX as usize / 2);
        let mint = Arc::new(Mint::new());
        let shared = Shared {
            client: self.client,
            deployment,
            timing: self.timing,
            parent: telemetry::current(),
            bytes: Arc::new(Semaphore::new(most_units)),
            capacity: self.max_in_flight,
            turn: AsyncMutex::default(),
            most_units,
            machine: Mutex::new(Machine::new(rules, Arc::clone(&mint))),
            mint,
            reached: AtomicBool::new(false),
            work: Mutex::default(),
            wake: Wake::default(),
        };
        Session::start(shared, self.connections, runtime)
    }
}
