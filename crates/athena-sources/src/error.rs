//! What goes wrong between a name and its bytes.

use std::error::Error as StdError;
use std::fmt;

use crate::location::Location;

/// A cause of any type.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// What kind of trouble there was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SourceErrorKind {
    /// There is no such object, or no such bucket.
    NotFound,
    /// It is no longer the version that was asked for.
    Changed,
    /// It has more bytes than were allowed.
    TooLarge,
    /// The store, or a rule of ours, does not let us have it.
    Refused,
    /// There are no credentials, or none that the store accepts: it concerns every object.
    Credentials,
    /// The name, the store or a setting cannot work as it is.
    Unusable,
    /// The store does not list keys in the order of their bytes, so that what is after a key cannot be told: list all, from
    /// the beginning.
    Unordered,
    /// The store's listing does not come to an end: its pages come round again, or have no key, one after the other.
    Endless,
    /// The store did not answer, not in time, or with an error of its own: later it may.
    Transient,
}

impl SourceErrorKind {
    /// A stable word, for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Changed => "changed",
            Self::TooLarge => "too_large",
            Self::Refused => "refused",
            Self::Credentials => "credentials",
            Self::Unusable => "unusable",
            Self::Unordered => "unordered",
            Self::Endless => "endless",
            Self::Transient => "unavailable",
        }
    }
}

/// Why there are no bytes, or no listing. Its text says what happened and what can be done; it holds neither
/// credentials nor a store's answer.
#[derive(Debug)]
pub struct Error {
    kind: SourceErrorKind,
    message: String,
    source: Option<BoxError>,
}

impl Error {
    pub(crate) fn new(kind: SourceErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn because(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// For whoever runs requests on tasks of its own: one has ended without an answer.
    #[must_use]
    pub fn stopped(at: &Location) -> Self {
        Self::new(
            SourceErrorKind::Transient,
            format!("{at}: stopped before there was an answer"),
        )
    }

    pub(crate) fn unordered(prefix: &Location) -> Self {
        Self::new(
            SourceErrorKind::Unordered,
            format!(
                "{prefix}: the store does not list keys in the order of their bytes: all must be listed again, page by page"
            ),
        )
    }

    pub(crate) fn endless(prefix: &Location, why: &str) -> Self {
        Self::new(
            SourceErrorKind::Endless,
            format!(
                "{prefix}: the store's listing does not come to an end: {why} (a proxy may keep or change its answers)"
            ),
        )
    }

    /// For whoever knows an object's size before asking for it: it has more bytes than it may have.
    #[must_use]
    pub fn too_large(at: &Location, most: u64) -> Self {
        Self::new(
            SourceErrorKind::TooLarge,
            format!("{at} has more than {most} bytes"),
        )
    }

    /// What kind of trouble there was.
    #[must_use]
    pub fn kind(&self) -> SourceErrorKind {
        self.kind
    }

    /// Whether it says something about the object itself, rather than about the store, the network or our
    /// means to reach them: asking again changes nothing.
    #[must_use]
    pub fn is_of_object(&self) -> bool {
        matches!(
            self.kind,
            SourceErrorKind::NotFound
                | SourceErrorKind::Changed
                | SourceErrorKind::TooLarge
                | SourceErrorKind::Refused
        )
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind == SourceErrorKind::Transient
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
