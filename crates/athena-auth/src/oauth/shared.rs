//! The endpoint with a store in front: one process asks, the others find its token.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tracing::{debug, warn};
use zeroize::Zeroizing;

use crate::store::{StoreAccess, TokenStore};
use crate::sync::lock;
use crate::{AuthError, AuthErrorKind, Secret, Token};

/// How long a store may keep a request waiting. Whoever is in it has a request under way.
const PATIENCE: Duration = Duration::from_secs(5);
/// A token with less left than this, or than a quarter of its life, is due for renewal: whoever
/// comes for one wants another.
const DUE: Duration = Duration::from_secs(5 * 60);

/// A store, and what to make of its contents.
pub(super) struct Shared {
    store: Arc<dyn TokenStore>,
    /// Tells tokens for these credentials and this audience from others.
    purpose: String,
    rejected: Mutex<Option<Token>>,
}

/// What is kept, as JSON. Borrowed from what was read, so that there is one copy of the token.
#[derive(Deserialize, Serialize)]
struct Kept<'a> {
    /// For whom and what it is.
    purpose: &'a str,
    scheme: &'a str,
    token: &'a str,
    /// Seconds since 1970.
    expires_at: u64,
    /// Seconds from the request to the end.
    lifetime: u64,
}

impl Shared {
    /// `purpose` is everything that makes a token this one and no other.
    pub(super) fn new(store: Arc<dyn TokenStore>, purpose: &str) -> Self {
        let purpose = digest(&SHA256, purpose.as_bytes());
        Self {
            store,
            purpose: HEXLOWER.encode(purpose.as_ref()),
            rejected: Mutex::new(None),
        }
    }

    /// The token is not taken from the store again.
    pub(super) fn reject(&self, token: &Token) {
        *lock(&self.rejected) = Some(token.clone());
    }

    /// The store's token, or else what `obtain` gets, which then is the store's.
    pub(super) async fn token(
        &self,
        obtain: impl Future<Output = Result<Token, AuthError>>,
    ) -> Result<Token, AuthError> {
        let mut access = match timeout(PATIENCE, self.store.enter()).await {
            Ok(Ok(access)) => access,
            Ok(Err(error)) => return self.without(&error, obtain).await,
            Err(_) => {
                let error = AuthError::new(
                    AuthErrorKind::Timeout,
                    "the token store was not free in time",
                );
                return self.without(&error, obtain).await;
            }
        };
        match timeout(PATIENCE, access.read()).await {
            Ok(Ok(Some(kept))) => {
                if let Some(token) = self.usable(&kept, SystemTime::now()) {
                    debug!("a token of another process is used");
                    return Ok(token);
                }
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => return self.without(&error, obtain).await,
            Err(_) => {
                let error =
                    AuthError::new(AuthErrorKind::Timeout, "the token store did not answer");
                return self.without(&error, obtain).await;
            }
        }
        let token = obtain.await?;
        self.keep(&mut *access, &token).await;
        Ok(token)
    }

    /// Trouble with the store is no reason to fail, unless the secret is at stake.
    async fn without(
        &self,
        error: &AuthError,
        obtain: impl Future<Output = Result<Token, AuthError>>,
    ) -> Result<Token, AuthError> {
        if error.kind() == AuthErrorKind::Insecure {
            return Err(error.clone());
        }
        warn!(%error, cause = ?std::error::Error::source(error), "the token store is passed by");
        obtain.await
    }

    fn usable(&self, kept: &Secret, now: SystemTime) -> Option<Token> {
        let kept: Kept<'_> = serde_json::from_str(kept.expose()).ok()?;
        let end = UNIX_EPOCH.checked_add(Duration::from_secs(kept.expires_at))?;
        let lifetime = Duration::from_secs(kept.lifetime);
        // A clock that was set back makes no token live longer.
        let left = end.duration_since(now).ok()?.min(lifetime);
        if kept.purpose != self.purpose || left <= DUE.min(lifetime / 4) {
            return None;
        }
        let rejected = lock(&self.rejected);
        if rejected
            .as_ref()
            .is_some_and(|rejected| rejected.expose_secret() == kept.token)
        {
            return None;
        }
        let token = Token::new(kept.scheme, kept.token).ok()?;
        Some(token.with_lifetime(left))
    }

    async fn keep(&self, access: &mut dyn StoreAccess, token: &Token) {
        let end = token
            .expires_at()
            .and_then(|end| end.duration_since(UNIX_EPOCH).ok());
        let (Some(end), Some(lifetime)) = (end, token.lifetime()) else {
            return;
        };
        let kept = Kept {
            purpose: &self.purpose,
            scheme: token.scheme(),
            token: token.expose_secret(),
            expires_at: end.as_secs(),
            lifetime: lifetime.as_secs(),
        };
        // Room for all, so that no outgrown buffer keeps a copy.
        let mut text = Zeroizing::new(Vec::with_capacity(2 * kept.token.len() + 512));
        if serde_json::to_writer(&mut *text, &kept).is_err() {
            return;
        }
        let Ok(text) = std::str::from_utf8(&text) else {
            return;
        };
        match timeout(PATIENCE, access.write(&Secret::new(text))).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "the token is not shared with other processes"),
            Err(_) => warn!("the token is not shared with other processes: the store is slow"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TokenFile;

    #[test]
    fn only_a_token_for_this_purpose_that_is_not_due_is_used() {
        let shared = Shared::new(Arc::new(TokenFile::new("unused")), "this");
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let kept = |purpose: &str, left: u64, lifetime: u64| {
            let expires_at = 1_000_000 + left;
            Secret::new(format!(
                r#"{{"purpose":"{purpose}","scheme":"Bearer","token":"abc","expires_at":{expires_at},"lifetime":{lifetime}}}"#
            ))
        };
        let lifetime = |kept: Secret| {
            let token = shared.usable(&kept, now)?;
            Some(token.lifetime().expect("always one").as_secs())
        };
        let this = shared.purpose.as_str();
        assert_eq!(lifetime(kept(this, 3_000, 3_600)), Some(3_000));
        assert_eq!(lifetime(kept(this, 300, 3_600)), None, "due");
        assert_eq!(lifetime(kept(this, 16, 60)), Some(16));
        assert_eq!(lifetime(kept(this, 15, 60)), None, "due");
        assert_eq!(
            lifetime(kept(this, 9_000, 3_600)),
            Some(3_600),
            "a clock set back"
        );
        assert_eq!(lifetime(kept("that", 3_000, 3_600)), None);
        assert_eq!(lifetime(Secret::new("garbage")), None);
        let token = shared.usable(&kept(this, 3_000, 3_600), now).expect("good");
        shared.reject(&token);
        assert_eq!(lifetime(kept(this, 3_000, 3_600)), None, "rejected");
    }
}
