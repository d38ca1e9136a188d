//! What is known of an object, and what of it is wanted.

use std::str::FromStr;
use std::time::SystemTime;

use bytes::Bytes;

use crate::Location;

/// An object that a listing has named, or that was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// Where it is.
    pub location: Location,
    /// How many bytes it has.
    pub size: u64,
    /// The store's ETag, quotes included.
    pub etag: Option<String>,
    /// The store's version, where it keeps versions and names them. Listings name none.
    pub version: Option<String>,
    /// When it was written, where that is known.
    pub modified: Option<SystemTime>,
}

impl Listed {
    /// An object of which only name and size are known.
    #[must_use]
    pub fn new(location: Location, size: u64) -> Self {
        Self {
            location,
            size,
            etag: None,
            version: None,
            modified: None,
        }
    }

    /// The condition for getting what was listed, and nothing that came later.
    #[must_use]
    pub fn condition(&self) -> Condition {
        Condition {
            etag: self.etag.clone(),
            version: self.version.clone(),
        }
    }
}

/// An ETag as headers have it: some listings and inventories leave the quotes out.
#[must_use]
pub fn quoted(etag: &str) -> String {
    match etag.starts_with('"') || etag.starts_with("W/") {
        true => etag.to_owned(),
        false => format!("\"{etag}\""),
    }
}

/// Which bytes are wanted. The default takes what is there now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Only what has this ETag: anything else is [`Changed`](crate::SourceErrorKind::Changed).
    pub etag: Option<String>,
    /// This version, whatever came later.
    pub version: Option<String>,
}

/// An object's bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fetched {
    /// All of them.
    pub bytes: Bytes,
    /// The store's ETag, quotes included.
    pub etag: Option<String>,
    /// The store's version.
    pub version: Option<String>,
}

/// What came of an object that was to be written once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is there now, and was not before.
    Stored,
    /// There was one of that name already, which stays as it was.
    AlreadyThere,
}

/// A tag of an object: a name and a value, by which rules of the store and its tools go.
///
/// ```
/// use athena_sources::Tag;
///
/// let tag: Tag = "review=pending".parse()?;
/// assert_eq!((tag.key(), tag.value()), ("review", "pending"));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    key: String,
    value: String,
}

impl Tag {
    /// What it is called: 1 to 128 characters.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What it says: up to 256 characters.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// From `KEY=VALUE`, of what S3 and Azure both take: letters, digits, blanks and `+ - . / : = _`.
impl FromStr for Tag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((key, value)) = text.split_once('=') else {
            return Err("expected KEY=VALUE".to_owned());
        };
        let plain = |text: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" +-./:=_".contains(&byte);
            text.bytes().all(plain)
        };
        if key.is_empty() || key.len() > 128 || value.len() > 256 {
            return Err(
                "a tag has a key of 1 to 128 characters and a value of up to 256".to_owned(),
            );
        }
        if !plain(key) || !plain(value) {
            return Err(
                "stores take letters, digits, blanks and + - . / : = _ in tags, and no others"
                    .to_owned(),
            );
        }
        Ok(Self {
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}
