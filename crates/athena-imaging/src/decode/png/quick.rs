//! The way for sound files: everything inflated at once, by a decoder made for PNG.
//!
//! It gives up at the first irregularity. What libpng makes of those, [`ImageData`](super::inflate::ImageData) knows.

use fdeflate::Decompressor;

use super::rows::Samples;
use super::{Chunk, Chunks};
use crate::{Budget, ImageError, scratch};

/// Bytes that are inflated at once: some megabytes at most.
const PIECE: usize = 16 << 10;

pub(super) struct Inflated {
    data: Vec<u8>,
    read: usize,
}

/// Inflates `len` bytes and no more from consecutive chunks, all of them intact; also gives the chunks that follow.
pub(super) fn inflate<'a>(
    first: &Chunk<'a>,
    chunks: &Chunks<'a>,
    len: usize,
    budget: &Budget<'_>,
) -> Result<Option<(Inflated, Chunks<'a>)>, ImageError> {
    let mut following = chunks.clone();
    let mut chunk = first.clone();
    let mut inflated = Inflated {
        data: scratch::to_overwrite(len),
        read: 0,
    };
    let mut filled = 0;
    let mut decompressor = Decompressor::new();
    loop {
        let after = following.clone();
        let Ok(next) = following.next() else {
            return Ok(None);
        };
        let last = next.name != *b"IDAT";
        let mut input = chunk.data;
        while !input.is_empty() || last && !decompressor.is_done() {
            if decompressor.is_done() {
                return Ok(None);
            }
            let piece = &input[..input.len().min(PIECE)];
            let end = last && piece.len() == input.len();
            let read = decompressor.read(piece, &mut inflated.data, filled, end);
            let Ok((consumed, produced)) = read else {
                return Ok(None);
            };
            budget.charge((consumed + produced) as u64)?;
            input = &input[consumed..];
            filled += produced;
            if consumed == 0 && produced == 0 && !decompressor.is_done() {
                return Ok(None);
            }
        }
        if !chunk.is_intact() {
            return Ok(None);
        }
        if last {
            let complete = decompressor.is_done() && filled == len;
            return Ok(complete.then_some((inflated, after)));
        }
        chunk = next;
    }
}

impl Samples for Inflated {
    fn read(&mut self, output: &mut [u8], _last: bool) -> Result<usize, ImageError> {
        output.copy_from_slice(&self.data[self.read..self.read + output.len()]);
        self.read += output.len();
        Ok(output.len())
    }
}

impl Drop for Inflated {
    fn drop(&mut self) {
        scratch::give_back(std::mem::take(&mut self.data));
    }
}
