use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::issuer::Quota;
use super::request::{Denial, Proof, TokenRequest};
use crate::body;
use crate::certificates::PeerCertificate;
use crate::faults::TokenFault;
use crate::namespace::NamespaceState;
use crate::state::Emulated;

/// Requests are a few hundred bytes.
const MAX_BODY: usize = 64 << 10;

/// The HTTP service of the token endpoint.
pub(crate) fn router(state: Arc<Emulated>) -> axum::Router {
    axum::Router::new()
        .route("/oauth/token", post(token))
        .route("/.well-known/jwks.json", get(key_set))
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/.well-known/oauth-authorization-server", get(discovery))
        .layer(middleware::from_fn(|request: Request, next: Next| {
            body::read(MAX_BODY, request, next)
        }))
        .with_state(state)
}

async fn token(
    State(state): State<Arc<Emulated>>,
    certificate: Option<Extension<PeerCertificate>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let certificate = certificate.map(|Extension(certificate)| certificate);
    let request = TokenRequest::parse(&headers, &body);
    let namespace = match &request {
        Ok(request) => state.namespaces.of_client(&request.client_id),
        Err(_) => state.namespaces.default().clone(),
    };
    let quota = request
        .as_ref()
        .ok()
        .and_then(|request| state.issuer.throttle(&request.client_id, Instant::now()));
    let request = Asked {
        request,
        certificate,
        quota,
    };
    let mut response = match namespace.faults.token() {
        Some(fault) => misbehave(fault, &state, &namespace, &headers, request).await,
        None => answer(&state, &namespace, &headers, request),
    };
    if let Some(quota) = quota {
        tell(quota, response.headers_mut());
    }
    response
}

/// A token request with what is known of it besides.
struct Asked {
    request: Result<TokenRequest, Denial>,
    certificate: Option<PeerCertificate>,
    quota: Option<Quota>,
}

/// Tells of the allowance, as Auth0 does and as most others do.
fn tell(quota: Quota, headers: &mut HeaderMap) {
    let reset = quota.reset.as_millis().div_ceil(1000);
    let Quota {
        limit, remaining, ..
    } = quota;
    let auth0 = format!("b=per_hour;q={limit};r={remaining};t={reset}");
    let told = [
        ("auth0-client-quota-limit", auth0),
        ("x-ratelimit-limit", limit.to_string()),
        ("x-ratelimit-remaining", remaining.to_string()),
        ("x-ratelimit-reset", reset.to_string()),
    ];
    for (name, value) in told {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
}

async fn misbehave(
    fault: TokenFault,
    state: &Emulated,
    namespace: &NamespaceState,
    headers: &HeaderMap,
    request: Asked,
) -> Response {
    match fault {
        TokenFault::Throttle { retry_after } => {
            deny(Denial::too_many_requests(retry_after), headers)
        }
        TokenFault::Error => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "<html><body>internal error (fault injection)</body></html>",
        )
            .into_response(),
        TokenFault::Slow { delay } => {
            tokio::time::sleep(delay).await;
            answer(state, namespace, headers, request)
        }
        TokenFault::Garbage => (
            [(CONTENT_TYPE, "application/json")],
            "{\"access_token\": \"cut off by fault inj",
        )
            .into_response(),
    }
}

fn answer(
    state: &Emulated,
    namespace: &NamespaceState,
    headers: &HeaderMap,
    asked: Asked,
) -> Response {
    let Asked {
        request,
        certificate,
        quota,
    } = asked;
    let granted = request.and_then(|request| grant(state, request, certificate.as_ref(), quota));
    namespace.observer.token_request(granted.is_ok());
    match granted {
        Ok(token) => uncached(Json(token).into_response()),
        Err(denial) => {
            tracing::info!(error = denial.error, reason = %denial.error_description, "token refused");
            deny(denial, headers)
        }
    }
}

fn deny(denial: Denial, request: &HeaderMap) -> Response {
    let (status, retry_after) = (denial.status, denial.retry_after);
    let mut response = (status, Json(denial)).into_response();
    let headers = response.headers_mut();
    if let Some(wait) = retry_after {
        // Whole seconds, rounded up, so that whoever waits that long is let through.
        let seconds = wait.as_millis().div_ceil(1000) as u64;
        headers.insert(RETRY_AFTER, seconds.into());
    }
    // RFC 6749 section 5.2: a challenge only for a client that used the header.
    if status == StatusCode::UNAUTHORIZED && request.contains_key(AUTHORIZATION) {
        let challenge = HeaderValue::from_static("Basic realm=\"athena-emulator\"");
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    uncached(response)
}

fn grant(
    state: &Emulated,
    request: TokenRequest,
    certificate: Option<&PeerCertificate>,
    quota: Option<Quota>,
) -> Result<Value, Denial> {
    let issuer = &state.issuer;
    if let Some(quota) = quota.filter(|quota| quota.exceeded) {
        return Err(Denial::too_many_requests(quota.reset));
    }
    if matches!(request.proof, Proof::Certificate) && certificate.is_none() {
        return Err(Denial::request("the parameter client_secret is missing"));
    }
    let client = issuer
        .authenticate(&request.client_id, &request.proof, certificate)
        .map_err(|problem| Denial::new(StatusCode::UNAUTHORIZED, "invalid_client", problem))?;
    if request.grant_type != "client_credentials" {
        return Err(Denial::new(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "only client_credentials is supported",
        ));
    }
    let audience = request
        .audience
        .filter(|audience| !audience.is_empty())
        .ok_or_else(|| {
            Denial::new(
                StatusCode::FORBIDDEN,
                "access_denied",
                "no audience parameter was provided and there is no default audience",
            )
        })?;
    if !issuer.grants_audience(&client, &audience) {
        return Err(Denial::new(
            StatusCode::FORBIDDEN,
            "access_denied",
            format!("client is not authorized to access the audience {audience:?}"),
        ));
    }
    let scope = match request.scope.filter(|scope| !scope.trim().is_empty()) {
        None => client.scopes.join(" "),
        Some(scope) => {
            let foreign = scope
                .split_whitespace()
                .find(|wanted| !client.scopes.iter().any(|own| own == wanted));
            if let Some(foreign) = foreign {
                return Err(Denial::new(
                    StatusCode::BAD_REQUEST,
                    "invalid_scope",
                    format!("the client may not ask for the scope {foreign:?}"),
                ));
            }
            scope
        }
    };
    Ok(json!({
        "access_token": issuer.issue(&client.id, &audience, &scope),
        "token_type": "Bearer",
        "expires_in": issuer.lifetime().as_secs(),
        "scope": scope,
    }))
}

/// Answers that hold tokens must not be cached (RFC 6749 section 5.1).
fn uncached(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
        .headers_mut()
        .insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

async fn key_set(State(state): State<Arc<Emulated>>) -> Json<Value> {
    Json(state.issuer.key_set())
}

/// OpenID Connect Discovery 1.0 and RFC 8414.
async fn discovery(State(state): State<Arc<Emulated>>) -> Json<Value> {
    let issuer = state.issuer.url();
    Json(json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}oauth/token"),
        "jwks_uri": format!("{issuer}.well-known/jwks.json"),
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": ["token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
        "token_endpoint_auth_methods_supported": [
            "client_secret_post",
            "client_secret_basic",
            "client_secret_jwt",
            "private_key_jwt",
            "self_signed_tls_client_auth",
        ],
        "token_endpoint_auth_signing_alg_values_supported": ["HS256", "RS256", "PS256", "ES256", "EdDSA"],
    }))
}
