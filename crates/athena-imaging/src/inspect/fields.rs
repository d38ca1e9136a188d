/// Integers at places in a file; `None` outside it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) little_endian: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn little(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            little_endian: true,
        }
    }

    pub(super) fn big(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            little_endian: false,
        }
    }

    pub(super) fn at(&self, at: usize, len: usize) -> Option<&'a [u8]> {
        self.bytes.get(at..at.checked_add(len)?)
    }

    pub(super) fn u8(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    pub(super) fn u16(&self, at: usize) -> Option<u16> {
        self.uint(at, 2).map(|value| value as u16)
    }

    pub(super) fn u32(&self, at: usize) -> Option<u32> {
        self.uint(at, 4).map(|value| value as u32)
    }

    /// An unsigned integer of up to eight bytes.
    pub(super) fn uint(&self, at: usize, len: usize) -> Option<u64> {
        let bytes = self.at(at, len)?;
        let append = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if self.little_endian {
            bytes.iter().rev().fold(0, append)
        } else {
            bytes.iter().fold(0, append)
        })
    }
}
