//! The way for sound files: everything inflated at once, by a decoder made for PNG.
//!
//! It gives up at the first irregularity. What libpng makes of those, [`ImageData`](super::inflate::ImageData) knows.

use fdeflate::Decompressor;

use super::rows::Samples;
use super::{Chunk, Chunks};
use crate::{ImageError, scratch};

pub(super) struct Inflated {
    data: Vec<u8>,
    read: usize,
}

/// Inflates `len` bytes and no more from consecutive chunks, all of them intact; also gives the chunks that follow.
pub(super) fn inflate<'a>(
    first: &Chunk<'a>,
    chunks: &Chunks<'a>,
    len: usize,
) -> Option<(Inflated, Chunks<'a>)> {
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
        let next = following.next().ok()?;
        let last = next.name != *b"IDAT";
        let mut input = chunk.data;
        while !input.is_empty() || last && !decompressor.is_done() {
            if decompressor.is_done() {
                return None;
            }
            let (consumed, produced) = decompressor
                .read(input, &mut inflated.data, filled, last)
                .ok()?;
            input = &input[consumed..];
            filled += produced;
            if consumed == 0 && produced == 0 && !decompressor.is_done() {
                return None;
            }
        }
        if !chunk.is_intact() {
            return None;
        }
        if last {
            let complete = decompressor.is_done() && filled == len;
            return complete.then_some((inflated, after));
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
