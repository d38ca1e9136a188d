//! Run lengths: pairs of a count and a value, escapes with a count of zero.

use super::Header;
use crate::decode::pixels::{Bgr, expand_indices};
use crate::decode::reader::Reader;
use crate::{Budget, Format, Frame, ImageError};

const END_OF_LINE: u8 = 0;
const DELTA: u8 = 2;

/// Fills lines one after the other; a position at the end of a line stays there until a fill moves it on.
struct Pen<'a> {
    budget: &'a Budget<'a>,
    frame: &'a mut Frame,
    header: &'a Header,
    width: usize,
    x: usize,
    line: usize,
}

impl<'a> Pen<'a> {
    fn new(frame: &'a mut Frame, header: &'a Header, budget: &'a Budget<'a>) -> Self {
        Self {
            budget,
            frame,
            header,
            width: header.width as usize,
            x: 0,
            line: 0,
        }
    }

    fn left(&self) -> usize {
        self.width - self.x
    }

    fn done(&self) -> bool {
        self.line >= self.header.height as usize
    }

    /// Room for `count` pixels on this line, which are then passed.
    fn run(&mut self, count: usize) -> Result<&mut [u8], ImageError> {
        if count > self.left() {
            return Err(ImageError::corrupt(
                Format::Bmp,
                "a run is longer than its line",
            ));
        }
        let start = 3 * self.x;
        self.x += count;
        let row = self.header.row(self.line);
        Ok(&mut self.frame.row_mut(row)[start..start + 3 * count])
    }

    /// Paints `count` pixels across the ends of lines; at the end of a line it goes on to the next even for none.
    fn fill(&mut self, mut count: usize, colour: Bgr) -> Result<(), ImageError> {
        loop {
            let part = count.min(self.left());
            self.budget.charge(part as u64)?;
            let (start, row) = (3 * self.x, self.header.row(self.line));
            let pixels = &mut self.frame.row_mut(row)[start..start + 3 * part];
            pixels.as_chunks_mut().0.fill(colour);
            self.x += part;
            count -= part;
            if self.x == self.width {
                self.x = 0;
                self.line += 1;
                if self.done() {
                    return Ok(());
                }
            }
            if count == 0 {
                return Ok(());
            }
        }
    }
}

pub(super) fn decode4(
    reader: &mut Reader<'_>,
    header: &Header,
    frame: &mut Frame,
    budget: &Budget<'_>,
) -> Result<(), ImageError> {
    let mut pen = Pen::new(frame, header, budget);
    let palette = &header.palette;
    while !pen.done() {
        match reader.array()? {
            [0, count @ 3..=255] => {
                let count = usize::from(count);
                let pixels = pen.run(count)?;
                let source = reader.take(count.div_ceil(2).next_multiple_of(2))?;
                expand_indices(pixels, source, 4, palette);
            }
            [0, escape] => {
                let mut skipped = pen.left();
                if escape == DELTA {
                    let [x, _lines] = reader.array()?;
                    skipped = x.into();
                }
                pen.fill(skipped, palette[0])?;
            }
            [count, pair] => {
                let pixels = pen.run(count.into())?;
                let source = [pair; 128];
                expand_indices(pixels, &source, 4, palette);
            }
        }
    }
    Ok(())
}

pub(super) fn decode8(
    reader: &mut Reader<'_>,
    header: &Header,
    frame: &mut Frame,
    budget: &Budget<'_>,
) -> Result<(), ImageError> {
    let mut pen = Pen::new(frame, header, budget);
    let palette = &header.palette;
    // A run that ends a line has gone to the next already: the end of line that follows it is void.
    let mut line_ended = false;
    while !pen.done() {
        match reader.array()? {
            [0, count @ 3..=255] => {
                let count = usize::from(count);
                let pixels = pen.run(count)?;
                let source = reader.take(count.next_multiple_of(2))?;
                expand_indices(pixels, source, 8, palette);
                line_ended = false;
            }
            [0, escape] => {
                if escape != END_OF_LINE || !line_ended || pen.left() < pen.width {
                    let mut skipped = pen.left();
                    let mut lines = 0;
                    if escape == DELTA {
                        let [x, y] = reader.array()?;
                        (skipped, lines) = (x.into(), y.into());
                    } else if escape != END_OF_LINE {
                        lines = header.height as usize - pen.line;
                    }
                    pen.fill(skipped + lines * pen.width, palette[0])?;
                }
                line_ended = false;
            }
            [count, index] => {
                let (line, count) = (pen.line, usize::from(count));
                if count > pen.left() {
                    return Err(ImageError::corrupt(
                        Format::Bmp,
                        "a run is longer than its line",
                    ));
                }
                pen.fill(count, palette[usize::from(index)])?;
                line_ended = pen.line != line;
            }
        }
    }
    Ok(())
}
