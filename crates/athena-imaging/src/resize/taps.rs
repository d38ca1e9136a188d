use super::scale;
use crate::SIDE;
use crate::needed::Needed;

/// The two source pixels of a destination pixel along one axis, and their weights in 1/2048.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tap {
    pub(super) first: u32,
    pub(super) second: u32,
    pub(super) weights: [i16; 2],
}

/// What a resize from two columns and two rows reads.
#[derive(Debug, Clone)]
pub(super) struct Taps {
    pub(super) columns: Vec<Tap>,
    pub(super) rows: Vec<Tap>,
    /// Both axes shrink to exactly one half: a 2 x 2 box is averaged, and the weights do not matter.
    pub(super) halves: bool,
}

impl Taps {
    /// OpenCV's `INTER_LINEAR`.
    pub(super) fn linear(width: usize, height: usize) -> Self {
        let axis = |len: usize, clamp: fn(Position, usize) -> Position| {
            (0..SIDE)
                .map(|i| clamp(Position::linear(i, len), len).tap(len))
                .collect()
        };
        Self {
            columns: axis(width, Position::clamped),
            rows: axis(height, |position, _| position),
            halves: width == SIDE * 2 && height == SIDE * 2,
        }
    }

    /// OpenCV's `INTER_AREA` when an axis is enlarged.
    pub(super) fn enlarging_area(width: usize, height: usize) -> Self {
        let axis = |len: usize, clamp: fn(Position, usize) -> Position| {
            (0..SIDE)
                .map(|i| clamp(Position::area(i, len), len).tap(len))
                .collect()
        };
        Self {
            columns: axis(width, Position::clamped),
            rows: axis(height, |position, _| position),
            halves: false,
        }
    }

    /// OpenCV's `INTER_NEAREST`, as a blend in which the second pixel counts for nothing.
    pub(super) fn nearest(width: usize, height: usize) -> Self {
        let axis = |len: usize| {
            super::nearest::indices(len)
                .map(|i| Tap {
                    first: i as u32,
                    second: i as u32,
                    weights: [2048, 0],
                })
                .into()
        };
        Self {
            columns: axis(width),
            rows: axis(height),
            halves: false,
        }
    }

    /// The same resize of a frame that holds only the pixels which it reads.
    pub(super) fn compact(mut self) -> (Self, Needed) {
        let needed = Needed {
            columns: renumber(&mut self.columns),
            rows: renumber(&mut self.rows),
        };
        (self, needed)
    }
}

/// Renumbers the pixels that are read, two for each destination pixel, and lists them.
fn renumber(taps: &mut [Tap]) -> Vec<u32> {
    let needed = taps
        .iter()
        .flat_map(|tap| [tap.first, tap.second])
        .collect();
    for (tap, index) in taps.iter_mut().zip((0..).step_by(2)) {
        (tap.first, tap.second) = (index, index + 1);
    }
    needed
}

/// A place between two source pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    pub(super) whole: i64,
    pub(super) fraction: f32,
}

impl Position {
    /// Where pixel centres fall: the mapping of linear and lanczos4.
    pub(super) fn linear(index: usize, len: usize) -> Self {
        let exact = ((index as f64 + 0.5) * scale(len) - 0.5) as f32;
        let whole = exact.floor();
        Self {
            whole: whole as i64,
            fraction: exact - whole,
        }
    }

    fn area(index: usize, len: usize) -> Self {
        let inverse = SIDE as f64 / len as f64;
        let whole = (index as f64 * scale(len)).floor();
        let fraction = ((index + 1) as f64 - (whole + 1.0) * inverse) as f32;
        let fraction = if fraction <= 0.0 {
            0.0
        } else {
            fraction - fraction.floor()
        };
        Self {
            whole: whole as i64,
            fraction,
        }
    }

    /// OpenCV's rule for the left and right border.
    fn clamped(self, len: usize) -> Self {
        let last = len as i64 - 1;
        match self.whole {
            whole if whole < 0 => Self {
                whole: 0,
                fraction: 0.0,
            },
            whole if whole >= last => Self {
                whole: last,
                fraction: 0.0,
            },
            _ => self,
        }
    }

    fn tap(self, len: usize) -> Tap {
        let index = |i: i64| i.clamp(0, len as i64 - 1) as u32;
        let weight = |w: f32| (w * 2048.0).round_ties_even() as i16;
        Tap {
            first: index(self.whole),
            second: index(self.whole + 1),
            weights: [weight(1.0 - self.fraction), weight(self.fraction)],
        }
    }
}
