//! From a key to a token of a subject.

use std::fmt::Write;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// Longer tokens give way to a digest: a subject has its place in a line of 4 KiB, and servers keep them in memory.
const MOST: usize = 200;

/// The token that stands for a key in subjects: itself, with `=XX` for every byte that has a meaning there or none
/// that can be seen. Two keys never have the same token.
pub fn token(key: &str) -> String {
    let mut token = String::with_capacity(key.len());
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/' | b':' | b'@' | b'+') {
            token.push(char::from(byte));
        } else {
            let _ = write!(token, "={byte:02X}");
        }
    }
    if token.is_empty() || token.len() > MOST {
        // No encoded key begins so: an S is not a hexadecimal digit.
        token = format!("=SHA256-{}", HEXLOWER.encode(&Sha256::digest(key)));
    }
    token
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tokens_read_as_their_keys() {
        assert_eq!(token("upload-7"), "upload-7");
        assert_eq!(token("s3://b/a b.jpg"), "s3://b/a=20b=2Ejpg");
        assert_eq!(token("*.>="), "=2A=2E=3E=3D");
        assert!(token(&"x".repeat(201)).starts_with("=SHA256-"));
        assert_ne!(token(&"x".repeat(201)), token(&"x".repeat(202)));
    }

    proptest! {
        #[test]
        fn no_two_keys_share_a_token(a in ".{0,80}", b in ".{0,80}") {
            prop_assert_eq!(a == b, token(&a) == token(&b));
            let plain = token(&a).bytes().all(|byte| byte.is_ascii_graphic() && !b"*.>".contains(&byte));
            prop_assert!(plain);
        }
    }
}
