//! From a gRPC status to this crate's error.

use std::error::Error as StdError;
use std::time::Duration;

use athena_auth::AuthError;
use athena_net::ConnectError;
use tonic::{Code, Status};

use super::connections::NotGrpc;
use super::http2;
use super::shared::{NeverSent, NoConnection};
use crate::error::{Delivery, Error, ErrorKind, Oversized, find, printable};

/// Classifies the outcome of a call.
///
/// Our own errors are looked for first: tonic derives codes from whatever stands in the chain of
/// sources, and takes a failed token request for a cancelled call.
pub(crate) fn from_status(status: &Status) -> Error {
    classify(status).of_request()
}

fn classify(status: &Status) -> Error {
    let source = status.source();
    if let Some(error) = find(source, |error| error.downcast_ref::<AuthError>()) {
        return Error::new(ErrorKind::Authentication, "no token for the call")
            .with_source(error.clone());
    }
    if let Some(error) = find(source, |error| error.downcast_ref::<NoConnection>()) {
        return error.0.to_error();
    }
    if let Some(error) = find(source, |error| error.downcast_ref::<ConnectError>()) {
        return from_connect(error).with_delivery(Delivery::Unknown);
    }
    if let Some(error) = find(source, |error| error.downcast_ref::<NotGrpc>()) {
        return from_other(error);
    }
    if find(source, |error| {
        error.downcast_ref::<tonic::TimeoutExpired>()
    })
    .is_some()
    {
        return Error::new(ErrorKind::Timeout, "no answer in time")
            .with_delivery(Delivery::Unknown);
    }
    if is_malformed(status) {
        let message = format!("the answer cannot be read: {}", printable(status.message()));
        return Error::new(ErrorKind::Protocol, message).with_delivery(Delivery::Unknown);
    }
    if is_broken_connection(status) {
        let message = format!("the connection broke: {}", innermost(status));
        return Error::new(ErrorKind::Unavailable, message).with_delivery(Delivery::Unknown);
    }
    from_server(status)
}

/// Whether it is certain that the service has not seen the call, as HTTP/2 tells: then it may be
/// made again whatever it was.
pub(crate) fn is_unprocessed(status: &Status) -> bool {
    find(status.source(), |error| {
        let unprocessed = match error.downcast_ref() {
            Some(error) => http2::is_unprocessed(error),
            None => error.is::<NeverSent>(),
        };
        unprocessed.then_some(())
    })
    .is_some()
}

/// Classifies an answer that is not gRPC, as gRPC's "HTTP to gRPC Status Code Mapping" wants it.
fn from_other(error: &NotGrpc) -> Error {
    let (kind, what) = match error.0.as_u16() {
        401 => (
            ErrorKind::Authentication,
            "something before the service does not accept the token",
        ),
        429 => (
            ErrorKind::Overloaded,
            "something before the service refuses the load",
        ),
        502..=504 => (
            ErrorKind::Unavailable,
            "something before the service does not reach it",
        ),
        _ => (
            ErrorKind::Protocol,
            "this server does not offer the Athena service (check the endpoint)",
        ),
    };
    Error::new(kind, format!("{what}: {error}")).with_delivery(Delivery::Answered)
}

/// Classifies a connection that could not be made.
pub(super) fn from_connect(error: &ConnectError) -> Error {
    let cause = error
        .source()
        .map(|cause| format!(": {}", innermost(cause)))
        .unwrap_or_default();
    match (error, error.tls()) {
        (_, Some(tls)) => Error::new(ErrorKind::Tls, format!("{error}{cause}{}", remedy(tls))),
        (ConnectError::ProxyRefused { source, .. }, None) if !error.is_transient() => {
            Error::new(ErrorKind::Connect, error.to_string()).with_source(*source)
        }
        (ConnectError::NoHttp2(_) | ConnectError::SpeaksTls(_), None) => {
            Error::new(ErrorKind::Tls, error.to_string())
        }
        _ => Error::new(ErrorKind::Connect, format!("{error}{cause}")),
    }
}

fn remedy(error: &rustls::Error) -> &'static str {
    use rustls::CertificateError::{NotValidForName, NotValidForNameContext, UnknownIssuer};
    match error {
        rustls::Error::InvalidCertificate(UnknownIssuer) => {
            "; if the service or a proxy has its own CA, give its certificate to `ca_certificate`"
        }
        rustls::Error::InvalidMessage(_) => "; does the port speak TLS at all?",
        rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            "; check the host name of the endpoint"
        }
        _ => "",
    }
}

/// Whether an answer came that is none: tonic has no code of its own for that, and takes those of
/// the server.
fn is_malformed(status: &Status) -> bool {
    let message = status.message();
    match status.code() {
        // A server that is tonic, too, says the same of our requests, with a limit of its own.
        Code::OutOfRange => oversized(message)
            .is_some_and(|oversized| oversized.limit == Some(super::MAX_RESPONSE_BYTES)),
        Code::Internal => {
            message.starts_with("failed to decode Protobuf message")
                || message.contains("invalid compression flag")
        }
        _ => false,
    }
}

/// Whether a server's message says that ours is too large, and how large it may be. Each gRPC library
/// has words of its own: in order those of tonic, of Go and C++ (and so Python, PHP and Ruby), of Java,
/// and of .NET, which names no figure.
fn oversized(message: &str) -> Option<Oversized> {
    const WORDS: [(&str, Option<&str>); 4] = [
        ("message length too large", Some("limit is: ")),
        ("message larger than max", Some(" vs. ")),
        ("message exceeds maximum size", Some("maximum size ")),
        ("exceeds the maximum configured message size", None),
    ];
    let (_, before) = (WORDS.into_iter()).find(|(words, _)| message.contains(words))?;
    let limit = before.and_then(|before| {
        let (_, rest) = message.split_once(before)?;
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        rest[..digits].parse().ok()
    });
    Some(Oversized { limit })
}

/// Whether the transport failed, rather than the server said so in a status of its own.
fn is_broken_connection(status: &Status) -> bool {
    status.source().is_some()
        || (status.code() == Code::Internal && status.message().starts_with("h2 protocol error"))
}

fn from_server(status: &Status) -> Error {
    let said = printable(status.message());
    let error = |kind, what: &str| {
        let message = if said.is_empty() {
            what.to_owned()
        } else {
            format!("{what}: {said}")
        };
        Error::new(kind, message).with_delivery(Delivery::Answered)
    };
    if let Code::ResourceExhausted | Code::OutOfRange = status.code()
        && let Some(oversized) = oversized(status.message())
    {
        let what = match oversized.limit {
            Some(limit) => format!("the service takes messages of at most {limit} bytes"),
            None => "the service does not take messages of this size".to_owned(),
        };
        let what = format!("{what}: choose a smaller payload; it says");
        return error(ErrorKind::TooLarge, &what).with_oversized(oversized);
    }
    let error = match status.code() {
        Code::Unauthenticated => error(
            ErrorKind::Authentication,
            "the service does not accept the token (check the credentials and the audience)",
        ),
        Code::PermissionDenied => error(
            ErrorKind::NotPermitted,
            "the account may not do this (check the affiliate)",
        ),
        Code::InvalidArgument | Code::OutOfRange | Code::FailedPrecondition => {
            error(ErrorKind::InvalidRequest, "the service refuses the request")
        }
        Code::Unimplemented | Code::NotFound => error(
            ErrorKind::Protocol,
            "this server does not offer the Athena service (check the endpoint)",
        ),
        Code::ResourceExhausted => error(ErrorKind::Overloaded, "the service is overloaded"),
        Code::Unavailable => error(ErrorKind::Unavailable, "the service is unavailable"),
        Code::DeadlineExceeded => {
            error(ErrorKind::Timeout, "no answer in time").with_delivery(Delivery::Unknown)
        }
        Code::Cancelled | Code::Aborted => {
            error(ErrorKind::Unavailable, "the service ended the call")
                .with_delivery(Delivery::Unknown)
        }
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss | Code::AlreadyExists => {
            error(ErrorKind::Service, "the service failed").with_delivery(Delivery::Unknown)
        }
    };
    error.with_retry_after(pushback(status).flatten())
}

/// The server's word on retries (`grpc-retry-pushback-ms`): `Some(None)` forbids them.
pub(crate) fn pushback(status: &Status) -> Option<Option<Duration>> {
    let value = status.metadata().get("grpc-retry-pushback-ms")?;
    Some(
        value
            .to_str()
            .ok()
            .and_then(|text| text.parse().ok())
            .map(Duration::from_millis),
    )
}

pub(super) fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    printable(&last.to_string())
}
