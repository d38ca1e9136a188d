//! The service that [`AuthorizationLayer`](super::AuthorizationLayer) makes.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::future::ResponseFuture;
use super::policy::{Guard, Judgement};
use crate::{BoxError, TokenSource};

/// Puts a token on each request and hands it to the inner service.
///
/// Made by [`AuthorizationLayer`](super::AuthorizationLayer), which says what it does.
#[derive(Clone)]
pub struct Authorization<S> {
    inner: S,
    source: Arc<dyn TokenSource>,
    guard: Guard,
}

impl<S> Authorization<S> {
    pub(super) fn new(inner: S, source: Arc<dyn TokenSource>, guard: Guard) -> Self {
        Self {
            inner,
            source,
            guard,
        }
    }
}

impl<S, B, R> Service<Request<B>> for Authorization<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.guard.judge(&request) {
            Ok(Judgement::Token) => {}
            Ok(Judgement::Untouched) => return ResponseFuture::untouched(self.inner.call(request)),
            Err(error) => return ResponseFuture::refused(error),
        }
        let source = Arc::clone(&self.source);
        match source.cached() {
            Some(token) => ResponseFuture::with_token(&mut self.inner, request, token, source),
            None => {
                // The instance that was polled ready makes the call; its clone stays behind.
                let clone = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, clone);
                ResponseFuture::fetching(ready, request, source)
            }
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Authorization<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorization")
            .field("inner", &self.inner)
            .field("source", &self.source)
            .field("guard", &self.guard)
            .finish()
    }
}
