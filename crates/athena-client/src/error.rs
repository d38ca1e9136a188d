//! What can go wrong with an image or a call.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use athena_net::BuildError;
use athena_proto::{ClassificationError, ErrorCode};

use crate::prepared::Provenance;
use crate::verdict::Verdict;

/// Why an image, or a call, has no verdict.
///
/// Match on [`kind`](Self::kind) to decide what to do; [`is_transient`](Self::is_transient) says
/// whether trying again later may help, and [`delivery`](Self::delivery) whether the service may
/// have seen the image. Cheap to clone: the images of a batch that fail together share the cause.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    delivery: Delivery,
    message: String,
    correlation_id: Option<Arc<str>>,
    retry_after: Option<Duration>,
    of_request: bool,
    oversized: Option<Oversized>,
    /// For an image that could not be decoded: the word on its hashes, or why there is none.
    lookup: Option<Result<Verdict, Error>>,
    provenance: Option<Arc<Provenance>>,
    sends: Option<u32>,
    service: Option<Arc<ClassificationError>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The server does not take messages of the size of one that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Oversized {
    /// The most that it takes, in bytes, if it said so.
    pub(crate) limit: Option<usize>,
}

/// The kinds of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Something in the request is wrong, such as an id that is too long: correct it.
    InvalidRequest,
    /// The image's file could not be read.
    Unreadable,
    /// The image could not be decoded or prepared; see [`Error::hash_verdict`].
    Undecodable,
    /// The image is larger than a message, or than the service takes.
    TooLarge,
    /// No token could be had, or the service refuses it: check the credentials.
    Authentication,
    /// The account may not do this; often an affiliate that is not enabled.
    NotPermitted,
    /// The service could not be reached: address, DNS, firewall or proxy.
    Connect,
    /// The server's certificate is not trusted, or the TLS handshake failed.
    Tls,
    /// The connection broke, or the service said that it is unavailable.
    Unavailable,
    /// The service refuses work for now: send less.
    Overloaded,
    /// No answer within the time allowed.
    Timeout,
    /// The service failed this image or this request.
    Service,
    /// The service's answer breaks the contract.
    Protocol,
    /// The session ended, by `close` or by being dropped, before the answer came.
    Closed,
}

impl ErrorKind {
    /// Every kind, in the order of their declaration: for metrics that list them all.
    pub const ALL: &[Self] = &[
        Self::InvalidRequest,
        Self::Unreadable,
        Self::Undecodable,
        Self::TooLarge,
        Self::Authentication,
        Self::NotPermitted,
        Self::Connect,
        Self::Tls,
        Self::Unavailable,
        Self::Overloaded,
        Self::Timeout,
        Self::Service,
        Self::Protocol,
        Self::Closed,
    ];

    /// A stable name in snake case, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Unreadable => "unreadable",
            Self::Undecodable => "undecodable",
            Self::TooLarge => "too_large",
            Self::Authentication => "authentication",
            Self::NotPermitted => "not_permitted",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Unavailable => "unavailable",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timeout",
            Self::Service => "service",
            Self::Protocol => "protocol",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far an image got that has no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// It never left this process: the service has not seen it.
    NotSent,
    /// It was handed to the connection: the service may have seen it, and may bill it.
    Unknown,
    /// The service answered, with an error.
    Answered,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            delivery: Delivery::NotSent,
            message: message.into(),
            correlation_id: None,
            retry_after: None,
            of_request: false,
            oversized: None,
            lookup: None,
            provenance: None,
            sends: None,
            service: None,
            source: None,
        }))
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into().into());
        self
    }

    pub(crate) fn with_delivery(mut self, delivery: Delivery) -> Self {
        self.0.delivery = delivery;
        self
    }

    pub(crate) fn with_id(mut self, id: &Arc<str>) -> Self {
        self.0.correlation_id = Some(Arc::clone(id));
        self
    }

    pub(crate) fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.0.retry_after = wait;
        self
    }

    pub(crate) fn with_oversized(mut self, oversized: Oversized) -> Self {
        self.0.oversized = Some(oversized);
        self
    }

    /// Whether the server refused a message for its size.
    pub(crate) fn oversized(&self) -> Option<Oversized> {
        self.0.oversized
    }

    /// Adds what came of looking the image's hashes up.
    pub(crate) fn with_lookup(mut self, lookup: Result<Verdict, Error>) -> Self {
        self.0.delivery = match &lookup {
            Ok(_) => Delivery::Answered,
            Err(error) => error.delivery(),
        };
        self.0.lookup = Some(lookup);
        self
    }

    pub(crate) fn with_provenance(mut self, provenance: impl Into<Arc<Provenance>>) -> Self {
        self.0.provenance = Some(provenance.into());
        self
    }

    pub(crate) fn with_sends(mut self, sends: u32) -> Self {
        self.0.sends = Some(sends);
        self
    }

    /// Marks what befell a whole request or its connection.
    pub(crate) fn of_request(mut self) -> Self {
        self.0.of_request = true;
        self
    }

    /// The service's own error for an image or a request.
    pub(crate) fn from_service(error: &ClassificationError) -> Self {
        let kind = match error.code() {
            ErrorCode::ImageTooLarge => ErrorKind::TooLarge,
            ErrorCode::AffiliateNotPermitted => ErrorKind::NotPermitted,
            ErrorCode::DeploymentIdInvalid | ErrorCode::CorrelationIdInvalid => {
                ErrorKind::InvalidRequest
            }
            _ => ErrorKind::Service,
        };
        let mut message = format!("the service refused it: {}", printable(&error.message));
        if !error.details.is_empty() {
            message = format!("{message} ({})", printable(&error.details));
        }
        let mut refused = Self::new(kind, message).with_delivery(Delivery::Answered);
        refused.0.service = Some(Arc::new(error.clone()));
        refused
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the service may have seen the image.
    pub fn delivery(&self) -> Delivery {
        self.0.delivery
    }

    /// Whether the same call may succeed later without a change on this side.
    pub fn is_transient(&self) -> bool {
        match self.kind() {
            // A proxy's refusal stands until somebody changes a setting.
            ErrorKind::Connect => self.cause::<athena_net::ProxyStatus>().is_none(),
            ErrorKind::Unavailable | ErrorKind::Overloaded | ErrorKind::Timeout => true,
            ErrorKind::Authentication => self
                .cause::<athena_auth::AuthError>()
                .is_some_and(athena_auth::AuthError::is_transient),
            ErrorKind::Undecodable => self.hash_error().is_some_and(Self::is_transient),
            _ => false,
        }
    }

    /// Whether it is the image's own: it could not be read or prepared, or the service answered for it
    /// with an error.
    ///
    /// What befell a request, its stream, the connection or the credentials says nothing about the image:
    /// send that again, however permanent the kind.
    pub fn is_of_image(&self) -> bool {
        match self.kind() {
            ErrorKind::Unreadable | ErrorKind::Undecodable => true,
            ErrorKind::TooLarge | ErrorKind::Service | ErrorKind::InvalidRequest => {
                !self.0.of_request
            }
            _ => false,
        }
    }

    /// The correlation id of the image, where the error concerns one.
    pub fn correlation_id(&self) -> Option<&str> {
        self.0.correlation_id.as_deref()
    }

    /// How long the service asks to wait before trying again.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// For an image that could not be decoded: what the service says about its hashes.
    ///
    /// A broken or unusual file can still be known content, so look at
    /// [`Verdict::known_match`] here before treating the image as merely broken.
    pub fn hash_verdict(&self) -> Option<&Verdict> {
        self.0.lookup.as_ref()?.as_ref().ok()
    }

    /// For an image that could not be decoded: why its hashes could not be looked up either. If
    /// that may pass, [`is_transient`](Self::is_transient) says so.
    pub fn hash_error(&self) -> Option<&Self> {
        self.0.lookup.as_ref()?.as_ref().err()
    }

    /// How often the image was handed to a connection, and may be billed: 0 where it never left this
    /// process. `None` where the error does not concern an image that was taken on.
    pub fn sends(&self) -> Option<u32> {
        self.0.sends
    }

    /// The service's own error, where that is the cause: the number of its code in the contract, its
    /// message and its details, as they came. For clients that hand them on; text from the network is
    /// neither bounded nor free of control characters.
    pub fn service_error(&self) -> Option<(i32, &str, &str)> {
        let error = self.0.service.as_deref()?;
        Some((error.code, &error.message, &error.details))
    }

    /// What is known of the image's file, if the image got as far as its preparation.
    pub fn provenance(&self) -> Option<&Provenance> {
        self.0.provenance.as_deref()
    }

    /// The first error of type `E` among the causes.
    pub(crate) fn cause<E: StdError + 'static>(&self) -> Option<&E> {
        find(self.source(), |error| error.downcast_ref())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(id) = &self.0.correlation_id {
            write!(f, "image {id:?}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("delivery", &self.0.delivery)
            .field("message", &self.0.message)
            .field("correlation_id", &self.0.correlation_id)
            .field("retry_after", &self.0.retry_after)
            .field("lookup", &self.0.lookup)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

/// Walks a chain of errors to the first for which `pick` gives something.
pub(crate) fn find<'a, T>(
    mut error: Option<&'a (dyn StdError + 'static)>,
    pick: impl Fn(&'a (dyn StdError + 'static)) -> Option<T>,
) -> Option<T> {
    while let Some(current) = error {
        if let Some(found) = pick(current) {
            return Some(found);
        }
        error = current.source();
    }
    None
}

/// Text from the network, fit for one line of a log: bounded, without control characters.
pub(crate) fn printable(text: &str) -> String {
    const LONGEST: usize = 300;
    let mut line: String = text
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line
}
