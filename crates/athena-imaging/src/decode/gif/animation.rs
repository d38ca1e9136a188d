//! The frames of an animation, each composed on those before it.

use super::{
    EXTENSION, GRAPHIC_CONTROL, ImageBlock, Screen, TRAILER, check_structure, corrupt, lzw,
    skip_blocks,
};
use crate::decode::reader::Reader;
use crate::{Format, Frame, ImageError, Limits};

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

/// Composes all frames and gives the wanted ones; `wanted` ascends.
pub(in crate::decode) fn sample(
    bytes: &[u8],
    wanted: &[u32],
    limits: &Limits,
) -> Result<Vec<Frame>, ImageError> {
    let mut reader = Reader::new(Format::Gif, bytes);
    let screen = Screen::read(&mut reader)?;
    let (width, height) = (u32::from(screen.width), u32::from(screen.height));
    check_structure(&mut reader.clone())?;
    let mut canvas = Frame::zeroed(Format::Gif, width, height, limits)?;
    canvas.data_mut().as_chunks_mut().0.fill(screen.background);
    let mut sampled = Vec::with_capacity(wanted.len());
    let mut index = 0;
    while let Some(control) = control(&mut reader)? {
        let image = ImageBlock::read(&mut reader, &screen)?;
        let mut indices = vec![0; image.width * image.height];
        lzw::decode(&mut reader.clone(), &mut indices)?;
        reader.skip(1);
        skip_blocks(&mut reader)?;

        let before = (control.disposal == Disposal::Previous).then(|| canvas.clone());
        image.paint(&mut canvas, &indices, control.transparent, &screen.colours)?;
        if wanted.contains(&index) {
            sampled.push(canvas.clone());
        }
        match before {
            Some(before) => canvas = before,
            None if control.disposal == Disposal::Background => {
                for y in image.top..image.top + image.height {
                    let row = &mut canvas.row_mut(y)[3 * image.left..][..3 * image.width];
                    row.as_chunks_mut().0.fill(screen.background);
                }
            }
            None => {}
        }
        index += 1;
        if wanted.last().is_none_or(|&last| index > last) {
            break;
        }
    }
    Ok(sampled)
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
