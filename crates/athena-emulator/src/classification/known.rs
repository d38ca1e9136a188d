use std::collections::HashSet;
use std::sync::RwLock;

use crate::config::Config;
use crate::error::Error;
use crate::sync::{read, write};

/// The digests that count as known content.
#[derive(Debug, Default)]
pub(crate) struct KnownHashes(RwLock<HashSet<String>>);

impl KnownHashes {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let known = Self::default();
        for hash in &config.known_hashes {
            known.insert(hash)?;
        }
        if let Some(path) = &config.known_hashes_file {
            let text = std::fs::read_to_string(path)
                .map_err(Error::file("read the list of known hashes", path))?;
            for line in text.lines() {
                let hash = line.split('#').next().unwrap_or_default().trim();
                if !hash.is_empty() {
                    known.insert(hash)?;
                }
            }
        }
        Ok(known)
    }

    /// Adds an MD5 or SHA-1 digest in hexadecimal.
    pub(crate) fn insert(&self, hash: &str) -> Result<(), Error> {
        let digest = hash.trim().to_ascii_lowercase();
        let hexadecimal = digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !hexadecimal || !matches!(digest.len(), 32 | 40) {
            return Err(Error::setting(
                "known_hashes",
                format!(
                    "{hash:?} is neither an MD5 digest of 32 nor a SHA-1 digest of 40 hexadecimal digits"
                ),
            ));
        }
        write(&self.0).insert(digest);
        Ok(())
    }

    /// The contract has digests in lower case; others are read so.
    pub(crate) fn contains(&self, hash: &str) -> bool {
        read(&self.0).contains(&hash.to_ascii_lowercase())
    }

    /// Removes all but those of `other`.
    pub(crate) fn reset(&self, other: &Self) {
        let digests = read(&other.0).clone();
        *write(&self.0) = digests;
    }

    pub(crate) fn clear(&self) {
        self.reset(&Self::default());
    }

    pub(crate) fn list(&self) -> Vec<String> {
        let digests = read(&self.0);
        let mut list: Vec<_> = digests.iter().cloned().collect();
        list.sort_unstable();
        list
    }

    pub(crate) fn len(&self) -> usize {
        read(&self.0).len()
    }
}
