use super::super::entropy::{Codes, Irregular, PEEK, extend};
use super::super::header::Definition;

const ENTRIES: usize = 1 << PEEK;

/// The codes of AC coefficients in a first scan.
#[derive(Debug)]
pub(super) struct FirstTable {
    pub(super) codes: Codes,
    /// By the next bits: what they hold entirely.
    pub(super) steps: Box<[Step; ENTRIES]>,
}

/// Zeroes and a coefficient, or nothing that fits: then the codes tell.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Step {
    /// The bits of it all; 0 where it does not fit.
    pub(super) len: u8,
    pub(super) run: u8,
    pub(super) value: i16,
}

impl FirstTable {
    pub(super) fn new(definition: &Definition) -> Result<Self, Irregular> {
        let codes = Codes::new(definition).ok_or(Irregular)?;
        let mut steps = Box::new([Step::default(); ENTRIES]);
        for (bits, step) in steps.iter_mut().enumerate() {
            let Some((symbol, len)) = codes.short(bits) else {
                continue;
            };
            let size = u32::from(symbol & 15);
            if size == 0 || len + size > PEEK {
                continue;
            }
            let value = bits >> (PEEK - len - size) & ((1 << size) - 1);
            *step = Step {
                len: (len + size) as u8,
                run: symbol >> 4,
                value: extend(value as i32, size) as i16,
            };
        }
        Ok(Self { codes, steps })
    }
}
