//! GIF as OpenCV reads it: the whole block structure is checked before the first frame is decoded, the frame is
//! painted over the background colour, transparent pixels leave what is there.

mod animation;
mod lzw;

pub(super) use animation::sample;

use super::pixels::Bgr;
use super::reader::Reader;
use crate::{Budget, Format, Frame, ImageError, scratch};

const EXTENSION: u8 = 0x21;
const IMAGE: u8 = 0x2C;
const TRAILER: u8 = 0x3B;
const GRAPHIC_CONTROL: u8 = 0xF9;
const APPLICATION: u8 = 0xFF;

pub(super) fn decode(bytes: &[u8], budget: &Budget<'_>) -> Result<Frame, ImageError> {
    let mut reader = Reader::new(bytes, budget);
    let screen = Screen::read(&mut reader)?;
    budget.check_size(screen.width.into(), screen.height.into())?;
    check_structure(&mut reader.clone())?;
    let transparent = extensions(&mut reader)?;
    let image = ImageBlock::read(&mut reader, &screen)?;
    let pixels = u64::from(screen.width) * u64::from(screen.height);
    budget.admit(4 * pixels)?;
    let mut indices = scratch::zeroed(image.width * image.height);
    lzw::decode(&mut reader, &mut indices, budget)?;
    let mut frame = Frame::zeroed(screen.width.into(), screen.height.into(), budget)?;
    let whole = transparent.is_none() && indices.len() as u64 == pixels;
    if !whole && screen.background != [0; 3] {
        frame.data_mut().as_chunks_mut().0.fill(screen.background);
    }
    image.paint(&mut frame, &indices, transparent, &screen.colours, budget)?;
    scratch::give_back(indices);
    Ok(frame)
}

struct Screen {
    width: u16,
    height: u16,
    colours: Vec<Bgr>,
    background: Bgr,
}

impl Screen {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ImageError> {
        reader.skip(6);
        let width = reader.u16_le()?;
        let height = reader.u16_le()?;
        let [flags, background, _aspect] = reader.array()?;
        let colours = colour_table(reader, flags)?;
        let background = match colours.get(usize::from(background)) {
            Some(&colour) => colour,
            None if colours.is_empty() => [0; 3],
            None => return Err(corrupt("the background is outside the colour table")),
        };
        Ok(Self {
            width,
            height,
            colours,
            background,
        })
    }
}

/// The colours that follow a descriptor whose flags say so.
fn colour_table(reader: &mut Reader<'_>, flags: u8) -> Result<Vec<Bgr>, ImageError> {
    if flags & 0x80 == 0 {
        return Ok(Vec::new());
    }
    let rgb = reader.take(3 << ((flags & 7) + 1))?;
    Ok(rgb
        .as_chunks()
        .0
        .iter()
        .map(|&[r, g, b]| [b, g, r])
        .collect())
}

/// Walks all blocks up to the trailer, which must be there.
fn check_structure(reader: &mut Reader<'_>) -> Result<(), ImageError> {
    loop {
        match reader.u8()? {
            TRAILER => return Ok(()),
            EXTENSION => match reader.u8()? {
                APPLICATION => skip_application(reader)?,
                _ => skip_blocks(reader)?,
            },
            IMAGE => {
                reader.skip(8);
                let flags = reader.u8()?;
                if flags & 0x80 != 0 {
                    reader.skip(3 << ((flags & 7) + 1));
                }
                reader.skip(1);
                skip_blocks(reader)?;
            }
            other => return Err(corrupt(format!("an unknown block 0x{other:02x}"))),
        }
    }
}

fn skip_blocks(reader: &mut Reader<'_>) -> Result<(), ImageError> {
    loop {
        match reader.u8()? {
            0 => return Ok(()),
            len => reader.skip(len.into()),
        }
    }
}

/// As [`skip_blocks`], but three bytes that do not belong to a loop count pass for two, as in OpenCV.
fn skip_application(reader: &mut Reader<'_>) -> Result<(), ImageError> {
    let mut looping = false;
    loop {
        match reader.u8()? {
            0 => return Ok(()),
            11 => looping = reader.take(11)? == b"NETSCAPE2.0",
            3 if !looping => reader.skip(2),
            len => reader.skip(len.into()),
        }
    }
}

/// Reads the extensions before an image and gives the transparent index, if there is one.
fn extensions(reader: &mut Reader<'_>) -> Result<Option<u8>, ImageError> {
    let mut transparent = None;
    loop {
        let start = reader.position();
        if reader.u8()? != EXTENSION {
            reader.seek(start);
            return Ok(transparent);
        }
        if reader.u8()? == GRAPHIC_CONTROL {
            let [len, flags, _, _, index] = reader.array()?;
            let disposal = flags >> 2 & 7;
            if len != 4 || disposal > 3 {
                return Err(corrupt("a graphic control that cannot be"));
            }
            transparent = (flags & 1 != 0).then_some(index);
        }
        skip_blocks(reader)?;
    }
}

struct ImageBlock {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    interlaced: bool,
    colours: Vec<Bgr>,
}

impl ImageBlock {
    fn read(reader: &mut Reader<'_>, screen: &Screen) -> Result<Self, ImageError> {
        if reader.u8()? != IMAGE {
            return Err(corrupt("no image"));
        }
        let mut word = || reader.u16_le().map(usize::from);
        let [left, top, width, height] = [word()?, word()?, word()?, word()?];
        if width == 0
            || height == 0
            || left + width > screen.width.into()
            || top + height > screen.height.into()
        {
            return Err(corrupt("an image outside the screen"));
        }
        let flags = reader.u8()?;
        let colours = colour_table(reader, flags)?;
        Ok(Self {
            left,
            top,
            width,
            height,
            interlaced: flags & 0x40 != 0,
            colours,
        })
    }

    fn pixels(&self) -> u64 {
        self.width as u64 * self.height as u64
    }

    fn paint(
        &self,
        frame: &mut Frame,
        indices: &[u8],
        transparent: Option<u8>,
        shared: &[Bgr],
        budget: &Budget<'_>,
    ) -> Result<(), ImageError> {
        let (palette, count) = self.palette(shared);
        let passes: &[(usize, usize)] = if self.interlaced {
            &[(0, 8), (4, 8), (2, 4), (1, 2)]
        } else {
            &[(0, 1)]
        };
        let lines = passes
            .iter()
            .flat_map(|&(start, step)| (start..self.height).step_by(step));
        for (y, line) in lines.zip(indices.chunks_exact(self.width)) {
            budget.charge(self.width as u64)?;
            let highest = line.iter().copied().fold(0, u8::max);
            if usize::from(highest) >= count {
                let outside = |&index: &u8| usize::from(index) >= count;
                if line.iter().any(|i| outside(i) && transparent != Some(*i)) {
                    return Err(corrupt("an index outside the colour table"));
                }
            }
            let row = &mut frame.row_mut(self.top + y)[3 * self.left..][..3 * self.width];
            let pixels = row.as_chunks_mut::<3>().0.iter_mut().zip(line);
            match transparent {
                None => pixels.for_each(|(pixel, &i)| *pixel = palette[usize::from(i)]),
                Some(hole) => pixels
                    .filter(|&(_, &i)| i != hole)
                    .for_each(|(pixel, &i)| *pixel = palette[usize::from(i)]),
            }
        }
        Ok(())
    }

    /// The image's own colours, the screen's behind them, greys when there are none; and how many there are.
    fn palette(&self, shared: &[Bgr]) -> ([Bgr; 256], usize) {
        if self.colours.is_empty() && shared.is_empty() {
            let grey = |index| {
                if index == 1 {
                    [255; 3]
                } else {
                    [index as u8; 3]
                }
            };
            return (std::array::from_fn(grey), 256);
        }
        let colour = |index| self.colours.get(index).or(shared.get(index)).copied();
        let count = self.colours.len().max(shared.len());
        (
            std::array::from_fn(|index| colour(index).unwrap_or_default()),
            count,
        )
    }
}

fn corrupt(message: impl Into<std::borrow::Cow<'static, str>>) -> ImageError {
    ImageError::corrupt(Format::Gif, message)
}
