//! The results that wait in a deployment whose process is gone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use athena_proto::{ClassifyRequest, ClassifyResponse};
use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_util::stream;
use tokio::time::Instant;
use tonic::{Response, Status, Streaming};
use tracing::debug;

use crate::answer::verdict;
use crate::backoff::Backoff;
use crate::common::Core;
use crate::duration::bounded;
use crate::error::{Error, ErrorKind};
use crate::session::Unclaimed;
use crate::telemetry::{self, Call};
use crate::transport::{self, Driver, Meter, Requests, method};

/// Failures in a row before collecting is given up.
const MOST_FAILURES: u32 = 5;
const KEEPALIVE: Duration = Duration::from_secs(20);

/// Results until none has come for `quiet`, or an error that ends the stream.
pub(crate) fn collect(
    client: Arc<Core>,
    deployment: String,
    quiet: Duration,
) -> impl Stream<Item = Result<Unclaimed, Error>> + Send + 'static {
    let begin = Collector {
        client,
        deployment,
        quiet: bounded(quiet),
        connection: None,
        received: VecDeque::new(),
        failures: 0,
        backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(5)),
    };
    stream::unfold(Some(begin), |state| async {
        let mut collector = state?;
        match collector.next().await {
            Ok(Some(result)) => Some((Ok(result), Some(collector))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
}

struct Collector {
    client: Arc<Core>,
    deployment: String,
    quiet: Duration,
    connection: Option<Connection>,
    received: VecDeque<Unclaimed>,
    failures: u32,
    backoff: Backoff,
}

impl Collector {
    async fn next(&mut self) -> Result<Option<Unclaimed>, Error> {
        loop {
            if let Some(result) = self.received.pop_front() {
                return Ok(Some(result));
            }
            match self.receive().await {
                Ok(true) => self.failures = 0,
                Ok(false) => return Ok(None),
                Err(error) => {
                    self.connection = None;
                    self.failures += 1;
                    if !error.is_transient() || self.failures == MOST_FAILURES {
                        return Err(error);
                    }
                    debug!(%error, "collecting was interrupted");
                    tokio::time::sleep(self.backoff.next(fastrand::f64())).await;
                }
            }
        }
    }

    /// Waits for one response; `false` when it has been quiet for long enough.
    async fn receive(&mut self) -> Result<bool, Error> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            // No part of the quiet: nothing can come before there is a connection.
            none => none.insert(open(&self.client, &self.deployment).await?),
        };
        let quiet_at = Instant::now() + self.quiet;
        let message = connection.message();
        let Ok(message) = tokio::time::timeout_at(quiet_at, message).await else {
            return Ok(false);
        };
        let Some(message) = message? else {
            return Ok(false);
        };
        for output in message.outputs {
            let id: Arc<str> = output.correlation_id.as_str().into();
            let result = verdict(&id, output);
            self.received.push_back(Unclaimed::new(&id, result));
        }
        match message.global_error {
            Some(error) if self.received.is_empty() => Err(Error::from_service(&error)),
            _ => Ok(true),
        }
    }
}

struct Connection {
    stream: Opening,
    call: Option<Call>,
    _driver: Option<Driver>,
}

/// The head of the answer may come as late as the first result.
enum Opening {
    Call(BoxFuture<'static, Result<Response<Streaming<ClassifyResponse>>, Status>>),
    Open(Box<Streaming<ClassifyResponse>>),
}

impl Connection {
    /// The next message. May be dropped and asked for again.
    async fn message(&mut self) -> Result<Option<ClassifyResponse>, Error> {
        let result = self.receive().await;
        // Without an end of its own, as when it has been quiet, the call is cancelled.
        if !matches!(result, Ok(Some(_)))
            && let Some(call) = self.call.take()
        {
            call.end(result.as_ref().map(drop));
        }
        result.map_err(|status| transport::from_status(&status))
    }

    async fn receive(&mut self) -> Result<Option<ClassifyResponse>, Status> {
        loop {
            match &mut self.stream {
                Opening::Open(responses) => return responses.message().await,
                Opening::Call(call) => {
                    let response = call.await?;
                    self.stream = Opening::Open(Box::new(response.into_inner()));
                }
            }
        }
    }
}

async fn open(client: &Core, deployment: &str) -> Result<Connection, Error> {
    let transport = &client.transport;
    let (mut stub, driver) = transport
        .connect(transport.ping_interval(), Meter::new())
        .await?;
    if let Some(tokens) = transport.tokens() {
        // The call would wait for it, which is not quiet either.
        tokens.token().await.map_err(|error| {
            Error::new(ErrorKind::Authentication, "no token for the call").with_source(error)
        })?;
    }
    let request = ClassifyRequest {
        deployment_id: deployment.to_owned(),
        inputs: Vec::new(),
    };
    let call = transport.call(method::CLASSIFY, &telemetry::current());
    let requests = transport::request(keepalives(request), &call);
    Ok(Connection {
        call: Some(call),
        stream: Opening::Call(Box::pin(async move { stub.classify(requests).await })),
        _driver: driver,
    })
}

/// The same empty request, at once and then again and again.
fn keepalives(request: ClassifyRequest) -> Requests {
    Requests::new(stream::unfold(
        (request, true),
        |(request, first)| async move {
            if !first {
                tokio::time::sleep(KEEPALIVE).await;
            }
            Some((request.clone(), (request, false)))
        },
    ))
}
