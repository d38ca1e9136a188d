use super::colour;
use super::decoder::Decoder;
use super::header::PlaneMut;
use super::libjpeg::{ColourSpace, Header};
use super::upsample::Upsampling;
use crate::ImageError;

/// The samples of the last two rows of MCUs, and what it takes to turn them into rows of BGR pixels.
#[derive(Debug)]
pub(super) struct Rows {
    width: usize,
    height: usize,
    mcu_height: usize,
    colour_space: ColourSpace,
    components: Vec<Component>,
    sums: Vec<u16>,
}

#[derive(Debug)]
struct Component {
    upsampling: Upsampling,
    /// Samples across and down the image.
    width: usize,
    height: usize,
    /// Bytes of a row, and rows, in `samples`; two rows of MCUs, the even and the odd one.
    stride: usize,
    rows: usize,
    samples: Vec<u8>,
    /// One row at full resolution.
    row: Vec<u8>,
}

impl Rows {
    pub(super) fn new(header: &Header, decoder: &Decoder<'_>) -> Result<Self, ImageError> {
        let components = header
            .components
            .iter()
            .zip(decoder.extents())
            .map(|(&sampling, &(stride, rows))| {
                let width = (header.width * sampling.h).div_ceil(header.max.h);
                let height = (header.height * sampling.v).div_ceil(header.max.v);
                let rows = rows * 2;
                Ok(Component {
                    upsampling: Upsampling::choose(sampling, header.max, width)?,
                    width,
                    height,
                    stride,
                    rows,
                    samples: vec![0; stride * rows],
                    row: vec![0; header.width.next_multiple_of(header.max.h)],
                })
            })
            .collect::<Result<Vec<_>, ImageError>>()?;
        Ok(Self {
            width: header.width,
            height: header.height,
            mcu_height: header.max.v * 8,
            colour_space: header.colour_space,
            sums: vec![0; header.width],
            components,
        })
    }

    /// Decodes the whole image and calls `emit` for each wanted row, once its samples are there: with the row's number and
    /// its index among the wanted ones, which ascend.
    pub(super) fn decode(
        &mut self,
        decoder: &mut Decoder<'_>,
        wanted: impl IntoIterator<Item = usize>,
        mut emit: impl FnMut(&mut Self, usize, usize),
    ) -> Result<(), ImageError> {
        let context = usize::from(self.components.iter().any(|c| c.upsampling.needs_context()));
        let mut wanted = wanted.into_iter().enumerate().peekable();
        for mcu_row in 0..self.height.div_ceil(self.mcu_height) {
            self.read(decoder, mcu_row)?;
            let end = (mcu_row + 1) * self.mcu_height;
            let ready = if end >= self.height {
                self.height
            } else {
                end - context
            };
            while let Some((index, y)) = wanted.next_if(|&(_, y)| y < ready) {
                emit(self, y, index);
            }
        }
        Ok(())
    }

    fn read(&mut self, decoder: &mut Decoder<'_>, mcu_row: usize) -> Result<(), ImageError> {
        let mut planes: Vec<PlaneMut<'_>> = self
            .components
            .iter_mut()
            .map(|component| {
                let half = component.samples.len() / 2;
                let data = &mut component.samples[mcu_row % 2 * half..][..half];
                PlaneMut {
                    data,
                    stride: component.stride,
                }
            })
            .collect();
        decoder.read(&mut planes)
    }

    /// Writes row `y` as BGR.
    pub(super) fn convert(&mut self, y: usize, bgr: &mut [u8]) {
        let rows: [&[u8]; 4] = {
            let sums = &mut self.sums;
            let mut components = self.components.iter_mut();
            std::array::from_fn(|_| {
                components
                    .next()
                    .map_or(&[][..], |component| component.row(y, sums))
            })
        };
        let rows = rows.map(|row| &row[..row.len().min(self.width)]);
        let [first, second, third, _] = rows;
        match self.colour_space {
            ColourSpace::Grey => colour::grey(first, bgr),
            ColourSpace::Rgb => colour::rgb(first, second, third, bgr),
            ColourSpace::YCbCr => colour::ycbcr(first, second, third, bgr),
            ColourSpace::Cmyk => colour::cmyk(rows, bgr),
            ColourSpace::Ycck => colour::ycck(rows, bgr),
        }
    }
}

impl Component {
    /// Row `y` of the image at full resolution.
    fn row(&mut self, y: usize, sums: &mut [u16]) -> &[u8] {
        let (near, far) = self.upsampling.rows(y, self.height);
        let samples = |row: usize| &self.samples[row % self.rows * self.stride..][..self.width];
        if self.upsampling == Upsampling::Full {
            return samples(near);
        }
        self.upsampling
            .upsample(y, samples(near), samples(far), sums, &mut self.row);
        &self.row
    }
}
