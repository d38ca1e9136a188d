use crate::{Frame, scratch, simd};

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

impl Picture<4> {
    /// A frame's pixels as they are.
    pub(super) fn of_frame(frame: &Frame) -> Self {
        let mut picture = Self::new(frame.width() as usize, frame.height() as usize);
        make_opaque(frame.data().as_chunks().0, picture.pixels_mut());
        picture
    }
}

simd::kernel! {
    /// Adds alpha to blue, green and red.
    fn make_opaque(bgr: &[[u8; 3]], pixels: &mut [[u8; 4]]) {
        let len = pixels.len();
        let bgr = &bgr[..len];
        for i in 0..len {
            let [blue, green, red] = bgr[i];
            pixels[i] = [blue, green, red, 255];
        }
    }
}

impl<const BYTES: usize> Drop for Picture<BYTES> {
    fn drop(&mut self) {
        scratch::give_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::simd::testing::{LENGTHS, assert_same, bytes};

    #[test]
    fn every_instruction_set_makes_pixels_opaque() {
        for len in LENGTHS {
            for bgr in bytes(len * 3) {
                assert_same!(make_opaque(bgr.as_chunks().0; vec![[7; 4]; len]));
            }
        }
    }
}
