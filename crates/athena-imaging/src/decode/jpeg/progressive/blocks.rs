use super::super::header::{FrameComponent, FrameHeader, PlaneMut};
use super::super::idct;
use crate::scratch;

/// The coefficients of an image, which are made samples row by row.
#[derive(Debug)]
pub(in crate::decode::jpeg) struct Blocks {
    pub(super) planes: Vec<Plane>,
    /// MCUs of scans with several components.
    pub(super) mcus_per_row: usize,
    pub(super) mcu_rows: usize,
    /// The row of MCUs that is read next.
    row: usize,
}

/// The blocks of a component.
#[derive(Debug)]
pub(super) struct Plane {
    pub(super) h: usize,
    pub(super) v: usize,
    quant: [u16; 64],
    /// Blocks across and down that hold samples of the image.
    pub(super) columns: usize,
    pub(super) rows: usize,
    /// Blocks from a row to the next: whole MCUs.
    pub(super) stride: usize,
    pub(super) dc: Vec<i16>,
    /// Bit `k` tells that the AC coefficient at place `k` in zigzag order is not zero.
    pub(super) masks: Vec<u64>,
    /// In natural order, without the first. A block whose mask is zero holds anything.
    pub(super) ac: Vec<[i16; 64]>,
}

impl Drop for Plane {
    fn drop(&mut self) {
        scratch::give_back_blocks(std::mem::take(&mut self.ac));
    }
}

impl Blocks {
    pub(super) fn new(header: &FrameHeader<'_>) -> Self {
        let max =
            |of: fn(&FrameComponent) -> usize| header.components.iter().map(of).max().unwrap_or(1);
        let (max_h, max_v) = (max(|c| c.h), max(|c| c.v));
        let mcus_per_row = header.width.div_ceil(8 * max_h);
        let mcu_rows = header.height.div_ceil(8 * max_v);
        let plane = |component: &FrameComponent| {
            let stride = mcus_per_row * component.h;
            let count = stride * mcu_rows * component.v;
            Plane {
                h: component.h,
                v: component.v,
                quant: component.quant,
                columns: (header.width * component.h).div_ceil(8 * max_h),
                rows: (header.height * component.v).div_ceil(8 * max_v),
                stride,
                dc: vec![0; count],
                masks: vec![0; count],
                ac: scratch::blocks_to_overwrite(count),
            }
        };
        Self {
            planes: header.components.iter().map(plane).collect(),
            mcus_per_row,
            mcu_rows,
            row: 0,
        }
    }

    /// Makes samples of the next row of MCUs.
    pub(in crate::decode::jpeg) fn read(&mut self, planes: &mut [PlaneMut<'_>]) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            #[target_feature(enable = "avx2")]
            fn read(blocks: &mut Blocks, planes: &mut [PlaneMut<'_>]) {
                blocks.read_with(planes, |quant, block, end, out, stride| {
                    idct::avx2::inverse(quant, block, end, out, stride);
                });
            }
            // SAFETY: the processor has it.
            #[allow(unsafe_code)]
            return unsafe { read(self, planes) };
        }
        self.read_with(planes, |quant, block, _, out, stride| {
            idct::scalar::inverse(quant, block, out, stride);
        });
    }

    #[inline(always)]
    fn read_with(
        &mut self,
        planes: &mut [PlaneMut<'_>],
        inverse: impl Fn(&[u16; 64], &[i16; 64], usize, &mut [u8], usize),
    ) {
        let mut flat = [0; 64];
        for (plane, samples) in self.planes.iter_mut().zip(planes) {
            let stride = samples.stride;
            let first = self.row * plane.v;
            let rows = plane.v.min(plane.rows.saturating_sub(first));
            for (y, lines) in samples.data.chunks_mut(8 * stride).take(rows).enumerate() {
                let at = (first + y) * plane.stride;
                for x in 0..plane.columns {
                    let (dc, mask) = (plane.dc[at + x], plane.masks[at + x]);
                    let out = &mut lines[x * 8..];
                    if mask == 0 {
                        flat[0] = dc;
                        inverse(&plane.quant, &flat, 1, out, stride);
                    } else {
                        let block = &mut plane.ac[at + x];
                        block[0] = dc;
                        let end = 64 - mask.leading_zeros() as usize;
                        inverse(&plane.quant, block, end, out, stride);
                    }
                }
            }
        }
        self.row += 1;
    }
}
