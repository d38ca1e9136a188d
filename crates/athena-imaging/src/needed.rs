#[cfg(feature = "native")]
use crate::Orientation;

/// The columns and rows of an image that a resize reads, in ascending order; one that is read twice is listed twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Needed {
    pub(crate) columns: Vec<u32>,
    pub(crate) rows: Vec<u32>,
}

#[cfg(feature = "native")]
impl Needed {
    /// The same pixels in an image as it is stored, `width` by `height`, before it is turned upright.
    pub(crate) fn stored(self, orientation: Orientation, width: u32, height: u32) -> Self {
        use Orientation::*;
        let (columns, rows) = if orientation.swaps_axes() {
            (self.rows, self.columns)
        } else {
            (self.columns, self.rows)
        };
        let mirror =
            |indices: Vec<u32>, len: u32| indices.into_iter().rev().map(|i| len - 1 - i).collect();
        let columns = match orientation {
            FlipHorizontal | Rotate180 | Transverse | Rotate270 => mirror(columns, width),
            _ => columns,
        };
        let rows = match orientation {
            Rotate180 | FlipVertical | Rotate90 | Transverse => mirror(rows, height),
            _ => rows,
        };
        Self { columns, rows }
    }

    /// Picks the needed columns out of a row of BGR pixels.
    pub(crate) fn pick(&self, row: &[u8], out: &mut [u8]) {
        for (pair, out) in self.columns.chunks_exact(2).zip(out.chunks_exact_mut(6)) {
            let first = &row[pair[0] as usize * 3..];
            if pair[1] == pair[0] + 1 {
                out.copy_from_slice(&first[..6]);
            } else {
                out[..3].copy_from_slice(&first[..3]);
                out[3..].copy_from_slice(&row[pair[1] as usize * 3..][..3]);
            }
        }
    }
}
