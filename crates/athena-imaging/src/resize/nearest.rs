#![allow(unsafe_code)]

use crate::{Frame, SIDE};

pub(super) fn resize(frame: &Frame, out: &mut [u8]) {
    let stride = frame.width() as usize * 3;
    let columns = Columns::new(&indices(frame.width() as usize));
    let rows = indices(frame.height() as usize);
    let mut previous = None;
    for (y, &source) in rows.iter().enumerate() {
        let (done, out) = out.split_at_mut(y * SIDE * 3);
        let out = &mut out[..SIDE * 3];
        if previous.replace(source) == Some(source) {
            out.copy_from_slice(&done[(y - 1) * SIDE * 3..]);
        } else {
            columns.pick(&frame.data()[source * stride..], out);
        }
    }
}

/// The source index of each destination index.
pub(super) fn indices(len: usize) -> [usize; SIDE] {
    let scale = super::scale(len);
    std::array::from_fn(|x| ((x as f64 * scale).floor() as usize).min(len - 1))
}

/// The columns of a row, picked by moving four bytes for each pixel.
struct Columns {
    offsets: [u32; SIDE],
    /// One more than the furthest byte that is read.
    reach: usize,
}

impl Columns {
    fn new(indices: &[usize; SIDE]) -> Self {
        let offsets = indices.map(|x| x as u32 * 3);
        let reach = offsets
            .iter()
            .max()
            .map_or(0, |&offset| offset as usize + 4);
        Self { offsets, reach }
    }

    /// `row` may go on beyond the row's own end.
    fn pick(&self, row: &[u8], out: &mut [u8]) {
        let row = super::reaching(row, self.reach);
        let out: &mut [u8; SIDE * 3] = out.try_into().expect("a row");
        for (x, &offset) in self.offsets[..SIDE - 1].iter().enumerate() {
            // SAFETY: `reach` bounds all offsets; the last pixel, behind which there is no fourth byte, is left out.
            unsafe {
                let pixel = row.as_ptr().add(offset as usize).cast::<[u8; 4]>().read();
                out.as_mut_ptr().add(x * 3).cast::<[u8; 4]>().write(pixel);
            }
        }
        let last = self.offsets[SIDE - 1] as usize;
        out[SIDE * 3 - 3..].copy_from_slice(&row[last..][..3]);
    }
}
