//! Problem details (RFC 9457): why there is no answer of the kind that was asked for.

use std::borrow::Cow;
use std::time::Duration;

use athena_outcome::Record;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A type is a name, not an address: RFC 9457 lets it lead nowhere, and this project has no site to lead to.
const TYPES: &str = "urn:athena:problem:";

/// The kinds of problem: stable names, each documented in `docs/serve.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    BadRequest,
    Unauthorized,
    Forbidden,
    HostNotAllowed,
    NotFound,
    MethodNotAllowed,
    KeyReused,
    TooLarge,
    UnsupportedMediaType,
    SlowBody,
    RateLimited,
    Overloaded,
    QueueUnavailable,
    Stopping,
    NoPolicy,
    NotClassified,
    Internal,
}

impl Kind {
    #[cfg(test)]
    pub(crate) const ALL: &[Self] = &[
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::HostNotAllowed,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::KeyReused,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::SlowBody,
        Self::RateLimited,
        Self::Overloaded,
        Self::QueueUnavailable,
        Self::Stopping,
        Self::NoPolicy,
        Self::NotClassified,
        Self::Internal,
    ];

    /// Its name, which is also its heading in the documentation.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::HostNotAllowed => "host-not-allowed",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::KeyReused => "key-reused",
            Self::TooLarge => "too-large",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::SlowBody => "slow-body",
            Self::RateLimited => "rate-limited",
            Self::Overloaded => "overloaded",
            Self::QueueUnavailable => "queue-unavailable",
            Self::Stopping => "stopping",
            Self::NoPolicy => "no-policy",
            Self::NotClassified => "not-classified",
            Self::Internal => "internal",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "The request cannot be understood",
            Self::Unauthorized => "No valid key",
            Self::Forbidden => "Not permitted for this caller",
            Self::HostNotAllowed => "Not a name of this server",
            Self::NotFound => "There is nothing here",
            Self::MethodNotAllowed => "Not with this method",
            Self::KeyReused => "The key names another image",
            Self::TooLarge => "Too large",
            Self::UnsupportedMediaType => "Not a type that is taken",
            Self::SlowBody => "The body came too slowly",
            Self::RateLimited => "Too many images in a short time",
            Self::Overloaded => "No room for now",
            Self::QueueUnavailable => "The queue does not answer",
            Self::Stopping => "The server is stopping",
            Self::NoPolicy => "The server has no policy",
            Self::NotClassified => "The image has no verdict",
            Self::Internal => "A fault of this server",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::HostNotAllowed => StatusCode::MISDIRECTED_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::KeyReused => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Overloaded | Self::QueueUnavailable | Self::Stopping | Self::NoPolicy => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            // Its own status comes with it.
            Self::NotClassified | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A problem on its way to the caller.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    kind: Kind,
    status: StatusCode,
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
    outcome: Option<Box<Record>>,
    /// Whether the connection is of no more use: the rest of a body may still be on it.
    close: bool,
}

/// A problem, as RFC 9457 has it.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Problem"))]
pub(crate) struct Body<'a> {
    /// Which problem: a stable address, where it is explained.
    r#type: String,
    /// The problem in general.
    title: &'static str,
    /// The status code.
    status: u16,
    /// The problem at hand.
    detail: &'a str,
    /// Of an image that has no verdict: what is known of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'a Record>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            status: kind.status(),
            detail: detail.into(),
            retry_after: None,
            outcome: None,
            close: false,
        }
    }

    pub(crate) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::BadRequest, detail)
    }

    /// Somebody else has not answered.
    pub(crate) fn bad_gateway(detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status: StatusCode::BAD_GATEWAY,
            ..Self::new(Kind::NotClassified, detail)
        }
    }

    /// The problem of an image that has no verdict: its record says why.
    pub(crate) fn of_outcome(status: StatusCode, record: Record) -> Self {
        let detail = (record.error.as_ref())
            .map_or_else(|| "no verdict".to_owned(), |error| error.message.clone());
        Self {
            status,
            outcome: Some(Box::new(record)),
            ..Self::new(Kind::NotClassified, detail)
        }
    }

    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    pub(crate) fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn wait(&self) -> Option<Duration> {
        self.retry_after
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }
}

/// The value of `Retry-After`: whole seconds, and never "at once", since it is said when there is no room.
pub(crate) fn seconds(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_secs_f64().ceil().clamp(1.0, 3600.0) as u64)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            r#type: format!("{TYPES}{}", self.kind.as_str()),
            title: self.kind.title(),
            status: self.status.as_u16(),
            detail: &self.detail,
            outcome: self.outcome.as_deref(),
        };
        let text = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (self.status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds(wait));
        }
        if self.kind == Kind::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
