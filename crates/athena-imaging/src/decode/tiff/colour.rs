//! Colour spaces other than RGB, in libtiff's arithmetic.

use super::corrupt;
use super::directory::{Directory, tag};
use crate::ImageError;
use crate::decode::pixels::Bgr;

const SHIFT: u32 = 16;
const HALF: i32 = 1 << (SHIFT - 1);

/// YCbCr to RGB (TIFF 6.0, section 21) in tables of 16-bit fixed point.
pub(super) struct YCbCr {
    luma: [i32; 256],
    red: [i32; 256],
    green_cr: [i32; 256],
    green_cb: [i32; 256],
    blue: [i32; 256],
}

impl YCbCr {
    pub(super) fn new(directory: &Directory<'_>) -> Result<Self, ImageError> {
        let [r, g, b] = directory
            .floats(tag::YCBCR_COEFFICIENTS)
            .unwrap_or([0.299, 0.587, 0.114]);
        let reference = directory
            .floats(tag::REFERENCE_BLACK_WHITE)
            .unwrap_or([0.0, 255.0, 128.0, 255.0, 128.0, 255.0]);
        let in_range =
            |value: f32| value > (-0x7FFF_FFFF + 128) as f32 && value < 0x7FFF_FFFF as f32;
        if r.is_nan()
            || g.is_nan()
            || b.is_nan()
            || g == 0.0
            || !reference.into_iter().all(in_range)
        {
            return Err(corrupt("YCbCr coefficients or reference levels"));
        }
        let [y0, y1, cb0, cb1, cr0, cr1] = reference;
        let fixed = |value: f32| {
            let value = if value >= 0.0 { value.min(2.0) } else { 0.0 };
            (f64::from(value * 65536.0) + 0.5) as i32
        };
        let (from_cr, from_cb) = (2.0 - 2.0 * r, 2.0 - 2.0 * b);
        let [red, blue] = [from_cr, from_cb].map(fixed);
        let (green_cr, green_cb) = (-fixed(r * from_cr / g), -fixed(b * from_cb / g));
        let table = |entry: &dyn Fn(i32) -> i32| std::array::from_fn(|i| entry(i as i32));
        let cr = |code: i32| level(code - 128, cr0 - 128.0, cr1 - 128.0, 127.0);
        let cb = |code: i32| level(code - 128, cb0 - 128.0, cb1 - 128.0, 127.0);
        Ok(Self {
            luma: table(&|code| level(code, y0, y1, 255.0)),
            red: table(&|code| red.wrapping_mul(cr(code)).wrapping_add(HALF) >> SHIFT),
            blue: table(&|code| blue.wrapping_mul(cb(code)).wrapping_add(HALF) >> SHIFT),
            green_cr: table(&|code| green_cr.wrapping_mul(cr(code))),
            green_cb: table(&|code| green_cb.wrapping_mul(cb(code)).wrapping_add(HALF)),
        })
    }

    pub(super) fn to_bgr(&self, y: u8, cb: u8, cr: u8) -> Bgr {
        let luma = self.luma[usize::from(y)];
        let (cb, cr) = (usize::from(cb), usize::from(cr));
        let green = self.green_cb[cb].wrapping_add(self.green_cr[cr]) >> SHIFT;
        [self.blue[cb], green, self.red[cr]].map(|chroma| (luma + chroma).clamp(0, 255) as u8)
    }
}

/// A code as a level between the reference black and white, scaled to `range`.
fn level(code: i32, black: f32, white: f32, range: f32) -> i32 {
    const LIMIT: f32 = 128.0 * 32.0;
    let span = if white - black == 0.0 {
        1.0
    } else {
        white - black
    };
    let level = (code.wrapping_sub(black as i32)) as f32 * range / span;
    level.clamp(-LIMIT, LIMIT) as i32
}

/// CIE L*a*b* (1976) to sRGB.
pub(super) struct Lab {
    white: [f32; 3],
    /// The level of each step of light.
    levels: Vec<u8>,
}

impl Lab {
    const STEPS: usize = 1500;

    pub(super) fn new(directory: &Directory<'_>) -> Result<Self, ImageError> {
        const D50: [f32; 3] = [96.425, 100.0, 82.468];
        let sum = D50[0] + D50[1] + D50[2];
        let [x, y] = directory
            .floats(tag::WHITE_POINT)
            .unwrap_or([D50[0] / sum, D50[1] / sum]);
        if y == 0.0 {
            return Err(corrupt("the white point"));
        }
        let exponent = 1.0 / f64::from(2.4_f32);
        let level = |step: usize| {
            let light = 255.0 * (step as f64 / Self::STEPS as f64).powf(exponent) as f32;
            ((f64::from(light) + 0.5) as u32).min(255) as u8
        };
        Ok(Self {
            white: [x / y * 100.0, 100.0, (1.0 - x - y) / y * 100.0],
            levels: (0..=Self::STEPS).map(level).collect(),
        })
    }

    /// Three samples of one or two bytes each.
    pub(super) fn to_bgr(&self, samples: &[u8]) -> Bgr {
        let (l, a, b) = match *samples {
            [l, a, b] => (
                i32::from(l) * 257,
                i32::from(a as i8) * 256,
                i32::from(b as i8) * 256,
            ),
            [l0, l1, a0, a1, b0, b1] => (
                u16::from_le_bytes([l0, l1]).into(),
                i16::from_le_bytes([a0, a1]).into(),
                i16::from_le_bytes([b0, b1]).into(),
            ),
            _ => (0, 0, 0),
        };
        let [x, y, z] = self.to_xyz(l as f32, a as f32, b as f32);
        let red = 3.2410 * x + -1.5374 * y + -0.4986 * z;
        let green = -0.9692 * x + 1.8760 * y + 0.0416 * z;
        let blue = 0.0556 * x + -0.2040 * y + 1.0570 * z;
        [blue, green, red].map(|light| self.encode(light))
    }

    fn to_xyz(&self, l: f32, a: f32, b: f32) -> [f32; 3] {
        let [x0, y0, z0] = self.white;
        let l = l * 100.0 / 65535.0;
        let (y, cube_root) = if l < 8.856 {
            let y = l * y0 / 903.292;
            (y, 7.787 * (y / y0) + 16.0 / 116.0)
        } else {
            let root = (l + 16.0) / 116.0;
            (y0 * root * root * root, root)
        };
        let axis = |root: f32, white: f32| {
            if root < 0.2069 {
                white * (root - 0.13793) / 7.787
            } else {
                white * root * root * root
            }
        };
        [
            axis(a / 256.0 / 500.0 + cube_root, x0),
            y,
            axis(cube_root - b / 256.0 / 200.0, z0),
        ]
    }

    fn encode(&self, light: f32) -> u8 {
        const STEP: f32 = (100.0 - 1.0) / Lab::STEPS as f32;
        let light = light.clamp(1.0, 100.0);
        let index = ((light - 1.0) / STEP) as usize;
        self.levels[index.min(Self::STEPS)]
    }
}
