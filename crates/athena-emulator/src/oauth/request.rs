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

    fn request(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }
}

/// The parameters of a token request.
pub(crate) struct TokenRequest {
    pub(crate) grant_type: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
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
        if basic.is_some() && parameters.contains_key("client_secret") {
            return Err(Denial::request(
                "the client authenticates both by header and by body: use one of them",
            ));
        }
        let mut required = |name: &'static str| {
            parameters
                .remove(name)
                .filter(|value| !value.is_empty())
                .ok_or_else(|| Denial::request(format!("the parameter {name} is missing")))
        };
        let grant_type = required("grant_type")?;
        let (client_id, client_secret) = match basic {
            Some(credentials) => credentials,
            None => (required("client_id")?, required("client_secret")?),
        };
        Ok(Self {
            grant_type,
            client_id,
            client_secret,
            audience: parameters.remove("audience"),
            scope: parameters.remove("scope"),
        })
    }
}

/// Parameters that are no strings mean nothing here.
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
