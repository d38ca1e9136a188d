//! What the headers of a file say, and where its samples go: known to libjpeg, which reads them, and to the decoders here.

/// A Huffman table as a file defines it: how many codes there are of each length, and their symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) counts: [u8; 16],
    pub(super) symbols: [u8; 256],
}

/// A component of a scan, in the scan's order.
#[derive(Debug, Clone)]
pub(super) struct ScanComponent {
    /// Its place in the frame.
    pub(super) index: usize,
    /// Blocks of an MCU, across and down.
    pub(super) h: usize,
    pub(super) v: usize,
    pub(super) dc: usize,
    pub(super) ac: usize,
    pub(super) quant: [u16; 64],
}

/// What a scan's headers say.
#[derive(Debug)]
pub(super) struct ScanHeader<'a> {
    pub(super) components: Vec<ScanComponent>,
    pub(super) dc: [Option<Definition>; 4],
    pub(super) ac: [Option<Definition>; 4],
    /// MCUs between restart markers, or 0.
    pub(super) restart_interval: u32,
    pub(super) mcus_per_row: usize,
    pub(super) rows: usize,
    pub(super) data: &'a [u8],
}

/// What libjpeg has read up to the first scan.
#[derive(Debug)]
pub(super) struct FrameHeader<'a> {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) components: Vec<FrameComponent>,
    pub(super) dc: [Option<Definition>; 4],
    pub(super) ac: [Option<Definition>; 4],
    pub(super) restart_interval: u32,
    /// From the length of the first scan's header on.
    pub(super) data: &'a [u8],
}

/// A component of the frame.
#[derive(Debug, Clone)]
pub(super) struct FrameComponent {
    pub(super) id: u8,
    pub(super) h: usize,
    pub(super) v: usize,
    pub(super) quant: [u16; 64],
}

/// The samples of one component: as many rows of MCUs as its owner likes.
#[derive(Debug)]
pub(super) struct PlaneMut<'a> {
    pub(super) data: &'a mut [u8],
    pub(super) stride: usize,
}
