//! `--shards`: a part of the input for each of several machines that do not talk.

use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::input::Found;

/// One of so many parts. Which one an image is in goes by its path or URL alone, not by its version: so it is the
/// same one on every machine and in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    number: u64,
    of: u64,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text
            .split_once('/')
            .and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parsed {
            Some((number, of)) if number >= 1 && number <= of && of <= 65_536 => {
                Ok(Self { number, of })
            }
            _ => Err("expected such as 2/8, the second of eight parts".to_owned()),
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl Shard {
    /// Whether an image is in this part.
    pub(super) fn takes(self, found: &Found) -> bool {
        match found {
            Ok(input) => self.takes_name(input.path().as_os_str().as_encoded_bytes()),
            // What cannot be listed is everybody's trouble.
            Err(_) => true,
        }
    }

    fn takes_name(self, name: &[u8]) -> bool {
        let digest = Sha256::digest(name);
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        u64::from_be_bytes(first) % self.of == self.number - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_in_one_part_and_the_parts_are_alike() {
        let shards: Vec<Shard> = (1..=4)
            .map(|number| format!("{number}/4").parse().expect("a part"))
            .collect();
        let mut sizes = [0; 4];
        for number in 0..4000 {
            let name = format!("s3://bucket/{number}.jpg");
            let takers: Vec<usize> = (0..4)
                .filter(|at| shards[*at].takes_name(name.as_bytes()))
                .collect();
            assert_eq!(takers.len(), 1, "{name}");
            sizes[takers[0]] += 1;
        }
        assert!(
            sizes.iter().all(|size| (850..1150).contains(size)),
            "{sizes:?}"
        );
    }

    #[test]
    fn parts_are_read() {
        for text in ["0/4", "5/4", "1", "1/", "/2", "1/0", "a/b", "1/100000"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
