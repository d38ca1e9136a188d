//! What object_store asks, through our own clients; and what came back, for errors that say something.

use std::error::Error as StdError;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use url::Url;

use super::keys;
use crate::transport::{Transport, may_go};

/// The longest answer that is an error's or a credential's.
const MOST_SMALL_BYTES: usize = 256 * 1024;
/// The longest page of a listing: 1,000 keys of at most 1 KiB, escaped, and what is said of each (Azure: 5,000).
const MOST_PAGE_BYTES: usize = 64 * 1024 * 1024;

/// What a request is for: it travels with the request, and the answer is noted in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Purpose {
    pub(super) wanted: Wanted,
    pub(super) answer: Arc<Mutex<Option<Answer>>>,
}

/// What a store has answered last, as far as it explains a failure.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    /// None when no answer came.
    pub(super) status: Option<StatusCode>,
    /// The store's own word, such as `AccessDenied`.
    pub(super) code: Option<String>,
    /// The region that the bucket is in.
    pub(super) region: Option<String>,
    /// Why no answer came.
    pub(super) trouble: Option<String>,
}

/// What is expected of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A few words.
    #[default]
    Small,
    /// An object, which is read as it comes.
    Object,
    /// A page of a listing. Its keys come in a form that `object_store::Path` takes whatever they are: see [`keys`].
    Page,
}

impl Purpose {
    pub(super) fn of(wanted: Wanted) -> Self {
        Self {
            wanted,
            answer: Arc::default(),
        }
    }

    pub(super) fn answered(&self) -> Option<Answer> {
        (self.answer.lock().unwrap_or_else(PoisonError::into_inner)).clone()
    }

    fn note(&self, answer: Answer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    }
}

/// Gives every store of object_store's the clients of one [`Transport`].
#[derive(Clone, Debug)]
pub(super) struct Connector {
    pub(super) transport: Transport,
    /// Whether the user allows an endpoint without TLS.
    pub(super) allow_http: bool,
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let purpose = parts.extensions.get::<Purpose>().cloned();
        let url: Url = (parts.uri.to_string().parse())
            .map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        let result = self.send(
            url,
            parts.method,
            parts.headers,
            body.collect().await?.to_bytes(),
        );
        let response = match result.await {
            Ok(response) => response,
            Err(error) => {
                if let Some(purpose) = &purpose {
                    purpose.note(Answer {
                        trouble: Some(root(&error)),
                        ..Answer::default()
                    });
                }
                return Err(error);
            }
        };
        let (parts, body) = response.into_parts();
        let wanted = purpose
            .as_ref()
            .map(|purpose| purpose.wanted)
            .unwrap_or_default();
        if let Some(purpose) = purpose.as_ref().filter(|_| parts.status.is_success()) {
            purpose.note(Answer {
                status: Some(parts.status),
                ..Answer::default()
            });
        }
        let body = match (parts.status.is_success(), wanted) {
            (true, Wanted::Object) => HttpResponseBody::new(body.map_err(failed)),
            (true, Wanted::Page) => of_bytes(keys::made_safe(whole(body, MOST_PAGE_BYTES).await?)),
            (true, Wanted::Small) => of_bytes(whole(body, MOST_SMALL_BYTES).await?),
            (false, _) => {
                let text = whole(body, MOST_SMALL_BYTES).await?;
                if let Some(purpose) = &purpose {
                    purpose.note(Answer {
                        status: Some(parts.status),
                        code: code(&parts.headers, &text),
                        region: text_of(&parts.headers, "x-amz-bucket-region"),
                        trouble: None,
                    });
                }
                of_bytes(text)
            }
        };
        Ok(HttpResponse::from_parts(parts, body))
    }
}

impl Connector {
    async fn send(
        &self,
        url: Url,
        method: http::Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<http::Response<reqwest::Body>, HttpError> {
        let allowed = may_go(&url) || (self.allow_http && url.scheme() == "http");
        if !allowed {
            return Err(HttpError::new(HttpErrorKind::Unknown, Plain));
        }
        let client = self.transport.client(&url);
        let mut request = reqwest::Request::new(method, url);
        *request.headers_mut() = headers;
        *request.body_mut() = Some(body.into());
        client
            .execute(request)
            .await
            .map(Into::into)
            .map_err(failed)
    }
}

/// An endpoint without TLS that the user has not allowed.
#[derive(Debug, thiserror::Error)]
#[error(
    "the endpoint has no TLS: use https://, or allow it with AWS_ALLOW_HTTP=true (GOOGLE_ALLOW_HTTP, AZURE_ALLOW_HTTP)"
)]
struct Plain;

/// An error of the transport, in the words of object_store, which goes by them when it tries again.
fn failed(error: reqwest::Error) -> HttpError {
    let kind = if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_connect() {
        HttpErrorKind::Connect
    } else if error.is_decode() {
        HttpErrorKind::Decode
    } else {
        // The connection ended: whether it is asked again goes by what was asked.
        HttpErrorKind::Interrupted
    };
    // The URL may hold a signature.
    HttpError::new(kind, error.without_url())
}

/// The innermost cause: those around it repeat that something failed.
fn root(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// A body in memory, if it is no longer than that.
async fn whole(body: reqwest::Body, most: usize) -> Result<Bytes, HttpError> {
    let collected = Limited::new(body, most).collect().await;
    match collected {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(match error.downcast::<reqwest::Error>() {
            Ok(error) => failed(*error),
            Err(error) => HttpError::new(HttpErrorKind::Decode, TooLong(error)),
        }),
    }
}

/// An answer beyond all measure.
#[derive(Debug, thiserror::Error)]
#[error("the answer is longer than any that is expected")]
struct TooLong(#[source] crate::BoxError);

fn of_bytes(bytes: Bytes) -> HttpResponseBody {
    HttpResponseBody::new(Full::new(bytes).map_err(|never| match never {}))
}

fn text_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    word(value)
}

/// The store's own word for what went wrong: in a header (Azure), or in the XML.
fn code(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    if let Some(code) = text_of(headers, "x-ms-error-code") {
        return Some(code);
    }
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    word(code)
}

/// Only what looks like a word is shown to anybody.
fn word(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (!text.is_empty() && text.len() <= 64 && text.bytes().all(plain)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stores_word_is_found_and_nothing_else_is_shown() {
        let none = HeaderMap::new();
        let body = b"<?xml?><Error><Code>AccessDenied</Code><Message>key AKIA</Message></Error>";
        assert_eq!(code(&none, body).as_deref(), Some("AccessDenied"));
        for body in [
            &b"<Code>a secret</Code>"[..],
            b"<Code></Code>",
            b"\xff",
            b"",
        ] {
            assert_eq!(code(&none, body), None);
        }
        let mut azure = HeaderMap::new();
        azure.insert("x-ms-error-code", "BlobNotFound".parse().expect("value"));
        assert_eq!(code(&azure, b"").as_deref(), Some("BlobNotFound"));
    }
}
