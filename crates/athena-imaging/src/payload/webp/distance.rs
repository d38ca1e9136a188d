//! How the distance of a copy is told.

use crate::vp8l::NEAR;

/// How a distance is told in a picture of some width.
#[derive(Debug)]
pub(super) struct Distances {
    width: usize,
    /// Numbers of near pixels: seven rows up, from eight columns to the left to seven to the right.
    near: [[u8; 16]; 8],
}

impl Distances {
    pub(super) fn new(width: usize) -> Self {
        let mut near = [[0; 16]; 8];
        for (number, (x, y)) in (1..).zip(NEAR) {
            near[y as usize][(8 - x) as usize] = number;
        }
        Self { width, near }
    }

    pub(super) fn number(&self, distance: usize) -> u32 {
        let (rows, columns) = match distance {
            _ if distance < self.width => (0, distance),
            _ if distance == self.width => (1, 0),
            _ => (distance / self.width, distance % self.width),
        };
        let near = |rows: usize, column: usize| match self
            .near
            .get(rows)
            .and_then(|row| row.get(column))
        {
            Some(&number) if number > 0 => Some(u32::from(number)),
            _ => None,
        };
        let left = (columns <= 8).then(|| near(rows, 8 - columns)).flatten();
        let right = || {
            let right = self.width - columns;
            (right < 8).then(|| near(rows + 1, 8 + right)).flatten()
        };
        left.or_else(right).unwrap_or(distance as u32 + 120)
    }
}
