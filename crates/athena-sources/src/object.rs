//! What is known of an object, and what of it is wanted.

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
    /// Only what has this ETag: anything else is [`Changed`](crate::ErrorKind::Changed).
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
