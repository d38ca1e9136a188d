//! Planes to BGR, with the arithmetic of libavif, of which each step is one in 32-bit floating point.

use super::av1::{Planes, Sampling};
use super::{Colour, corrupt, unsupported};
use crate::decode::pixels::saturate;
use crate::{Budget, Frame, ImageError};

/// Work for a pixel.
const WORK_OF_PIXEL: u64 = 12;

/// How three planes become colours.
enum Matrix {
    /// The planes are green, blue and red.
    Identity,
    YCgCo,
    /// By the weights of red and blue in luma.
    Luma {
        kr: f32,
        kb: f32,
    },
}

impl Matrix {
    /// By the numbers of ISO/IEC 23091-2 (H.273).
    fn new(colour: &Colour) -> Result<Self, ImageError> {
        let (kr, kb) = match colour.luma_matrix() {
            0 => return Ok(Self::Identity),
            8 if colour.full_range => return Ok(Self::YCgCo),
            1 => (0.2126, 0.0722),
            4 => (0.30, 0.11),
            7 => (0.212, 0.087),
            9 => (0.2627, 0.0593),
            3 | 8 | 10.. => {
                let matrix = colour.matrix;
                return Err(unsupported(format!("matrix coefficients {matrix}")));
            }
            _ => (0.299, 0.114),
        };
        Ok(Self::Luma { kr, kb })
    }
}

pub(super) fn paint(
    planes: &Planes,
    with_alpha: bool,
    alpha: Option<&Planes>,
    frame: &mut Frame,
    budget: &Budget<'_>,
) -> Result<(), ImageError> {
    let (width, colour) = (planes.width, &planes.colour);
    if planes.sampling == Sampling::Monochrome {
        // OpenCV takes luma as it is, whatever its range.
        let scale = 1.0 / (1_u32 << (planes.depth - 8)) as f32;
        for (y, luma) in planes.planes[0].chunks_exact(width).enumerate() {
            budget.charge(width as u64)?;
            let pixels = frame.row_mut(y).as_chunks_mut::<3>().0;
            for (pixel, &luma) in pixels.iter_mut().zip(luma) {
                *pixel = [saturate(f32::from(luma) * scale); 3];
            }
        }
        return Ok(());
    }
    let matrix = Matrix::new(colour)?;
    let is_full = matches!(planes.sampling, Sampling::Halved(false, false));
    if matches!(matrix, Matrix::Identity) && !is_full {
        return Err(corrupt("colours of which some are halved"));
    }
    if let Some(fixed) = Fixed::new(colour) {
        return fixed.paint(planes, with_alpha, alpha, frame, budget);
    }
    let levels = Levels::new(planes.depth, colour.full_range, &matrix);
    let mut chroma = [vec![0.0; width], vec![0.0; width]];
    for y in 0..planes.height {
        budget.charge(WORK_OF_PIXEL * width as u64)?;
        for (row, plane) in chroma.iter_mut().zip([1, 2]) {
            upsample(planes, plane, y, &levels.chroma, row);
        }
        let luma = &planes.planes[0][y * width..][..width];
        let opacity = alpha.map(|alpha| &alpha.planes[0][y * width..][..width]);
        let pixels = frame.row_mut(y).as_chunks_mut::<3>().0;
        for (x, pixel) in pixels.iter_mut().enumerate() {
            let luma = levels.luma[usize::from(luma[x])];
            let (cb, cr) = (chroma[0][x], chroma[1][x]);
            let mut bgr = match matrix {
                Matrix::Identity => [cb, luma, cr],
                Matrix::YCgCo => {
                    let t = luma - cb;
                    [t - cr, luma + cb, t + cr]
                }
                Matrix::Luma { kr, kb } => {
                    let kg = 1.0 - kr - kb;
                    let r = luma + (2.0 * (1.0 - kr)) * cr;
                    let b = luma + (2.0 * (1.0 - kb)) * cb;
                    let g = luma - ((2.0 * ((kr * (1.0 - kr) * cr) + (kb * (1.0 - kb) * cb))) / kg);
                    [b, g, r]
                }
            }
            .map(|value| value.clamp(0.0, 1.0));
            if let Some(opacity) = opacity {
                let opacity = f32::from(opacity[x]) / levels.highest;
                bgr = bgr.map(|value| match opacity {
                    0.0 => 0.0,
                    1.0.. => value,
                    _ => (value / opacity).min(1.0),
                });
            }
            *pixel = bgr.map(|value| (0.5 + value * 255.0) as u8);
        }
    }
    Ok(())
}

/// What samples stand for, from 0 to 1, or around 0 for chroma.
struct Levels {
    luma: Vec<f32>,
    chroma: Vec<f32>,
    highest: f32,
}

impl Levels {
    fn new(depth: u32, full_range: bool, matrix: &Matrix) -> Self {
        let highest = ((1_u32 << depth) - 1) as f32;
        let scaled = |level: u32| (level << (depth - 8)) as f32;
        let (black, luma_range, chroma_range) = match full_range {
            true => (0.0, highest, highest),
            false => (scaled(16), scaled(219), scaled(224)),
        };
        let table = |zero: f32, range: f32| {
            // Up to what 16 bits can hold: nothing to check for each sample.
            (0..1_u32 << 16)
                .map(|level| (level.min(highest as u32) as f32 - zero) / range)
                .collect()
        };
        let luma: Vec<f32> = table(black, luma_range);
        let chroma = match matrix {
            Matrix::Identity => luma.clone(),
            _ => table((1_u32 << (depth - 1)) as f32, chroma_range),
        };
        Self {
            luma,
            chroma,
            highest,
        }
    }
}

/// A row of chroma at full resolution: each sample weighs nine sixteenths, its neighbours on the nearer sides three, three and one.
fn upsample(planes: &Planes, plane: usize, y: usize, levels: &[f32], row: &mut [f32]) {
    let (columns, rows) = planes.size(plane);
    let samples = &planes.planes[plane];
    let level = |x: usize, y: usize| levels[usize::from(samples[y * columns + x])];
    let Sampling::Halved(halved_x, halved_y) = planes.sampling else {
        return;
    };
    if !halved_x {
        for (x, to) in row.iter_mut().enumerate() {
            *to = level(x, y);
        }
        return;
    }
    let (v, v_near) = nearest(y, planes.height, rows, halved_y, halved_y);
    for (x, to) in row.iter_mut().enumerate() {
        let (u, u_near) = nearest(x, planes.width, columns, true, true);
        *to = level(u, v) * (9.0 / 16.0)
            + level(u_near, v) * (3.0 / 16.0)
            + level(u, v_near) * (3.0 / 16.0)
            + level(u_near, v_near) * (1.0 / 16.0);
    }
}

/// The arithmetic of libyuv, by which libavif converts where it can: integers, with six bits behind the point.
struct Fixed {
    /// Luma to red, green and blue, by 257 times its eight bits and in 1/65536; and what is added.
    luma: u32,
    bias: i32,
    blue_of_u: i32,
    green_of_u: i32,
    green_of_v: i32,
    red_of_v: i32,
}

impl Fixed {
    fn new(colour: &Colour) -> Option<Self> {
        let matrix = colour.luma_matrix();
        let (luma, bias) = match (colour.full_range, matrix) {
            (true, _) => (16_320, 32),
            (false, 9) => (19_003, -1_160),
            (false, _) => (18_997, -1_160),
        };
        let [blue_of_u, green_of_u, green_of_v, red_of_v] = match (matrix, colour.full_range) {
            (2 | 5 | 6, false) => [128, 25, 52, 102],
            (2 | 5 | 6, true) => [113, 22, 46, 90],
            (1, false) => [128, 14, 34, 115],
            (1, true) => [119, 12, 30, 101],
            (9, false) => [128, 12, 42, 107],
            (9, true) => [120, 11, 37, 94],
            _ => return None,
        };
        Some(Self {
            luma,
            bias,
            blue_of_u,
            green_of_u,
            green_of_v,
            red_of_v,
        })
    }

    /// Where there is alpha, libavif goes by more bits than eight.
    fn paint(
        &self,
        planes: &Planes,
        with_alpha: bool,
        alpha: Option<&Planes>,
        frame: &mut Frame,
        budget: &Budget<'_>,
    ) -> Result<(), ImageError> {
        let Sampling::Halved(halved_x, halved_y) = planes.sampling else {
            return Ok(());
        };
        let (width, depth) = (planes.width, planes.depth);
        let wide = with_alpha && (depth == 10 || depth == 12 && halved_y);
        // Bits that chroma loses before it is interpolated, and after.
        let (before, after) = if wide { (0, depth - 8) } else { (depth - 8, 0) };
        let interpolates = !(wide && depth == 12);
        let (columns, rows) = planes.size(1);
        for y in 0..planes.height {
            budget.charge(WORK_OF_PIXEL * width as u64)?;
            let (v, v_near) = nearest(y, planes.height, rows, halved_y && interpolates, halved_y);
            let luma = &planes.planes[0][y * width..][..width];
            let opacity = alpha.map(|alpha| &alpha.planes[0][y * width..][..width]);
            let pixels = frame.row_mut(y).as_chunks_mut::<3>().0;
            for (x, pixel) in pixels.iter_mut().enumerate() {
                let interpolates = halved_x && interpolates && x + 1 < width;
                let (u, u_near) = nearest(x, width, columns, interpolates, halved_x);
                let chroma = |plane: usize| {
                    let samples = &planes.planes[plane];
                    let at = |u: usize, v: usize| i32::from(samples[v * columns + u] >> before);
                    let sum =
                        9 * at(u, v) + 3 * (at(u_near, v) + at(u, v_near)) + at(u_near, v_near);
                    ((sum + 8) >> 4 >> after) - 128
                };
                let (cb, cr) = (chroma(1), chroma(2));
                let luma = u32::from(luma[x]);
                let luma = match wide {
                    true => luma << (16 - depth) | luma >> (2 * depth - 16),
                    false => (luma >> (depth - 8)) * 257,
                };
                let luma = ((luma * self.luma) >> 16) as i32 + self.bias;
                let b = luma + cb * self.blue_of_u;
                let g = luma - cb * self.green_of_u - cr * self.green_of_v;
                let r = luma + cr * self.red_of_v;
                let bgr = [b, g, r].map(|value| (value >> 6).clamp(0, 255) as u8);
                *pixel = match opacity {
                    Some(opacity) => unmultiplied(bgr, opacity[x] >> (depth - 8)),
                    None => bgr,
                };
            }
        }
        Ok(())
    }
}

/// Colours that were multiplied by alpha, as they were before, nearly.
fn unmultiplied(bgr: [u8; 3], alpha: u16) -> [u8; 3] {
    let inverse = match alpha {
        0 => 0,
        1 => 0xFFFF,
        alpha => 0x1_0000 / u32::from(alpha),
    };
    bgr.map(|value| ((u32::from(value) * 257 * inverse) >> 16).min(255) as u8)
}

/// Of chroma: the sample that a pixel lies in, and the one that it is nearest to besides.
fn nearest(
    at: usize,
    len: usize,
    samples: usize,
    interpolates: bool,
    halved: bool,
) -> (usize, usize) {
    if !halved {
        return (at, at);
    }
    let own = at / 2;
    let near = match at % 2 {
        _ if !interpolates || at == 0 => own,
        1 if at + 1 == len => own,
        1 => (own + 1).min(samples - 1),
        _ => own - 1,
    };
    (own, near)
}
