use std::path::PathBuf;

/// Why the emulator could not start, or an operation on it failed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] Repr);

#[derive(Debug, thiserror::Error)]
pub(crate) enum Repr {
    #[error("cannot listen on {address} for {purpose}: choose another port or address")]
    Bind {
        address: std::net::SocketAddr,
        purpose: &'static str,
        source: std::io::Error,
    },
    #[error("cannot make the TLS certificates")]
    Certificate(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("cannot {action} {}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{setting} is invalid: {reason}")]
    Setting {
        setting: &'static str,
        reason: String,
    },
    #[error("cannot describe the service for gRPC reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
    #[error("the emulator has stopped")]
    Stopped,
}

/// The kinds of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EmulatorErrorKind {
    /// A port is taken or an address is not this machine's.
    Bind,
    /// A certificate or key could not be made or read.
    Certificate,
    /// A file could not be read or written.
    File,
    /// A setting is invalid.
    Setting,
    /// A fault of this crate.
    Internal,
    /// The emulator had been shut down.
    Stopped,
}

impl Error {
    /// What kind of failure this is.
    pub fn kind(&self) -> EmulatorErrorKind {
        match self.0 {
            Repr::Bind { .. } => EmulatorErrorKind::Bind,
            Repr::Certificate(_) => EmulatorErrorKind::Certificate,
            Repr::File { .. } => EmulatorErrorKind::File,
            Repr::Setting { .. } => EmulatorErrorKind::Setting,
            Repr::Reflection(_) => EmulatorErrorKind::Internal,
            Repr::Stopped => EmulatorErrorKind::Stopped,
        }
    }

    pub(crate) fn setting(setting: &'static str, reason: impl ToString) -> Self {
        Self(Repr::Setting {
            setting,
            reason: reason.to_string(),
        })
    }

    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| {
            Self(Repr::File {
                action,
                path,
                source,
            })
        }
    }
}
