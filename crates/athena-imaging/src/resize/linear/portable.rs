use super::{Blended, LANES, Tap};

/// Plain code that compilers vectorise as they can.
pub(super) struct Kernel<'a> {
    columns: &'a [Tap],
}

impl<'a> Kernel<'a> {
    pub(super) fn new(columns: &'a [Tap]) -> Self {
        Self { columns }
    }
}

impl super::Kernel for Kernel<'_> {
    fn columns(&self, row: &[u8], out: &mut Blended) {
        for (tap, out) in self.columns.iter().zip(out.chunks_exact_mut(LANES)) {
            let first = &row[tap.first as usize * 3..][..3];
            let second = &row[tap.second as usize * 3..][..3];
            let [a, b] = tap.weights.map(i32::from);
            for c in 0..3 {
                out[c] = ((i32::from(first[c]) * a + i32::from(second[c]) * b) >> 4) as i16;
            }
        }
    }

    fn rows(&self, rows: [&Blended; 2], weights: [i16; 2], out: &mut [u8]) {
        let [a, b] = weights.map(i32::from);
        let pixels = rows[0].chunks_exact(LANES).zip(rows[1].chunks_exact(LANES));
        for (out, (first, second)) in out.chunks_exact_mut(3).zip(pixels) {
            for c in 0..3 {
                let sum = ((i32::from(first[c]) * a) >> 16) + ((i32::from(second[c]) * b) >> 16);
                out[c] = ((sum + 2) >> 2) as u8;
            }
        }
    }
}
