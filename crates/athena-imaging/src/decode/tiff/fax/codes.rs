//! The code words of ITU-T T.4 and T.6 as tables to look bits up in.

use std::sync::LazyLock;

/// What a code word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// A run of fewer than 64 pixels, the last of its colour.
    Terminating(u32),
    /// A multiple of 64 pixels, more of the colour to come.
    MakeUp(u32),
    Pass,
    Horizontal,
    /// To this many pixels right of (or left of, if negative) a change in the line above.
    Vertical(i32),
    Extension,
    /// Eleven or, between lines of two dimensions, seven zero bits.
    EndOfLine,
    Unknown,
}

/// Words by the bits to come, with their lengths.
pub(super) struct Table {
    pub(super) bits: u32,
    words: Vec<(Word, u32)>,
}

impl Table {
    fn new(bits: u32) -> Self {
        Self {
            bits,
            words: vec![(Word::Unknown, 0); 1 << bits],
        }
    }

    fn define(&mut self, len: u32, code: usize, word: Word) {
        let spare = self.bits - len;
        self.words[code << spare..(code + 1) << spare].fill((word, len));
    }

    fn runs(bits: u32, codes: &[(u32, usize)]) -> Self {
        let mut table = Self::new(bits);
        table.define(11, 0, Word::EndOfLine);
        for (index, &(len, code)) in (0..).zip(codes.iter().chain(&LONG_RUNS)) {
            let word = match index {
                0..64 => Word::Terminating(index),
                _ => Word::MakeUp((index - 63) * 64),
            };
            table.define(len, code, word);
        }
        table
    }

    pub(super) fn look_up(&self, bits: usize) -> (Word, u32) {
        self.words[bits]
    }
}

pub(super) static WHITE: LazyLock<Table> = LazyLock::new(|| Table::runs(12, &WHITE_RUNS));
pub(super) static BLACK: LazyLock<Table> = LazyLock::new(|| Table::runs(13, &BLACK_RUNS));
pub(super) static MODES: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table::new(7);
    for (len, code, word) in [
        (4, 0b0001, Word::Pass),
        (3, 0b001, Word::Horizontal),
        (1, 0b1, Word::Vertical(0)),
        (3, 0b011, Word::Vertical(1)),
        (6, 0b00_0011, Word::Vertical(2)),
        (7, 0b000_0011, Word::Vertical(3)),
        (3, 0b010, Word::Vertical(-1)),
        (6, 0b00_0010, Word::Vertical(-2)),
        (7, 0b000_0010, Word::Vertical(-3)),
        (7, 0b000_0001, Word::Extension),
        (7, 0b000_0000, Word::EndOfLine),
    ] {
        table.define(len, code, word);
    }
    table
});

/// Length and code of white runs of 0 to 63, then of 64 to 1,728 in steps of 64 pixels.
const WHITE_RUNS: [(u32, usize); 91] = [
    (8, 0x35),
    (6, 0x7),
    (4, 0x7),
    (4, 0x8),
    (4, 0xB),
    (4, 0xC),
    (4, 0xE),
    (4, 0xF),
    (5, 0x13),
    (5, 0x14),
    (5, 0x7),
    (5, 0x8),
    (6, 0x8),
    (6, 0x3),
    (6, 0x34),
    (6, 0x35),
    (6, 0x2A),
    (6, 0x2B),
    (7, 0x27),
    (7, 0xC),
    (7, 0x8),
    (7, 0x17),
    (7, 0x3),
    (7, 0x4),
    (7, 0x28),
    (7, 0x2B),
    (7, 0x13),
    (7, 0x24),
    (7, 0x18),
    (8, 0x2),
    (8, 0x3),
    (8, 0x1A),
    (8, 0x1B),
    (8, 0x12),
    (8, 0x13),
    (8, 0x14),
    (8, 0x15),
    (8, 0x16),
    (8, 0x17),
    (8, 0x28),
    (8, 0x29),
    (8, 0x2A),
    (8, 0x2B),
    (8, 0x2C),
    (8, 0x2D),
    (8, 0x4),
    (8, 0x5),
    (8, 0xA),
    (8, 0xB),
    (8, 0x52),
    (8, 0x53),
    (8, 0x54),
    (8, 0x55),
    (8, 0x24),
    (8, 0x25),
    (8, 0x58),
    (8, 0x59),
    (8, 0x5A),
    (8, 0x5B),
    (8, 0x4A),
    (8, 0x4B),
    (8, 0x32),
    (8, 0x33),
    (8, 0x34),
    (5, 0x1B),
    (5, 0x12),
    (6, 0x17),
    (7, 0x37),
    (8, 0x36),
    (8, 0x37),
    (8, 0x64),
    (8, 0x65),
    (8, 0x68),
    (8, 0x67),
    (9, 0xCC),
    (9, 0xCD),
    (9, 0xD2),
    (9, 0xD3),
    (9, 0xD4),
    (9, 0xD5),
    (9, 0xD6),
    (9, 0xD7),
    (9, 0xD8),
    (9, 0xD9),
    (9, 0xDA),
    (9, 0xDB),
    (9, 0x98),
    (9, 0x99),
    (9, 0x9A),
    (6, 0x18),
    (9, 0x9B),
];

/// As [`WHITE_RUNS`], for black.
const BLACK_RUNS: [(u32, usize); 91] = [
    (10, 0x37),
    (3, 0x2),
    (2, 0x3),
    (2, 0x2),
    (3, 0x3),
    (4, 0x3),
    (4, 0x2),
    (5, 0x3),
    (6, 0x5),
    (6, 0x4),
    (7, 0x4),
    (7, 0x5),
    (7, 0x7),
    (8, 0x4),
    (8, 0x7),
    (9, 0x18),
    (10, 0x17),
    (10, 0x18),
    (10, 0x8),
    (11, 0x67),
    (11, 0x68),
    (11, 0x6C),
    (11, 0x37),
    (11, 0x28),
    (11, 0x17),
    (11, 0x18),
    (12, 0xCA),
    (12, 0xCB),
    (12, 0xCC),
    (12, 0xCD),
    (12, 0x68),
    (12, 0x69),
    (12, 0x6A),
    (12, 0x6B),
    (12, 0xD2),
    (12, 0xD3),
    (12, 0xD4),
    (12, 0xD5),
    (12, 0xD6),
    (12, 0xD7),
    (12, 0x6C),
    (12, 0x6D),
    (12, 0xDA),
    (12, 0xDB),
    (12, 0x54),
    (12, 0x55),
    (12, 0x56),
    (12, 0x57),
    (12, 0x64),
    (12, 0x65),
    (12, 0x52),
    (12, 0x53),
    (12, 0x24),
    (12, 0x37),
    (12, 0x38),
    (12, 0x27),
    (12, 0x28),
    (12, 0x58),
    (12, 0x59),
    (12, 0x2B),
    (12, 0x2C),
    (12, 0x5A),
    (12, 0x66),
    (12, 0x67),
    (10, 0xF),
    (12, 0xC8),
    (12, 0xC9),
    (12, 0x5B),
    (12, 0x33),
    (12, 0x34),
    (12, 0x35),
    (13, 0x6C),
    (13, 0x6D),
    (13, 0x4A),
    (13, 0x4B),
    (13, 0x4C),
    (13, 0x4D),
    (13, 0x72),
    (13, 0x73),
    (13, 0x74),
    (13, 0x75),
    (13, 0x76),
    (13, 0x77),
    (13, 0x52),
    (13, 0x53),
    (13, 0x54),
    (13, 0x55),
    (13, 0x5A),
    (13, 0x5B),
    (13, 0x64),
    (13, 0x65),
];

/// Runs of 1,792 to 2,560 in steps of 64 pixels, of either colour.
const LONG_RUNS: [(u32, usize); 13] = [
    (11, 0x8),
    (11, 0xC),
    (11, 0xD),
    (12, 0x12),
    (12, 0x13),
    (12, 0x14),
    (12, 0x15),
    (12, 0x16),
    (12, 0x17),
    (12, 0x1C),
    (12, 0x1D),
    (12, 0x1E),
    (12, 0x1F),
];
