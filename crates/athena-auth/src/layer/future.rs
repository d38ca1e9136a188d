//! The future of one authorized request.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{AuthError, BoxError, BoxFuture, Token, TokenSource};

/// The gRPC status UNAUTHENTICATED.
const UNAUTHENTICATED: &[u8] = b"16";

pin_project! {
    /// The response of an [`Authorization`](super::Authorization) service.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, F> {
        Refused {
            error: Option<AuthError>,
        },
        Fetching {
            token: BoxFuture<'static, Result<Token, AuthError>>,
            // Service and request, until the token is there.
            waiting: Option<(S, Request<B>)>,
            source: Arc<dyn TokenSource>,
        },
        Calling {
            #[pin]
            response: F,
            used: Option<(Token, Arc<dyn TokenSource>)>,
        },
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn refused(error: AuthError) -> Self {
        Self {
            state: State::Refused { error: Some(error) },
        }
    }

    pub(super) fn untouched(response: S::Future) -> Self {
        Self {
            state: State::Calling {
                response,
                used: None,
            },
        }
    }

    pub(super) fn with_token(
        inner: &mut S,
        request: Request<B>,
        token: Token,
        source: Arc<dyn TokenSource>,
    ) -> Self {
        Self {
            state: State::call(inner, request, token, source),
        }
    }

    pub(super) fn fetching(inner: S, request: Request<B>, source: Arc<dyn TokenSource>) -> Self {
        let owned = Arc::clone(&source);
        Self {
            state: State::Fetching {
                token: Box::pin(async move { owned.token().await }),
                waiting: Some((inner, request)),
                source,
            },
        }
    }
}

impl<S, B> State<S, B, S::Future>
where
    S: Service<Request<B>>,
{
    fn call(
        inner: &mut S,
        mut request: Request<B>,
        token: Token,
        source: Arc<dyn TokenSource>,
    ) -> Self {
        request
            .headers_mut()
            .insert(AUTHORIZATION, token.header_value().clone());
        Self::Calling {
            response: inner.call(request),
            used: Some((token, source)),
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
{
    type Output = Result<Response<R>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Refused { error } => {
                    return Poll::Ready(Err(error.take().expect("polled after completion").into()));
                }
                StateProj::Fetching {
                    token,
                    waiting,
                    source,
                } => {
                    let token = ready!(token.as_mut().poll(cx))?;
                    let (mut inner, request) = waiting.take().expect("polled after completion");
                    State::call(&mut inner, request, token, Arc::clone(source))
                }
                StateProj::Calling { response, used } => {
                    let mut response = ready!(response.poll(cx)).map_err(Into::into)?;
                    if let Some((token, source)) = used.take() {
                        if is_rejection(response.status(), response.headers()) {
                            source.invalidate(&token);
                        }
                        response.extensions_mut().insert(token);
                    }
                    return Poll::Ready(Ok(response));
                }
            };
            this.state.set(next);
        }
    }
}

fn is_rejection(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::UNAUTHORIZED
        || headers
            .get("grpc-status")
            .is_some_and(|code| code.as_bytes() == UNAUTHENTICATED)
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
