//! Carries the requests of the oauth2 crate over reqwest, and keeps of each answer what that
//! crate's errors leave out: the status, and when to come back.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use athena_net::{Refusal, refusal};
use bytes::Bytes;
use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};
use zeroize::Zeroizing;

use crate::{AuthError, AuthErrorKind, BoxFuture};

/// No token response is longer.
const MAX_BODY: usize = 64 * 1024;

/// The head of the endpoint's answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
}

/// Sends one request, and notes the head of the answer as soon as it is there.
pub(super) struct Transport {
    http: reqwest::Client,
    head: OnceLock<Head>,
}

impl Transport {
    pub(super) fn new(http: reqwest::Client) -> Self {
        Self {
            http,
            head: OnceLock::new(),
        }
    }

    /// The head of the answer, if there was one.
    pub(super) fn head(&self) -> Option<&Head> {
        self.head.get()
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, AuthError> {
        let (mut parts, body) = request.into_parts();
        if let Some(credentials) = parts.headers.get_mut(AUTHORIZATION) {
            credentials.set_sensitive(true);
        }
        // The body holds the client secret.
        let body = Bytes::from_owner(Zeroizing::new(body));
        let request = self
            .http
            .post(parts.uri.to_string())
            .headers(parts.headers)
            .body(body);
        let request = request.build().map_err(classify)?;
        let url = request.url().clone();
        let mut response = self.http.execute(request).await.map_err(classify)?;
        if *response.url() != url {
            return Err(AuthError::new(
                AuthErrorKind::InvalidResponse,
                "the token endpoint redirected the request, and the HTTP client followed",
            ));
        }
        let status = response.status();
        let _ = self.head.set(Head {
            status,
            retry_after: retry_after(response.headers(), SystemTime::now()),
        });
        // Zeroed whatever happens, and never outgrown: a buffer that was would keep a copy.
        let mut body = Zeroizing::new(Vec::with_capacity(MAX_BODY));
        while let Some(chunk) = response.chunk().await.map_err(classify)? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(AuthError::new(
                    AuthErrorKind::InvalidResponse,
                    "the token endpoint's answer is longer than 64 KiB",
                ));
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = http::Response::new(std::mem::take(&mut *body));
        *answer.status_mut() = status;
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }
}

impl<'c> AsyncHttpClient<'c> for Transport {
    type Error = AuthError;
    type Future = BoxFuture<'c, Result<HttpResponse, AuthError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

fn classify(error: reqwest::Error) -> AuthError {
    let (kind, message) = if error.is_timeout() {
        (
            AuthErrorKind::Timeout,
            "the token endpoint did not answer in time",
        )
    } else if let Some(refusal) = refusal(&error) {
        match refusal {
            Refusal::Certificate => (
                AuthErrorKind::Tls,
                "the token endpoint's certificate was not accepted",
            ),
            Refusal::ProxyCredentials => (
                AuthErrorKind::Proxy,
                "the proxy before the token endpoint wants credentials, or others (HTTP 407): \
                 give http://user:password@host:port",
            ),
            _ => (
                AuthErrorKind::Tls,
                "no TLS with the token endpoint: it speaks no version or algorithm that is safe, \
                 or its port is none for TLS",
            ),
        }
    } else if error.is_connect() {
        (
            AuthErrorKind::Unavailable,
            "cannot connect to the token endpoint",
        )
    } else {
        (
            AuthErrorKind::Unavailable,
            "the connection to the token endpoint broke",
        )
    };
    // A URL may carry credentials.
    AuthError::new(kind, message).with_source(error.without_url())
}

/// The wait that a Retry-After asks for, in seconds or until a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT")
            .expect("the RFC's own example");
        let read = |value: &'static str| {
            let headers =
                HeaderMap::from_iter([(RETRY_AFTER, http::HeaderValue::from_static(value))]);
            retry_after(&headers, now)
        };
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(
            read("99999999999999999999999"),
            Some(Duration::from_secs(u64::MAX))
        );
        assert_eq!(
            read("Sun, 06 Nov 1994 08:50:07 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(
            read("Sun, 06 Nov 1994 08:00:00 GMT"),
            Some(Duration::ZERO),
            "a date gone by"
        );
        for nonsense in ["", "-1", "soon", "1.5"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }
}
