//! Reads a token request, in any of the shapes that clients send it.

use std::collections::HashMap;
use std::time::Duration;

use axum::body::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::Value;

use super::registration::unverified_client;

/// An error answer as RFC 6749 section 5.2 words it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Denial {
    #[serde(skip)]
    pub(crate) status: StatusCode,
    #[serde(skip)]
    pub(crate) retry_after: Option<Duration>,
    pub(crate) error: &'static str,
    pub(crate) error_description: String,
}

impl Denial {
    pub(crate) fn new(
        status: StatusCode,
        error: &'static str,
        description: impl Into<String>,
    ) -> Self {
        Self {
            status,
            retry_after: None,
            error,
            error_description: description.into(),
        }
    }

    pub(crate) fn too_many_requests(retry_after: Duration) -> Self {
        let description = "too many token requests";
        Self {
            retry_after: Some(retry_after),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_requests",
                description,
            )
        }
    }

    pub(crate) fn request(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }
}

/// How the client shows who it is.
pub(crate) enum Proof {
    Secret(String),
    /// A signed JSON Web Token.
    Assertion(String),
    /// The request holds none: the connection's certificate must do.
    Certificate,
}

/// The one type of assertion (RFC 7523, section 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The parameters of a token request.
pub(crate) struct TokenRequest {
    pub(crate) grant_type: String,
    pub(crate) client_id: String,
    pub(crate) proof: Proof,
    pub(crate) audience: Option<String>,
    pub(crate) scope: Option<String>,
}

impl TokenRequest {
    pub(crate) fn parse(headers: &HeaderMap, body: &Bytes) -> Result<Self, Denial> {
        let content_type = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let mut parameters = match media_type.to_ascii_lowercase().as_str() {
            "application/json" => json(body)?,
            "application/x-www-form-urlencoded" => form(body)?,
            other => {
                return Err(Denial::request(format!(
                    "the content type is {other:?}: send application/x-www-form-urlencoded or application/json"
                )));
            }
        };
        let basic = basic(headers)?;
        let ways = [
            basic.is_some(),
            parameters.contains_key("client_secret"),
            parameters.contains_key("client_assertion"),
        ];
        if ways.into_iter().filter(|way| *way).count() > 1 {
            return Err(Denial::request(
                "the client authenticates in more than one way, by header, secret or assertion: use one of them",
            ));
        }
        let assertion_type = parameters.remove("client_assertion_type");
        let assertion = parameters.remove("client_assertion");
        let secret = parameters
            .remove("client_secret")
            .filter(|value| !value.is_empty());
        if assertion.is_some() && assertion_type.as_deref() != Some(JWT_BEARER) {
            return Err(Denial::request(format!(
                "the client_assertion_type must be {JWT_BEARER}"
            )));
        }
        let mut required = |name: &'static str| {
            parameters
                .remove(name)
                .filter(|value| !value.is_empty())
                .ok_or_else(|| Denial::request(format!("the parameter {name} is missing")))
        };
        let grant_type = required("grant_type")?;
        let (client_id, proof) = match (basic, assertion, secret) {
            (Some((id, secret)), _, _) => (id, Proof::Secret(secret)),
            (None, Some(assertion), _) => {
                // The assertion names the client (RFC 7521, section 4.2): the parameter may be left
                // out.
                let id = match required("client_id") {
                    Ok(id) => id,
                    Err(denial) => unverified_client(&assertion).ok_or(denial)?,
                };
                (id, Proof::Assertion(assertion))
            }
            (None, None, Some(secret)) => (required("client_id")?, Proof::Secret(secret)),
            (None, None, None) => (required("client_id")?, Proof::Certificate),
        };
        Ok(Self {
            grant_type,
            client_id,
            proof,
            audience: parameters.remove("audience"),
            scope: parameters.remove("scope"),
        })
    }
}

/// Parameters that are not strings mean nothing here.
fn json(body: &[u8]) -> Result<HashMap<String, String>, Denial> {
    let object: HashMap<String, Value> = serde_json::from_slice(body)
        .map_err(|_| Denial::request("the body is not a JSON object"))?;
    let strings = object.into_iter().filter_map(|(name, value)| match value {
        Value::String(value) => Some((name, value)),
        _ => None,
    });
    Ok(strings.collect())
}

fn form(body: &[u8]) -> Result<HashMap<String, String>, Denial> {
    let mut parameters = HashMap::new();
    for (name, value) in pairs(body) {
        if parameters.insert(name.clone(), value).is_some() {
            // RFC 6749 section 3.2.
            return Err(Denial::request(format!(
                "the parameter {name:?} appears twice"
            )));
        }
    }
    Ok(parameters)
}

fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(encoded).into_owned().collect()
}

/// The credentials of RFC 6749 section 2.3.1: form-encoded, then joined, then base64.
fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, Denial> {
    let Some(header) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let decode = || {
        let value = header.to_str().ok()?;
        let (scheme, encoded) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let credentials = String::from_utf8(BASE64.decode(encoded.trim()).ok()?).ok()?;
        let (id, secret) = credentials.split_once(':')?;
        let text = |part: &str| {
            pairs(part.as_bytes())
                .into_iter()
                .next()
                .map_or(String::new(), |(text, _)| text)
        };
        Some((text(id), text(secret)))
    };
    decode().map(Some).ok_or_else(|| {
        Denial::new(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            "the authorization header is not valid Basic authentication",
        )
    })
}
