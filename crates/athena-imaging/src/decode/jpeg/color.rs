//! From samples at full resolution to BGR, with libjpeg's integer formulas (ITU-T T.871 in 16-bit fixed point).

use crate::simd::kernel;

/// The bits of 1.402, 1.772, 0.344136 and 0.714136 in 16-bit fixed point, and the half that rounds.
const CR_TO_R: i32 = 91_881;
const CB_TO_B: i32 = 116_130;
const CB_TO_G: i32 = 22_554;
const CR_TO_G: i32 = 46_802;
const HALF: i32 = 1 << 15;

kernel! {
    /// YCbCr rows to a BGR row.
    pub(super) fn ycbcr(y: &[u8], cb: &[u8], cr: &[u8], bgr: &mut [u8]) {
        let bgr = bgr.as_chunks_mut::<3>().0;
        let len = bgr.len();
        let (y, cb, cr) = (&y[..len], &cb[..len], &cr[..len]);
        for x in 0..len {
            bgr[x] = pixel(y[x], cb[x], cr[x]);
        }
    }
}

kernel! {
    /// RGB rows to a BGR row.
    pub(super) fn rgb(r: &[u8], g: &[u8], b: &[u8], bgr: &mut [u8]) {
        let bgr = bgr.as_chunks_mut::<3>().0;
        let len = bgr.len();
        let (r, g, b) = (&r[..len], &g[..len], &b[..len]);
        for x in 0..len {
            bgr[x] = [b[x], g[x], r[x]];
        }
    }
}

kernel! {
    /// A grey row to a BGR row.
    pub(super) fn gray(y: &[u8], bgr: &mut [u8]) {
        let bgr = bgr.as_chunks_mut::<3>().0;
        let len = bgr.len();
        let y = &y[..len];
        for x in 0..len {
            bgr[x] = [y[x]; 3];
        }
    }
}

/// CMYK rows to a BGR row, as OpenCV does.
pub(super) fn cmyk(planes: [&[u8]; 4], bgr: &mut [u8]) {
    let [c, m, y, k] = planes;
    for (x, bgr) in bgr.chunks_exact_mut(3).enumerate() {
        bgr.copy_from_slice(&[ink(y[x], k[x]), ink(m[x], k[x]), ink(c[x], k[x])]);
    }
}

/// YCCK rows to a BGR row: libjpeg makes them CMYK, OpenCV makes that BGR.
pub(super) fn ycck(planes: [&[u8]; 4], bgr: &mut [u8]) {
    let [y, cb, cr, k] = planes;
    for (x, bgr) in bgr.chunks_exact_mut(3).enumerate() {
        *<&mut [u8; 3]>::try_from(bgr).expect("three bytes") =
            pixel(y[x], cb[x], cr[x]).map(|v| ink(255 - v, k[x]));
    }
}

#[inline(always)]
fn pixel(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let clamp = |value: i32| value.clamp(0, 255) as u8;
    [
        clamp(y + ((CB_TO_B * cb + HALF) >> 16)),
        clamp(y + ((HALF - CB_TO_G * cb - CR_TO_G * cr) >> 16)),
        clamp(y + ((CR_TO_R * cr + HALF) >> 16)),
    ]
}

fn ink(ink: u8, key: u8) -> u8 {
    let (ink, key) = (i32::from(ink), i32::from(key));
    (key - (((255 - ink) * key) >> 8)) as u8
}
