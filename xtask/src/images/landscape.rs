//! A landscape from value noise: sky with clouds, three ridges, and water or ground in front.

use image::{Rgb, RgbImage};

type Colour = [f32; 3];

/// The colours of a landscape, as red, green and blue from 0 to 255.
#[derive(Clone, Copy)]
pub(super) struct Palette {
    zenith: Colour,
    horizon: Colour,
    far: Colour,
    near: Colour,
    ground: Colour,
    /// Whether the ground mirrors the sky.
    water: bool,
}

impl Palette {
    pub(super) const LAKE: Self = Self {
        zenith: [58.0, 110.0, 190.0],
        horizon: [190.0, 214.0, 232.0],
        far: [118.0, 138.0, 160.0],
        near: [38.0, 66.0, 40.0],
        ground: [42.0, 78.0, 104.0],
        water: true,
    };
    pub(super) const ALPINE: Self = Self {
        zenith: [38.0, 84.0, 168.0],
        horizon: [208.0, 222.0, 240.0],
        far: [196.0, 204.0, 218.0],
        near: [74.0, 70.0, 68.0],
        ground: [96.0, 112.0, 62.0],
        water: false,
    };
    pub(super) const DUSK: Self = Self {
        zenith: [44.0, 38.0, 92.0],
        horizon: [246.0, 150.0, 92.0],
        far: [122.0, 78.0, 104.0],
        near: [28.0, 22.0, 36.0],
        ground: [58.0, 42.0, 62.0],
        water: true,
    };
    pub(super) const FOREST: Self = Self {
        zenith: [120.0, 150.0, 164.0],
        horizon: [214.0, 218.0, 206.0],
        far: [104.0, 128.0, 108.0],
        near: [22.0, 46.0, 26.0],
        ground: [66.0, 60.0, 34.0],
        water: false,
    };
    pub(super) const COAST: Self = Self {
        zenith: [84.0, 160.0, 214.0],
        horizon: [232.0, 236.0, 228.0],
        far: [142.0, 158.0, 158.0],
        near: [186.0, 164.0, 122.0],
        ground: [30.0, 108.0, 128.0],
        water: true,
    };
    pub(super) const DESERT: Self = Self {
        zenith: [70.0, 132.0, 196.0],
        horizon: [240.0, 220.0, 184.0],
        far: [206.0, 158.0, 108.0],
        near: [172.0, 106.0, 58.0],
        ground: [214.0, 160.0, 100.0],
        water: false,
    };
}

/// Paints a landscape; the same arguments give the same pixels.
pub(super) fn paint(width: u32, height: u32, seed: u32, palette: Palette) -> RgbImage {
    let scene = Scene { seed, palette };
    RgbImage::from_fn(width, height, |x, y| {
        let unit = height as f32;
        let colour = scene.colour(x as f32 / unit, y as f32 / unit);
        let grain = (hash(x, y, seed) % 7) as f32 - 3.0;
        Rgb(colour.map(|channel| (channel + grain).clamp(0.0, 255.0) as u8))
    })
}

struct Scene {
    seed: u32,
    palette: Palette,
}

impl Scene {
    /// The colour at a point; `y` runs from 0 at the top to 1, `x` in the same unit.
    fn colour(&self, x: f32, y: f32) -> Colour {
        const SHORE: f32 = 0.68;
        if y < SHORE {
            return self.above(x, y);
        }
        let depth = (y - SHORE) / (1.0 - SHORE);
        let texture = self.noise(x * 9.0 + 3.0, y * 46.0, 5);
        let ground = mix(
            self.palette.ground,
            [20.0; 3],
            (0.55 - texture).clamp(0.0, 0.5),
        );
        if !self.palette.water {
            return mix(ground, self.palette.near, depth * 0.4);
        }
        let ripple = (texture - 0.5) * 0.05 * (1.0 + depth);
        let mirrored = self.above(x + ripple, SHORE - (y - SHORE) * 0.9);
        mix(mirrored, ground, 0.35 + 0.4 * depth)
    }

    /// Sky, clouds and ridges.
    fn above(&self, x: f32, y: f32) -> Colour {
        for ridge in (0..3u8).rev() {
            let nearness = f32::from(ridge) / 2.0;
            let line = 0.36
                + 0.13 * nearness
                + (self.noise(x * (1.5 + nearness), f32::from(ridge) * 17.0, 6) - 0.5) * 0.42;
            if y > line {
                let rock = self.noise(x * 22.0, y * 22.0 + nearness * 40.0, 5);
                let colour = mix(self.palette.far, self.palette.near, nearness);
                return mix(colour, [235.0; 3], ((rock - 0.5) * 0.7).max(0.0))
                    .map(|channel| channel * (0.7 + 0.6 * rock));
            }
        }
        let sky = mix(
            self.palette.zenith,
            self.palette.horizon,
            (y * 1.6).min(1.0),
        );
        let cloud = (self.noise(x * 2.2, y * 5.0 + 90.0, 6) - 0.48) * 2.6;
        mix(sky, [250.0, 248.0, 244.0], cloud.clamp(0.0, 0.85))
    }

    /// Fractal value noise from 0 to 1: octaves of a smoothed random lattice.
    fn noise(&self, x: f32, y: f32, octaves: u32) -> f32 {
        let (mut sum, mut amplitude, mut frequency) = (0.0, 0.5, 1.0);
        for octave in 0..octaves {
            sum += amplitude * lattice(x * frequency, y * frequency, self.seed ^ (octave << 8));
            amplitude *= 0.5;
            frequency *= 2.0;
        }
        sum
    }
}

fn lattice(x: f32, y: f32, seed: u32) -> f32 {
    let (left, top) = (x.floor(), y.floor());
    let (u, v) = (smooth(x - left), smooth(y - top));
    let corner = |dx: f32, dy: f32| {
        let (i, j) = ((left + dx) as i32, (top + dy) as i32);
        hash(i.cast_unsigned(), j.cast_unsigned(), seed) as f32 / u32::MAX as f32
    };
    let upper = corner(0.0, 0.0) * (1.0 - u) + corner(1.0, 0.0) * u;
    let lower = corner(0.0, 1.0) * (1.0 - u) + corner(1.0, 1.0) * u;
    upper * (1.0 - v) + lower * v
}

fn smooth(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

fn mix(from: Colour, to: Colour, share: f32) -> Colour {
    std::array::from_fn(|i| from[i] + (to[i] - from[i]) * share)
}

/// An integer hash with good avalanche: xor, shift and multiply rounds.
fn hash(x: u32, y: u32, seed: u32) -> u32 {
    let mut h =
        x.wrapping_mul(0x8da6_b343) ^ y.wrapping_mul(0xd816_3841) ^ seed.wrapping_mul(0xcb1a_b31f);
    h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
    h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
    h ^ (h >> 15)
}
