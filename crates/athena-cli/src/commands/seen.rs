//! Which images have been come across, or have their outcomes: of a hundred million, in less than 2 GB.
//!
//! A hash table that doubles takes 17 bytes for each of twice as many keys, and while it grows those of the old
//! one besides. Keys are digests, evenly spread: so their first 16 bits choose one of 65,536 sorted runs, which hold the
//! other 112, and each grows by itself and by little. All 128 bits are compared, since whoever names images may
//! look for names whose keys have fewer in common.

/// A path, a name or a file's content: 128 bits of SHA-256. Zero stands for none.
pub(super) type Key = u128;

/// The runs: one for each value of a key's first bits.
const RUNS: usize = 1 << 16;
/// What a run holds of a key.
type Rest = [u8; 14];

/// A set of keys.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Empty until there is a key, as most sets are.
    runs: Vec<Vec<Rest>>,
}

impl Seen {
    /// False when it was there already.
    pub(super) fn insert(&mut self, key: Key) -> bool {
        if self.runs.is_empty() {
            self.runs.resize_with(RUNS, Vec::new);
        }
        let (run, rest) = split(key);
        let run = &mut self.runs[run];
        let Err(at) = run.binary_search(&rest) else {
            return false;
        };
        if run.len() == run.capacity() {
            // An eighth more, where Vec would take twice as much.
            run.reserve_exact(run.len() / 8 + 4);
        }
        run.insert(at, rest);
        true
    }

    /// False when it was not there.
    pub(super) fn remove(&mut self, key: Key) -> bool {
        let (run, rest) = split(key);
        let Some(run) = self.runs.get_mut(run) else {
            return false;
        };
        let Ok(at) = run.binary_search(&rest) else {
            return false;
        };
        run.remove(at);
        true
    }

    #[cfg(test)]
    pub(super) fn contains(&self, key: Key) -> bool {
        let (run, rest) = split(key);
        (self.runs.get(run)).is_some_and(|run| run.binary_search(&rest).is_ok())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.runs.iter().map(Vec::len).sum()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The run that a key belongs to, and what is held of it there.
fn split(key: Key) -> (usize, Rest) {
    let [first, second, rest @ ..] = key.to_be_bytes();
    (usize::from(u16::from_be_bytes([first, second])), rest)
}

/// The key of something, from its SHA-256.
pub(super) fn digest_key(sha256: &[u8; 32]) -> Key {
    let mut key = [0; 16];
    key.copy_from_slice(&sha256[..16]);
    Key::from_le_bytes(key)
}

#[cfg(test)]
impl<const N: usize> From<[Key; N]> for Seen {
    fn from(keys: [Key; N]) -> Self {
        let mut seen = Self::default();
        for key in keys {
            seen.insert(key);
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn it_is_a_set(steps in proptest::collection::vec((any::<bool>(), 0_u128..40), 0..400)) {
            let (mut seen, mut model) = (Seen::default(), HashSet::new());
            for (insert, number) in steps {
                // Some share a run, and some their last bits.
                let key = ((number % 3) << 112) | (number / 3);
                match insert {
                    true => prop_assert_eq!(seen.insert(key), model.insert(key)),
                    false => prop_assert_eq!(seen.remove(key), model.remove(&key)),
                }
                prop_assert_eq!(seen.contains(key), model.contains(&key));
            }
            prop_assert_eq!(seen.len(), model.len());
        }
    }

    /// `ATHENA_KEYS=100000000 cargo test --release -p athena-cli --bin athena memory_of_a_list -- --ignored --nocapture`
    #[cfg(target_os = "linux")]
    #[test]
    #[ignore = "a measurement, in a process of its own"]
    fn memory_of_a_list() {
        let keys = std::env::var("ATHENA_KEYS").ok();
        let keys: u64 = keys
            .and_then(|text| text.parse().ok())
            .unwrap_or(10_000_000);
        let mut seen = Seen::default();
        for number in 0..keys.div_ceil(2) {
            let digest: [u8; 32] = Sha256::digest(number.to_le_bytes()).into();
            for half in digest.chunks_exact(16) {
                let half = half.try_into().expect("16 bytes");
                assert!(seen.insert(Key::from_be_bytes(half)));
            }
        }
        let status = std::fs::read_to_string("/proc/self/status").expect("status");
        let peak = status.lines().find(|line| line.starts_with("VmHWM"));
        let peak = peak.expect("peak");
        println!("{keys} keys: {peak}");
        let kib: u64 = (peak.split_whitespace().nth(1))
            .and_then(|kib| kib.parse().ok())
            .expect("KiB");
        assert!(kib * 1024 < 20 * keys + (64 << 20), "{peak}");
    }
}
