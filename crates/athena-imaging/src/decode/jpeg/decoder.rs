use super::entropy::Scan;
use super::libjpeg::{Header, LibJpeg, PlaneMut};
use crate::{Budget, ImageError};

/// A JPEG file being decoded: by our own entropy decoder where it can, by libjpeg elsewhere.
pub(super) struct Decoder<'a> {
    budget: &'a Budget<'a>,
    libjpeg: LibJpeg<'a>,
    scan: Option<Scan<'a>>,
    /// Rows of MCUs of a scan in one row of the image's: more than one for a lone component of several blocks.
    rows_per_read: usize,
    reads: usize,
    /// Coefficients of such a row.
    coefficients: u64,
}

/// Work to decode a byte of Huffman codes, as the shim counts it too.
const WORK_OF_BYTE: u64 = 4;

impl<'a> Decoder<'a> {
    /// Reads the headers.
    pub(super) fn open(
        bytes: &'a [u8],
        budget: &'a Budget<'a>,
    ) -> Result<(Self, Header), ImageError> {
        let (libjpeg, header) = LibJpeg::open(bytes, budget)?;
        let lone = header.components.len() == 1;
        let row = libjpeg.extents().iter().map(|(width, rows)| width * rows);
        let decoder = Self {
            budget,
            coefficients: row.sum::<usize>() as u64,
            libjpeg,
            scan: None,
            rows_per_read: if lone { header.max.v } else { 1 },
            reads: 0,
        };
        Ok((decoder, header))
    }

    /// Prepares to read samples; a progressive file is decoded to coefficients here.
    pub(super) fn start(&mut self) -> Result<(), ImageError> {
        self.libjpeg.start()?;
        self.scan = self.libjpeg.scan().and_then(Scan::new);
        Ok(())
    }

    /// Bytes of a row and number of rows that [`read`](Self::read) writes, by component.
    pub(super) fn extents(&self) -> &[(usize, usize)] {
        self.libjpeg.extents()
    }

    /// Decodes the next row of MCUs into the planes, one for each component.
    pub(super) fn read(&mut self, planes: &mut [PlaneMut<'_>]) -> Result<(), ImageError> {
        if let Some(scan) = &mut self.scan {
            self.budget.charge(self.coefficients)?;
            let unread = scan.unread();
            if scan.read(self.rows_per_read, planes).is_ok() {
                self.reads += 1;
                let bytes = unread - scan.unread();
                return self.budget.charge(WORK_OF_BYTE * bytes as u64);
            }
            // libjpeg is still where the scan begins.
            self.scan = None;
            for _ in 0..self.reads {
                self.libjpeg.read(planes)?;
            }
        }
        self.libjpeg.read(planes)
    }
}

#[cfg(test)]
mod tests {
    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

    use super::*;
    use crate::decode::jpeg::testing::noise;
    use crate::{Format, ImageErrorKind, Limits};

    const WIDTH: u16 = 83;
    /// Whole MCUs: rows below the image are not defined.
    const HEIGHT: u16 = 64;

    /// Smooth on the left, noise on the right.
    fn encode(sampling: SamplingFactor, quality: u8, restarts: u16) -> Vec<u8> {
        let mut seed = 88_172_645_463_325_252;
        let pixels: Vec<u8> = (0..usize::from(WIDTH) * usize::from(HEIGHT) * 3)
            .map(|i| {
                let (x, y) = (i / 3 % usize::from(WIDTH), i / 3 / usize::from(WIDTH));
                let rough = (noise(&mut seed) as usize % 256) * x / usize::from(WIDTH);
                (x * 2 + y + rough) as u8
            })
            .collect();
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, quality);
        encoder.set_sampling_factor(sampling);
        if restarts > 0 {
            encoder.set_restart_interval(restarts);
        }
        let encoded = encoder.encode(&pixels, WIDTH, HEIGHT, ColorType::Rgb);
        encoded.expect("sound settings");
        bytes
    }

    /// All samples, and whether our own decoder gave them.
    fn samples(bytes: &[u8], own: bool) -> (Result<Vec<u8>, String>, bool) {
        let read = || -> Result<(Vec<u8>, bool), ImageError> {
            let limits = Limits::default();
            let budget = Budget::new(Format::Jpeg, &limits, &|| false, None);
            let (mut decoder, header) = Decoder::open(bytes, &budget)?;
            decoder.start()?;
            if !own {
                decoder.scan = None;
            }
            let mut all = Vec::new();
            let extents = decoder.extents().to_vec();
            for _ in 0..header.height.div_ceil(8 * header.max.v) {
                let mut planes: Vec<Vec<u8>> = extents
                    .iter()
                    .map(|(width, rows)| vec![0; width * rows])
                    .collect();
                let mut targets: Vec<PlaneMut<'_>> = planes
                    .iter_mut()
                    .zip(&extents)
                    .map(|(data, &(stride, _))| PlaneMut { data, stride })
                    .collect();
                decoder.read(&mut targets)?;
                all.extend(planes.concat());
            }
            Ok((all, decoder.scan.is_some()))
        };
        match read() {
            Ok((samples, own)) => (Ok(samples), own),
            Err(error) => (Err(error.to_string()), false),
        }
    }

    fn files() -> Vec<Vec<u8>> {
        use SamplingFactor::{R_4_2_0, R_4_2_2, R_4_4_0, R_4_4_4};
        let mut files = Vec::new();
        for sampling in [R_4_4_4, R_4_2_2, R_4_2_0, R_4_4_0] {
            for quality in [5, 75, 100] {
                for restarts in [0, 1, 7] {
                    files.push(encode(sampling, quality, restarts));
                }
            }
        }
        files
    }

    #[test]
    fn sound_files_are_decoded_here_and_as_libjpeg_does() {
        for bytes in files() {
            let (ours, own) = samples(&bytes, true);
            assert!(own, "libjpeg was needed");
            assert_eq!(ours, samples(&bytes, false).0);
        }
    }

    #[test]
    fn damaged_files_are_decoded_as_libjpeg_does() {
        let mut seed = 3_141_592_653;
        let (mut own, mut fell_back) = (0, 0);
        for bytes in files() {
            let start = bytes.windows(2).position(|pair| pair == [0xFF, 0xDA]);
            let start = start.expect("a scan");
            for _ in 0..40 {
                let mut bytes = bytes.clone();
                let at = start + noise(&mut seed) as usize % (bytes.len() - start);
                match noise(&mut seed) % 4 {
                    0 => bytes.truncate(at),
                    1 => bytes[at] = 0xFF,
                    2 => bytes[at] ^= 1 << (noise(&mut seed) % 8),
                    _ => drop(bytes.drain(at..bytes.len().min(at + 9))),
                }
                let (ours, by_us) = samples(&bytes, true);
                assert_eq!(ours, samples(&bytes, false).0, "damaged at {at}");
                own += usize::from(by_us);
                fell_back += usize::from(!by_us);
            }
        }
        assert!(own > 100 && fell_back > 100, "{own} and {fell_back}");
    }

    #[test]
    fn processes_and_depths_without_a_decoder_are_unsupported_and_not_corrupt() {
        let sound = encode(SamplingFactor::R_4_4_4, 75, 0);
        let frame = sound.windows(2).position(|pair| pair == [0xFF, 0xC0]);
        let frame = frame.expect("a frame header");
        for (place, value) in [(1, 0xC3), (1, 0xC5), (1, 0xCB), (4, 12)] {
            let mut bytes = sound.clone();
            bytes[frame + place] = value;
            let error = crate::decode(&bytes, &Limits::default()).unwrap_err();
            assert_eq!(error.kind(), ImageErrorKind::Unsupported, "{error}");
        }
    }
}
