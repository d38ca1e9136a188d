use super::decoder::Decoder;
use super::header::PlaneMut;
use crate::{Budget, Format, ImageError};

/// The samples of an image whose components are all of full size, side by side, as stored: no colour is converted.
pub(in crate::decode) fn components(
    bytes: &[u8],
    budget: &Budget<'_>,
) -> Result<Vec<u8>, ImageError> {
    const BLOCK: usize = 8;
    let (mut decoder, header) = Decoder::open(bytes, budget)?;
    budget.check_size(header.width as u32, header.height as u32)?;
    let count = header.components.len();
    let len = header.width * header.height * count;
    budget.admit(header.coefficient_bytes() + len as u64)?;
    if header
        .components
        .iter()
        .any(|sampling| *sampling != header.max)
    {
        return Err(ImageError::unsupported(Format::Jpeg, "subsampled inks"));
    }
    decoder.start()?;
    let strides: Vec<usize> = decoder.extents().iter().map(|&(width, _)| width).collect();
    let rows = BLOCK * header.max.v;
    let mut planes: Vec<Vec<u8>> = strides
        .iter()
        .map(|stride| vec![0; stride * rows])
        .collect();
    let mut samples = vec![0; len];
    for band in samples.chunks_mut(header.width * count * rows) {
        let mut targets: Vec<PlaneMut<'_>> = planes
            .iter_mut()
            .zip(&strides)
            .map(|(data, &stride)| PlaneMut { data, stride })
            .collect();
        decoder.read(&mut targets)?;
        for (y, row) in band.chunks_exact_mut(header.width * count).enumerate() {
            for (x, pixel) in row.chunks_exact_mut(count).enumerate() {
                for ((sample, plane), stride) in pixel.iter_mut().zip(&planes).zip(&strides) {
                    *sample = plane[y * stride + x];
                }
            }
        }
    }
    Ok(samples)
}
