//! The frames of an animation, each composed on those before it.

use super::{
    EXTENSION, GRAPHIC_CONTROL, ImageBlock, Screen, TRAILER, check_structure, corrupt, lzw,
    skip_blocks,
};
use crate::decode::frames::Sampling;
use crate::decode::reader::Reader;
use crate::{Budget, Frame, ImageError};

/// Work for a frame whatever its size: the codes' table.
const WORK_OF_FRAME: u64 = 8192;

/// What a graphic control says about the frame that follows it.
#[derive(Debug, Clone, Copy, Default)]
struct Control {
    transparent: Option<u8>,
    disposal: Disposal,
}

/// What becomes of a frame before the next one is painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Disposal {
    #[default]
    Keep,
    Background,
    Previous,
}

/// Composes all frames and takes the wanted ones.
pub(in crate::decode) fn sample(
    bytes: &[u8],
    sampling: &mut Sampling<'_>,
    budget: &Budget<'_>,
) -> Result<(), ImageError> {
    let mut reader = Reader::new(bytes, budget);
    let screen = Screen::read(&mut reader)?;
    let (width, height) = (u32::from(screen.width), u32::from(screen.height));
    check_structure(&mut reader.clone())?;
    let mut canvas = Frame::zeroed(width, height, budget)?;
    canvas.data_mut().as_chunks_mut().0.fill(screen.background);
    let mut index = 0;
    while let Some(control) = control(&mut reader)? {
        let image = ImageBlock::read(&mut reader, &screen)?;
        // The pixels may have to be put back; decoding and painting pay for themselves.
        budget.charge(WORK_OF_FRAME + image.pixels())?;
        let mut indices = vec![0; image.width * image.height];
        lzw::decode(&mut reader.clone(), &mut indices, budget)?;
        reader.skip(1);
        skip_blocks(&mut reader)?;

        let before = (control.disposal == Disposal::Previous).then(|| image.area(&mut canvas));
        image.paint(
            &mut canvas,
            &indices,
            control.transparent,
            &screen.colours,
            budget,
        )?;
        if sampling.wants(index) {
            budget.charge(u64::from(width) * u64::from(height))?;
            sampling.take(index, &canvas)?;
        }
        match before {
            Some(before) => {
                for (row, before) in image
                    .rows(&mut canvas)
                    .zip(before.chunks_exact(3 * image.width))
                {
                    row.copy_from_slice(before);
                }
            }
            None if control.disposal == Disposal::Background => {
                for row in image.rows(&mut canvas) {
                    row.as_chunks_mut().0.fill(screen.background);
                }
            }
            None => {}
        }
        index += 1;
        if sampling.is_done(index) {
            break;
        }
    }
    Ok(())
}

impl ImageBlock {
    /// The part of each row of the canvas that the image covers.
    fn rows<'a>(&self, canvas: &'a mut Frame) -> impl Iterator<Item = &'a mut [u8]> {
        let (stride, left, len) = (3 * canvas.width() as usize, 3 * self.left, 3 * self.width);
        let rows = canvas.data_mut().chunks_exact_mut(stride);
        let covered = rows.skip(self.top).take(self.height);
        covered.map(move |row| &mut row[left..][..len])
    }

    /// What is there before it is painted.
    fn area(&self, canvas: &mut Frame) -> Vec<u8> {
        self.rows(canvas)
            .flat_map(|row| row.iter().copied())
            .collect()
    }
}

/// Reads up to the next image; `None` at the end of the file.
fn control(reader: &mut Reader<'_>) -> Result<Option<Control>, ImageError> {
    let mut control = Control::default();
    loop {
        let start = reader.position();
        match reader.u8()? {
            TRAILER => return Ok(None),
            EXTENSION => {}
            _ => {
                reader.seek(start);
                return Ok(Some(control));
            }
        }
        if reader.u8()? == GRAPHIC_CONTROL {
            let [len, flags, _, _, index] = reader.array()?;
            if len != 4 {
                return Err(corrupt("a graphic control that cannot be"));
            }
            control.transparent = (flags & 1 != 0).then_some(index);
            control.disposal = match flags >> 2 & 7 {
                2 => Disposal::Background,
                3 => Disposal::Previous,
                _ => Disposal::Keep,
            };
        }
        skip_blocks(reader)?;
    }
}
