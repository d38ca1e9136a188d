use crate::scratch;

/// Pixels, as they are or transformed: of one byte each, which is the format's green, or of four: blue, green, red, alpha.
#[derive(Debug)]
pub(super) struct Picture<const BYTES: usize> {
    pub(super) width: usize,
    bytes: Vec<u8>,
}

impl<const BYTES: usize> Picture<BYTES> {
    /// A picture whose pixels are to be overwritten.
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            bytes: scratch::to_overwrite(width * height * BYTES),
        }
    }

    /// A picture of these pixels.
    pub(super) fn of(pixels: &[[u8; BYTES]], width: usize) -> Self {
        let mut picture = Self::new(width, pixels.len() / width);
        picture.bytes.copy_from_slice(pixels.as_flattened());
        picture
    }

    pub(super) fn pixels(&self) -> &[[u8; BYTES]] {
        self.bytes.as_chunks().0
    }

    pub(super) fn pixels_mut(&mut self) -> &mut [[u8; BYTES]] {
        self.bytes.as_chunks_mut().0
    }
}

impl<const BYTES: usize> Drop for Picture<BYTES> {
    fn drop(&mut self) {
        scratch::give_back(std::mem::take(&mut self.bytes));
    }
}
