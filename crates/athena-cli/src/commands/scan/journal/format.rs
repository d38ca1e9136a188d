use sha2::{Digest, Sha256};

use super::Key;

pub(super) const MAGIC: &[u8; 16] = b"athena-scan-1\r\n\0";
pub(super) const HEADER_BYTES: usize = 32;
pub(super) const ENTRY_BYTES: usize = 48;

/// The first bytes of a journal: what it is, and a digest of the settings it was written with.
pub(super) fn header(settings: &str) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..16].copy_from_slice(MAGIC);
    header[16..].copy_from_slice(&Sha256::digest(settings)[..16]);
    header
}

/// A finished line, or a mark.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) path: Key,
    pub(super) content: Key,
    /// Where the line ends in the output, its line break included.
    pub(super) end: u64,
    pub(super) line_crc: u32,
}

impl Entry {
    pub(super) fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..16].copy_from_slice(&self.path.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.content.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.end.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.line_crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..44]);
        bytes[44..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; ENTRY_BYTES]) -> Option<Self> {
        fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
            let mut part = [0; N];
            part.copy_from_slice(&bytes[at..at + N]);
            part
        }
        let crc = u32::from_le_bytes(part(bytes, 44));
        (crc == crc32fast::hash(&bytes[..44])).then(|| Self {
            path: Key::from_le_bytes(part(bytes, 0)),
            content: Key::from_le_bytes(part(bytes, 16)),
            end: u64::from_le_bytes(part(bytes, 32)),
            line_crc: u32::from_le_bytes(part(bytes, 40)),
        })
    }

    pub(super) fn is_mark(self) -> bool {
        self.path == 0
    }
}
