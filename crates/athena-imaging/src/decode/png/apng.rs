//! The first frame of an animation, which need not be the default image.

use zlib_rs::{Inflate, InflateFlush, Status};

use super::header::Header;
use super::inflate::AT_ONCE;
use super::rows::{Raster, Samples, SixteenBits, decode_rows};
use super::{Chunk, Chunks, corrupt};
use crate::decode::pixels::Bgr;
use crate::{Budget, Frame, ImageError};

/// What the chunks before the image data say of an animation.
pub(super) struct Control {
    /// Where the default image goes, if it is a frame.
    default_image: Option<FrameControl>,
}

impl Control {
    /// Reads ahead to the image data: `None` if there is no more than one frame.
    pub(super) fn scan(
        mut chunks: Chunks<'_>,
        header: &Header,
    ) -> Result<Option<Self>, ImageError> {
        let mut count = 1;
        let mut default_image = None;
        loop {
            let chunk = chunks.next_checked()?;
            match (&chunk.name, chunk.data) {
                (b"IDAT", _) => break,
                (b"acTL", &[a, b, c, d, ..]) => {
                    count = u32::from_be_bytes([a, b, c, d]);
                    if count == 0 {
                        return Err(corrupt("an animation of no frames"));
                    }
                }
                (b"fcTL", _) => default_image = Some(FrameControl::read(&chunk)?),
                _ => {}
            }
        }
        if let Some(frame) = &default_image {
            frame.check(header)?;
        }
        Ok((count > 1).then_some(Self { default_image }))
    }
}

/// Size and place of a frame, and how it and the frames around it go together.
pub(super) struct FrameControl {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) disposal: Disposal,
    /// Whether the frame is blended with what is there, or replaces it.
    pub(super) blended: bool,
}

/// What becomes of a frame before the next one is painted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Disposal {
    Keep,
    Background,
    Previous,
}

impl FrameControl {
    pub(super) fn read(chunk: &Chunk<'_>) -> Result<Self, ImageError> {
        let ([_, width, height, x, y, ..], &[.., disposal @ 0..=2, blended @ 0..=1]) =
            (chunk.data.as_chunks::<4>().0, chunk.data)
        else {
            return Err(corrupt("a frame control that cannot be"));
        };
        let [width, height, x, y] = [width, height, x, y].map(|&word| u32::from_be_bytes(word));
        Ok(Self {
            width,
            height,
            x,
            y,
            disposal: match disposal {
                1 => Disposal::Background,
                2 => Disposal::Previous,
                _ => Disposal::Keep,
            },
            blended: blended == 1,
        })
    }

    pub(super) fn check(&self, header: &Header) -> Result<(), ImageError> {
        let fits = |start: u32, len: u32, whole: u32| start.saturating_add(len) <= whole;
        if fits(self.x, self.width, header.width) && fits(self.y, self.height, header.height) {
            Ok(())
        } else {
            Err(corrupt("a frame outside the image"))
        }
    }
}

/// Decodes the first frame onto a black canvas; `first` is the first chunk of image data.
pub(super) fn first_frame<'a>(
    first: Chunk<'a>,
    mut chunks: Chunks<'a>,
    control: &Control,
    header: &Header,
    palette: &[Bgr; 256],
    budget: &'a Budget<'a>,
) -> Result<Frame, ImageError> {
    let hidden = control.default_image.is_none();
    let mut data = FrameData::new(budget);
    data.push(first.data);
    let mut found = None;
    loop {
        let chunk = chunks.next()?;
        match &chunk.name {
            b"IEND" => break,
            b"IDAT" => data.push(chunk.data),
            b"fcTL" => {
                let next = FrameControl::read(&chunk)?;
                next.check(header)?;
                if !hidden || found.is_some() {
                    break;
                }
                found = Some(next);
                data.parts.clear();
            }
            b"fdAT" if !hidden || found.is_some() => {
                let after_number = chunk.data.get(4..);
                let part = after_number.ok_or_else(|| corrupt("frame data without a number"))?;
                data.push(part);
            }
            b"PLTE" if header.colour.has_palette() => return Err(corrupt("a second palette")),
            b"PLTE" => {}
            _ if chunk.is_critical() || !chunk.has_valid_name() => {
                return Err(corrupt(format!("an unexpected {}", chunk.display_name())));
            }
            _ => {}
        }
    }
    let (place, stored) = match (&control.default_image, &found) {
        (Some(place), _) => (Some(place), header.clone()),
        (None, Some(place)) => (Some(place), header.resized(place.width, place.height)),
        (None, None) => (None, header.clone()),
    };
    let pixels = |header: &Header| u64::from(header.width) * u64::from(header.height);
    let parts = size_of_val(data.parts.as_slice()) as u64;
    budget.admit(3 * (pixels(header) + pixels(&stored)) + parts)?;
    let mut canvas = Frame::zeroed(header.width, header.height, budget)?;
    let mut image = Frame::zeroed(stored.width, stored.height, budget)?;
    let mut raster = Raster::new(&mut image, SixteenBits::Scale);
    decode_rows(&mut data, &stored, palette, &mut raster, budget)?;
    data.finish()?;
    if let Some(place) = place {
        let (x, y) = (place.x as usize, place.y as usize);
        let len = 3 * place.width as usize;
        for row in 0..place.height as usize {
            canvas.row_mut(y + row)[3 * x..][..len].copy_from_slice(&image.row(row)[..len]);
        }
    }
    Ok(canvas)
}

/// The data of a frame. Unlike a still image's it may be damaged, and shows black from there on; but it must end.
pub(super) struct FrameData<'a> {
    parts: Vec<&'a [u8]>,
    next: usize,
    inflate: Inflate,
    ended: bool,
    budget: &'a Budget<'a>,
}

impl<'a> FrameData<'a> {
    pub(super) fn new(budget: &'a Budget<'a>) -> Self {
        Self {
            budget,
            parts: Vec::new(),
            next: 0,
            inflate: Inflate::new(true, 15),
            ended: false,
        }
    }

    pub(super) fn push(&mut self, part: &'a [u8]) {
        self.parts.push(part);
    }

    /// One step with the data at hand; gives the bytes written.
    fn step(&mut self, output: &mut [u8]) -> Result<usize, ImageError> {
        while self
            .parts
            .get(self.next)
            .is_some_and(|part| part.is_empty())
        {
            self.next += 1;
        }
        let part = self.parts.get_mut(self.next);
        let part = part.ok_or_else(|| corrupt("not enough frame data"))?;
        let piece = &part[..part.len().min(AT_ONCE)];
        let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self
            .inflate
            .decompress(piece, output, InflateFlush::SyncFlush);
        self.ended = !matches!(status, Ok(Status::Ok | Status::BufError));
        let consumed = self.inflate.total_in() - before_in;
        let produced = self.inflate.total_out() - before_out;
        *part = &part[consumed as usize..];
        self.budget.charge(consumed + produced)?;
        Ok(produced as usize)
    }

    fn finish(&mut self) -> Result<(), ImageError> {
        while !self.ended {
            if self.step(&mut [0])? > 0 {
                break;
            }
        }
        Ok(())
    }
}

impl Samples for FrameData<'_> {
    fn read(&mut self, output: &mut [u8], _last: bool) -> Result<usize, ImageError> {
        let mut filled = 0;
        while filled < output.len() && !self.ended {
            filled += self.step(&mut output[filled..])?;
        }
        Ok(filled)
    }
}
