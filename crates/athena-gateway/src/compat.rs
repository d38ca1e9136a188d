//! Other tools' ways of asking: answered by status, from the policy's decision.

use std::sync::Arc;

use athena_outcome::{Decision, Record};
use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::body::Reader;
use crate::classify::Content;
use crate::gateway::Gateway;
use crate::judge::Job;
use crate::keys::Caller;
use crate::multipart::Parts;
use crate::options::Options;
use crate::problem::{Kind, Problem};

/// What the other side is told.
enum Answer {
    Pass,
    /// Refused, or kept back: these protocols have no third answer.
    Refuse,
    /// Not now. An answer of neither kind: the file is to be sent again, or refused.
    Unavailable,
}

impl Answer {
    fn of(record: &Record) -> Self {
        let transient = (record.error.as_ref()).is_some_and(|e| e.transient == Some(true));
        match record.decision {
            Some(Decision::Allow) => Self::Pass,
            Some(Decision::Review) if transient => Self::Unavailable,
            Some(Decision::Review | Decision::Block) => Self::Refuse,
            None => Self::Unavailable,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Pass => StatusCode::OK,
            Self::Refuse => StatusCode::NOT_ACCEPTABLE,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// What pictrs-safety answers.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Message {
    /// For people.
    message: &'static str,
}

/// What the HTTP front ends of ClamAV answer.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Scan {
    /// `OK`, `FOUND` or `ERROR`.
    status: &'static str,
    /// The rule that has decided.
    description: String,
}

/// `POST /compat/pict-rs`: pict-rs posts an upload to `external_validation` and keeps it on success alone.
/// The answers are those of pictrs-safety, whose body is JSON with a `message`.
pub(crate) async fn pict_rs(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Arc<Caller>>,
    request: Request,
) -> Result<Response, Problem> {
    let record = judge(&gateway, &caller, request).await?;
    let answer = Answer::of(&record);
    let message = match answer {
        Answer::Pass => "Image OK",
        Answer::Refuse => "Image refused",
        Answer::Unavailable => "Image could not be checked",
    };
    Ok(reply(&answer, &Message { message }))
}

/// `POST /compat/scan`: 200 for a file that passes, 406 for one that does not, 503 when nobody knows, as the
/// HTTP front ends of ClamAV answer.
pub(crate) async fn scan(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Arc<Caller>>,
    request: Request,
) -> Result<Response, Problem> {
    let record = judge(&gateway, &caller, request).await?;
    let answer = Answer::of(&record);
    let status = match answer {
        Answer::Pass => "OK",
        Answer::Refuse => "FOUND",
        Answer::Unavailable => "ERROR",
    };
    let description = record.why.unwrap_or_default();
    let scan = Scan {
        status,
        description,
    };
    Ok(reply(&answer, &scan))
}

fn reply(answer: &Answer, body: &impl Serialize) -> Response {
    let mut response = (answer.status(), Json(body)).into_response();
    if matches!(answer, Answer::Unavailable) {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    }
    response
}

/// The one image of a request, as its body or as the first file of a form.
async fn judge(
    gateway: &Gateway,
    caller: &Arc<Caller>,
    request: Request,
) -> Result<Record, Problem> {
    if gateway.settings().policy.is_none() {
        let detail = "these answers are decisions: start the server with --policy FILE";
        return Err(Problem::new(Kind::NoPolicy, detail).closing());
    }
    let (head, body) = request.into_parts();
    let options = Options::read(&head.uri, &head.headers).map_err(Problem::closing)?;
    if options.wait.is_some() || options.webhook.is_some() || options.queue {
        return Err(
            Problem::bad_request("neither `wait`, `webhook` nor `queue` applies here").closing(),
        );
    }
    gateway.check_room().map_err(Problem::closing)?;
    caller.take().map_err(Problem::closing)?;
    let (image, file) = match Content::of(&head.headers) {
        Ok(Content::Parts(boundary)) => {
            let admission = Arc::clone(&gateway.shared.admission);
            let reader = Reader::new(body, gateway.limits());
            let mut parts = Parts::new(reader, boundary, gateway.limits(), admission);
            let part = parts.next().await?;
            let part = part.ok_or_else(|| Problem::bad_request("no part of the body is a file"))?;
            if parts.next().await?.is_some() {
                return Err(Problem::bad_request("one file at a time").closing());
            }
            (part.image, part.file)
        }
        // Videos and whatever else is uploaded: what it is says its content.
        _ => (gateway.read_image(&head.headers, body).await?, None),
    };
    let job = Job::new(gateway, caller, &options, None, image)?.named(file);
    let place = gateway.shared.admission.place().await?;
    Ok(gateway.clone().judge(job, place).await)
}
