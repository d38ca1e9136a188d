//! `POST /v1/classify:batch`: many images in, a line for each as it is judged.

use std::convert::Infallible;
use std::sync::Arc;

use athena_outcome::Record;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::stream;
use serde::Deserialize;
use tokio::task::JoinSet;

use crate::body::{Held, Reader};
use crate::classify::Content;
use crate::gateway::Gateway;
use crate::judge::Job;
use crate::keys::Caller;
use crate::multipart::Parts;
use crate::options::Options;
use crate::problem::{Kind, Problem};
use crate::trace::Trace;

/// Bytes of a line besides its image.
const LINE_OVERHEAD: usize = 4 << 10;

pub(crate) async fn batch(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Arc<Caller>>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let options = Options::read(&head.uri, &head.headers).map_err(Problem::closing)?;
    if options.wait.is_some() || options.webhook.is_some() || options.queue {
        let detail =
            "a batch is answered as it goes: neither `wait`, `webhook` nor `queue` applies";
        return Err(Problem::bad_request(detail).closing());
    }
    let reader = Reader::of_many(body, gateway.limits());
    let source = match Content::of(&head.headers)? {
        Content::Parts(boundary) => {
            let admission = Arc::clone(&gateway.shared.admission);
            Source::Parts(Parts::new(reader, boundary, gateway.limits(), admission))
        }
        Content::Lines => Source::Lines(Lines::new(reader, gateway.clone())),
        Content::Image | Content::Json => {
            let detail = "send multipart/form-data, or application/x-ndjson";
            return Err(Problem::new(Kind::UnsupportedMediaType, detail).closing());
        }
    };
    gateway.check_room().map_err(Problem::closing)?;
    let work = Work {
        gateway,
        caller,
        options,
        taken: 0,
        source: Some(source),
        reading: None,
        judging: JoinSet::new(),
        trace: Trace::current(),
        last: None,
    };
    let lines = stream::unfold(work, |mut work| async {
        let record = work.next().await?;
        let mut line = serde_json::to_vec(&record).unwrap_or_default();
        line.push(b'\n');
        Some((Ok::<_, Infallible>(Bytes::from(line)), work))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

/// An image of the batch, or why the rest of it cannot be read.
type Next = Result<Option<Item>, Problem>;

#[derive(Debug)]
struct Item {
    /// What its sender calls it; otherwise it is numbered.
    key: Option<String>,
    file: Option<String>,
    affiliate: Option<String>,
    content: Result<From, Problem>,
}

#[derive(Debug)]
enum From {
    Bytes(Held),
    Url(String),
}

#[derive(Debug)]
enum Source {
    Parts(Parts),
    Lines(Lines),
}

impl Source {
    async fn next(&mut self) -> Next {
        match self {
            Self::Parts(parts) => {
                let part = parts.next().await?;
                Ok(part.map(|part| Item {
                    key: None,
                    file: part.file,
                    affiliate: None,
                    content: Ok(From::Bytes(part.image)),
                }))
            }
            Self::Lines(lines) => lines.next().await,
        }
    }
}

/// A batch under way. Dropped, when its caller has hung up, it cancels what it has begun.
struct Work {
    gateway: Gateway,
    caller: Arc<Caller>,
    options: Options,
    taken: usize,
    source: Option<Source>,
    reading: Option<BoxFuture<'static, (Source, Next)>>,
    /// Tasks of their own, so that a reader who stops keeps no place.
    judging: JoinSet<Record>,
    trace: Trace,
    /// Says, when all others have their lines, that the rest of the batch was not read.
    last: Option<Record>,
}

impl Work {
    /// The next record that is finished. None when every image has had its line.
    async fn next(&mut self) -> Option<Record> {
        loop {
            // An image is only read when there is room for it here: a fast sender waits.
            if self.judging.len() < self.gateway.limits().batch_in_flight
                && self.reading.is_none()
                && let Some(mut source) = self.source.take()
            {
                self.reading = Some(Box::pin(async move {
                    let next = source.next().await;
                    (source, next)
                }));
            }
            tokio::select! {
                biased;
                Some(judged) = self.judging.join_next() => {
                    let lost = |_| {
                        let detail = "the image was lost by a fault of this server";
                        self.gateway.refused(None, &Problem::new(Kind::Internal, detail))
                    };
                    return Some(judged.unwrap_or_else(lost));
                }
                (source, next) = async { match self.reading.as_mut() {
                    Some(reading) => reading.await,
                    None => std::future::pending().await,
                } }, if self.reading.is_some() => {
                    self.reading = None;
                    match next {
                        Ok(None) => {}
                        Ok(Some(_)) if self.taken == self.gateway.limits().batch => {
                            let detail = format!("the batch has more than {} images", self.taken);
                            let problem = Problem::new(Kind::TooLarge, detail);
                            self.last = Some(self.gateway.refused(None, &problem));
                        }
                        Ok(Some(item)) => {
                            self.source = Some(source);
                            self.begin(item);
                        }
                        Err(problem) => self.last = Some(self.gateway.refused(None, &problem)),
                    }
                }
                else => return self.last.take(),
            }
        }
    }

    fn begin(&mut self, item: Item) {
        let index = self.taken;
        self.taken += 1;
        let (gateway, caller) = (self.gateway.clone(), Arc::clone(&self.caller));
        let mut options = self.options.clone();
        if item.affiliate.is_some() {
            options.affiliate.clone_from(&item.affiliate);
        }
        let index = match &item.key {
            Some(key) => {
                options.key = Some(key.clone());
                None
            }
            None => Some(index),
        };
        self.judging.spawn(self.trace.around(async move {
            let (key, file) = (item.key, item.file);
            let judged = async {
                caller.take()?;
                let job = match item.content? {
                    From::Bytes(image) => Job::new(&gateway, &caller, &options, index, image)?,
                    From::Url(url) => {
                        let Some(sources) = &gateway.shared.sources else {
                            let detail = "this server fetches no URLs: send the image itself";
                            return Err(Problem::new(Kind::UnsupportedMediaType, detail));
                        };
                        gateway
                            .fetch_job(sources, &caller, &options, index, &url)
                            .await?
                    }
                };
                let job = job.named(file.clone());
                let place = gateway.shared.admission.place_in_turn().await?;
                Ok::<_, Problem>(gateway.clone().judge(job, place).await)
            };
            match judged.await {
                Ok(record) => record,
                Err(problem) => gateway.refused(key.as_deref(), &problem),
            }
        }));
    }
}

/// Lines of JSON, each with an image in Base64 or its URL.
struct Lines {
    reader: Reader,
    gateway: Gateway,
    buffer: BytesMut,
    /// Bytes of the buffer that are known to hold no line break.
    searched: usize,
    ended: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: Option<String>,
    affiliate: Option<String>,
    data: Option<String>,
    url: Option<String>,
}

impl Lines {
    fn new(reader: Reader, gateway: Gateway) -> Self {
        Self {
            reader,
            gateway,
            buffer: BytesMut::new(),
            searched: 0,
            ended: false,
        }
    }

    async fn next(&mut self) -> Next {
        // Base64 makes four bytes of three.
        let most = self.gateway.limits().image_bytes / 3 * 4 + LINE_OVERHEAD;
        loop {
            let found = self.buffer[self.searched..]
                .iter()
                .position(|byte| *byte == b'\n');
            let line = match found {
                Some(at) => {
                    let line = self.buffer.split_to(self.searched + at + 1);
                    self.searched = 0;
                    line
                }
                None if self.ended && self.buffer.is_empty() => return Ok(None),
                None if self.ended => {
                    self.searched = 0;
                    self.buffer.split()
                }
                None => {
                    self.searched = self.buffer.len();
                    if self.searched > most {
                        let detail = format!("a line may have {most} bytes at most");
                        return Err(Problem::new(Kind::TooLarge, detail).closing());
                    }
                    match self.reader.next().await? {
                        Some(bytes) => self.buffer.extend_from_slice(&bytes),
                        None => self.ended = true,
                    }
                    continue;
                }
            };
            if !line.trim_ascii().is_empty() {
                return self.read(&line).map(Some);
            }
        }
    }

    /// A line that makes no sense is one image's failure, not the end of the batch.
    fn read(&self, line: &[u8]) -> Result<Item, Problem> {
        let line: Line = match serde_json::from_slice(line) {
            Ok(line) => line,
            Err(error) => {
                return Ok(Item {
                    key: None,
                    file: None,
                    affiliate: None,
                    content: Err(Problem::bad_request(format!("the line: {error}"))),
                });
            }
        };
        let content = match (line.data, line.url) {
            (Some(data), None) => self.decode(&data).map(From::Bytes),
            (None, Some(url)) => Ok(From::Url(url)),
            _ => Err(Problem::bad_request("a line has either `data` or `url`")),
        };
        Ok(Item {
            key: line.key,
            file: None,
            affiliate: line.affiliate,
            content,
        })
    }

    fn decode(&self, data: &str) -> Result<Held, Problem> {
        let memory = self.gateway.shared.admission.hold(data.len() / 4 * 3)?;
        let bytes = STANDARD
            .decode(data)
            .map_err(|_| Problem::bad_request("`data` is not Base64"))?;
        Ok(Held {
            bytes: bytes.into(),
            memory: Some(memory),
        })
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}
