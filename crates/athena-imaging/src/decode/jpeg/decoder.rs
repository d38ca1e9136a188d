use super::entropy::Scan;
use super::header::PlaneMut;
use super::libjpeg::{Header, LibJpeg};
use super::progressive::{self, Blocks};
use crate::{Budget, ImageError};

/// A JPEG file being decoded: by our own entropy decoder where it can, by libjpeg elsewhere.
pub(super) struct Decoder<'a> {
    budget: &'a Budget<'a>,
    libjpeg: LibJpeg<'a>,
    width: usize,
    height: usize,
    /// A baseline scan that is being decoded here.
    scan: Option<Scan<'a>>,
    /// A progressive file that was decoded here.
    blocks: Option<Blocks>,
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
            width: header.width,
            height: header.height,
            scan: None,
            blocks: None,
            rows_per_read: if lone { header.max.v } else { 1 },
            reads: 0,
        };
        Ok((decoder, header))
    }

    /// Prepares to read samples; a progressive file is decoded to coefficients here.
    pub(super) fn start(&mut self) -> Result<(), ImageError> {
        if let Some(frame) = self.libjpeg.frame(self.width, self.height) {
            let spent = self.budget.spent();
            self.blocks = progressive::decode(frame, self.budget)?;
            if self.blocks.is_some() {
                return Ok(());
            }
            // libjpeg pays anew; it was in vain no more than once.
            self.budget.forgive(spent);
        }
        self.start_libjpeg()
    }

    fn start_libjpeg(&mut self) -> Result<(), ImageError> {
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
        if let Some(blocks) = &mut self.blocks {
            self.budget.charge(self.coefficients)?;
            blocks.read(planes);
            return Ok(());
        }
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
mod tests;
