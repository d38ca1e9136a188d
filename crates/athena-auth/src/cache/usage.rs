//! What a source has been doing, in numbers and as it happens.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, SystemTime};

use tracing::{debug, error, info, warn};

use super::hits::Hits;
use crate::sync::lock;
use crate::{AuthError, AuthErrorKind};

/// What a source has done since it was made.
///
/// Counters only grow. They are read one after another while others may count: sums agree once
/// nothing is under way.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Usage {
    /// Calls that got the token at hand, without waiting.
    pub hits: u64,
    /// Requests for a token, repeated ones included.
    pub requests: u64,
    /// Tokens that replaced one which was still valid.
    pub refreshes: u64,
    /// Failed attempts to get a token, by kind; kinds that did not occur are left out.
    pub failures: Vec<(AuthErrorKind, u64)>,
    /// Tokens that the server rejected.
    pub rejections: u64,
    /// When a token was last obtained.
    pub last_success: Option<SystemTime>,
    /// When the token at hand expires; `None` if there is none, or it does not say.
    pub expires_at: Option<SystemTime>,
    /// What the endpoint last said of its limits: see
    /// [`OAuthClientCredentials`](crate::OAuthClientCredentials). Lower-case header names with their
    /// values, such as `auth0-client-quota-limit` or `x-ratelimit-remaining`.
    pub quota: Vec<(String, String)>,
}

impl Usage {
    /// Failed attempts of this kind.
    pub fn failures_of(&self, kind: AuthErrorKind) -> u64 {
        let found = self.failures.iter().find(|(found, _)| *found == kind);
        found.map_or(0, |(_, count)| *count)
    }
}

/// Something that happened to a source, for metrics and audits. Holds no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TokenEvent<'a> {
    /// A token is asked for.
    #[non_exhaustive]
    Requested {
        /// The how many-th attempt in a row, from 1.
        attempt: u32,
    },
    /// A token arrived.
    #[non_exhaustive]
    Obtained {
        /// How long it is valid, if it says so.
        lifetime: Option<Duration>,
        /// How long it took.
        took: Duration,
    },
    /// An attempt failed.
    #[non_exhaustive]
    Failed {
        /// Why.
        error: &'a AuthError,
        /// The how many-th attempt in a row, from 1.
        attempt: u32,
        /// When the next may start at the earliest.
        next_try: Duration,
        /// Whether a valid token is at hand: no call suffers yet.
        usable: bool,
    },
    /// The server rejected the token at hand.
    Rejected,
}

type Hook = Box<dyn Fn(&TokenEvent<'_>) + Send + Sync>;

/// Counts, logs and passes on.
pub(super) struct Monitor {
    pub(super) hits: Hits,
    requests: AtomicU64,
    refreshes: AtomicU64,
    rejections: AtomicU64,
    failures: Mutex<Vec<(AuthErrorKind, u64)>>,
    /// In milliseconds since 1970; zero for never.
    last_success: AtomicU64,
    hook: OnceLock<Hook>,
}

impl Monitor {
    pub(super) fn new() -> Self {
        Self {
            hits: Hits::new(),
            requests: AtomicU64::new(0),
            refreshes: AtomicU64::new(0),
            rejections: AtomicU64::new(0),
            failures: Mutex::default(),
            last_success: AtomicU64::new(0),
            hook: OnceLock::new(),
        }
    }

    /// The first hook stays.
    pub(super) fn set_hook(&self, hook: Hook) {
        let _ = self.hook.set(hook);
    }

    pub(super) fn refreshed(&self) {
        self.refreshes.fetch_add(1, Ordering::Relaxed);
    }

    /// Must not be called under a lock: the hook is somebody else's code.
    pub(super) fn tell(&self, source: &str, event: &TokenEvent<'_>) {
        self.count(event);
        log(source, event);
        let Some(hook) = self.hook.get() else {
            return;
        };
        if catch_unwind(AssertUnwindSafe(|| hook(event))).is_err() {
            error!(source, "the hook for token events panicked");
        }
    }

    fn count(&self, event: &TokenEvent<'_>) {
        match event {
            TokenEvent::Requested { .. } => {
                self.requests.fetch_add(1, Ordering::Relaxed);
            }
            TokenEvent::Obtained { .. } => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                let millis = now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(0));
                self.last_success.store(millis, Ordering::Relaxed);
            }
            TokenEvent::Failed { error, .. } => {
                let kind = error.kind();
                let mut failures = self.failures();
                match failures.iter_mut().find(|(found, _)| *found == kind) {
                    Some((_, count)) => *count += 1,
                    None => failures.push((kind, 1)),
                }
            }
            TokenEvent::Rejected => {
                self.rejections.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn failures(&self) -> MutexGuard<'_, Vec<(AuthErrorKind, u64)>> {
        lock(&self.failures)
    }

    pub(super) fn usage(&self, expires_at: Option<SystemTime>) -> Usage {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let last_success = read(&self.last_success);
        Usage {
            hits: self.hits.total(),
            requests: read(&self.requests),
            refreshes: read(&self.refreshes),
            failures: self.failures().clone(),
            rejections: read(&self.rejections),
            last_success: (last_success > 0)
                .then(|| SystemTime::UNIX_EPOCH + Duration::from_millis(last_success)),
            expires_at,
            quota: Vec::new(),
        }
    }
}

fn log(source: &str, event: &TokenEvent<'_>) {
    match event {
        TokenEvent::Requested { attempt } => debug!(source, attempt, "token requested"),
        TokenEvent::Obtained { lifetime, took } => info!(
            source,
            lifetime_s = lifetime.map(|lifetime| lifetime.as_secs()),
            took_ms = millis(*took),
            "token obtained"
        ),
        TokenEvent::Failed {
            error,
            attempt,
            next_try,
            usable,
        } => {
            let kind = error.kind();
            warn!(source, ?kind, %error, attempt, next_try_ms = millis(*next_try), usable, "token request failed");
        }
        TokenEvent::Rejected => warn!(source, "the server rejected the token: it is dropped"),
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
