//! `POST /v1/classify` and `GET /v1/outcomes/{key}`.

use std::sync::Arc;
use std::time::Duration;

use athena_outcome::Record;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::body::{self, Held, Reader};
use crate::fetch::Sources;
use crate::gateway::Gateway;
use crate::judge::Job;
use crate::keys::Caller;
use crate::multipart::{Part, Parts};
use crate::options::Options;
use crate::outcomes::{Begun, Name, State as Entry, Ticket};
use crate::problem::{Kind, Problem};
use crate::trace::Trace;

/// Bytes of a JSON body that names an image by its URL.
const MOST_JSON_BYTES: usize = 16 << 10;

/// What kind of body a request has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// The image itself.
    Image,
    /// Images in parts, with the boundary between them.
    Parts(String),
    Json,
    Lines,
}

impl Content {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let Some(value) = headers.get(header::CONTENT_TYPE) else {
            return Ok(Self::Image);
        };
        let text = value.to_str().unwrap_or("");
        let essence = text
            .split(';')
            .next()
            .unwrap_or("")
            .trim()
            .to_ascii_lowercase();
        match essence.as_str() {
            "application/octet-stream" => Ok(Self::Image),
            "application/json" => Ok(Self::Json),
            "application/x-ndjson" | "application/jsonl" => Ok(Self::Lines),
            "multipart/form-data" => multer::parse_boundary(text).map(Self::Parts).map_err(|_| {
                Problem::bad_request("multipart/form-data without a boundary").closing()
            }),
            image if image.starts_with("image/") => Ok(Self::Image),
            _ => Err(Self::unsupported()),
        }
    }

    pub(crate) fn unsupported() -> Problem {
        let detail = "send the image with Content-Type: application/octet-stream or image/*, \
                      or as multipart/form-data";
        Problem::new(Kind::UnsupportedMediaType, detail).closing()
    }
}

/// What has come of an image in the time that its caller waits.
#[derive(Debug)]
pub(crate) enum Settled {
    Judged(Arc<Record>),
    /// Of an image that was sent before by the same key.
    Earlier(Arc<Record>),
    /// Still under way, by this key.
    Later(Arc<str>),
}

pub(crate) async fn classify(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Arc<Caller>>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let options = Options::read(&head.uri, &head.headers).map_err(Problem::closing)?;
    if let Some(url) = &options.webhook {
        gateway.check_webhook(url).map_err(Problem::closing)?;
    }
    if options.queue {
        return gateway.enqueue(&caller, &options, &head, body).await;
    }
    let content = Content::of(&head.headers)?;
    gateway.check_room().map_err(Problem::closing)?;
    match content {
        Content::Image => {
            caller.take().map_err(Problem::closing)?;
            let image = gateway.read_image(&head.headers, body).await?;
            let job = Job::new(&gateway, &caller, &options, None, image)?;
            gateway.answer(&caller, &options, job).await
        }
        Content::Parts(boundary) => gateway.parts(&caller, &options, body, boundary).await,
        Content::Json => {
            caller.take().map_err(Problem::closing)?;
            let (sources, url) = gateway.read_url(&head.headers, body).await?;
            let job = gateway
                .fetch_job(sources, &caller, &options, None, &url)
                .await?;
            gateway.answer(&caller, &options, job).await
        }
        Content::Lines => Err(Content::unsupported()),
    }
}

impl Gateway {
    /// Turns a request away before its body is read, where there is no use in reading it.
    pub(crate) fn check_room(&self) -> Result<(), Problem> {
        self.check_running()?;
        if !self.shared.admission.has_room() {
            return Err(Problem::new(Kind::Overloaded, "no room for another image")
                .retry_after(Duration::from_secs(1)));
        }
        Ok(())
    }

    pub(crate) fn check_running(&self) -> Result<(), Problem> {
        match self.shared.stopping.is_cancelled() {
            true => Err(Problem::new(Kind::Stopping, "the server is stopping")
                .retry_after(Duration::from_secs(1))),
            false => Ok(()),
        }
    }

    pub(crate) async fn read_image(
        &self,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Held, Problem> {
        let limits = self.limits();
        body::read(
            headers,
            body,
            limits.image_bytes,
            limits,
            &self.shared.admission,
        )
        .await
    }

    /// The files of a form: one at least.
    pub(crate) async fn read_parts(
        &self,
        caller: &Caller,
        body: Body,
        boundary: String,
    ) -> Result<Vec<Part>, Problem> {
        let reader = Reader::new(body, self.limits());
        let mut parts = Parts::new(
            reader,
            boundary,
            self.limits(),
            Arc::clone(&self.shared.admission),
        );
        let mut images = Vec::new();
        while let Some(part) = parts.next().await? {
            if images.len() == self.limits().parts {
                let detail = format!("more than {} images: use /v1/classify:batch", images.len());
                return Err(Problem::new(Kind::TooLarge, detail).closing());
            }
            caller.take().map_err(Problem::closing)?;
            images.push(part);
        }
        match images.is_empty() {
            true => Err(Problem::bad_request("no part of the body is a file")),
            false => Ok(images),
        }
    }

    /// Several images in one request; one alone is answered as if it were the body.
    async fn parts(
        &self,
        caller: &Caller,
        options: &Options,
        body: Body,
        boundary: String,
    ) -> Result<Response, Problem> {
        let mut images = self.read_parts(caller, body, boundary).await?;
        if images.len() == 1
            && let Some(part) = images.pop()
        {
            let job = Job::new(self, caller, options, None, part.image)?.named(part.file);
            return self.answer(caller, options, job).await;
        }
        let jobs = images.into_iter().enumerate().map(|(index, part)| {
            let job = Job::new(self, caller, options, Some(index), part.image);
            job.map(|job| job.named(part.file))
        });
        let jobs: Vec<Job> = jobs.collect::<Result<_, _>>()?;
        // One that finds no place is told as that: others may be judged by then, or go on without their caller.
        let settling = jobs.into_iter().map(|job| {
            let key = Arc::clone(&job.key);
            self.settle(caller, options, job)
                .map(|settled| settled.map_err(|problem| (key, problem)))
        });
        self.reply_all(join_all(settling).await)
    }

    /// The URL in JSON `{"url": …}`, and who says whether it is allowed.
    pub(crate) async fn read_url(
        &self,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(&Sources, String), Problem> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Named {
            url: String,
        }
        let Some(sources) = &self.shared.sources else {
            let detail = "this server fetches no URLs: send the image itself";
            return Err(Problem::new(Kind::UnsupportedMediaType, detail).closing());
        };
        let limits = self.limits();
        let held = body::read(
            headers,
            body,
            MOST_JSON_BYTES,
            limits,
            &self.shared.admission,
        )
        .await?;
        let named: Named = serde_json::from_slice(&held.bytes)
            .map_err(|error| Problem::bad_request(format!("the body: {error}")))?;
        Ok((sources, named.url))
    }

    /// The answer for one image: its outcome, or where it will be.
    pub(crate) async fn answer(
        &self,
        caller: &Caller,
        options: &Options,
        job: Job,
    ) -> Result<Response, Problem> {
        Ok(self.reply_settled(self.settle(caller, options, job).await?))
    }

    /// Judges an image, or joins those who wait for it, for as long as its caller waits.
    async fn settle(
        &self,
        caller: &Caller,
        options: &Options,
        job: Job,
    ) -> Result<Settled, Problem> {
        let name = Name {
            caller: caller.name().into(),
            key: Arc::clone(&job.key),
        };
        // Without a key of the caller's nobody can come back, unless told to.
        let keeps = options.key.is_some();
        let until = options.wait.map(|wait| Instant::now() + wait);
        if !keeps {
            let judged = self.begin(job, options).await?;
            return self.wait_or_detach(judged, None, name, until).await;
        }
        let fingerprint = job.fingerprint();
        let mut job = Some(job);
        loop {
            match self.shared.outcomes.begin(name.clone(), fingerprint) {
                Begun::New(ticket) => {
                    let Some(job) = job.take() else {
                        return Err(Problem::new(Kind::Internal, "an image was begun twice"));
                    };
                    let judged = self.begin(job, options).await?;
                    return self.wait_or_detach(judged, Some(ticket), name, until).await;
                }
                Begun::Conflict => {
                    let detail = "this Idempotency-Key named another image, or the same one with \
                                  other options, a short while ago";
                    return Err(Problem::new(Kind::KeyReused, detail));
                }
                Begun::Same(state) => match self.wait_for(state, until).await {
                    Entry::Done(record) => return Ok(Settled::Earlier(record)),
                    Entry::Pending => return Ok(Settled::Later(name.key)),
                    // The one who sent it first has hung up: now it is our turn.
                    Entry::Gone => {}
                },
            }
        }
    }

    /// Takes a place and begins the work, which goes on when polled.
    async fn begin(
        &self,
        job: Job,
        options: &Options,
    ) -> Result<BoxFuture<'static, Arc<Record>>, Problem> {
        let place = self.shared.admission.place().await?;
        let gateway = self.clone();
        let webhook = options.webhook.clone();
        Ok(Box::pin(Trace::current().around(async move {
            let record = Arc::new(gateway.clone().judge(job, place).await);
            if let Some(url) = webhook {
                // Counted where it fails; the outcome is the caller's all the same.
                let _ = gateway.send_webhook(&url, Arc::clone(&record));
            }
            record
        })))
    }

    /// Waits as long as the caller does. Then the work goes on by itself, and its outcome is kept.
    async fn wait_or_detach(
        &self,
        mut judged: BoxFuture<'static, Arc<Record>>,
        ticket: Option<Ticket>,
        name: Name,
        until: Option<Instant>,
    ) -> Result<Settled, Problem> {
        let in_time = match until {
            None => Some(judged.as_mut().await),
            Some(until) => timeout_at(until, judged.as_mut()).await.ok(),
        };
        if let Some(record) = in_time {
            if let Some(ticket) = ticket {
                ticket.finish(Arc::clone(&record));
            }
            return Ok(Settled::Judged(record));
        }
        let ticket = match ticket {
            Some(ticket) => ticket,
            // A fresh name: nobody else has it.
            None => match self.shared.outcomes.begin(name, [0; 32]) {
                Begun::New(ticket) => ticket,
                _ => return Err(Problem::new(Kind::Internal, "a fresh key is taken")),
            },
        };
        let key = Arc::clone(ticket.key());
        self.shared.tasks.spawn(async move {
            ticket.finish(judged.await);
        });
        Ok(Settled::Later(key))
    }

    /// Waits until an entry is not pending, or the time is up.
    async fn wait_for(&self, mut state: watch::Receiver<Entry>, until: Option<Instant>) -> Entry {
        let until = until.unwrap_or_else(|| Instant::now() + self.limits().image_time);
        let settled = state.wait_for(|state| !matches!(state, Entry::Pending));
        match timeout_at(until, settled).await {
            Ok(Ok(state)) => state.clone(),
            Ok(Err(_)) => Entry::Gone,
            Err(_) => Entry::Pending,
        }
    }
}

/// `GET /v1/outcomes/{key}`, with `?wait=T` to wait for it.
pub(crate) async fn outcome(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Arc<Caller>>,
    key: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Path(key) = key.map_err(|_| Problem::bad_request("the key is not UTF-8"))?;
    let wait = Options::read_wait(request.uri())?.unwrap_or_default();
    let name = Name {
        caller: caller.name().into(),
        key: key.into(),
    };
    let unknown = || {
        Problem::new(
            Kind::NotFound,
            "no outcome of this key: it was never asked for, its caller hung up, or its time is over",
        )
    };
    let wait = wait.min(gateway.limits().image_time);
    let until = Instant::now() + wait;
    let entry = match gateway.shared.outcomes.find(&name) {
        Some(state) => gateway.wait_for(state, Some(until)).await,
        None => Entry::Gone,
    };
    let settled = match entry {
        Entry::Done(record) => Some(Settled::Judged(record)),
        Entry::Pending => Some(Settled::Later(name.key)),
        Entry::Gone => gateway.find_queued(&caller, &name.key, wait).await?,
    };
    settled
        .map(|settled| gateway.reply_settled(settled))
        .ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_what_its_type_says() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, value.parse().expect("header"));
            Content::of(&headers)
        };
        assert_eq!(
            Content::of(&HeaderMap::new()).expect("image"),
            Content::Image
        );
        assert_eq!(of("Image/JPEG; q=1").expect("image"), Content::Image);
        assert_eq!(of("application/json").expect("json"), Content::Json);
        assert_eq!(
            of("multipart/form-data; boundary=x").expect("parts"),
            Content::Parts("x".into())
        );
        for wrong in [
            "text/plain",
            "multipart/form-data",
            "application/x-www-form-urlencoded",
        ] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
