//! Images in the parts of a form, read one after another within bounds.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use futures_util::stream::{self, BoxStream};
use multer::{Constraints, Multipart, SizeLimit};
use tokio::sync::OwnedSemaphorePermit;

use crate::admission::Admission;
use crate::body::{Held, Reader, too_large};
use crate::limits::Limits;
use crate::problem::Problem;

/// Bytes before a part's head must have ended, what is left of an earlier part included.
const MOST_HEAD_BYTES: usize = 16 << 10;
/// While a head is looked for, the parser is fed such pieces: it begins its search anew with each, so a
/// head that never ends costs no more than a few of them.
const PIECE: usize = 4 << 10;
/// Characters of a file's name that are kept.
const MOST_NAME: usize = 255;

/// The parts of a body.
pub(crate) struct Parts {
    multipart: Multipart<'static>,
    credit: Arc<AtomicUsize>,
    most: usize,
    admission: Arc<Admission>,
}

/// One image.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) image: Held,
    /// The name of its file, as its sender says.
    pub(crate) file: Option<String>,
}

impl Parts {
    pub(crate) fn new(
        body: Reader,
        boundary: String,
        limits: &Limits,
        admission: Arc<Admission>,
    ) -> Self {
        let credit = Arc::new(AtomicUsize::new(0));
        let fed = Fed {
            chunks: chunks_of(body),
            rest: Bytes::new(),
            credit: Arc::clone(&credit),
            fed: false,
        };
        let constraints =
            Constraints::new().size_limit(SizeLimit::new().per_field(limits.image_bytes as u64));
        Self {
            multipart: Multipart::with_constraints(fed, boundary, constraints),
            credit,
            most: limits.image_bytes,
            admission,
        }
    }

    /// The next image; none after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Part>, Problem> {
        self.credit.store(MOST_HEAD_BYTES, Ordering::Relaxed);
        let field = self.multipart.next_field().await;
        let Some(mut field) = field.map_err(|error| problem(error, self.most))? else {
            return Ok(None);
        };
        let Some(file) = field.file_name().map(printable) else {
            let detail = "a part without a file name: options go in the query or in headers";
            return Err(Problem::bad_request(detail).closing());
        };
        self.credit.store(usize::MAX, Ordering::Relaxed);
        let mut buffer = BytesMut::new();
        let mut memory: Option<OwnedSemaphorePermit> = None;
        while let Some(chunk) = (field.chunk().await).map_err(|error| problem(error, self.most))? {
            let step = self.admission.hold(chunk.len())?;
            match &mut memory {
                Some(memory) => memory.merge(step),
                None => memory = Some(step),
            }
            buffer.extend_from_slice(&chunk);
        }
        Ok(Some(Part {
            image: Held {
                bytes: buffer.freeze(),
                memory,
            },
            file: (!file.is_empty()).then_some(file),
        }))
    }
}

/// A name from outside, fit for a record.
fn printable(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .take(MOST_NAME)
        .collect()
}

fn problem(error: multer::Error, most: usize) -> Problem {
    let problem = match error {
        multer::Error::FieldSizeExceeded { .. } => too_large(most),
        multer::Error::StreamReadFailed(source) => match source.downcast::<Failed>() {
            Ok(failed) => failed.0,
            Err(_) => Problem::bad_request("the body cannot be read"),
        },
        _ => Problem::bad_request("the body is not a well-formed multipart/form-data"),
    };
    problem.closing()
}

/// A problem on its way through the parser.
#[derive(Debug)]
struct Failed(Problem);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.detail())
    }
}

impl std::error::Error for Failed {}

fn chunks_of(reader: Reader) -> BoxStream<'static, Result<Bytes, Failed>> {
    Box::pin(stream::try_unfold(reader, |mut reader| async move {
        let next = reader.next().await.map_err(Failed)?;
        Ok(next.map(|bytes| (bytes, reader)))
    }))
}

/// What the parser is fed. It takes all that is ready before it looks at any of it, so it is given one
/// piece at a time; and no more of them than it has credit for.
struct Fed {
    chunks: BoxStream<'static, Result<Bytes, Failed>>,
    rest: Bytes,
    credit: Arc<AtomicUsize>,
    fed: bool,
}

impl Stream for Fed {
    type Item = Result<Bytes, Failed>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.fed) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.rest.is_empty() {
            match ready!(self.chunks.as_mut().poll_next(cx)) {
                Some(Ok(chunk)) => self.rest = chunk,
                other => return Poll::Ready(other),
            }
        }
        let credit = self.credit.load(Ordering::Relaxed);
        let unbounded = credit == usize::MAX;
        let wanted = if unbounded { self.rest.len() } else { PIECE };
        let piece = wanted.min(self.rest.len());
        if piece > credit {
            let detail = "the head of a part is too long";
            return Poll::Ready(Some(Err(Failed(Problem::bad_request(detail)))));
        }
        if !unbounded {
            self.credit.store(credit - piece, Ordering::Relaxed);
        }
        self.fed = true;
        let piece = self.rest.split_to(piece);
        Poll::Ready(Some(Ok(piece)))
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}
