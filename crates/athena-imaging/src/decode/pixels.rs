//! Turning stored rows into BGR rows.

/// A BGR colour.
pub(super) type Bgr = [u8; 3];

/// Writes one colour for each index, most significant bits first, `bits` (1, 2, 4 or 8) each.
pub(super) fn expand_indices(row: &mut [u8], indices: &[u8], bits: u32, palette: &[Bgr; 256]) {
    match bits {
        8 => {
            for (pixel, &index) in row.as_chunks_mut().0.iter_mut().zip(indices) {
                *pixel = palette[usize::from(index)];
            }
        }
        4 => {
            for (pixels, &byte) in row.chunks_mut(6).zip(indices) {
                let pair = [
                    palette[usize::from(byte >> 4)],
                    palette[usize::from(byte & 15)],
                ];
                pixels.copy_from_slice(&pair.as_flattened()[..pixels.len()]);
            }
        }
        _ => {
            let per_byte = (8 / bits) as usize;
            let mask = (1u8 << bits) - 1;
            for (pixels, &byte) in row.chunks_mut(3 * per_byte).zip(indices) {
                for (nth, pixel) in pixels.as_chunks_mut().0.iter_mut().enumerate() {
                    let shift = 8 - bits * (nth as u32 + 1);
                    *pixel = palette[usize::from(byte >> shift & mask)];
                }
            }
        }
    }
}

/// Repeats each grey value three times.
pub(super) fn grey_to_bgr(row: &mut [u8], grey: impl Iterator<Item = u8>) {
    for (pixel, value) in row.as_chunks_mut().0.iter_mut().zip(grey) {
        *pixel = [value; 3];
    }
}

/// Swaps red and blue of pixels that are `N` bytes each, dropping what follows the third.
pub(super) fn rgb_to_bgr<const N: usize>(row: &mut [u8], source: &[u8]) {
    for (pixel, rgb) in row
        .as_chunks_mut()
        .0
        .iter_mut()
        .zip(source.as_chunks::<N>().0)
    {
        *pixel = [rgb[2], rgb[1], rgb[0]];
    }
}

/// Keeps the first three bytes of pixels that are four bytes each.
pub(super) fn bgra_to_bgr(row: &mut [u8], source: &[u8]) {
    for (pixel, bgra) in row
        .as_chunks_mut()
        .0
        .iter_mut()
        .zip(source.as_chunks::<4>().0)
    {
        *pixel = [bgra[0], bgra[1], bgra[2]];
    }
}

/// A float as OpenCV saturates it to a byte: half to even, through a 32-bit integer, so that what does not fit one
/// (not a number included) becomes 0.
pub(super) fn saturate(value: f32) -> u8 {
    let rounded = value.round_ties_even();
    if rounded < 2_147_483_648.0 {
        rounded.clamp(0.0, 255.0) as u8
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saturation_follows_the_conversion_through_integers() {
        let expected = [
            (0.5, 0),
            (1.5, 2),
            (2.5, 2),
            (254.5, 254),
            (255.5, 255),
            (1e9, 255),
            (3e9, 0),
            (-1.0, 0),
            (f32::NAN, 0),
            (f32::INFINITY, 0),
        ];
        for (value, byte) in expected {
            assert_eq!(saturate(value), byte, "{value}");
        }
    }

    #[test]
    fn indices_of_every_width_expand_from_the_top_bit() {
        let palette = std::array::from_fn(|i| [i as u8; 3]);
        for (bits, bytes, expected) in [
            (1, vec![0b1010_0000], vec![1, 0, 1]),
            (2, vec![0b1101_0000], vec![3, 1, 0]),
            (4, vec![0xA3, 0x50], vec![10, 3, 5]),
            (8, vec![7, 8, 9], vec![7, 8, 9]),
        ] {
            let mut row = [0; 9];
            expand_indices(&mut row, &bytes, bits, &palette);
            let firsts: Vec<u8> = row.chunks(3).map(|p| p[0]).collect();
            assert_eq!(firsts, expected, "{bits} bits");
        }
    }
}
