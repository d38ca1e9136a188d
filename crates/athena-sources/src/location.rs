//! Names of images: a store, a bucket and a key.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use url::Url;

/// The longest name that is read. Keys have at most 1024 bytes; addresses of web servers may be longer.
const MOST_BYTES: usize = 8 * 1024;

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Store {
    /// Amazon S3, or what speaks its protocol: `s3://bucket/key`.
    S3,
    /// Google Cloud Storage: `gs://bucket/key`.
    Gcs,
    /// Azure Blob Storage: `az://container/key`.
    Azure,
    /// A web server: `https://host/path`.
    Http,
    /// A file of this machine: `file:///path`.
    File,
}

impl Store {
    /// Whether it holds objects in buckets, which can be listed.
    #[must_use]
    pub fn has_listings(self) -> bool {
        matches!(self, Self::S3 | Self::Gcs | Self::Azure)
    }

    /// Whether this build reaches it: each but files is a feature.
    #[must_use]
    pub fn is_built_in(self) -> bool {
        match self {
            Self::S3 => cfg!(feature = "s3"),
            Self::Gcs => cfg!(feature = "gcs"),
            Self::Azure => cfg!(feature = "azure"),
            Self::Http => cfg!(feature = "http"),
            Self::File => true,
        }
    }

    fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
            Self::Http => "https",
            Self::File => "file",
        }
    }
}

/// Where an image is, or the beginning of the names of many.
///
/// Keys of object stores are taken literally, as the stores' own tools take them: `%`, `?`, `#` and blanks
/// stand for themselves. Addresses of web servers and files are URLs.
///
/// ```
/// use athena_sources::Location;
///
/// let photo: Location = "s3://uploads/2026/a photo #1.jpg".parse()?;
/// assert_eq!((photo.bucket(), photo.key()), ("uploads", "2026/a photo #1.jpg"));
/// assert_eq!(photo.to_string(), "s3://uploads/2026/a photo #1.jpg");
/// # Ok::<(), athena_sources::LocationError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    store: Store,
    /// The bucket or container; of a web server scheme, host and port; of a file nothing.
    bucket: Arc<str>,
    key: String,
}

/// A text that is not a [`Location`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LocationError(String);

impl Location {
    /// Whether the text is meant as the name of something in a store, sound or not: other texts are paths.
    #[must_use]
    pub fn is_meant_by(text: &str) -> bool {
        scheme_of(text).is_some()
    }

    /// The kind of store.
    #[must_use]
    pub fn store(&self) -> Store {
        self.store
    }

    /// The bucket or container. Of a web server it is scheme, host and port; of a file it is empty.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The key, which is empty for a bucket as a whole. Of a web server it is path and query; of a file the path.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Another key in the same bucket.
    #[must_use]
    pub fn with_key(&self, key: impl Into<String>) -> Self {
        Self {
            store: self.store,
            bucket: Arc::clone(&self.bucket),
            key: key.into(),
        }
    }

    /// Whether everything whose name begins like this is meant: a bucket, or a key that ends with `/`.
    #[must_use]
    pub fn is_prefix(&self) -> bool {
        self.store.has_listings() && (self.key.is_empty() || self.key.ends_with('/'))
    }

    /// Whether the bucket lists its keys in an order, so that a listing can go on after a key. S3's directory buckets do
    /// not, nor need what reaches a bucket through somebody's function.
    #[must_use]
    pub fn is_ordered(&self) -> bool {
        // Directory buckets, their access points, and those of S3 Object Lambda: the endings are AWS's own.
        // https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
        let unordered = ["--x-s3", "--xa-s3", "--ol-s3"];
        self.store != Store::S3 || !unordered.iter().any(|end| self.bucket.ends_with(end))
    }

    /// Whether a listing of this prefix comes by the other.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        (self.store, &self.bucket) == (other.store, &other.bucket)
            && other.key.starts_with(&self.key)
    }

    /// The address to ask, query included, which may hold a signature: for requests, and for nothing that is
    /// written down.
    #[must_use]
    pub fn address(&self) -> String {
        match self.store {
            Store::Http => format!("{}{}", self.bucket, self.key),
            _ => self.to_string(),
        }
    }
}

/// As it may be written down: without the query of a web server's address, which may hold a signature.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.store {
            Store::Http => {
                let path = self
                    .key
                    .split_once('?')
                    .map_or(&*self.key, |(path, _)| path);
                write!(f, "{}{path}", self.bucket)
            }
            Store::File => match Url::from_file_path(&self.key) {
                Ok(url) => f.write_str(url.as_str()),
                Err(()) => write!(f, "file://{}", self.key),
            },
            store => write!(f, "{}://{}/{}", store.scheme(), self.bucket, self.key),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({:?})", self.to_string())
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let Some((store, rest)) = scheme_of(text) else {
            return Err(LocationError(
                "this is not a URL of a store: there are s3://, gs://, az://, https:// and file://"
                    .to_owned(),
            ));
        };
        if text.len() > MOST_BYTES {
            return Err(LocationError(format!(
                "this name is longer than {MOST_BYTES} bytes"
            )));
        }
        match store {
            Store::Http => web(text),
            Store::File => file(text),
            Store::S3 | Store::Gcs | Store::Azure => bucket(store, rest),
        }
    }
}

fn scheme_of(text: &str) -> Option<(Store, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let store = match scheme.to_ascii_lowercase().as_str() {
        "s3" => Store::S3,
        "gs" => Store::Gcs,
        "az" => Store::Azure,
        // Plain HTTP is refused where it is asked for, in words of its own.
        "https" | "http" => Store::Http,
        "file" => Store::File,
        _ => return None,
    };
    Some((store, rest))
}

fn bucket(store: Store, rest: &str) -> Result<Location, LocationError> {
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    // It becomes part of addresses and signatures: only what the stores allow. `$root`, `$web` and `$logs` are Azure's.
    let plain = bucket.strip_prefix('$').filter(|_| store == Store::Azure);
    let sound = plain.unwrap_or(bucket).bytes().all(|byte| {
        byte.is_ascii_alphanumeric() || (matches!(byte, b'-' | b'_' | b'.') && plain.is_none())
    });
    let named = bucket.bytes().any(|byte| byte.is_ascii_alphanumeric());
    if !sound || !named || bucket.len() > 222 || bucket.starts_with('.') || bucket.contains("..") {
        let scheme = store.scheme();
        return Err(LocationError(match bucket {
            "" => format!("there is no bucket in this URL: {scheme}://BUCKET/KEY"),
            _ => format!(
                "{:?} is not a name of a bucket: {scheme}://BUCKET/KEY",
                athena_text(bucket)
            ),
        }));
    }
    Ok(Location {
        store,
        bucket: bucket.into(),
        key: key.to_owned(),
    })
}

/// What may be shown of a name that is none: a user name and password before an `@` are not.
fn athena_text(bucket: &str) -> &str {
    bucket.rsplit_once('@').map_or(bucket, |(_, host)| host)
}

fn web(text: &str) -> Result<Location, LocationError> {
    let url = Url::parse(text)
        .map_err(|error| LocationError(format!("this address cannot be read: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(LocationError(
            "an address must not hold a user name or a password".to_owned(),
        ));
    }
    let origin = url.origin().ascii_serialization();
    let query = url
        .query()
        .map_or(String::new(), |query| format!("?{query}"));
    Ok(Location {
        store: Store::Http,
        bucket: origin.into(),
        key: format!("{}{query}", url.path()),
    })
}

fn file(text: &str) -> Result<Location, LocationError> {
    let no_path = || LocationError("a file's URL is file:///PATH, of this machine".to_owned());
    let url = Url::parse(text).map_err(|_| no_path())?;
    let path = url.to_file_path().map_err(|()| no_path())?;
    let key = path.into_os_string().into_string();
    Ok(Location {
        store: Store::File,
        bucket: "".into(),
        key: key.map_err(|_| {
            LocationError("the path is not UTF-8: name the file by its path".to_owned())
        })?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(text: &str) -> (Store, String, String) {
        let location: Location = text.parse().expect(text);
        (
            location.store,
            location.bucket.to_string(),
            location.key.clone(),
        )
    }

    #[test]
    fn keys_are_literal_and_addresses_are_urls() {
        for (text, store, bucket, key) in [
            ("s3://b/k.jpg", Store::S3, "b", "k.jpg"),
            ("S3://b//a//b/", Store::S3, "b", "/a//b/"),
            ("s3://b/100%25 #?.jpg", Store::S3, "b", "100%25 #?.jpg"),
            ("s3://b", Store::S3, "b", ""),
            (
                "gs://my_bucket.example.com/é",
                Store::Gcs,
                "my_bucket.example.com",
                "é",
            ),
            ("az://$web/a", Store::Azure, "$web", "a"),
            (
                "https://h:8443/a%20b?sig=x#f",
                Store::Http,
                "https://h:8443",
                "/a%20b?sig=x",
            ),
            ("file:///a%20b.jpg", Store::File, "", "/a b.jpg"),
        ] {
            assert_eq!(
                parts(text),
                (store, bucket.to_owned(), key.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "photos/a.jpg",
            "C:\\a.jpg",
            "s3:/b/k",
            "s3://",
            "s3:///k",
            "s3://a b/k",
            "s3://%2e/k",
            "s3://../k",
            "s3://user:hunter2@b/k",
            "gs://a..b/k",
            "s3://$web/k",
            "https://user:hunter2@h/",
            "https://",
            "file://host/a",
            "ftp://h/a",
        ] {
            let error = text.parse::<Location>().expect_err(text).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn signatures_are_not_shown() {
        let location: Location = "https://h/a?X-Amz-Signature=hunter2".parse().expect("URL");
        assert!(!format!("{location} {location:?}").contains("hunter2"));
        assert!(location.address().ends_with("hunter2"));
    }

    #[test]
    fn prefixes_cover_what_begins_like_them() {
        let at = |text: &str| text.parse::<Location>().expect(text);
        assert!(at("s3://b").is_prefix() && at("s3://b/a/").is_prefix());
        assert!(!at("s3://b/a").is_prefix() && !at("https://h/a/").is_prefix());
        assert!(at("s3://b/a/").covers(&at("s3://b/a/b")));
        assert!(!at("s3://b/a/").covers(&at("s3://b/a")));
        assert!(!at("s3://b/a/").covers(&at("gs://b/a/b")));
    }

    #[test]
    fn directory_buckets_have_no_order() {
        for (text, ordered) in [
            ("s3://uploads/", true),
            ("s3://uploads--use1-az4--x-s3/", false),
            ("s3://uploads--use1-az4--xa-s3/", false),
            ("s3://uploads--ol-s3/", false),
            ("gs://uploads--x-s3/", true),
        ] {
            let location: Location = text.parse().expect(text);
            assert_eq!(location.is_ordered(), ordered, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_key_reads_back(key in "\\PC{0,40}") {
            let text = format!("s3://bucket/{key}");
            let location: Location = text.parse().expect("a key");
            prop_assert_eq!(location.key(), key);
            prop_assert_eq!(location.to_string(), text);
        }

        #[test]
        fn no_text_panics(text in "(s3|gs|az|https|file)://.{0,40}") {
            let _ = text.parse::<Location>();
        }
    }
}
