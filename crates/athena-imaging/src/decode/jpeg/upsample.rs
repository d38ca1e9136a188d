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
        let out = &mut out.as_chunks_mut::<2>().0[..=last];
        let at = |x: usize| u16::from(samples[x]);
        out[0] = [samples[0], ((at(0) * 3 + at(1) + 2) >> 2) as u8];
        out[last] = [((at(last) * 3 + at(last - 1) + 1) >> 2) as u8, samples[last]];
        let len = last - 1;
        let (left, own, right) = (&samples[..len], &samples[1..][..len], &samples[2..][..len]);
        let inner = &mut out[1..][..len];
        for x in 0..len {
            let own = u16::from(own[x]) * 3;
            inner[x] = [((own + u16::from(left[x]) + 1) >> 2) as u8, ((own + u16::from(right[x]) + 2) >> 2) as u8];
        }
    }
}

kernel! {
    fn blend_rows(near: &[u8], far: &[u8], bias: u16, out: &mut [u8]) {
        let len = near.len();
        let (far, out) = (&far[..len], &mut out[..len]);
        for x in 0..len {
            out[x] = ((u16::from(near[x]) * 3 + u16::from(far[x]) + bias) >> 2) as u8;
        }
    }
}

kernel! {
    fn weigh_rows(near: &[u8], far: &[u8], sums: &mut [u16]) {
        let len = near.len();
        let (far, sums) = (&far[..len], &mut sums[..len]);
        for x in 0..len {
            sums[x] = u16::from(near[x]) * 3 + u16::from(far[x]);
        }
    }
}

kernel! {
    fn double_both(sums: &[u16], out: &mut [u8]) {
        let last = sums.len() - 1;
        let out = &mut out.as_chunks_mut::<2>().0[..=last];
        out[0] = [((sums[0] * 4 + 8) >> 4) as u8, ((sums[0] * 3 + sums[1] + 7) >> 4) as u8];
        out[last] = [((sums[last] * 3 + sums[last - 1] + 8) >> 4) as u8, ((sums[last] * 4 + 7) >> 4) as u8];
        let len = last - 1;
        let (left, own, right) = (&sums[..len], &sums[1..][..len], &sums[2..][..len]);
        let inner = &mut out[1..][..len];
        for x in 0..len {
            let own = own[x] * 3;
            inner[x] = [((own + left[x] + 8) >> 4) as u8, ((own + right[x] + 7) >> 4) as u8];
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::simd::testing::{LENGTHS, assert_same, bytes, rows};

    #[test]
    fn every_instruction_set_gives_the_same_samples() {
        for len in LENGTHS {
            for near in bytes(len) {
                for far in bytes(len) {
                    for bias in [1, 2] {
                        assert_same!(blend_rows(&near, &far, bias; vec![7; len]));
                    }
                    assert_same!(weigh_rows(&near, &far; vec![7; len]));
                }
            }
        }
        // Narrower components are repeated.
        for len in LENGTHS.into_iter().filter(|&len| len > 2) {
            for samples in bytes(len) {
                assert_same!(double_columns(&samples; vec![7; len * 2]));
            }
            for sums in rows(len, 0, 1020, |bits| (bits % 1021) as u16) {
                assert_same!(double_both(&sums; vec![7; len * 2]));
            }
        }
    }
}
