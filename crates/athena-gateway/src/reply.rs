//! From a record to an answer.

use std::sync::Arc;
use std::time::Duration;

use athena_outcome::{Record, Status};
use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::classify::Settled;
use crate::gateway::Gateway;
use crate::problem::{Problem, seconds};

const KEY: HeaderName = HeaderName::from_static("athena-key");
const DECISION: HeaderName = HeaderName::from_static("athena-decision");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// When to try again what failed for now, where nothing better is known.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// When to come back for an outcome.
const POLL_AGAIN: Duration = Duration::from_secs(1);

/// The outcomes of several images of one request.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Outcomes"))]
pub(crate) struct Several {
    /// One for each, in the order of the parts.
    outcomes: Vec<OneOfSeveral>,
}

/// An outcome, or where it will be.
#[derive(Serialize)]
#[serde(untagged)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(inline))]
enum OneOfSeveral {
    Known(Box<Record>),
    Pending(Pending),
}

/// An image that is still under way.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Pending {
    /// The key of its outcome.
    key: String,
    /// Where its outcome will be.
    location: String,
}

impl Pending {
    fn new(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            location: format!("/v1/outcomes/{}", encoded(key)),
        }
    }
}

/// The status code that says how an image fared. Only a verdict is a success.
pub(crate) fn status(record: &Record) -> StatusCode {
    if record.status == Status::Classified && record.error.is_none() {
        return StatusCode::OK;
    }
    let kind = record.error.as_ref().map_or("", |error| &*error.kind);
    match kind {
        "undecodable" | "truncated" | "corrupt" => StatusCode::UNPROCESSABLE_ENTITY,
        "unsupported" | "unknown_format" => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "too_large" => StatusCode::PAYLOAD_TOO_LARGE,
        // The last two are a worker's words for a URL that leads to nothing, and a job that it cannot read.
        "invalid_request" | "not_found" | "malformed" => StatusCode::BAD_REQUEST,
        // A worker's, for a URL that it does not go to.
        "refused" => StatusCode::FORBIDDEN,
        "not_permitted" if record.affiliate.is_some() => StatusCode::FORBIDDEN,
        "timeout" => StatusCode::GATEWAY_TIMEOUT,
        "overloaded" | "closed" => StatusCode::SERVICE_UNAVAILABLE,
        // Its workers ended each time before it was finished.
        "internal" | "abandoned" | "" => StatusCode::INTERNAL_SERVER_ERROR,
        // The service, its token endpoint, or the way to them.
        _ => StatusCode::BAD_GATEWAY,
    }
}

impl Gateway {
    /// The code that the policy names for its decision, where it names one.
    fn mapped(&self, record: &Record) -> Option<StatusCode> {
        let policy = self.settings().policy.as_ref()?;
        let code = policy.status_codes().of(record.decision?)?;
        StatusCode::from_u16(code).ok()
    }

    /// The answer for one image.
    pub(crate) fn reply(&self, record: Record, replayed: bool) -> Response {
        let mapped = self.mapped(&record);
        let own = status(&record);
        let transient = (record.error.as_ref()).is_some_and(|e| e.transient == Some(true));
        // What its workers have given up is the outcome, whoever asks again.
        let transient = transient && record.dead != Some(true);
        let key = record
            .key
            .as_deref()
            .and_then(|key| HeaderValue::from_str(key).ok());
        let decision = record.decision;
        let mut response = match mapped {
            Some(StatusCode::NO_CONTENT) => StatusCode::NO_CONTENT.into_response(),
            Some(code) => (code, Json(record)).into_response(),
            None if own.is_success() => Json(record).into_response(),
            None => {
                let mut problem = Problem::of_outcome(own, record);
                if transient {
                    problem = problem.retry_after(TRY_AGAIN);
                }
                problem.into_response()
            }
        };
        let headers = response.headers_mut();
        if let Some(key) = key {
            headers.insert(KEY, key);
        }
        if let Some(decision) = decision {
            headers.insert(DECISION, HeaderValue::from_static(decision.as_str()));
        }
        if replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }

    /// The answer for one image: its outcome, or where it will be.
    pub(crate) fn reply_settled(&self, settled: Settled) -> Response {
        match settled {
            Settled::Judged(record) => self.reply(Arc::unwrap_or_clone(record), false),
            Settled::Earlier(record) => self.reply((*record).clone(), true),
            Settled::Later(key) => self.later(&key),
        }
    }

    /// The answer for several images: with the code of the one that fared worst. A problem that comes with its
    /// image's key is that image's alone, unless none was taken on.
    pub(crate) fn reply_all(
        &self,
        settled: Vec<Result<Settled, (Arc<str>, Problem)>>,
    ) -> Result<Response, Problem> {
        let mut worst = StatusCode::OK;
        let mut pending = false;
        let mut wait = None;
        if settled.iter().all(Result::is_err)
            && let Some(Err((_, problem))) = settled.first()
        {
            return Err(problem.clone());
        }
        let outcomes = settled.into_iter().map(|settled| match settled {
            Err((key, problem)) => {
                worst = worst.max(problem.status());
                wait = wait.max(problem.wait());
                OneOfSeveral::Known(Box::new(self.refused(Some(&key), &problem)))
            }
            Ok(Settled::Judged(record) | Settled::Earlier(record)) => {
                worst = worst.max(self.mapped(&record).unwrap_or_else(|| status(&record)));
                OneOfSeveral::Known(Box::new(Arc::unwrap_or_clone(record)))
            }
            Ok(Settled::Later(key)) => {
                pending = true;
                OneOfSeveral::Pending(Pending::new(&key))
            }
        });
        let outcomes = outcomes.collect();
        // A body goes with it whatever the policy says of single ones.
        let code = match worst {
            _ if pending => StatusCode::ACCEPTED,
            StatusCode::NO_CONTENT => StatusCode::OK,
            worst => worst,
        };
        let mut response = (code, Json(Several { outcomes })).into_response();
        if let Some(wait) = if pending { Some(POLL_AGAIN) } else { wait } {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, seconds(wait));
        }
        Ok(response)
    }

    /// The answer for an image that is still under way.
    pub(crate) fn later(&self, key: &str) -> Response {
        let pending = Pending::new(key);
        let location = HeaderValue::from_str(&pending.location);
        let mut response = (StatusCode::ACCEPTED, Json(pending)).into_response();
        let headers = response.headers_mut();
        if let Ok(location) = location {
            headers.insert(header::LOCATION, location);
        }
        if let Ok(key) = HeaderValue::from_str(key) {
            headers.insert(KEY, key);
        }
        headers.insert(header::RETRY_AFTER, seconds(POLL_AGAIN));
        response
    }
}

/// A key as one segment of a path.
fn encoded(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text += &format!("%{byte:02X}"),
        }
    }
    // A segment of dots alone would be resolved away.
    if text.chars().all(|c| c == '.') {
        text = text.replace('.', "%2E");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_verdict_is_a_success() {
        let mut record = Record::with_key("a");
        assert_eq!(status(&record), StatusCode::INTERNAL_SERVER_ERROR);
        for kind in athena_client::ErrorKind::ALL {
            record.fail(kind.as_str(), "x");
            assert!(!status(&record).is_success() && !status(&record).is_redirection());
        }
        record.error = None;
        record.status = Status::Classified;
        assert_eq!(status(&record), StatusCode::OK);
    }

    #[test]
    fn a_key_is_one_segment_of_a_path() {
        assert_eq!(encoded("a/b?c"), "a%2Fb%3Fc");
        assert_eq!(encoded(".."), "%2E%2E");
        assert_eq!(encoded("upload-7"), "upload-7");
    }
}
