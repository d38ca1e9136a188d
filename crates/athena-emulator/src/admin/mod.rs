//! The admin API: plain HTTP with JSON, for people with curl and for tests in other languages.

mod actions;
mod inspect;
mod reject;

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRef, FromRequestParts, Path, Request};
use axum::middleware::{self, Next};
use axum::routing::{MethodRouter, delete, get, post, put};
use http::request::Parts;

use crate::body;
use crate::config::Config;
use crate::emulator::Control;
use crate::listener::Scope;
use crate::namespace::NamespaceState;
use crate::state::Emulated;
use reject::{Failure, refuse_browsers};

/// The largest body: an image, or a long list of rules.
const MAX_BODY: usize = 64 << 20;

#[derive(Clone)]
struct Admin {
    state: Arc<Emulated>,
    control: Arc<Control>,
    urls: Arc<Urls>,
}

/// Where clients find what they need.
pub(crate) struct Urls {
    pub(crate) admin: String,
    pub(crate) token: String,
    pub(crate) audience: String,
}

impl FromRef<Admin> for Arc<Emulated> {
    fn from_ref(admin: &Admin) -> Self {
        admin.state.clone()
    }
}

impl FromRef<Admin> for Arc<Control> {
    fn from_ref(admin: &Admin) -> Self {
        admin.control.clone()
    }
}

impl FromRef<Admin> for Arc<Urls> {
    fn from_ref(admin: &Admin) -> Self {
        admin.urls.clone()
    }
}

/// The admin API, for requests to a loopback name or one of the emulator's own.
pub(crate) fn router(
    state: Arc<Emulated>,
    control: Arc<Control>,
    urls: Urls,
    config: &Config,
) -> axum::Router {
    let mut names = config.names();
    names.extend(["localhost", "127.0.0.1", "[::1]"].map(String::from));
    let names: Arc<[String]> = names.into();
    let of_emulator = axum::Router::new()
        .route("/health", get(|| async { "ok\n" }))
        .route("/ca.pem", get(inspect::ca))
        .route("/digests", post(actions::digests))
        .route("/listener/restart", post(actions::restart))
        .route(
            "/namespaces",
            get(inspect::namespaces).post(actions::create_namespace),
        )
        .route("/namespaces/{namespace}", delete(actions::delete_namespace));
    // Without a name the namespace is that of the configured clients.
    let of_namespace = of_namespace().into_iter();
    of_namespace
        .fold(of_emulator, |router, (path, methods)| {
            let named = format!("/namespaces/{{namespace}}{path}");
            router.route(path, methods.clone()).route(&named, methods)
        })
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn(|request: Request, next: Next| {
            body::read(MAX_BODY, request, next)
        }))
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            refuse_browsers(names.clone(), request, next)
        }))
        .with_state(Admin {
            state,
            control,
            urls: Arc::new(urls),
        })
}

fn of_namespace() -> [(&'static str, MethodRouter<Admin>); 14] {
    let faults = put(actions::set_faults).delete(actions::clear_faults);
    let rules = post(actions::add_rules)
        .put(actions::set_rules)
        .delete(actions::clear_rules);
    let known_hashes = post(actions::add_known_hashes).delete(actions::clear_known_hashes);
    [
        ("/stats", get(inspect::stats).delete(actions::clear_stats)),
        ("/metrics", get(inspect::metrics)),
        (
            "/deployments",
            get(inspect::deployments).delete(actions::clear_deployments),
        ),
        (
            "/inputs",
            get(inspect::inputs).delete(actions::clear_inputs),
        ),
        ("/faults", faults.get(inspect::faults)),
        ("/rules", rules.get(inspect::rules)),
        ("/known-hashes", known_hashes.get(inspect::known_hashes)),
        ("/snapshot", get(inspect::snapshot).put(actions::restore)),
        ("/reset", post(actions::reset)),
        ("/tokens", post(actions::mint)),
        ("/tokens/revoke", post(actions::revoke_tokens)),
        ("/streams/cut", post(actions::cut_streams)),
        ("/connections/goaway", post(actions::goaway)),
        ("/connections/drop", post(actions::disconnect)),
    ]
}

/// The namespace that the path names.
struct InNamespace(Arc<NamespaceState>);

impl FromRequestParts<Admin> for InNamespace {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, Failure> {
        match name(parts).await? {
            None => Ok(Self(admin.state.namespaces.default().clone())),
            Some(name) => match admin.state.namespaces.named(&name) {
                Some(namespace) => Ok(Self(namespace)),
                None => Err(Failure::no_namespace(&name)),
            },
        }
    }
}

/// All connections where the path names no namespace, else those of the one that it names.
impl FromRequestParts<Admin> for Scope {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, Failure> {
        if name(parts).await?.is_none() {
            return Ok(Self::All);
        }
        let InNamespace(namespace) = InNamespace::from_request_parts(parts, admin).await?;
        Ok(Self::Namespace(namespace.name.clone()))
    }
}

async fn name(parts: &mut Parts) -> Result<Option<String>, Failure> {
    let parameters = Path::<HashMap<String, String>>::from_request_parts(parts, &()).await;
    let Path(mut parameters) = parameters.map_err(|error| Failure::request(&error))?;
    Ok(parameters.remove("namespace"))
}
