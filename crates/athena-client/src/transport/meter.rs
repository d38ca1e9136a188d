//! Tells that a call moves bytes, in either direction, before any message is complete.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;
use tonic::body::Body;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use super::GrpcService;

/// A message goes to the transport in slices of the size of HTTP/2's frames, each when there is room
/// for it. As one piece it would be taken at once, and nobody could see how it goes on.
const SLICE: usize = 16 << 10;

/// When bytes last moved on a connection.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    begin: Instant,
    /// Microseconds since the beginning.
    moved: Arc<AtomicU64>,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            begin: Instant::now(),
            moved: Arc::default(),
        }
    }

    pub(crate) fn last_moved(&self) -> Instant {
        self.begin + std::time::Duration::from_micros(self.moved.load(Ordering::Relaxed))
    }

    fn moved(&self) {
        let micros = u64::try_from(self.begin.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.moved.fetch_max(micros, Ordering::Relaxed);
    }

    /// Watches the bodies of all calls of a service.
    pub(super) fn watch(&self, service: GrpcService) -> GrpcService {
        let (up, down) = (self.clone(), self.clone());
        BoxCloneSyncService::new(
            service
                .map_request(move |request: http::Request<Body>| {
                    request.map(|body| Metered::wrap(body, &up, SLICE))
                })
                .map_response(move |response: http::Response<Body>| {
                    response.map(|body| Metered::wrap(body, &down, 0))
                }),
        )
    }
}

struct Metered {
    body: Body,
    /// What is left of a frame.
    rest: Bytes,
    meter: Meter,
    /// Frames up to this size say nothing: any connection takes them, even a dead one.
    silent: usize,
    counts: bool,
}

impl Metered {
    fn wrap(body: Body, meter: &Meter, silent: usize) -> Body {
        Body::new(Self {
            body,
            rest: Bytes::new(),
            meter: meter.clone(),
            silent,
            counts: false,
        })
    }
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        if !self.rest.has_remaining() {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)?) else {
                return Poll::Ready(None);
            };
            match frame.into_data() {
                Ok(data) => {
                    self.counts = data.len() > self.silent;
                    self.rest = data;
                }
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        if self.counts {
            self.meter.moved();
        }
        let slice = self.rest.len().min(SLICE);
        let slice = self.rest.split_to(slice);
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        !self.rest.has_remaining() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}
