//! Bodies, read within bounds of size, time, speed and memory.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};

use crate::admission::Admission;
use crate::limits::Limits;
use crate::problem::{Kind, Problem};

/// Memory is reserved in such steps, as the bytes come: what a slow sender only announces costs nothing.
const STEP: usize = 64 << 10;
/// How long a body may take to get up to speed.
const GRACE: Duration = Duration::from_secs(5);

/// Bytes, and the memory that is set aside for them.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    pub(crate) memory: Option<OwnedSemaphorePermit>,
}

/// A body as it comes.
#[derive(Debug)]
pub(crate) struct Reader {
    stream: BodyDataStream,
    rate: usize,
    time: Duration,
    /// Time spent waiting for the sender: what we do in between is not the sender's slowness.
    waited: Duration,
    total: usize,
}

impl Reader {
    pub(crate) fn new(body: Body, limits: &Limits) -> Self {
        Self {
            stream: body.into_data_stream(),
            rate: limits.body_rate.max(1),
            time: limits.body_time,
            waited: Duration::ZERO,
            total: 0,
        }
    }

    /// As [`new`](Self::new), for a body that may take as long as it likes while it keeps coming.
    pub(crate) fn of_many(body: Body, limits: &Limits) -> Self {
        Self {
            time: Duration::MAX,
            ..Self::new(body, limits)
        }
    }

    /// The next bytes; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        // The time by which what has come so far would have come at the lowest speed allowed.
        let due = Duration::from_secs((self.total / self.rate) as u64) + GRACE;
        let left = due.min(self.time).saturating_sub(self.waited);
        let started = Instant::now();
        let next = timeout(left, self.stream.next()).await;
        self.waited += started.elapsed();
        match next {
            Err(_) => {
                let detail = "the body did not come in the time that it may take";
                Err(Problem::new(Kind::SlowBody, detail).closing())
            }
            Ok(None) => Ok(None),
            Ok(Some(Ok(bytes))) => {
                self.total += bytes.len();
                Ok(Some(bytes))
            }
            Ok(Some(Err(_))) => {
                Err(Problem::bad_request("the body breaks off or is malformed").closing())
            }
        }
    }
}

/// Reads a whole body of one image.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    most: usize,
    limits: &Limits,
    admission: &Admission,
) -> Result<Held, Problem> {
    let too_large = || too_large(most).closing();
    let announced = content_length(headers);
    if announced.is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    let mut reader = Reader::new(body, limits);
    let mut memory: Option<OwnedSemaphorePermit> = None;
    let mut held = 0;
    let mut buffer = BytesMut::new();
    while let Some(bytes) = reader.next().await? {
        let length = buffer.len() + bytes.len();
        if length > most {
            return Err(too_large());
        }
        while held < length {
            let step = admission.hold(STEP)?;
            held += STEP;
            match &mut memory {
                Some(memory) => memory.merge(step),
                None => memory = Some(step),
            }
        }
        if buffer.is_empty() && bytes.len() as u64 == announced.unwrap_or(u64::MAX) {
            // All at once: nothing to copy.
            return Ok(Held { bytes, memory });
        }
        if buffer.capacity() < length {
            // Grows by doubling, up to what was announced.
            let wanted = (length * 2).min(announced.map_or(most, |all| all as usize));
            buffer.reserve(wanted.max(length) - buffer.len());
        }
        buffer.extend_from_slice(&bytes);
    }
    Ok(Held {
        bytes: buffer.freeze(),
        memory,
    })
}

pub(crate) fn too_large(most: usize) -> Problem {
    Problem::new(
        Kind::TooLarge,
        format!("an image may have {most} bytes at most"),
    )
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(header::CONTENT_LENGTH)?;
    value.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    fn limits() -> Limits {
        Limits::default()
    }

    async fn read_chunks(
        chunks: impl futures_core::Stream<Item = Bytes> + Send + 'static,
        most: usize,
    ) -> Result<Held, Problem> {
        let body = Body::from_stream(chunks.map(Ok::<_, std::convert::Infallible>));
        let admission = Admission::new(&limits());
        read(&HeaderMap::new(), body, most, &limits(), &admission).await
    }

    #[tokio::test]
    async fn a_body_is_read_whole_and_no_further_than_its_bound() {
        let chunk = Bytes::from(vec![7; 1000]);
        let five = stream::iter(vec![chunk; 5]);
        let held = read_chunks(five.clone(), 5000).await.expect("fits");
        assert_eq!(held.bytes.len(), 5000);
        let error = read_chunks(five, 4999).await.expect_err("too large");
        assert_eq!(error.kind(), Kind::TooLarge);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_is_cut_off_long_before_its_end() {
        let trickle = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Bytes::from_static(b"x"), ()))
        });
        let before = Instant::now();
        let error = read_chunks(trickle, 1 << 20).await.expect_err("slow");
        assert_eq!(error.kind(), Kind::SlowBody);
        assert!(before.elapsed() <= GRACE + Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_sender_has_the_whole_time_and_no_more() {
        let steady = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Bytes::from(vec![0; 4096]), ()))
        });
        let before = Instant::now();
        let error = read_chunks(steady, 1 << 20).await.expect_err("too long");
        assert_eq!(error.kind(), Kind::SlowBody);
        assert_eq!(before.elapsed(), limits().body_time);
    }
}
