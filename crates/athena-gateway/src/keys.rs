//! Who may call: keys by their digests, client certificates, and what each may do.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::problem::{Kind, Problem};
use crate::sync::lock;

/// Keys are looked at one after another for every request.
const MOST_KEYS: usize = 1000;
/// Random bytes in a new key.
const KEY_BYTES: usize = 32;

/// The callers that a server knows.
///
/// Read from TOML by [`str::parse`]: a list of `[[key]]`, each with a `name`, the `sha256` of the key or of a
/// client certificate (`certificate_sha256`), and if wanted `affiliates` and a `rate` in images a second.
#[derive(Debug, Default)]
pub struct Keys {
    callers: Vec<Arc<Caller>>,
}

/// One caller.
pub(crate) struct Caller {
    name: String,
    key: Option<[u8; 32]>,
    certificate: Option<[u8; 32]>,
    affiliates: Vec<Arc<str>>,
    bucket: Option<Mutex<Bucket>>,
}

/// A file of keys that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeysError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    key: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    sha256: Option<String>,
    certificate_sha256: Option<String>,
    #[serde(default)]
    affiliates: Vec<String>,
    rate: Option<f64>,
}

impl FromStr for Keys {
    type Err = KeysError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let file: File =
            toml::from_str(text).map_err(|error| KeysError(error.message().to_owned()))?;
        if file.key.is_empty() || file.key.len() > MOST_KEYS {
            return Err(KeysError(format!(
                "there must be 1 to {MOST_KEYS} entries [[key]]"
            )));
        }
        let mut callers: Vec<Arc<Caller>> = Vec::with_capacity(file.key.len());
        for entry in file.key {
            let name = entry.name.clone();
            let caller = entry
                .read()
                .map_err(|problem| KeysError(format!("key {name:?}: {problem}")))?;
            if callers.iter().any(|known| known.name == name) {
                return Err(KeysError(format!("key {name:?} comes twice")));
            }
            callers.push(Arc::new(caller));
        }
        Ok(Self { callers })
    }
}

impl Entry {
    fn read(self) -> Result<Caller, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || self.name.len() > 32 || !self.name.chars().all(plain) {
            return Err("a name has 1 to 32 of a-z, A-Z, 0-9, `-`, `_` and `.`".to_owned());
        }
        let key = self.sha256.as_deref().map(digest).transpose()?;
        let certificate = self.certificate_sha256.as_deref().map(digest).transpose()?;
        if key.is_none() && certificate.is_none() {
            return Err("it needs `sha256` or `certificate_sha256`".to_owned());
        }
        if self.affiliates.iter().any(String::is_empty) {
            return Err("an affiliate has a name".to_owned());
        }
        let bucket = match self.rate {
            None => None,
            Some(rate) if rate.is_finite() && rate > 0.0 => Some(Mutex::new(Bucket::new(rate))),
            Some(_) => return Err("`rate` is a number of images a second above 0".to_owned()),
        };
        Ok(Caller {
            name: self.name,
            key,
            certificate,
            affiliates: self.affiliates.into_iter().map(Arc::from).collect(),
            bucket,
        })
    }
}

fn digest(text: &str) -> Result<[u8; 32], String> {
    let wrong = || "a SHA-256 has 64 hexadecimal digits".to_owned();
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes());
    bytes
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(wrong)
}

impl Keys {
    /// A new key, and the entry of the file for it. The key itself is stored nowhere.
    ///
    /// # Errors
    /// When the name cannot be used, or the system gives no random bytes.
    pub fn mint(name: &str) -> Result<(Zeroizing<String>, String), KeysError> {
        use ring::rand::SecureRandom;
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        ring::rand::SystemRandom::new()
            .fill(&mut *bytes)
            .map_err(|_| KeysError("the system gives no random bytes".to_owned()))?;
        let key = Zeroizing::new(format!(
            "athena_{}",
            &*Zeroizing::new(HEXLOWER.encode(&*bytes))
        ));
        let sha256 = HEXLOWER.encode(&Sha256::digest(key.as_bytes()));
        let entry = format!("[[key]]\nname = \"{name}\"\nsha256 = \"{sha256}\"\n");
        entry.parse::<Self>()?;
        Ok((key, entry))
    }

    /// Whose key this is. All are compared, each in constant time.
    pub(crate) fn by_key(&self, key: &[u8]) -> Option<&Arc<Caller>> {
        self.find(&Sha256::digest(key).into(), |caller| caller.key)
    }

    /// Whose certificate this is.
    pub(crate) fn by_certificate(&self, sha256: &[u8; 32]) -> Option<&Arc<Caller>> {
        self.find(sha256, |caller| caller.certificate)
    }

    fn find(
        &self,
        digest: &[u8; 32],
        of: impl Fn(&Caller) -> Option<[u8; 32]>,
    ) -> Option<&Arc<Caller>> {
        let mut found = None;
        for caller in &self.callers {
            if of(caller).is_some_and(|known| known.ct_eq(digest).into()) {
                found = Some(caller);
            }
        }
        found
    }
}

impl Caller {
    /// Whoever calls a server that knows no keys.
    pub(crate) fn anybody() -> Self {
        Self::named("")
    }

    /// A caller with a certificate that the server's CA has signed, and no entry of its own.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            key: None,
            certificate: None,
            affiliates: Vec::new(),
            bucket: None,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A caller's key where those of all callers are together: no two callers have one in common.
    pub(crate) fn scoped(&self, key: &str) -> String {
        match self.name.is_empty() {
            true => key.to_owned(),
            // A name has no colon.
            false => format!("{}:{key}", self.name),
        }
    }

    /// On whose behalf an image is sent: what was asked for if that is permitted, else the caller's first.
    pub(crate) fn affiliate(&self, asked: Option<&str>) -> Result<Option<Arc<str>>, Problem> {
        match (asked, self.affiliates.first()) {
            (None, first) => Ok(first.cloned()),
            (Some(asked), None) => Ok(Some(asked.into())),
            (Some(asked), Some(_)) => (self.affiliates.iter())
                .find(|permitted| &***permitted == asked)
                .map(|permitted| Some(Arc::clone(permitted)))
                .ok_or_else(|| {
                    Problem::new(
                        Kind::Forbidden,
                        "this key may not act on behalf of that affiliate",
                    )
                }),
        }
    }

    /// Takes one image from what the caller may send.
    pub(crate) fn take(&self) -> Result<(), Problem> {
        let Some(bucket) = &self.bucket else {
            return Ok(());
        };
        let mut bucket = lock(bucket);
        bucket.take(Instant::now()).map_err(|wait| {
            Problem::new(Kind::RateLimited, "this key's rate is used up").retry_after(wait)
        })
    }
}

/// A digest is of no use to anybody, and is not shown all the same.
impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("name", &self.name)
            .field("affiliates", &self.affiliates)
            .finish_non_exhaustive()
    }
}

/// Tokens that fill up at a rate: a second's worth, and at least one, may be used at once.
#[derive(Debug)]
struct Bucket {
    rate: f64,
    tokens: f64,
    at: Option<Instant>,
}

impl Bucket {
    fn new(rate: f64) -> Self {
        Self {
            rate,
            tokens: rate.max(1.0),
            at: None,
        }
    }

    /// Takes a token, or says how long until there is one.
    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        if let Some(at) = self.at.replace(now) {
            let came = now.saturating_duration_since(at).as_secs_f64() * self.rate;
            self.tokens = (self.tokens + came).min(self.rate.max(1.0));
        }
        if self.tokens < 1.0 {
            let wait = ((1.0 - self.tokens) / self.rate).min(3600.0);
            return Err(Duration::from_secs_f64(wait));
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_key_is_found_and_no_other() {
        let (key, entry) = Keys::mint("forum").expect("minted");
        let keys: Keys = entry.parse().expect("valid");
        assert_eq!(keys.by_key(key.as_bytes()).expect("known").name(), "forum");
        for other in [&b""[..], b"athena_", &key.as_bytes()[1..]] {
            assert!(keys.by_key(other).is_none());
        }
        assert!(!entry.contains(&*key));
    }

    #[test]
    fn mistakes_in_the_file_name_their_key() {
        let sha = "0".repeat(64);
        for (text, wanted) in [
            ("", "1 to 1000"),
            ("[[key]]\nname = 'a'\n", "needs `sha256`"),
            ("[[key]]\nname = 'a'\nsha256 = 'abc'\n", "64 hexadecimal"),
            ("[[key]]\nname = 'a b'\nsha256 = 'S'\n", "a name has"),
            ("[[key]]\nname = 'a'\nsha256 = 'S'\nrate = 0\n", "rate"),
            (
                "[[key]]\nname = 'a'\nsha256 = 'S'\n[[key]]\nname = 'a'\nsha256 = 'S'\n",
                "twice",
            ),
            ("[[key]]\nname = 'a'\nsecret = 'x'\n", "secret"),
        ] {
            let error = text
                .replace('S', &sha)
                .parse::<Keys>()
                .expect_err("refused");
            assert!(error.to_string().contains(wanted), "{text}: {error}");
        }
    }

    #[test]
    fn affiliates_are_those_of_the_key() {
        let sha = "0".repeat(64);
        let text = format!("[[key]]\nname = 'a'\nsha256 = '{sha}'\naffiliates = ['x', 'y']\n");
        let keys: Keys = text.parse().expect("valid");
        let caller = &keys.callers[0];
        let affiliate = |asked| {
            caller
                .affiliate(asked)
                .map(|found| found.expect("one").to_string())
        };
        assert_eq!(affiliate(None).expect("first"), "x");
        assert_eq!(affiliate(Some("y")).expect("permitted"), "y");
        assert_eq!(
            affiliate(Some("z")).expect_err("not").kind(),
            Kind::Forbidden
        );
    }

    #[test]
    fn a_rate_lets_through_what_it_says() {
        let mut bucket = Bucket::new(2.0);
        let start = Instant::now();
        let mut taken = 0;
        for tenth in 0..100 {
            taken += u32::from(
                bucket
                    .take(start + Duration::from_millis(tenth * 100))
                    .is_ok(),
            );
        }
        // Two at once, and two in each of the ten seconds.
        assert!((20..=22).contains(&taken), "{taken}");
        let wait = bucket
            .take(start + Duration::from_millis(9901))
            .expect_err("empty");
        assert!(wait <= Duration::from_millis(500));
    }
}
