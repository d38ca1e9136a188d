//! Undoing the filters of a row (PNG specification, section 9).

use super::corrupt;
use crate::ImageError;

/// Restores `row` (filter type first) with the restored row above, for pixels of `stride` bytes.
pub(super) fn restore(row: &mut [u8], above: &[u8], stride: usize) -> Result<(), ImageError> {
    let Some((&mut kind, row)) = row.split_first_mut() else {
        return Ok(());
    };
    match kind {
        0 => {}
        2 => {
            for (byte, &up) in row.iter_mut().zip(above) {
                *byte = byte.wrapping_add(up);
            }
        }
        1 | 3 | 4 => match stride {
            1 => restore_pixels::<1>(kind, row, above),
            2 => restore_pixels::<2>(kind, row, above),
            3 => restore_pixels::<3>(kind, row, above),
            4 => restore_pixels::<4>(kind, row, above),
            6 => restore_pixels::<6>(kind, row, above),
            _ => restore_pixels::<8>(kind, row, above),
        },
        _ => return Err(corrupt(format!("filter type {kind}"))),
    }
    Ok(())
}

fn restore_pixels<const N: usize>(kind: u8, row: &mut [u8], above: &[u8]) {
    let row = row.as_chunks_mut::<N>().0;
    let above = above.as_chunks::<N>().0;
    let mut left = [0; N];
    match kind {
        1 => {
            for pixel in row {
                for (byte, left) in pixel.iter_mut().zip(left) {
                    *byte = byte.wrapping_add(left);
                }
                left = *pixel;
            }
        }
        3 => {
            for (pixel, up) in row.iter_mut().zip(above) {
                for ((byte, &up), left) in pixel.iter_mut().zip(up).zip(left) {
                    let mean = (u16::from(left) + u16::from(up)) / 2;
                    *byte = byte.wrapping_add(mean as u8);
                }
                left = *pixel;
            }
        }
        _ if N < 4 => {
            let mut corner = [0; N];
            for (pixel, up) in row.iter_mut().zip(above) {
                for nth in 0..N {
                    let predicted = paeth(left[nth], up[nth], corner[nth]);
                    pixel[nth] = pixel[nth].wrapping_add(predicted);
                }
                left = *pixel;
                corner = *up;
            }
        }
        _ => restore_paeth_in_lanes(row, above),
    }
}

/// The neighbour nearest to left + up - corner.
#[inline]
fn paeth(left: u8, up: u8, corner: u8) -> u8 {
    let [a, b, c] = [left, up, corner].map(i16::from);
    let (to_left, to_up) = (b - c, a - c);
    let to_corner = (to_left + to_up).abs();
    let (to_left, to_up) = (to_left.abs(), to_up.abs());
    if to_left <= to_up && to_left <= to_corner {
        left
    } else if to_up <= to_corner {
        up
    } else {
        corner
    }
}

/// As many samples as a vector register of every machine holds.
type Lanes = [i16; 8];

/// [`paeth`] for all samples of a pixel at once, which pays from four on.
fn restore_paeth_in_lanes<const N: usize>(row: &mut [[u8; N]], above: &[[u8; N]]) {
    let (mut left, mut corner) = (Lanes::default(), Lanes::default());
    for (pixel, up) in row.iter_mut().zip(above) {
        let up = lanes(up);
        let stored = lanes(pixel);
        let mut restored = Lanes::default();
        for nth in 0..8 {
            let (to_left, to_up) = (up[nth] - corner[nth], left[nth] - corner[nth]);
            let to_corner = (to_left + to_up).abs();
            let (to_left, to_up) = (to_left.abs(), to_up.abs());
            let nearer = if to_left <= to_up { left[nth] } else { up[nth] };
            let nearest = if to_left.min(to_up) <= to_corner {
                nearer
            } else {
                corner[nth]
            };
            restored[nth] = (stored[nth] + nearest) & 0xFF;
        }
        for (byte, lane) in pixel.iter_mut().zip(restored) {
            *byte = lane as u8;
        }
        left = restored;
        corner = up;
    }
}

#[inline(always)]
fn lanes<const N: usize>(pixel: &[u8; N]) -> Lanes {
    let mut bytes = [0; 8];
    bytes[..N].copy_from_slice(pixel);
    bytes.map(i16::from)
}
