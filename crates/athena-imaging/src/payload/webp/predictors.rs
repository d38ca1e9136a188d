//! All of the format's predictors, for those who try each of them.

use super::predict::{Around, Planes, is_left_nearer};
use crate::simd;

/// The last predictor's number. The first one, black, leaves the pixels as they are and is not tried.
pub(super) const LAST: u8 = 13;
/// The one that looks at all planes of a pixel at once.
const SELECT: u8 = 11;

/// Whether a predictor needs the pixel just decoded, other than to add to it: libwebp takes longer for those.
pub(super) fn is_serial(number: u8) -> bool {
    matches!(number, 5..=7 | 10..=13)
}

/// What a predictor leaves of whole rows, as many as there is room for: of green, red and blue the differences.
pub(super) fn leave(number: u8, pixels: &Planes, first: usize, out: [&mut [u8]; 3]) {
    let width = pixels.width;
    let planes = pixels.planes();
    let end = first * width + out[0].len();
    let mut out = out;
    let mut row = first * width;
    if first == 0 {
        // The first row is predicted from the left, its first pixel as black.
        for (plane, out) in planes.into_iter().zip(&mut out) {
            out[0] = plane[0];
            let rest = out[1..width].iter_mut().zip(plane.windows(2));
            rest.for_each(|(out, pair)| *out = pair[1].wrapping_sub(pair[0]));
        }
        out = out.map(|out| &mut out[width..]);
        row = width;
    }
    if row == end {
        return;
    }
    // All rows at once: what comes of each row's first pixel is overwritten.
    let inner = row + 1..end;
    let before = |by: usize| inner.start - by..inner.end - by;
    if number == SELECT {
        let [g, r, b] = planes.map(|plane| (&plane[row..end], &plane[row - width..end - width]));
        let [green, red, blue] = &mut out;
        leave_selected(
            g.0,
            r.0,
            b.0,
            g.1,
            r.1,
            b.1,
            &mut green[1..],
            &mut red[1..],
            &mut blue[1..],
        );
    }
    for (plane, out) in planes.into_iter().zip(out) {
        if number != SELECT {
            leave_of_plane(
                number,
                &plane[inner.clone()],
                &plane[before(1)],
                &plane[before(width)],
                &plane[before(width + 1)],
                // Right above the last pixel of a row is, as the format has it, the first one of its own row.
                &plane[before(width - 1)],
                &mut out[1..],
            );
        }
        // The first column is predicted from above.
        for (at, out) in (row..end).zip(out).step_by(width) {
            *out = plane[at].wrapping_sub(plane[at - width]);
        }
    }
}

/// Half the sum, rounded down.
#[inline(always)]
fn average(a: u8, b: u8) -> u8 {
    (a & b) + ((a ^ b) >> 1)
}

/// `a + (a - b) / 2`, clamped, the half rounded to zero: of the two subtractions one is nothing.
#[inline(always)]
fn half_gradient(a: u8, b: u8) -> u8 {
    a.saturating_add(a.saturating_sub(b) >> 1)
        .saturating_sub(b.saturating_sub(a) >> 1)
}

simd::kernel! {
    /// What a predictor leaves of some rows of one plane.
    fn leave_of_plane(
        number: u8, pixel: &[u8], left: &[u8], top: &[u8], top_left: &[u8], top_right: &[u8], out: &mut [u8],
    ) {
        let len = out.len();
        let (p, l, t) = (&pixel[..len], &left[..len], &top[..len]);
        let (tl, tr) = (&top_left[..len], &top_right[..len]);
        macro_rules! each {
            ($i:ident, $predicted:expr) => {
                for $i in 0..len {
                    out[$i] = p[$i].wrapping_sub($predicted);
                }
            };
        }
        match number {
            1 => each!(i, l[i]),
            2 => each!(i, t[i]),
            3 => each!(i, tr[i]),
            4 => each!(i, tl[i]),
            5 => each!(i, average(average(l[i], tr[i]), t[i])),
            6 => each!(i, average(l[i], tl[i])),
            7 => each!(i, average(l[i], t[i])),
            8 => each!(i, average(tl[i], t[i])),
            9 => each!(i, average(t[i], tr[i])),
            10 => each!(i, average(average(l[i], tl[i]), average(t[i], tr[i]))),
            12 => each!(i, Around { pixel: p[i], left: l[i], top: t[i], top_left: tl[i] }.gradient()),
            13 => each!(i, half_gradient(average(l[i], t[i]), tl[i])),
            _ => each!(i, 0),
        }
    }
}

simd::kernel! {
    /// What predictor 11 leaves of some rows, but for the first pixel.
    fn leave_selected(
        green: &[u8], red: &[u8], blue: &[u8], green_above: &[u8], red_above: &[u8], blue_above: &[u8],
        green_out: &mut [u8], red_out: &mut [u8], blue_out: &mut [u8],
    ) {
        let len = green_out.len();
        let (g, gl, gt, gtl) = (&green[1..][..len], &green[..len], &green_above[1..][..len], &green_above[..len]);
        let (r, rl, rt, rtl) = (&red[1..][..len], &red[..len], &red_above[1..][..len], &red_above[..len]);
        let (b, bl, bt, btl) = (&blue[1..][..len], &blue[..len], &blue_above[1..][..len], &blue_above[..len]);
        let (red_out, blue_out) = (&mut red_out[..len], &mut blue_out[..len]);
        for i in 0..len {
            let g = Around { pixel: g[i], left: gl[i], top: gt[i], top_left: gtl[i] };
            let r = Around { pixel: r[i], left: rl[i], top: rt[i], top_left: rtl[i] };
            let b = Around { pixel: b[i], left: bl[i], top: bt[i], top_left: btl[i] };
            let left_is_nearer = is_left_nearer(g, r, b);
            let leave = |a: Around| a.pixel.wrapping_sub(if left_is_nearer { a.left } else { a.top });
            green_out[i] = leave(g);
            red_out[i] = leave(r);
            blue_out[i] = leave(b);
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::simd::testing::{LENGTHS, assert_same, bytes};

    #[test]
    fn every_instruction_set_predicts_alike() {
        for len in LENGTHS {
            for (row, above) in bytes(len * 3).iter().zip(bytes(len * 3).iter().rev()) {
                for number in 1..=LAST {
                    let (pixel, left) = (&row[1..], &row[..]);
                    let (top_left, top, top_right) = (&above[..], &above[1..], &above[2..]);
                    assert_same!(leave_of_plane(number, pixel, left, top, top_left, top_right; vec![7; len - 1]));
                }
                let mut left = [(); 2].map(|()| [(); 3].map(|()| vec![7; len - 1]));
                let [[g, r, b], [pg, pr, pb]] = &mut left;
                let [a0, a1, a2] = [0, 1, 2].map(|i| &row[i * len..][..len]);
                let [b0, b1, b2] = [0, 1, 2].map(|i| &above[i * len..][..len]);
                leave_selected(a0, a1, a2, b0, b1, b2, g, r, b);
                leave_selected::portable(a0, a1, a2, b0, b1, b2, pg, pr, pb);
                assert_eq!(left[0], left[1]);
            }
        }
    }
}
