//! The entry point: one client for one account at one service.

use std::sync::Arc;
use std::time::Duration;

use athena_proto::ClassificationInput;
use futures_core::Stream;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, debug_span};

use crate::answer::{answer_for, outcome};
use crate::builder::ClientBuilder;
use crate::classify_all::ClassifyAll;
use crate::collect;
use crate::common::{Core, runtime};
#[cfg(feature = "oauth")]
use crate::error::BuildError;
use crate::error::{Error, ErrorKind};
use crate::id;
use crate::image::Image;
use crate::prepared::Prepared;
use crate::session::{SessionBuilder, Unclaimed};
use crate::telemetry::Mode;
use crate::transport::method;
use crate::verdict::Verdict;

/// A client of the Athena service. Cheap to clone; clones share connections and threads.
///
/// ```no_run
/// use athena_client::{Client, Image};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::from_env()?; // no network yet
/// let verdict = client.classify(Image::from_path("upload.jpg").await?).await?;
/// println!("{:?}, known content: {}", verdict.pcsam(), verdict.known_match());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) shared: Arc<Core>,
}

/// A deployment and how much waits in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deployment {
    /// Its id.
    pub id: String,
    /// Results that nobody has collected yet.
    pub backlog: u64,
}

impl Client {
    /// Starts a client's configuration.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// A client as the environment says: see [`ClientBuilder::from_env`].
    ///
    /// # Errors
    /// When a variable is missing or cannot be used.
    #[cfg(feature = "oauth")]
    pub fn from_env() -> Result<Self, BuildError> {
        ClientBuilder::from_env()?.build()
    }

    /// Gets a token if none is at hand, connects, and asks the service something small: for the
    /// start of a program, before the first image. What is wrong with the credentials, the address
    /// or the way there is told here.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = athena_client::Client::from_env()?;
    /// client.ready().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Authentication`] when there is no token, or the service does not accept it;
    /// [`ErrorKind::Connect`] and [`ErrorKind::Tls`] when there is no connection; any other kind
    /// that a call can end in.
    pub async fn ready(&self) -> Result<(), Error> {
        runtime()?;
        if let Some(tokens) = self.shared.transport.tokens() {
            // Apart from the call, whose time may end before it is known why there is no token.
            tokens.ready().await.map_err(|error| {
                Error::new(ErrorKind::Authentication, "no token for the service").with_source(error)
            })?;
        }
        self.list_deployments().await.map(drop)
    }

    /// Classifies one image in one call.
    ///
    /// Simple, and right for a few images a second; a [`session`](Self::session) is cheaper for
    /// the service and faster for many. Retried, within a budget and the deadline, only while the
    /// image cannot have been answered.
    ///
    /// # Errors
    /// Any [`ErrorKind`]; [`Error::delivery`] says whether the service may have seen the image.
    pub async fn classify(&self, image: Image) -> Result<Verdict, Error> {
        let id = match &image.correlation_id {
            Some(id) => Arc::clone(id),
            None => id::unique().into(),
        };
        let span = debug_span!("classify", correlation_id = &*id, outcome = Empty);
        let telemetry = (self.shared.transport.telemetry()).image(Mode::Call, &id, None);
        let call = self.classify_as(&id, image).instrument(span.clone());
        let result = telemetry.around(call).await;
        let result = result.map_err(|error| error.with_id(&id));
        telemetry.end(result.as_ref());
        let outcome = result
            .as_ref()
            .map_or_else(|error| error.kind().as_str(), |_| "verdict");
        span.record("outcome", outcome);
        result
    }

    async fn classify_as(&self, id: &Arc<str>, image: Image) -> Result<Verdict, Error> {
        id::validate("correlation id", id)?;
        runtime()?;
        let deadline = Instant::now() + image.timeout.unwrap_or(self.shared.timeout);
        let affiliate = image.affiliate.as_ref().unwrap_or(&self.shared.affiliate);
        let preparation = self.shared.preparer.run(image.source, image.frames);
        let preparation = tokio::time::timeout_at(deadline, preparation)
            .await
            .unwrap_or_else(|_| {
                let message = "the image was not prepared in time: the machine is busy";
                Err(Error::new(ErrorKind::Timeout, message))
            });
        let parts = match preparation {
            Ok(prepared) => prepared.into_parts(),
            Err(error) => return Err(error.with_sends(0)),
        };
        let input = parts.payload.into_input(id, affiliate);
        let (mut answer, mut sends) = self.ask(id, deadline, input).await;
        // Further frames, while there may be worse than what is known.
        let mut judged = Vec::new();
        let mut place = 0;
        for (next, payload) in parts.further {
            match answer {
                Ok(verdict) if !verdict.known_match() => judged.push((place, verdict)),
                _ => break,
            }
            place = next;
            let input = payload.into_input(id, affiliate);
            let (next, more) = self.ask(id, deadline, input).await;
            answer = next;
            sends += more;
        }
        if !judged.is_empty() {
            answer = answer.map(|verdict| Verdict::of_frames(judged, place, verdict));
        }
        outcome(
            answer,
            parts.failure,
            Some(&Arc::new(parts.provenance)),
            sends,
        )
    }

    /// One call, and how often it was made.
    async fn ask(
        &self,
        id: &Arc<str>,
        deadline: Instant,
        input: ClassificationInput,
    ) -> (Result<Verdict, Error>, u32) {
        let (answer, sends) = self
            .shared
            .unary
            .call(
                method::CLASSIFY_SINGLE,
                deadline,
                input,
                |mut stub, request| async move { stub.classify_single(request).await },
            )
            .await;
        (answer.and_then(|output| answer_for(id, output)), sends)
    }

    /// Prepares an image as [`classify`](Self::classify) and sessions do, on the same threads, and
    /// sends nothing: to look at what would be sent, or to send it later with
    /// [`Image::from_prepared`]. Holds the file until then.
    ///
    /// # Errors
    /// When the file cannot be read, or there is nothing of it to send.
    pub async fn prepare(&self, image: Image) -> Result<Prepared, Error> {
        runtime()?;
        self.shared.preparer.run(image.source, image.frames).await
    }

    /// Where the client reports its metrics and spans.
    #[cfg(feature = "otel")]
    pub fn telemetry(&self) -> &crate::otel::Telemetry {
        self.shared.transport.telemetry()
    }

    /// Starts the configuration of a streaming session.
    pub fn session(&self) -> SessionBuilder {
        SessionBuilder::new(Arc::clone(&self.shared))
    }

    /// Classifies every image of a stream, in a session of its own, and gives each result with its
    /// key, in the order in which they come. Ends when the input has ended and every result is in.
    ///
    /// Takes on only as many images as a session keeps in flight, so the input may be endless.
    /// Name files with [`Image::from_file`] rather than reading them ahead.
    ///
    /// ```no_run
    /// use athena_client::{Client, Image};
    /// use futures_util::{StreamExt, stream};
    ///
    /// # async fn run(client: Client, paths: Vec<String>) {
    /// let images = stream::iter(paths.into_iter().map(|path| (path.clone(), Image::from_file(path))));
    /// let mut results = client.classify_all(images);
    /// while let Some((path, result)) = results.next().await {
    ///     match result {
    ///         Ok(verdict) => println!("{path}: {:?}", verdict.pcsam()),
    ///         Err(error) => eprintln!("{path}: {error}"),
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn classify_all<S, K>(&self, images: S) -> ClassifyAll<S, K>
    where
        S: Stream<Item = (K, Image)>,
    {
        let session = self.session().start(&Handle::current());
        ClassifyAll::new(session, images, true)
    }

    /// Collects the results that wait in a deployment, such as one of a process that died. Ends when
    /// none has come for `quiet`; a second or two will do.
    ///
    /// Results leave the service when they are received: read to the end. An error ends the stream;
    /// what waits then still waits for another attempt.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when the deployment id is empty or too long.
    pub fn collect(
        &self,
        deployment: impl Into<String>,
        quiet: Duration,
    ) -> Result<impl Stream<Item = Result<Unclaimed, Error>> + Send + 'static, Error> {
        let deployment = deployment.into();
        id::validate("deployment id", &deployment)?;
        Ok(collect::collect(
            Arc::clone(&self.shared),
            deployment,
            quiet,
        ))
    }

    /// Lists the deployments that the account can see, with their backlogs.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn list_deployments(&self) -> Result<Vec<Deployment>, Error> {
        runtime()?;
        let deadline = Instant::now() + self.shared.timeout;
        let (response, _) = self
            .shared
            .unary
            .call(
                method::LIST_DEPLOYMENTS,
                deadline,
                (),
                |mut stub, request| async move { stub.list_deployments(request).await },
            )
            .await;
        Ok(response?
            .deployments
            .into_iter()
            .map(|deployment| Deployment {
                id: deployment.deployment_id,
                backlog: deployment.backlog.try_into().unwrap_or(0),
            })
            .collect())
    }
}
