//! From a component's samples to one for every pixel, as libjpeg's "fancy" (triangle) upsampling does it.

use super::libjpeg::Sampling;
use crate::simd::kernel;
use crate::{Format, ImageError};

/// How a component is brought to full resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upsampling {
    /// It has it already.
    Full,
    /// Twice the columns, by weights 3 and 1.
    FancyH2,
    /// Twice the rows, by weights 3 and 1.
    FancyV2,
    /// Twice both, by weights 9, 3, 3 and 1.
    FancyH2V2,
    /// Whole multiples, by repetition.
    Repeat { h: usize, v: usize },
}

impl Upsampling {
    /// libjpeg's choice for a component that is `width` samples wide.
    pub(super) fn choose(
        sampling: Sampling,
        max: Sampling,
        width: usize,
    ) -> Result<Self, ImageError> {
        let fancy_width = width > 2;
        if !max.h.is_multiple_of(sampling.h) || !max.v.is_multiple_of(sampling.v) {
            return Err(ImageError::unsupported(
                Format::Jpeg,
                "fractional subsampling",
            ));
        }
        Ok(match (max.h / sampling.h, max.v / sampling.v) {
            (1, 1) => Self::Full,
            (2, 1) if fancy_width => Self::FancyH2,
            (1, 2) => Self::FancyV2,
            (2, 2) if fancy_width => Self::FancyH2V2,
            (h, v) => Self::Repeat { h, v },
        })
    }

    /// Whether a row needs samples of the rows around its own.
    pub(super) fn needs_context(self) -> bool {
        matches!(self, Self::FancyV2 | Self::FancyH2V2)
    }

    /// The rows of samples that make the image's row `y`: its own, and the one that is blended in.
    pub(super) fn rows(self, y: usize, height: usize) -> (usize, usize) {
        match self {
            Self::Full | Self::FancyH2 => (y, y),
            Self::FancyV2 | Self::FancyH2V2 => {
                let near = y / 2;
                let far = if y.is_multiple_of(2) {
                    near.saturating_sub(1)
                } else {
                    (near + 1).min(height - 1)
                };
                (near, far)
            }
            Self::Repeat { v, .. } => (y / v, y / v),
        }
    }

    /// Upsamples a row: `near` and `far` are the samples of [`rows`](Self::rows), `out` has room for a pixel or so more than
    /// the image's width, `sums` is scratch space as wide as the samples.
    pub(super) fn upsample(
        self,
        y: usize,
        near: &[u8],
        far: &[u8],
        sums: &mut [u16],
        out: &mut [u8],
    ) {
        match self {
            Self::Full => out[..near.len()].copy_from_slice(near),
            Self::FancyH2 => double_columns(near, &mut out[..near.len() * 2]),
            Self::FancyV2 => blend_rows(
                near,
                far,
                if y.is_multiple_of(2) { 1 } else { 2 },
                &mut out[..near.len()],
            ),
            Self::FancyH2V2 => {
                weigh_rows(near, far, sums);
                double_both(&sums[..near.len()], &mut out[..near.len() * 2]);
            }
            Self::Repeat { h, .. } => {
                for (out, &sample) in out.chunks_mut(h).zip(near) {
                    out.fill(sample);
                }
            }
        }
    }
}

kernel! {
    fn double_columns(samples: &[u8], out: &mut [u8]) {
        let last = samples.len() - 1;
        out[0] = samples[0];
        out[1] = ((u16::from(samples[0]) * 3 + u16::from(samples[1]) + 2) >> 2) as u8;
        let inner = &mut out[2..last * 2];
        for (out, around) in inner.chunks_exact_mut(2).zip(samples.windows(3)) {
            let [left, own, right] = [around[0], around[1], around[2]].map(u16::from);
            out[0] = ((own * 3 + left + 1) >> 2) as u8;
            out[1] = ((own * 3 + right + 2) >> 2) as u8;
        }
        out[last * 2] = ((u16::from(samples[last]) * 3 + u16::from(samples[last - 1]) + 1) >> 2) as u8;
        out[last * 2 + 1] = samples[last];
    }
}

kernel! {
    fn blend_rows(near: &[u8], far: &[u8], bias: u16, out: &mut [u8]) {
        for ((out, &near), &far) in out.iter_mut().zip(near).zip(far) {
            *out = ((u16::from(near) * 3 + u16::from(far) + bias) >> 2) as u8;
        }
    }
}

kernel! {
    fn weigh_rows(near: &[u8], far: &[u8], sums: &mut [u16]) {
        for ((sum, &near), &far) in sums.iter_mut().zip(near).zip(far) {
            *sum = u16::from(near) * 3 + u16::from(far);
        }
    }
}

kernel! {
    fn double_both(sums: &[u16], out: &mut [u8]) {
        let last = sums.len() - 1;
        out[0] = ((sums[0] * 4 + 8) >> 4) as u8;
        out[1] = ((sums[0] * 3 + sums[1] + 7) >> 4) as u8;
        for (out, around) in out[2..last * 2].chunks_exact_mut(2).zip(sums.windows(3)) {
            out[0] = ((around[1] * 3 + around[0] + 8) >> 4) as u8;
            out[1] = ((around[1] * 3 + around[2] + 7) >> 4) as u8;
        }
        out[last * 2] = ((sums[last] * 3 + sums[last - 1] + 8) >> 4) as u8;
        out[last * 2 + 1] = ((sums[last] * 4 + 7) >> 4) as u8;
    }
}
