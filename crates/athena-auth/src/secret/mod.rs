//! Secrets of the client, and where they come from.

mod command;
mod file;
mod variable;

use std::fmt;
use std::future::ready;
use std::time::Duration;

use zeroize::Zeroizing;

pub use self::command::SecretCommand;
pub use self::file::SecretFile;
pub use self::variable::SecretVariable;
use crate::{AuthError, AuthErrorKind, BoxFuture};

/// No client secret, key or assertion is longer.
const MAX_BYTES: usize = 64 * 1024;

/// A client secret, a private key or an assertion: zeroed when it is dropped, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: Zeroizing<String>,
    lifetime: Option<Duration>,
}

impl Secret {
    /// This very text. White space around it is refused when it is used, since it is a slip
    /// as a rule: see [`trimmed`](Self::trimmed).
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: Zeroizing::new(text.into()),
            lifetime: None,
        }
    }

    /// The text without line breaks and blanks around it, as files, variables and commands have
    /// them.
    pub fn trimmed(text: impl Into<String>) -> Self {
        let text = Zeroizing::new(text.into());
        Self::new(text.trim())
    }

    /// Says for how long the source need not be asked again. Without it, it is asked before each
    /// token request. An endpoint that does not accept the secret ends that time.
    #[must_use]
    pub fn valid_for(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// The secret in the clear. Never log it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    pub(crate) fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    /// What is wrong with it, if anything is.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        if self.text.is_empty() {
            Some("is empty")
        } else if self.text.trim().len() != self.text.len() {
            Some(
                "begins or ends in white space: remove it, a line break at the end of a file for example",
            )
        } else {
            None
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("text", &"[redacted]")
            .field("lifetime", &self.lifetime)
            .finish()
    }
}

/// Where a client's secret comes from: a client secret, or the private key or assertion in its
/// place. Secrets change; whoever holds a copy has to be restarted then, whoever asks has not.
///
/// It is asked before each token request, unless the secret said that it is
/// [valid for](Secret::valid_for) longer, and once more, whatever the secret said, when the
/// endpoint does not accept it: a secret that was replaced in the store is used by the next
/// request, without a restart and without a failed call.
///
/// A `String` or `&'static str` is a secret that never changes; [`SecretFile`],
/// [`SecretVariable`] and [`SecretCommand`] are others, and so is any async closure:
///
/// ```
/// use std::time::Duration;
/// use athena_auth::{AuthError, ClientAuthentication, AuthErrorKind, OAuthClientCredentials, Secret};
///
/// # struct Vault;
/// # impl Vault {
/// #     async fn read(&self, _: &str) -> std::io::Result<String> { Ok("a-secret".into()) }
/// # }
/// # let vault = std::sync::Arc::new(Vault);
/// let secret = move || {
///     let vault = vault.clone();
///     async move {
///         let secret = vault.read("moderation/athena").await.map_err(|error| {
///             AuthError::new(AuthErrorKind::Unavailable, "the vault did not answer").with_source(error)
///         })?;
///         Ok(Secret::new(secret).valid_for(Duration::from_secs(300)))
///     }
/// };
/// let source = OAuthClientCredentials::builder("my-client-id", ClientAuthentication::secret(secret))
///     .token_url("https://login.example.com/oauth/token")
///     .build()?;
/// # Ok::<(), athena_auth::BuildError>(())
/// ```
pub trait SecretSource: Send + Sync + 'static {
    /// The secret as it is now.
    ///
    /// The kind of an error decides whether there is another attempt: see
    /// [`AuthErrorKind::is_transient`]. Keep the secret out of it: it is logged.
    fn secret(&self) -> BoxFuture<'_, Result<Secret, AuthError>>;

    /// The secret, if it never changes: what is wrong with it is then found when the source of
    /// tokens is built.
    fn fixed(&self) -> Option<Secret> {
        None
    }
}

macro_rules! fixed {
    ($($text:ty),+) => {$(
        /// A secret that never changes.
        impl SecretSource for $text {
            fn secret(&self) -> BoxFuture<'_, Result<Secret, AuthError>> {
                Box::pin(ready(Ok(Secret::new(self.clone()))))
            }

            fn fixed(&self) -> Option<Secret> {
                Some(Secret::new(self.clone()))
            }
        }
    )+};
}

fixed!(&'static str, String);

impl SecretSource for Secret {
    fn secret(&self) -> BoxFuture<'_, Result<Secret, AuthError>> {
        Box::pin(ready(Ok(self.clone())))
    }

    fn fixed(&self) -> Option<Secret> {
        Some(self.clone())
    }
}

impl<F, R> SecretSource for F
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Result<Secret, AuthError>> + Send + 'static,
{
    fn secret(&self) -> BoxFuture<'_, Result<Secret, AuthError>> {
        Box::pin(self())
    }
}

/// What was read from outside, as a secret. `place` is named in errors.
fn from_bytes(bytes: Vec<u8>, place: &dyn fmt::Display) -> Result<Secret, AuthError> {
    let bytes = Zeroizing::new(bytes);
    if bytes.len() > MAX_BYTES {
        return Err(error(format!("{place} is too long to be a secret")));
    }
    let text =
        std::str::from_utf8(&bytes).map_err(|_| error(format!("{place} is not UTF-8 text")))?;
    Ok(Secret::trimmed(text))
}

fn error(message: String) -> AuthError {
    AuthError::new(AuthErrorKind::Secret, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::new("hunter2").valid_for(Duration::from_secs(1));
        assert!(!format!("{secret:?} {secret:#?}").contains("hunter2"));
    }

    #[test]
    fn what_is_given_is_taken_as_it_is_and_what_is_read_is_trimmed() {
        assert_eq!(Secret::new(" a b\n").expose(), " a b\n");
        assert_eq!(Secret::trimmed("\r\n a b\t\n").expose(), "a b");
        assert!(Secret::new("a\n").problem().is_some());
        assert!(Secret::new("").problem().is_some());
        assert_eq!(Secret::new("a b").problem(), None);
    }
}
