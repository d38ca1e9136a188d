use zlib_rs::{Inflate, InflateFlush, Status};

use super::rows::Samples;
use super::{Chunk, Chunks, corrupt};
use crate::{Budget, ImageError, ImageErrorKind};

/// libpng hands zlib this much of a chunk at a time. It shows at the end of the data: a fault in the piece that
/// completes the image is an error, one in a later piece is forgiven.
const PIECE: usize = 8192;
/// What is inflated at once where pieces do not show.
pub(super) const AT_ONCE: usize = 64 << 10;

/// The image data: consecutive chunks, inflated as one stream.
pub(super) struct ImageData<'a> {
    budget: &'a Budget<'a>,
    chunk: Chunk<'a>,
    chunks: Chunks<'a>,
    consumed: usize,
    inflate: Inflate,
    ended: bool,
}

impl<'a> ImageData<'a> {
    pub(super) fn new(first: Chunk<'a>, chunks: Chunks<'a>, budget: &'a Budget<'a>) -> Self {
        Self {
            budget,
            chunk: first,
            chunks,
            consumed: 0,
            inflate: Inflate::new(true, 15),
            ended: false,
        }
    }

    fn step(&mut self, output: &mut [u8], in_pieces: bool) -> Result<usize, ImageError> {
        let piece = if in_pieces {
            (self.consumed / PIECE + 1) * PIECE
        } else {
            self.consumed + AT_ONCE
        };
        let end = self.chunk.data.len().min(piece);
        let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
        let input = &self.chunk.data[self.consumed..end];
        let status = self
            .inflate
            .decompress(input, output, InflateFlush::NoFlush)
            .map_err(|error| corrupt(format!("image data: {}", error.as_str())))?;
        self.ended = status == Status::StreamEnd;
        let consumed = self.inflate.total_in() - before_in;
        let produced = self.inflate.total_out() - before_out;
        self.consumed += consumed as usize;
        self.budget.charge(consumed + produced)?;
        Ok(produced as usize)
    }

    /// Makes sure that there is input, from the next chunk if need be.
    fn next_piece(&mut self) -> Result<(), ImageError> {
        while self.consumed == self.chunk.data.len() {
            if !self.chunk.is_intact() {
                return Err(self.chunk.bad_checksum());
            }
            self.chunk = self.chunks.next()?;
            self.consumed = 0;
            if self.chunk.name != *b"IDAT" {
                return Err(corrupt("not enough image data"));
            }
        }
        Ok(())
    }

    /// Looks for the end of the stream behind the last row and gives the chunks that follow.
    pub(super) fn finish(mut self) -> Result<Chunks<'a>, ImageError> {
        let mut surplus = [0; 1024];
        while !self.ended {
            self.next_piece()?;
            match self.step(&mut surplus, true) {
                Err(error) if error.kind() == ImageErrorKind::Corrupt => break,
                Ok(0) => break,
                surplus => drop(surplus?),
            }
        }
        if self.chunk.is_intact() {
            Ok(self.chunks)
        } else {
            Err(self.chunk.bad_checksum())
        }
    }
}

impl Samples for ImageData<'_> {
    fn read(&mut self, output: &mut [u8], last: bool) -> Result<usize, ImageError> {
        let mut filled = 0;
        while filled < output.len() {
            if self.ended {
                return Err(corrupt("not enough image data"));
            }
            self.next_piece()?;
            filled += self.step(&mut output[filled..], last)?;
        }
        Ok(filled)
    }
}
