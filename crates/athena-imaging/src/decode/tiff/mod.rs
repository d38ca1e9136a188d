//! TIFF as libtiff's RGBA reader gives it to OpenCV: the first page, 8 bits, alpha premultiplied, then dropped.
//!
//! A strip or tile whose bytes are missing is an error; one that is damaged inside shows what could be decoded, and
//! zeroes.

mod block;
mod colour;
mod directory;
mod fax;
mod image;
mod jpeg;
mod lzw;
mod packbits;
mod pixels;

use self::block::Blocks;
use self::directory::Directory;
use self::image::Image;
use self::pixels::{Painter, Target};
use crate::{Budget, Format, Frame, ImageError, Orientation};

pub(super) fn decode(bytes: &[u8], budget: &Budget<'_>) -> Result<Frame, ImageError> {
    let image = Image::read(Directory::read(bytes)?, budget)?;
    let planes = if image.separate { 4 } else { 1 };
    let block = image.block_len(image.layout.height as usize) as u64;
    let pixels = u64::from(image.width) * u64::from(image.height);
    // The frame, and once more if it must be turned.
    let frames = match image.orientation {
        Orientation::Normal | Orientation::FlipHorizontal => 1,
        _ => 2,
    };
    let needed = frames * 3 * pixels + planes * block + Blocks::working_bytes(&image);
    budget.admit(needed)?;
    budget.nest(needed);
    let mut frame = Frame::zeroed(image.width, image.height, budget)?;
    let painter = Painter::new(&image)?;
    let mut blocks = Blocks::new(&image, budget);
    let stride = 3 * image.width as usize;
    let (across, down) = (image.layout.width as usize, image.layout.height as usize);
    let mut index = 0;
    for y in (0..image.height as usize).step_by(down) {
        for x in (0..image.width as usize).step_by(across) {
            let width = across.min(image.width as usize - x);
            let height = down.min(image.height as usize - y);
            let rows = if image.layout.tiled { down } else { height };
            let data = blocks.read(index, rows)?;
            let mut target = Target {
                pixels: &mut frame.data_mut()[y * stride + 3 * x..],
                stride,
                width,
                height,
            };
            painter.paint(&mut target, &data, budget)?;
            // libtiff mirrors within a tile and leaves the tile where it is.
            if mirrors(image.orientation) {
                for y in 0..height {
                    target.row(y).as_chunks_mut::<3>().0.reverse();
                }
            }
            index += 1;
        }
    }
    let orientation = if mirrors(image.orientation) {
        mirrored(image.orientation)
    } else {
        image.orientation
    };
    frame.upright(orientation, budget)
}

/// Whether an orientation mirrors the stored rows.
fn mirrors(orientation: Orientation) -> bool {
    use Orientation::*;
    matches!(
        orientation,
        FlipHorizontal | Rotate180 | Rotate90 | Transverse
    )
}

/// What is left of such an orientation once rows are mirrored.
fn mirrored(orientation: Orientation) -> Orientation {
    use Orientation::*;
    match orientation {
        Rotate180 => FlipVertical,
        Rotate90 => Transverse,
        Transverse => Rotate90,
        _ => Normal,
    }
}

fn corrupt(message: impl Into<std::borrow::Cow<'static, str>>) -> ImageError {
    ImageError::corrupt(Format::Tiff, message)
}

fn unsupported(message: impl Into<std::borrow::Cow<'static, str>>) -> ImageError {
    ImageError::unsupported(Format::Tiff, message)
}
