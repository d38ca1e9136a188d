//! Identifiers on the wire: their limits, and fresh ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, ErrorKind};

/// The longest correlation or deployment id, in bytes of UTF-8.
///
/// The service speaks of 64 characters; 64 bytes are never more than that, however it counts.
pub const MAX_ID_BYTES: usize = 64;

/// Checks an id before it goes to the service. `what` names it in the error.
pub(crate) fn validate(what: &'static str, id: &str) -> Result<(), Error> {
    let problem = if id.is_empty() {
        "is empty".to_owned()
    } else if id.len() > MAX_ID_BYTES {
        format!("has {} bytes", id.len())
    } else {
        return Ok(());
    };
    Err(Error::new(
        ErrorKind::InvalidRequest,
        format!("the {what} {problem}: use 1 to {MAX_ID_BYTES} bytes of UTF-8"),
    ))
}

/// 128 random bits in hexadecimal: unique enough to name a deployment or a call.
pub(crate) fn unique() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// Mints the correlation ids of one session: a random prefix and a counter.
#[derive(Debug)]
pub(crate) struct Mint {
    prefix: String,
    next: AtomicU64,
}

impl Mint {
    pub(crate) fn new() -> Self {
        Self {
            prefix: unique(),
            next: AtomicU64::new(0),
        }
    }

    pub(crate) fn next(&self) -> Arc<str> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number}", self.prefix).into()
    }

    /// Whether this very mint made the id.
    pub(crate) fn made(&self, id: &str) -> bool {
        id.strip_prefix(self.prefix.as_str())
            .is_some_and(|rest| rest.starts_with('-'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_bounded_in_bytes() {
        assert!(validate("correlation id", "a").is_ok());
        assert!(validate("correlation id", &"x".repeat(64)).is_ok());
        for bad in ["", &"x".repeat(65), &"é".repeat(33)] {
            let error = validate("correlation id", bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        }
    }

    #[test]
    fn minted_ids_are_valid_and_recognised() {
        let (mint, other) = (Mint::new(), Mint::new());
        let id = mint.next();
        assert!(validate("correlation id", &id).is_ok());
        assert_ne!(id, mint.next());
        assert!(mint.made(&id) && !other.made(&id));
        assert!(validate("correlation id", &format!("{}-{}", unique(), u64::MAX)).is_ok());
    }
}
