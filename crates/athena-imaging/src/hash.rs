use std::convert::Infallible;
use std::fmt;

use data_encoding::HEXLOWER;
use md5::Md5;
use sha1::{Digest, Sha1};
use sha2::Sha256;

/// Digests of a file's original bytes, as hash lists of known content hold them.
///
/// ```
/// use athena_imaging::Hashes;
///
/// let hashes = Hashes::of(b"abc");
/// assert_eq!(hashes.md5_hex(), "900150983cd24fb0d6963f7d28e17f72");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Hashes {
    /// MD5.
    pub md5: [u8; 16],
    /// SHA-1.
    pub sha1: [u8; 20],
}

/// Bytes hashed by one function before the next has its turn: they stay in the first-level cache.
const CHUNK: usize = 16 << 10;
/// Bytes between two questions whether to go on: some 2 ms.
const PIECE: usize = 512 << 10;

impl Hashes {
    /// Hashes `bytes` in one pass.
    pub fn of(bytes: &[u8]) -> Self {
        let Ok(hashes) = Self::while_wanted(bytes, || Ok::<_, Infallible>(()));
        hashes
    }

    /// As [`of`](Self::of), as long as there is no error in between.
    pub(crate) fn while_wanted<E>(
        bytes: &[u8],
        wanted: impl Fn() -> Result<(), E>,
    ) -> Result<Self, E> {
        let (mut md5, mut sha1) = (Md5::new(), Sha1::new());
        for piece in bytes.chunks(PIECE) {
            for chunk in piece.chunks(CHUNK) {
                md5.update(chunk);
                sha1.update(chunk);
            }
            wanted()?;
        }
        Ok(Self {
            md5: md5.finalize().into(),
            sha1: sha1.finalize().into(),
        })
    }

    /// The MD5 in lower-case hexadecimal, as the service takes it.
    pub fn md5_hex(&self) -> String {
        HEXLOWER.encode(&self.md5)
    }

    /// The SHA-1 in lower-case hexadecimal, as the service takes it.
    pub fn sha1_hex(&self) -> String {
        HEXLOWER.encode(&self.sha1)
    }
}

/// The SHA-256 of a file or of a frame. The service takes none: it is for records and for telling
/// equal files.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The SHA-256 in lower-case hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(&sha256(bytes))
}

impl fmt::Debug for Hashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hashes")
            .field("md5", &self.md5_hex())
            .field("sha1", &self.sha1_hex())
            .finish()
    }
}
