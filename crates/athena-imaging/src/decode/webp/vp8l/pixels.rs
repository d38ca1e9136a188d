use super::bits::Bits;
use super::prefix::PrefixCode;
use super::{ALPHABETS, broken, cache_bits};
use crate::vp8l::NEAR;
use crate::{Budget, ImageError};

/// Work of a symbol: up to four codes.
const WORK_OF_SYMBOL: u64 = 8;

/// Reads one of the small images that come before the pixels: alpha, red, green and blue from the highest byte.
pub(super) fn read(
    width: usize,
    height: usize,
    bits: &mut Bits<'_>,
    budget: &Budget<'_>,
) -> Result<Vec<u32>, ImageError> {
    let cache_bits = cache_bits(bits)?;
    let mut cache = Cache::new(cache_bits);
    let mut code = |alphabet| {
        let code = PrefixCode::read(alphabet, bits).ok_or_else(broken)?;
        budget.charge((alphabet + code.entries()) as u64)?;
        Ok::<_, ImageError>(code)
    };
    let [green, red, blue, alpha, distance] = ALPHABETS;
    let green = code(green + cache.colours.len())?;
    let (red, blue, alpha, distance) = (code(red)?, code(blue)?, code(alpha)?, code(distance)?);
    let total = width * height;
    let mut pixels: Vec<u32> = Vec::with_capacity(total);
    while pixels.len() < total {
        if bits.are_exceeded() {
            return Err(broken());
        }
        budget.charge(WORK_OF_SYMBOL)?;
        match green.next(bits) {
            literal @ ..256 => {
                let channels = [literal, red.next(bits), blue.next(bits), alpha.next(bits)];
                let [green, red, blue, alpha] = channels.map(|channel| channel as u32);
                let pixel = alpha << 24 | red << 16 | green << 8 | blue;
                cache.insert(pixel);
                pixels.push(pixel);
            }
            symbol @ 256..280 => {
                let len = value(symbol - 256, bits);
                let back = match value(distance.next(bits), bits) {
                    number @ 1..=120 => {
                        let (left, up) = NEAR[number - 1];
                        let back = width as isize * isize::from(up) + isize::from(left);
                        back.max(1) as usize
                    }
                    number => number - 120,
                };
                let from = pixels.len().checked_sub(back).ok_or_else(broken)?;
                if len > total - pixels.len() {
                    return Err(broken());
                }
                budget.charge(len as u64)?;
                for at in from..from + len {
                    let pixel = pixels[at];
                    cache.insert(pixel);
                    pixels.push(pixel);
                }
            }
            cached => {
                let pixel = cache.colours[cached - 280];
                cache.insert(pixel);
                pixels.push(pixel);
            }
        }
    }
    if bits.are_exceeded() {
        return Err(broken());
    }
    Ok(pixels)
}

/// A length or a distance: a symbol gives its size, bits behind it the rest.
fn value(symbol: usize, bits: &mut Bits<'_>) -> usize {
    if symbol < 4 {
        return symbol + 1;
    }
    let extra = (symbol - 2) / 2;
    ((2 + symbol % 2) << extra) + bits.read(extra as u32) + 1
}

/// Colours that were seen lately, by a hash.
struct Cache {
    colours: Vec<u32>,
    shift: u32,
}

impl Cache {
    fn new(bits: Option<u32>) -> Self {
        Self {
            colours: vec![0; bits.map_or(0, |bits| 1 << bits)],
            shift: u32::BITS - bits.unwrap_or(1),
        }
    }

    #[inline]
    fn insert(&mut self, pixel: u32) {
        let key = pixel.wrapping_mul(0x1E35_A7BD) >> self.shift;
        if let Some(colour) = self.colours.get_mut(key as usize) {
            *colour = pixel;
        }
    }
}
