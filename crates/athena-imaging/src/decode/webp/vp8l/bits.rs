/// Reads bits, the least significant of each byte first. Behind the end are zeroes, as libwebp has it.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Bits<'a> {
    /// From bit `position` of the bytes on.
    pub(super) fn new(bytes: &'a [u8], position: usize) -> Self {
        Self { bytes, position }
    }

    /// The next bits without moving on, 57 of them at least.
    #[inline]
    fn next(&self) -> u64 {
        let rest = self.bytes.get(self.position / 8..).unwrap_or_default();
        let bytes = rest.first_chunk().copied().unwrap_or_else(|| {
            let mut bytes = [0; 8];
            bytes[..rest.len()].copy_from_slice(rest);
            bytes
        });
        u64::from_le_bytes(bytes) >> (self.position % 8)
    }

    /// The next `count` bits without moving on, at most 57.
    #[inline]
    pub(super) fn peek(&self, count: u32) -> usize {
        (self.next() & ((1 << count) - 1)) as usize
    }

    #[inline]
    pub(super) fn skip(&mut self, count: u32) {
        self.position += count as usize;
    }

    #[inline]
    pub(super) fn read(&mut self, count: u32) -> usize {
        let value = self.peek(count);
        self.skip(count);
        value
    }

    pub(super) fn flag(&mut self) -> bool {
        self.read(1) == 1
    }

    /// Whether more was read than there is. libwebp's reader holds 64 bits, so that many may be read of a shorter stream.
    #[inline]
    pub(super) fn are_exceeded(&self) -> bool {
        self.position > self.all()
    }

    pub(super) fn left(&self) -> usize {
        self.all().saturating_sub(self.position)
    }

    fn all(&self) -> usize {
        (8 * self.bytes.len()).max(64)
    }
}
