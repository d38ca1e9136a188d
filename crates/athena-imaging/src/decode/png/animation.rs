//! The frames of an animation, each composed on those before it.
//!
//! By the rules of the specification: <https://www.w3.org/TR/png-3/#apng-frame-based-animation>.

use super::alpha::{Alpha, Transparency};
use super::apng::{Disposal, FrameControl, FrameData};
use super::header::{Ancillary, Header};
use super::rows::{Raster, SixteenBits, decode_rows};
use super::{Chunks, corrupt};
use crate::decode::frames::Sampling;
use crate::{Budget, Frame, ImageError};

/// Work for a frame whatever its size: a decoder's state and buffers.
const WORK_OF_FRAME: u64 = 8192;
/// Work for a pixel that is blended.
const WORK_OF_PIXEL: u64 = 4;

/// Composes all frames and takes the wanted ones.
pub(in crate::decode) fn sample(
    bytes: &[u8],
    sampling: &mut Sampling<'_>,
    budget: &Budget<'_>,
) -> Result<(), ImageError> {
    let mut chunks = Chunks::new(bytes, budget);
    let header = Header::read(&chunks.next()?)?;
    header.check_size(budget)?;
    // The first one is what the reference shows, which blends nothing.
    let first = super::decode(bytes, budget)?;
    if sampling.wants(0) {
        sampling.take(0, &first)?;
    }
    drop(first);
    let pixels = u64::from(header.width) * u64::from(header.height);
    budget.charge(4 * pixels)?;
    let mut canvas = Canvas {
        width: header.width as usize,
        pixels: vec![[0; 4]; pixels as usize],
    };
    let mut ancillary = Ancillary::default();
    let mut transparency = Transparency::None;
    let mut next: Option<FrameControl> = None;
    let mut data = FrameData::new(budget);
    let mut index = 0;
    let mut before_data = true;
    loop {
        let chunk = chunks.next()?;
        match &chunk.name {
            b"IDAT" => {
                if before_data {
                    ancillary.check_before_data(&header)?;
                    before_data = false;
                }
                // Without a control before it, the default image is not a frame.
                if next.is_some() {
                    data.push(chunk.data);
                }
            }
            b"fdAT" if next.is_some() => {
                let part = chunk.data.get(4..);
                data.push(part.ok_or_else(|| corrupt("frame data without a number"))?);
            }
            b"tRNS" if before_data => {
                transparency = Transparency::read(chunk.data, header.colour);
            }
            b"fcTL" | b"IEND" => {
                if let Some(control) = next.take() {
                    let finished = std::mem::replace(&mut data, FrameData::new(budget));
                    let image = Image::decode(
                        finished,
                        &control,
                        &header,
                        &ancillary,
                        &transparency,
                        budget,
                    )?;
                    let before = canvas.paint(&image, &control, budget)?;
                    if index > 0 && sampling.wants(index) {
                        sampling.take(index, &canvas.to_frame(header.height, budget)?)?;
                    }
                    canvas.dispose(&control, before, index == 0);
                    index += 1;
                }
                if chunk.name == *b"IEND" || sampling.is_done(index) {
                    return Ok(());
                }
                let control = FrameControl::read(&chunk)?;
                control.check(&header)?;
                next = Some(control);
            }
            _ if before_data => ancillary.read(&chunk, &header)?,
            _ => {}
        }
    }
}

/// Frames with data, up to `most`: what an animation says of their number may be wrong.
pub(in crate::decode) fn count(bytes: &[u8], most: u32, budget: &Budget<'_>) -> u32 {
    let mut chunks = Chunks::new(bytes, budget);
    let (mut frames, mut controlled) = (0, false);
    while let Ok(chunk) = chunks.next() {
        match &chunk.name {
            b"fcTL" => controlled = true,
            b"IDAT" | b"fdAT" if controlled => {
                controlled = false;
                frames += 1;
            }
            _ => {}
        }
        if frames == most || chunk.name == *b"IEND" {
            break;
        }
    }
    frames
}

/// A frame by itself.
struct Image {
    frame: Frame,
    alpha: Vec<u8>,
}

impl Image {
    fn decode(
        mut data: FrameData<'_>,
        control: &FrameControl,
        header: &Header,
        ancillary: &Ancillary,
        transparency: &Transparency,
        budget: &Budget<'_>,
    ) -> Result<Self, ImageError> {
        let header = header.resized(control.width, control.height);
        let pixels = u64::from(control.width) * u64::from(control.height);
        budget.charge(WORK_OF_FRAME + pixels)?;
        let mut frame = Frame::zeroed(control.width, control.height, budget)?;
        let mut alpha = vec![0; pixels as usize];
        let mut raster = Raster::new(&mut frame, SixteenBits::Scale).with_alpha(Alpha {
            plane: &mut alpha,
            transparency,
        });
        decode_rows(&mut data, &header, &ancillary.palette, &mut raster, budget)?;
        Ok(Self { frame, alpha })
    }
}

/// Blue, green, red and alpha of what has been painted so far.
struct Canvas {
    width: usize,
    pixels: Vec<[u8; 4]>,
}

impl Canvas {
    fn rows(&mut self, control: &FrameControl) -> impl Iterator<Item = &mut [[u8; 4]]> {
        let (x, width) = (control.x as usize, control.width as usize);
        let rows = self.pixels.chunks_exact_mut(self.width);
        let covered = rows.skip(control.y as usize).take(control.height as usize);
        covered.map(move |row| &mut row[x..][..width])
    }

    /// Paints a frame, and gives what was there if that must be put back.
    fn paint(
        &mut self,
        image: &Image,
        control: &FrameControl,
        budget: &Budget<'_>,
    ) -> Result<Option<Vec<[u8; 4]>>, ImageError> {
        let width = control.width as usize;
        let before = match control.disposal {
            Disposal::Previous => {
                let area = self.rows(control).flat_map(|row| row.iter().copied());
                Some(area.collect())
            }
            _ => None,
        };
        let sources = image.frame.data().as_chunks::<3>().0.chunks_exact(width);
        let alphas = image.alpha.chunks_exact(width);
        for ((row, sources), alphas) in self.rows(control).zip(sources).zip(alphas) {
            budget.charge(WORK_OF_PIXEL * width as u64)?;
            for ((to, &[b, g, r]), &alpha) in row.iter_mut().zip(sources).zip(alphas) {
                *to = match control.blended {
                    true => over(*to, [b, g, r, alpha]),
                    false => [b, g, r, alpha],
                };
            }
        }
        Ok(before)
    }

    fn dispose(&mut self, control: &FrameControl, before: Option<Vec<[u8; 4]>>, is_first: bool) {
        match (control.disposal, before) {
            (Disposal::Previous, Some(before)) if !is_first => {
                let width = control.width as usize;
                for (row, before) in self.rows(control).zip(before.chunks_exact(width)) {
                    row.copy_from_slice(before);
                }
            }
            // Nothing was there before the first frame.
            (Disposal::Previous | Disposal::Background, _) => {
                self.rows(control).for_each(|row| row.fill([0; 4]));
            }
            (Disposal::Keep, _) => {}
        }
    }

    fn to_frame(&self, height: u32, budget: &Budget<'_>) -> Result<Frame, ImageError> {
        let mut frame = Frame::zeroed(self.width as u32, height, budget)?;
        let pixels = frame.data_mut().as_chunks_mut::<3>().0;
        for (to, &[b, g, r, _]) in pixels.iter_mut().zip(&self.pixels) {
            *to = [b, g, r];
        }
        Ok(frame)
    }
}

/// One pixel over another, both of them maybe transparent.
fn over(below: [u8; 4], above: [u8; 4]) -> [u8; 4] {
    match above[3] {
        255 => return above,
        0 => return below,
        _ => {}
    }
    let upper = u32::from(above[3]) * 255;
    let lower = (255 - u32::from(above[3])) * u32::from(below[3]);
    let alpha = upper + lower;
    let blended = |nth: usize| {
        ((u32::from(above[nth]) * upper + u32::from(below[nth]) * lower) / alpha) as u8
    };
    [blended(0), blended(1), blended(2), (alpha / 255) as u8]
}
