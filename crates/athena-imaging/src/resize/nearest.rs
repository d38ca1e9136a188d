use crate::{Frame, SIDE};

pub(super) fn resize(frame: &Frame, out: &mut [u8]) {
    let columns = indices(frame.width() as usize);
    let rows = indices(frame.height() as usize);
    let mut previous = None;
    for (y, &source) in rows.iter().enumerate() {
        let (done, out) = out.split_at_mut(y * SIDE * 3);
        let out = &mut out[..SIDE * 3];
        if previous.replace(source) == Some(source) {
            out.copy_from_slice(&done[(y - 1) * SIDE * 3..]);
            continue;
        }
        let row = frame.row(source);
        for (out, &x) in out.chunks_exact_mut(3).zip(&columns) {
            out.copy_from_slice(&row[x * 3..][..3]);
        }
    }
}

/// The source index of each destination index.
pub(super) fn indices(len: usize) -> [usize; SIDE] {
    let scale = super::scale(len);
    std::array::from_fn(|x| ((x as f64 * scale).floor() as usize).min(len - 1))
}
