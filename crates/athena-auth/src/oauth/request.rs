//! One token request and its answer.
//!
//! The oauth2 crate writes the request. What it cannot write is added here: how the client
//! authenticates. Its reading of the answer is passed by, since it copies what it reads, zeroes
//! none of it, and takes less than other clients take.

use std::fmt;

use http::StatusCode;
use http::header::AUTHORIZATION;
use oauth2::url::form_urlencoded::byte_serialize;
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};
use zeroize::Zeroizing;

use super::answer::{self, Answer};
use super::authentication::{Credentials, Form};
use super::quota::Quota;
use super::refusal;
use super::transport::Transport;
use crate::{AuthError, BoxFuture};

/// Sends one request with these credentials.
pub(super) struct Request<'a> {
    pub(super) transport: Transport,
    pub(super) credentials: &'a Credentials,
    pub(super) quota: &'a Quota,
}

/// What became of the request. It travels where the oauth2 crate expects an error, past the code
/// that would read the answer.
pub(super) struct Finished(pub(super) Result<Answer, AuthError>);

impl Request<'_> {
    async fn send(&self, request: HttpRequest) -> Result<Answer, AuthError> {
        let (mut parts, body) = request.into_parts();
        let body = match &self.credentials.form {
            Form::Fields(fields) => with_fields(body, fields),
            Form::Header(value) => {
                parts.headers.insert(AUTHORIZATION, value.clone());
                body
            }
        };
        let response = self
            .transport
            .call(HttpRequest::from_parts(parts, body))
            .await?;
        self.read(response)
    }

    fn read(&self, response: HttpResponse) -> Result<Answer, AuthError> {
        self.quota.note(response.headers());
        let body = Zeroizing::new(response.into_body());
        let (status, retry_after) = match self.transport.head() {
            Some(head) => (head.status, head.retry_after),
            None => (StatusCode::OK, None),
        };
        let is_success = matches!(status, StatusCode::OK | StatusCode::CREATED);
        let cut_off = match answer::read(&body) {
            Ok(answer) if is_success => return Ok(answer),
            read => read.is_err_and(|error| error.is_eof()) && !body.is_empty(),
        };
        let error = refusal::explain(status, answer::said(&body), cut_off, self.credentials);
        Err(match retry_after {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        })
    }
}

/// Adds fields to a form, in a buffer of the final size: none that was outgrown keeps a copy.
fn with_fields(form: Vec<u8>, fields: &[(&str, Zeroizing<String>)]) -> Vec<u8> {
    let added = |(name, value): &(&str, Zeroizing<String>)| 2 + name.len() + 3 * value.len();
    let mut body = Vec::with_capacity(form.len() + fields.iter().map(added).sum::<usize>());
    body.extend_from_slice(&form);
    for (name, value) in fields {
        body.push(b'&');
        body.extend_from_slice(name.as_bytes());
        body.push(b'=');
        for piece in byte_serialize(value.as_bytes()) {
            body.extend_from_slice(piece.as_bytes());
        }
    }
    body
}

impl<'c> AsyncHttpClient<'c> for Request<'_> {
    type Error = Finished;
    type Future = BoxFuture<'c, Result<HttpResponse, Finished>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move { Err(Finished(self.send(request).await)) })
    }
}

impl std::error::Error for Finished {}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request is finished")
    }
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finished").finish_non_exhaustive()
    }
}
