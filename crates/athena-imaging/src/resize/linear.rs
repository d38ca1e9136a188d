use crate::{Frame, SIDE};

pub(super) fn resize(frame: &Frame, out: &mut [u8]) {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let columns: Vec<Tap> = (0..SIDE).map(|x| Tap::column(x, width)).collect();
    for (y, out) in out.chunks_exact_mut(SIDE * 3).enumerate() {
        let tap = Tap::row(y, height);
        let rows = [frame.row(tap.first), frame.row(tap.second)];
        for (out, column) in out.chunks_exact_mut(3).zip(&columns) {
            for (channel, out) in out.iter_mut().enumerate() {
                let [t0, t1] = rows.map(|row| {
                    let (a, b) = (
                        row[column.first * 3 + channel],
                        row[column.second * 3 + channel],
                    );
                    i32::from(
                        (i32::from(a) * column.weights[0] + i32::from(b) * column.weights[1])
                            as u16
                            >> 4,
                    )
                });
                let sum = ((t0 * tap.weights[0]) >> 16) + ((t1 * tap.weights[1]) >> 16);
                *out = ((sum + 2) >> 2) as u8;
            }
        }
    }
}

/// The two source pixels of a destination pixel along one axis, and their weights in 1/2048.
struct Tap {
    first: usize,
    second: usize,
    weights: [i32; 2],
}

impl Tap {
    fn column(x: usize, len: usize) -> Self {
        let (mut position, mut fraction) = position(x, len);
        if position < 0 {
            (position, fraction) = (0, 0.0);
        }
        if position >= len as i64 - 1 {
            (position, fraction) = (len as i64 - 1, 0.0);
        }
        Self::new(position, fraction, len)
    }

    fn row(y: usize, len: usize) -> Self {
        let (position, fraction) = position(y, len);
        Self::new(position, fraction, len)
    }

    fn new(position: i64, fraction: f32, len: usize) -> Self {
        let index = |i: i64| i.clamp(0, len as i64 - 1) as usize;
        let weight = |w: f32| (w * 2048.0).round_ties_even() as i32;
        Self {
            first: index(position),
            second: index(position + 1),
            weights: [weight(1.0 - fraction), weight(fraction)],
        }
    }
}

fn position(index: usize, len: usize) -> (i64, f32) {
    let exact = ((index as f64 + 0.5) * super::scale(len) - 0.5) as f32;
    let whole = exact.floor();
    (whole as i64, exact - whole)
}
