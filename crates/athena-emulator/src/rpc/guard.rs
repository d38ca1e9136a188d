use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower_service::Service;

use super::budget::Budget;
use crate::listener::Users;
use crate::state::{Caller, Emulated};

/// Lets a call through to the service inside if its token is good and no fault strikes. The
/// handlers find the [`Caller`] among the request's extensions.
#[derive(Clone)]
pub(super) struct Guard<S> {
    inner: S,
    state: Arc<Emulated>,
    budget: Budget,
}

impl<S> Guard<S> {
    pub(super) fn new(inner: S, state: Arc<Emulated>, budget: Budget) -> Self {
        Self {
            inner,
            state,
            budget,
        }
    }

    fn admit(&self, request: &mut Request<Body>) -> Result<(), Status> {
        let state = &self.state;
        let authorized = match state.relays {
            // The service that the call is passed on to judges the token.
            true => Ok(Arc::new(state.namespaces.default().client.clone())),
            false => state.issuer.authorize(request.headers().get(AUTHORIZATION)),
        };
        // A call that nobody answers for is the default namespace's.
        let namespace = match &authorized {
            Ok(client) => state.namespaces.of_client(&client.id),
            Err(_) => state.namespaces.default().clone(),
        };
        let method = request.uri().path().rsplit('/').next().unwrap_or_default();
        namespace.observer.call(method, request.headers());
        if let Some(users) = request.extensions().get::<Users>() {
            users.add(&namespace.name);
        }
        if let Some(status) = namespace.faults.call() {
            return Err(status);
        }
        match authorized {
            Ok(client) => {
                let caller = Caller { client, namespace };
                request.extensions_mut().insert(caller);
                Ok(())
            }
            Err(refusal) => {
                tracing::info!(reason = %refusal, "call refused");
                namespace.observer.unauthenticated();
                Err(Status::unauthenticated(refusal.to_string()))
            }
        }
    }
}

impl<S: NamedService> NamedService for Guard<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Guard<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match self.admit(&mut request) {
            Err(status) => {
                let response = status.into_http();
                Box::pin(async { Ok(response) })
            }
            Ok(()) => {
                let (parts, body) = request.into_parts();
                let (body, receipts) = self.budget.meter(body);
                let mut request = Request::from_parts(parts, body);
                request.extensions_mut().insert(receipts);
                let response = self.inner.call(request);
                Box::pin(async { Ok(with_usual_size_status(response.await?)) })
            }
        }
    }
}

/// tonic refuses an oversized message with OUT_OF_RANGE; other servers say RESOURCE_EXHAUSTED, and
/// clients know that one.
fn with_usual_size_status(mut response: Response<Body>) -> Response<Body> {
    let out_of_range = HeaderValue::from(Code::OutOfRange as i32);
    if let Some(status) = response.headers_mut().get_mut(Status::GRPC_STATUS)
        && *status == out_of_range
    {
        *status = HeaderValue::from(Code::ResourceExhausted as i32);
    }
    response
}
