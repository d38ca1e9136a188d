//! The tower layer that puts the token on each request.

mod future;
mod origin;
mod policy;
mod service;

use std::sync::Arc;

use http::Uri;
use tower_layer::Layer;

pub use self::future::ResponseFuture;
use self::policy::{Guard, Policy};
pub use self::service::Authorization;
use crate::TokenSource;

/// Adds `authorization: <scheme> <token>` to every request, from any [`TokenSource`].
///
/// Works on any stack of `http::Request`s, whatever the body: tonic, hyper-util, reqwest's tower
/// service, or one of your own.
///
/// - The token goes to the [origins](Self::origin) that were named and to no other: scheme, host
///   and port must agree. If none was named, each service that the layer makes, with all its
///   clones, keeps to the origin of the first request that it put a token on. A request to
///   another origin fails with an error that names both, or passes without a token; see
///   [`forward_other_origins`](Self::forward_other_origins).
/// - A request to a plaintext URL fails before any token is fetched, unless the host is
///   loopback or [`allow_plaintext`](Self::allow_plaintext) was called.
/// - A request whose URL names no scheme cannot be judged, and fails as well: say where requests
///   go with [`origin`](Self::origin). gRPC clients need this, since tonic adds scheme and host
///   below the layer.
/// - A request that has an `authorization` header keeps it, unless
///   [`overwrite`](Self::overwrite) was called.
/// - When the answer says that the token was rejected (HTTP 401, or `grpc-status: 16` in the
///   response head) the layer [invalidates](TokenSource::invalidate) it. It does not retry:
///   place a retry above it, and every attempt asks for a token again.
/// - The [`Token`](crate::Token) that was used is put in the response's extensions.
///
/// # Example
/// A layer that follows redirects strips the header when one leads to another host, and sends the
/// request down here again. No token is added there:
///
/// ```
/// use athena_auth::{AuthError, AuthorizationLayer, AuthErrorKind, Static};
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_http::follow_redirect::FollowRedirectLayer;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), athena_auth::BoxError> {
/// let api = "https://api.example.com".parse()?;
/// let service = ServiceBuilder::new()
///     .layer(FollowRedirectLayer::new())
///     .layer(AuthorizationLayer::new(Static::bearer("a-token")?).origin(&api))
///     .service(service_fn(|request: Request<String>| async move {
///         assert_eq!(request.uri().host(), Some("api.example.com"));
///         Response::builder()
///             .status(302)
///             .header("location", "https://elsewhere.example.com/")
///             .body(())
///     }));
///
/// let request = Request::get("https://api.example.com/").body(String::new())?;
/// let error = service.oneshot(request).await.expect_err("redirected");
/// let error = error.downcast::<AuthError>()?;
/// assert_eq!(error.kind(), AuthErrorKind::ForeignOrigin);
/// # Ok(())
/// # }
/// ```
///
/// Each request gets the token:
///
/// ```
/// use athena_auth::{AuthorizationLayer, Static};
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), athena_auth::BoxError> {
/// let service = ServiceBuilder::new()
///     .layer(AuthorizationLayer::new(Static::bearer("a-token")?))
///     .service(service_fn(|request: Request<()>| async move {
///         assert_eq!(request.headers()["authorization"], "Bearer a-token");
///         Ok::<_, std::convert::Infallible>(Response::new(()))
///     }));
///
/// service.oneshot(Request::get("https://api.example.com/").body(())?).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AuthorizationLayer {
    source: Arc<dyn TokenSource>,
    policy: Policy,
}

impl AuthorizationLayer {
    /// A layer that takes its tokens from this source. Pass an `Arc` to share the source.
    pub fn new(source: impl TokenSource + 'static) -> Self {
        Self {
            source: Arc::new(source),
            policy: Policy::default(),
        }
    }

    /// Adds an origin that the token is for: scheme, host and port of this URL. Several may be
    /// named. Requests whose own URL names no scheme, as below a gRPC client, count as going to
    /// the first. A URL without scheme and host allows nothing.
    #[must_use]
    pub fn origin(mut self, origin: &Uri) -> Self {
        self.policy.add_origin(origin);
        self
    }

    /// Whether a request to another origin is passed on without a token, in place of failing:
    /// for a client that follows redirects to places which need none, such as signed URLs of an
    /// object store.
    #[must_use]
    pub fn forward_other_origins(mut self, forward: bool) -> Self {
        self.policy.forward_other_origins = forward;
        self
    }

    /// Whether tokens may travel unencrypted to hosts other than this one. Anybody on the path
    /// can then read and use them: meant for sidecars and service meshes that encrypt by themselves.
    #[must_use]
    pub fn allow_plaintext(mut self, allow: bool) -> Self {
        self.policy.allow_plaintext = allow;
        self
    }

    /// Whether to replace an `authorization` header that a request already has.
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.policy.overwrite = overwrite;
        self
    }
}

impl<S> Layer<S> for AuthorizationLayer {
    type Service = Authorization<S>;

    fn layer(&self, inner: S) -> Authorization<S> {
        Authorization::new(
            inner,
            Arc::clone(&self.source),
            Guard::new(self.policy.clone()),
        )
    }
}
