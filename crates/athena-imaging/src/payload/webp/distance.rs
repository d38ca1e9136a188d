//! How the distance of a copy is told.

/// Distances to near pixels have numbers of their own: (columns to the left, rows up) of the numbers 1 to 120.
#[rustfmt::skip]
const NEAR: [(i8, i8); 120] = [
    (0, 1), (1, 0), (1, 1), (-1, 1), (0, 2), (2, 0), (1, 2), (-1, 2), (2, 1), (-2, 1), (2, 2), (-2, 2), (0, 3), (3, 0), (1, 3),
    (-1, 3), (3, 1), (-3, 1), (2, 3), (-2, 3), (3, 2), (-3, 2), (0, 4), (4, 0), (1, 4), (-1, 4), (4, 1), (-4, 1), (3, 3), (-3, 3),
    (2, 4), (-2, 4), (4, 2), (-4, 2), (0, 5), (3, 4), (-3, 4), (4, 3), (-4, 3), (5, 0), (1, 5), (-1, 5), (5, 1), (-5, 1), (2, 5),
    (-2, 5), (5, 2), (-5, 2), (4, 4), (-4, 4), (3, 5), (-3, 5), (5, 3), (-5, 3), (0, 6), (6, 0), (1, 6), (-1, 6), (6, 1), (-6, 1),
    (2, 6), (-2, 6), (6, 2), (-6, 2), (4, 5), (-4, 5), (5, 4), (-5, 4), (3, 6), (-3, 6), (6, 3), (-6, 3), (0, 7), (7, 0), (1, 7),
    (-1, 7), (5, 5), (-5, 5), (7, 1), (-7, 1), (4, 6), (-4, 6), (6, 4), (-6, 4), (2, 7), (-2, 7), (7, 2), (-7, 2), (3, 7), (-3, 7),
    (7, 3), (-7, 3), (5, 6), (-5, 6), (6, 5), (-6, 5), (8, 0), (4, 7), (-4, 7), (7, 4), (-7, 4), (8, 1), (8, 2), (6, 6), (-6, 6),
    (8, 3), (5, 7), (-5, 7), (7, 5), (-7, 5), (8, 4), (6, 7), (-6, 7), (7, 6), (-7, 6), (8, 5), (7, 7), (-7, 7), (8, 6), (8, 7),
];

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
