//! Boxes of the ISO base media file format (ISO/IEC 14496-12), and the numbers in them.

/// Reads big-endian numbers; `None` past the end.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of so many bytes, at most eight.
    pub(super) fn uint(&mut self, len: usize) -> Option<u64> {
        let bytes = self.take(len)?;
        Some(
            bytes
                .iter()
                .fold(0, |all, &byte| all << 8 | u64::from(byte)),
        )
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.uint(1).map(|number| number as u8)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.uint(2).map(|number| number as u16)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.uint(4).map(|number| number as u32)
    }

    /// Version and flags of a full box.
    pub(super) fn version(&mut self) -> Option<(u8, u32)> {
        Some((self.u8()?, self.uint(3)? as u32))
    }
}

pub(super) struct IsoBox<'a> {
    pub(super) kind: [u8; 4],
    pub(super) body: &'a [u8],
}

/// The boxes that follow each other; ends at what is none.
pub(super) struct Boxes<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Boxes<'a> {
    type Item = IsoBox<'a>;

    fn next(&mut self) -> Option<IsoBox<'a>> {
        let whole = self.0;
        let mut fields = Fields(whole);
        let len = fields.u32()?;
        let kind = *fields.take(4)?.first_chunk()?;
        let len = match len {
            0 => whole.len(),
            1 => usize::try_from(fields.uint(8)?).ok()?,
            len => len as usize,
        };
        if &kind == b"uuid" {
            fields.take(16)?;
        }
        let header = whole.len() - fields.0.len();
        let body = whole.get(header..len)?;
        self.0 = &whole[len..];
        Some(IsoBox { kind, body })
    }
}

/// The first box of a kind.
pub(super) fn find<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    Boxes(bytes)
        .find(|found| found.kind == *kind)
        .map(|found| found.body)
}
