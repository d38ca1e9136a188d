//! The requests of a stream, as a type with a name.

use std::pin::Pin;
use std::task::{Context, Poll};

use athena_proto::ClassifyRequest;
use futures_core::Stream;
use futures_core::stream::BoxStream;

/// With a bare `dyn Stream` the compiler cannot prove that the future of the call is `Send`.
pub(crate) struct Requests(BoxStream<'static, ClassifyRequest>);

impl Requests {
    pub(crate) fn new(stream: impl Stream<Item = ClassifyRequest> + Send + 'static) -> Self {
        Self(Box::pin(stream))
    }
}

impl Stream for Requests {
    type Item = ClassifyRequest;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ClassifyRequest>> {
        self.0.as_mut().poll_next(cx)
    }
}
