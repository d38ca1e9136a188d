//! What the endpoint says of its limits.

use std::sync::Mutex;

use http::HeaderMap;

use crate::sync::lock;

/// Headers that tell of limits: Auth0's, and the two families that others send.
const PREFIXES: [&str; 3] = ["auth0-client-quota-limit", "x-ratelimit-", "ratelimit"];
/// No endpoint has more to say.
const MAX_HEADERS: usize = 16;
const MAX_VALUE: usize = 256;

/// The last such headers.
#[derive(Default)]
pub(super) struct Quota(Mutex<Vec<(String, String)>>);

impl Quota {
    pub(super) fn note(&self, headers: &HeaderMap) {
        let told: Vec<_> = headers
            .iter()
            .filter(|(name, _)| {
                PREFIXES
                    .iter()
                    .any(|prefix| name.as_str().starts_with(prefix))
            })
            .filter(|(_, value)| value.len() <= MAX_VALUE)
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
            .take(MAX_HEADERS)
            .collect();
        if !told.is_empty() {
            *lock(&self.0) = told;
        }
    }

    pub(super) fn told(&self) -> Vec<(String, String)> {
        let told = lock(&self.0);
        told.clone()
    }
}
