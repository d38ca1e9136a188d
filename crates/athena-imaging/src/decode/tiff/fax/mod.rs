//! Fax compression (ITU-T T.4 and T.6), with libtiff's way of going on after damage: the line ends white.

mod bits;
mod codes;

use self::bits::{Bits, End};
use self::codes::{BLACK, MODES, Table, WHITE, Word};
use crate::{Budget, ImageError};

/// The variants that TIFF knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// One dimension, lines on byte boundaries (compression 2).
    Bytes,
    /// One dimension, lines on 16-bit boundaries (compression 32771).
    Words,
    /// Group 3, one dimension.
    Group3,
    /// Group 3, lines of one or two dimensions.
    Group3TwoDimensional,
    /// Group 4.
    Group4,
}

/// Decodes rows of `width` pixels, a set bit for black, as far as the data go.
///
/// `without_ends` says that lines of group 3 simply follow each other; it is set once they are found to.
pub(super) fn decode(
    variant: Variant,
    bytes: &[u8],
    output: &mut [u8],
    width: usize,
    without_ends: &mut bool,
    budget: &Budget<'_>,
) -> Result<(), ImageError> {
    let row_len = width.div_ceil(8);
    if row_len == 0 || !output.len().is_multiple_of(row_len) {
        return Ok(());
    }
    // The runs are cleared, sixteen bytes for each pixel at once.
    budget.charge(width as u64)?;
    let mut decoder = Decoder::new(variant, Bits::new(bytes, budget), width as i32);
    for row in output.chunks_exact_mut(row_len) {
        // Runs may be as many as pixels, and the row above is gone through as well.
        budget.charge(width as u64)?;
        let mut outcome = decoder.row(row, *without_ends);
        if let Ok(Row::NoEndOfLine) = outcome {
            // Once more from the start, into the rows that are left.
            *without_ends = true;
            decoder.bits = Bits::new(bytes, budget);
            decoder.end_of_line = false;
            outcome = decoder.row(row, true);
        }
        decoder.bits.check_paid()?;
        if !matches!(outcome, Ok(Row::Complete)) {
            break;
        }
    }
    Ok(())
}

/// Memory for the runs of two rows.
pub(super) fn working_bytes(width: u32) -> u64 {
    const ROWS: u64 = 2;
    const DIMENSIONS: u64 = 2;
    ROWS * DIMENSIONS * size_of::<i32>() as u64 * (u64::from(width) + 32)
}

enum Row {
    Complete,
    /// The row was painted, the data end.
    Last,
    /// No end of line where one must be.
    NoEndOfLine,
}

enum Start {
    OneDimension,
    TwoDimensions,
    NoEndOfLine,
}

/// There are more runs than a row can have; it is not painted.
struct Overflow;

struct Decoder<'a> {
    variant: Variant,
    bits: Bits<'a>,
    width: i32,
    /// Runs of the row, white first, and of the row above. What is behind them stays from earlier rows, and damaged data
    /// may refer to it.
    runs: Vec<i32>,
    above: Vec<i32>,
    /// The number of runs of the row so far.
    count: usize,
    position: i32,
    run: i32,
    end_of_line: bool,
}

impl<'a> Decoder<'a> {
    fn new(variant: Variant, bits: Bits<'a>, width: i32) -> Self {
        let dimensions = match variant {
            Variant::Group3TwoDimensional | Variant::Group4 => 2,
            _ => 1,
        };
        let max_runs = dimensions * (width as usize + 1).next_multiple_of(32);
        let mut above = vec![0; max_runs];
        above[0] = width;
        Self {
            variant,
            bits,
            width,
            runs: vec![0; max_runs],
            above,
            count: 0,
            position: 0,
            run: 0,
            end_of_line: false,
        }
    }

    fn row(&mut self, row: &mut [u8], without_ends: bool) -> Result<Row, Overflow> {
        self.position = 0;
        self.run = 0;
        self.count = 0;
        let expanded = match self.start_row(without_ends) {
            Ok(Start::NoEndOfLine) => return Ok(Row::NoEndOfLine),
            Ok(Start::OneDimension) => self.expand_one_dimension()?,
            Ok(Start::TwoDimensions) => self.expand_two_dimensions()?,
            Err(End) => Err(End),
        };
        self.clean_up()?;
        self.paint(row);
        if expanded.is_err() || self.variant == Variant::Group4 && self.end_of_line {
            return Ok(Row::Last);
        }
        match self.variant {
            Variant::Bytes => self.bits.align(8),
            Variant::Words => self.bits.align(16),
            Variant::Group3 => {}
            Variant::Group3TwoDimensional | Variant::Group4 => {
                // An imaginary change behind the last for the next row to refer to.
                if self.variant == Variant::Group4 || self.count < self.runs.len() {
                    self.set(0)?;
                }
                std::mem::swap(&mut self.runs, &mut self.above);
            }
        }
        Ok(Row::Complete)
    }

    fn start_row(&mut self, without_ends: bool) -> Result<Start, End> {
        let group3 = matches!(
            self.variant,
            Variant::Group3 | Variant::Group3TwoDimensional
        );
        if group3 && !without_ends && !self.find_end_of_line()? {
            return Ok(Start::NoEndOfLine);
        }
        let two_dimensional = match self.variant {
            Variant::Group4 => true,
            Variant::Group3TwoDimensional => {
                let bit = self.bits.peek(1)?;
                self.bits.drop(1);
                bit == 0
            }
            _ => false,
        };
        Ok(if two_dimensional {
            Start::TwoDimensions
        } else {
            Start::OneDimension
        })
    }

    /// Skips to behind the end of a line; `false` if the data end within it.
    fn find_end_of_line(&mut self) -> Result<bool, End> {
        if !self.end_of_line {
            while self.bits.peek(11)? != 0 {
                self.bits.drop(1);
            }
        }
        loop {
            match self.bits.peek(8) {
                Ok(0) => self.bits.drop(8),
                Ok(_) => break,
                Err(End) => return Ok(false),
            }
        }
        while self.bits.peek(1)? == 0 {
            self.bits.drop(1);
        }
        self.bits.drop(1);
        self.end_of_line = false;
        Ok(true)
    }

    fn word(&mut self, table: &Table) -> Result<Word, End> {
        let (word, len) = table.look_up(self.bits.peek(table.bits)?);
        self.bits.drop(len);
        Ok(word)
    }

    fn push(&mut self, run: i32) -> Result<(), Overflow> {
        *self.runs.get_mut(self.count).ok_or(Overflow)? = run;
        self.count += 1;
        Ok(())
    }

    /// Ends a run `more` pixels on.
    fn set(&mut self, more: i32) -> Result<(), Overflow> {
        self.push(self.run.wrapping_add(more))?;
        self.position = self.position.wrapping_add(more);
        self.run = 0;
        Ok(())
    }

    /// Reads one run of a colour; `false` at anything else.
    fn read_run(&mut self, table: &Table) -> Result<Result<bool, End>, Overflow> {
        loop {
            match self.word(table) {
                Ok(Word::Terminating(len)) => {
                    self.set(len as i32)?;
                    return Ok(Ok(true));
                }
                Ok(Word::MakeUp(len)) => {
                    self.position = self.position.wrapping_add(len as i32);
                    self.run = self.run.wrapping_add(len as i32);
                }
                Ok(Word::EndOfLine) => {
                    self.end_of_line = true;
                    return Ok(Ok(false));
                }
                Ok(_) => return Ok(Ok(false)),
                Err(End) => return Ok(Err(End)),
            }
        }
    }

    fn expand_one_dimension(&mut self) -> Result<Result<(), End>, Overflow> {
        loop {
            for table in [&*WHITE, &*BLACK] {
                match self.read_run(table)? {
                    Ok(true) if self.position < self.width => {}
                    Ok(_) => return Ok(Ok(())),
                    Err(End) => return Ok(Err(End)),
                }
            }
            if let [.., 0, 0] = self.runs[..self.count] {
                self.count -= 2;
            }
        }
    }

    fn expand_two_dimensions(&mut self) -> Result<Result<(), End>, Overflow> {
        let mut reference = Reference {
            next: 1,
            change: self.above[0],
        };
        while self.position < self.width {
            if self.count >= self.runs.len() {
                return Err(Overflow);
            }
            let Ok(word) = self.word(&MODES) else {
                return Ok(Err(End));
            };
            match word {
                Word::Pass => {
                    self.advance(&mut reference)?;
                    reference.change = reference
                        .change
                        .wrapping_add(self.reference(reference.next)?);
                    self.run = self.run.wrapping_add(reference.change - self.position);
                    self.position = reference.change;
                    reference.change = reference
                        .change
                        .wrapping_add(self.reference(reference.next + 1)?);
                    reference.next += 2;
                }
                Word::Horizontal => {
                    let black_first = self.count % 2 == 1;
                    let tables = if black_first {
                        [&*BLACK, &*WHITE]
                    } else {
                        [&*WHITE, &*BLACK]
                    };
                    for table in tables {
                        let ended = self.end_of_line;
                        match self.read_run(table)? {
                            Ok(true) => {}
                            Ok(false) => {
                                self.end_of_line = ended;
                                return Ok(Ok(()));
                            }
                            Err(End) => return Ok(Err(End)),
                        }
                    }
                    self.advance(&mut reference)?;
                }
                Word::Vertical(offset) => {
                    self.advance(&mut reference)?;
                    if offset < 0 && reference.change < self.position.wrapping_sub(offset) {
                        return Ok(Ok(()));
                    }
                    self.set(reference.change - self.position + offset)?;
                    if offset < 0 {
                        reference.next -= 1;
                        reference.change = reference
                            .change
                            .wrapping_sub(self.reference(reference.next)?);
                    } else {
                        reference.change = reference
                            .change
                            .wrapping_add(self.reference(reference.next)?);
                        reference.next += 1;
                    }
                }
                Word::Extension => {
                    self.push(self.width - self.position)?;
                    return Ok(Ok(()));
                }
                Word::EndOfLine => {
                    self.push(self.width - self.position)?;
                    if self.bits.peek(4).is_err() {
                        return Ok(Err(End));
                    }
                    self.bits.drop(4);
                    self.end_of_line = true;
                    return Ok(Ok(()));
                }
                _ => return Ok(Ok(())),
            }
        }
        if self.run != 0 {
            if self.run.wrapping_add(self.position) < self.width {
                // The run must end in a change straight below one.
                match self.bits.peek(1) {
                    Ok(1) => self.bits.drop(1),
                    Ok(_) => return Ok(Ok(())),
                    Err(End) => return Ok(Err(End)),
                }
            }
            self.set(0)?;
        }
        Ok(Ok(()))
    }

    fn reference(&self, index: usize) -> Result<i32, Overflow> {
        self.above.get(index).copied().ok_or(Overflow)
    }

    /// Moves on to the first change of the other colour right of the position.
    fn advance(&self, reference: &mut Reference) -> Result<(), Overflow> {
        if self.count == 0 {
            return Ok(());
        }
        while reference.change <= self.position && reference.change < self.width {
            let step = self
                .reference(reference.next)?
                .wrapping_add(self.reference(reference.next + 1)?);
            reference.change = reference.change.wrapping_add(step);
            reference.next += 2;
        }
        Ok(())
    }

    /// Makes the runs add up to the width.
    fn clean_up(&mut self) -> Result<(), Overflow> {
        if self.run != 0 {
            self.set(0)?;
        }
        if self.position == self.width {
            return Ok(());
        }
        while self.position > self.width {
            let Some(last) = self.count.checked_sub(1) else {
                break;
            };
            self.count = last;
            self.position = self.position.wrapping_sub(self.runs[last]);
        }
        if self.position < self.width {
            self.position = self.position.max(0);
            if self.count % 2 == 1 {
                self.set(0)?;
            }
            self.set(self.width - self.position)
        } else if self.position > self.width {
            self.set(self.width)?;
            self.set(0)
        } else {
            Ok(())
        }
    }

    fn paint(&mut self, row: &mut [u8]) {
        if self.count % 2 == 1
            && let Some(run) = self.runs.get_mut(self.count)
        {
            *run = 0;
        }
        let mut x = 0;
        for (index, run) in self.runs[..self.count].iter_mut().enumerate() {
            let left = self.width - x;
            if *run < 0 || *run > left {
                *run = left;
            }
            fill(row, x as usize, *run as usize, index % 2 == 1);
            x += *run;
        }
    }
}

/// Sets or clears `len` bits from `start`.
fn fill(row: &mut [u8], start: usize, len: usize, black: bool) {
    let mut at = start;
    let end = start + len;
    while at < end {
        let byte = &mut row[at / 8];
        let count = (8 - at % 8).min(end - at);
        let mask = (0xFF_u8 << (8 - count)) >> (at % 8);
        *byte = if black { *byte | mask } else { *byte & !mask };
        at += count;
    }
}

/// Where the row above has been read to.
struct Reference {
    next: usize,
    /// The position of the change that the next run starts from.
    change: i32,
}
