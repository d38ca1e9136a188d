use std::fmt;

use crate::{Budget, ImageError, scratch};

/// Decoded pixels: rows from the top, three bytes each (blue, green, red), no padding.
///
/// This is the layout of OpenCV's `imdecode(bytes, IMREAD_COLOR)`.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    width: u32,
    height: u32,
    data: Vec<u8>,
}

impl Frame {
    /// Wraps BGR bytes.
    ///
    /// # Errors
    ///
    /// When a side is zero or `data` is not `width * height * 3` bytes long.
    pub fn from_bgr(width: u32, height: u32, data: Vec<u8>) -> Result<Self, ImageError> {
        let expected = u64::from(width) * u64::from(height) * 3;
        if expected == 0 || data.len() as u64 != expected {
            return Err(ImageError::invalid_frame(width, height, data.len()));
        }
        Ok(Self {
            width,
            height,
            data,
        })
    }

    /// Wraps BGR bytes of the right number.
    pub(crate) fn from_parts(width: u32, height: u32, data: Vec<u8>) -> Self {
        debug_assert_eq!(data.len(), width as usize * height as usize * 3);
        Self {
            width,
            height,
            data,
        }
    }

    /// A black frame, once its size is admitted and paid for: the one way in which decoders allocate pixels.
    pub(crate) fn zeroed(width: u32, height: u32, budget: &Budget<'_>) -> Result<Self, ImageError> {
        budget.check_size(width, height)?;
        budget.charge(u64::from(width) * u64::from(height))?;
        let len = width as usize * height as usize * 3;
        Ok(Self {
            width,
            height,
            data: scratch::zeroed(len),
        })
    }

    /// Pixels in a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The BGR bytes, `width * height * 3` of them.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The BGR bytes, for writing.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// Gives up the frame for its bytes.
    pub fn into_data(mut self) -> Vec<u8> {
        std::mem::take(&mut self.data)
    }

    /// The bytes of row `y`.
    pub(crate) fn row(&self, y: usize) -> &[u8] {
        let stride = self.width as usize * 3;
        &self.data[y * stride..][..stride]
    }

    /// The bytes of row `y`, for writing.
    pub(crate) fn row_mut(&mut self, y: usize) -> &mut [u8] {
        let stride = self.width as usize * 3;
        &mut self.data[y * stride..][..stride]
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        scratch::give_back(std::mem::take(&mut self.data));
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} x {} BGR)", self.width, self.height)
    }
}
