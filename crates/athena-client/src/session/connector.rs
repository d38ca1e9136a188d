//! One connection after another: make it, read what it brings, and when it breaks make the next.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use athena_auth::Token;
use athena_proto::ClassifyResponse;
use futures_core::future::BoxFuture;
use tokio::time::Instant;
use tonic::{Code, Response, Status, Streaming};
use tracing::{Instrument, debug, debug_span, info, warn};

use super::machine::{ConnectionId, Down};
use super::outbound;
use super::shared::Shared;
use crate::backoff::{Backoff, LONGEST_PAUSE};
use crate::error::{Delivery, Error, ErrorKind};
use crate::pause::Punctual;
use crate::telemetry::Call;
use crate::transport::{self, Meter, Stub, method};

/// Attempts to connect before a session that never could gives its images up: that is rather a
/// wrong address than an interruption.
const FIRST_ATTEMPTS: u32 = 5;

/// Keeps one stream open until the session has drained.
pub(crate) fn run(shared: Arc<Shared>) -> BoxFuture<'static, ()> {
    Box::pin(keep_open(shared))
}

async fn keep_open(shared: Arc<Shared>) {
    let mut connector = Connector {
        backoff: Backoff::new(shared.timing.first_backoff, shared.timing.most_backoff),
        ping_interval: shared.client.transport.ping_interval(),
        failures: 0,
        rejections: 0,
        shared,
    };
    while let Err(broken) = connector.connection().await {
        if connector.shared.has_drained() {
            return;
        }
        connector.pause(broken).await;
    }
}

struct Connector {
    shared: Arc<Shared>,
    backoff: Backoff,
    ping_interval: Duration,
    /// Attempts in a row that brought nothing.
    failures: u32,
    /// Of those, the last ones that ended because of the token.
    rejections: u32,
}

/// How a connection, or the attempt at one, ended.
struct Broken {
    error: Error,
    /// Another connection cannot help.
    fatal: bool,
    /// The service rejected the token.
    rejected: bool,
    /// There is a new token to try.
    at_once: bool,
}

impl Connector {
    /// Waits as long as it takes until another attempt makes sense.
    async fn pause(&mut self, broken: Broken) {
        if broken.at_once && !broken.fatal {
            return;
        }
        let wait = broken.error.retry_after().map_or_else(
            || self.backoff.next(fastrand::f64()),
            |asked| asked.min(LONGEST_PAUSE),
        );
        tokio::time::sleep(wait).await;
        if broken.fatal {
            // A connection is not worth opening before there is something to send.
            self.shared.until_needed().await;
        }
    }

    async fn connection(&mut self) -> Result<(), Broken> {
        let transport = self.shared.client.transport.clone();
        let meter = Meter::new();
        let connected = transport.connect(self.ping_interval, meter.clone()).await;
        let (stub, driver) = match connected {
            Ok(connected) => connected,
            Err(error) => {
                self.failures += 1;
                let tried_enough = self.failures >= FIRST_ATTEMPTS || !error.is_transient();
                let fatal = tried_enough && !self.shared.has_reached();
                warn!(error = %error, fatal, "cannot connect");
                self.shared
                    .with(|machine| machine.no_connection(&error, fatal));
                return Err(Broken {
                    error,
                    fatal,
                    rejected: false,
                    at_once: false,
                });
            }
        };
        let now = Instant::now();
        let connection = self.shared.with(|machine| machine.connection_up(now));
        let span = debug_span!("connection", id = connection);
        let status = self.stream(stub, connection, meter).instrument(span).await;
        let Err(ended) = status else { return Ok(()) };
        let broken = self.judge(ended);
        if let Some(driver) = driver
            && driver.too_many_pings().await
        {
            self.ping_interval = self.ping_interval.saturating_mul(2);
            info!(interval = ?self.ping_interval, "the server wants fewer pings");
        }
        if !self.shared.has_drained() {
            info!(connection, error = %broken.error, fatal = broken.fatal, "connection lost");
        }
        let now = Instant::now();
        self.shared.with(|machine| {
            let how = Down {
                fatal: broken.fatal,
                rejected: broken.rejected,
            };
            machine.connection_down(now, connection, &broken.error, how)
        });
        Err(broken)
    }

    /// Sends and receives until the session has drained (`Ok`) or the stream ends.
    async fn stream(
        &mut self,
        stub: Stub,
        connection: ConnectionId,
        meter: Meter,
    ) -> Result<(), Ended> {
        let transport = &self.shared.client.transport;
        let call = transport.call(method::CLASSIFY, &self.shared.parent);
        let result = self.exchange(stub, connection, meter, &call).await;
        match &result {
            Ok(()) | Err(Ended::ByServer) => call.end(Ok(())),
            Err(Ended::Status(status)) => call.end(Err(status)),
            // Cancelled by this side: the call ends without a status.
            Err(Ended::Stalled) => {}
        }
        result
    }

    async fn exchange(
        &mut self,
        mut stub: Stub,
        connection: ConnectionId,
        meter: Meter,
        call: &Call,
    ) -> Result<(), Ended> {
        let requests = outbound::requests(Arc::clone(&self.shared), connection);
        let watch = Watch {
            shared: Arc::clone(&self.shared),
            connection,
            meter,
        };
        // One for the whole stream: asked anew it would judge without having waited.
        let mut stalled = pin!(watch.stalled());
        // The answer's head may come as late as the first result.
        let response = tokio::select! {
            biased;
            response = stub.classify(transport::request(requests, call)) => response?,
            () = &mut stalled => return Err(Ended::Stalled),
        };
        debug!("stream open");
        self.shared.reached();
        let token = response.extensions().get::<Token>().cloned();
        let ended = self.read(response, stalled, connection, call).await;
        if let (Err(Ended::Status(status)), Some(token)) = (&ended, token)
            && status.code() == Code::Unauthenticated
            && let Some(tokens) = self.shared.client.transport.tokens()
        {
            tokens.invalidate(&token);
        }
        ended
    }

    async fn read(
        &mut self,
        response: Response<Streaming<ClassifyResponse>>,
        mut stalled: Pin<&mut impl Future<Output = ()>>,
        connection: ConnectionId,
        call: &Call,
    ) -> Result<(), Ended> {
        let mut responses = response.into_inner();
        loop {
            let message = tokio::select! {
                biased;
                message = responses.message() => message?,
                () = &mut stalled => return Err(Ended::Stalled),
            };
            let Some(message) = message else {
                return if self.shared.has_drained() {
                    Ok(())
                } else {
                    Err(Ended::ByServer)
                };
            };
            self.progress();
            self.received(connection, message, call);
        }
    }

    fn received(&self, connection: ConnectionId, message: ClassifyResponse, call: &Call) {
        if let Some(error) = &message.global_error {
            let code = error.code().as_str_name();
            warn!(connection, code, "the service failed a whole request");
        }
        let now = Instant::now();
        self.shared.with_stream(Some(call), |machine| {
            for output in message.outputs {
                machine.answer(now, output);
            }
            if let Some(error) = &message.global_error {
                machine.global_error(connection, error);
            }
        });
    }

    fn progress(&mut self) {
        self.backoff.reset();
        self.failures = 0;
        self.rejections = 0;
    }

    fn judge(&mut self, ended: Ended) -> Broken {
        self.failures += 1;
        let lost = |message: String| {
            Error::new(ErrorKind::Unavailable, message).with_delivery(Delivery::Unknown)
        };
        let status = match ended {
            Ended::Status(status) => status,
            Ended::ByServer => {
                return Broken::transient(lost("the service ended the stream".into()));
            }
            Ended::Stalled => {
                let limit = self.shared.timing.no_progress;
                return Broken::transient(lost(format!(
                    "no answer on the connection for {limit:?}"
                )));
            }
        };
        let error = transport::from_status(&status);
        let rejected = status.code() == Code::Unauthenticated
            && error.delivery() == Delivery::Answered
            && self.shared.client.transport.tokens().is_some();
        self.rejections = if rejected { self.rejections + 1 } else { 0 };
        let fatal = match error.kind() {
            // The next requests are smaller.
            ErrorKind::TooLarge => {
                warn!(%error, "a request was too large for the service: the next ones are smaller");
                false
            }
            // The request itself is wrong, and would be again.
            ErrorKind::InvalidRequest => true,
            // So is the answer to it.
            ErrorKind::Protocol if error.delivery() == Delivery::Unknown => true,
            // What worked before may work again: a certificate, a token endpoint, an account.
            _ if self.shared.has_reached() => false,
            _ if rejected => self.rejections > 1,
            // A failure of the service is not a reason to give up on it.
            ErrorKind::Service => false,
            _ => !error.is_transient(),
        };
        Broken {
            error,
            fatal,
            rejected,
            at_once: rejected && self.rejections == 1,
        }
    }
}

impl Broken {
    fn transient(error: Error) -> Self {
        Self {
            error,
            fatal: false,
            rejected: false,
            at_once: false,
        }
    }
}

enum Ended {
    Status(Status),
    /// The service closed the stream, with no error.
    ByServer,
    /// Nothing came for too long while answers were due.
    Stalled,
}

impl From<Status> for Ended {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

/// Notices that answers are due and nothing moves, neither there nor back.
struct Watch {
    shared: Arc<Shared>,
    connection: ConnectionId,
    meter: Meter,
}

impl Watch {
    async fn stalled(&self) {
        let mut timer = Punctual::default();
        loop {
            // What is sent from now on is not due before then.
            let nothing_due = Instant::now() + self.shared.timing.no_progress;
            timer.until(self.due().unwrap_or(nothing_due)).await;
            if self.due().is_some_and(|due| due <= Instant::now()) {
                return;
            }
        }
    }

    /// When the connection has been still for too long, unless something moves before; `None` while no
    /// answers are due.
    fn due(&self) -> Option<Instant> {
        let limit = self.shared.timing.no_progress;
        let (waiting_since, hidden) = (self.shared)
            .with(|machine| (machine.waiting_since(self.connection), machine.hidden()));
        let limit = limit + hidden.min(limit);
        waiting_since.map(|since| since.max(self.meter.last_moved()) + limit)
    }
}
