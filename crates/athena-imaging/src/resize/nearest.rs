use crate::{Frame, SIDE};

pub(super) fn resize(frame: &Frame, out: &mut [u8]) {
    let columns = indices(frame.width() as usize);
    let rows = indices(frame.height() as usize);
    for (out, &y) in out.chunks_exact_mut(SIDE * 3).zip(&rows) {
        let row = frame.row(y);
        for (out, &x) in out.chunks_exact_mut(3).zip(&columns) {
            out.copy_from_slice(&row[x * 3..][..3]);
        }
    }
}

/// The source index of each destination index.
fn indices(len: usize) -> [usize; SIDE] {
    let scale = super::scale(len);
    std::array::from_fn(|x| ((x as f64 * scale).floor() as usize).min(len - 1))
}
