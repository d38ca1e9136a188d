//! Photographs: each pixel is three literals, one for each plane.

use super::{
    bits::{BitWriter, Room},
    clusters,
    copies::Segment,
    groups::{BINS, Codes, Tiles},
    histogram::Histogram,
    predict::{Planes, Residuals, TILE_BITS},
    prefix::Code,
};

/// Writes what prediction left of a picture.
pub(super) fn write(residuals: &Residuals, out: &mut BitWriter) {
    let planes = &residuals.planes;
    let columns = planes.width.div_ceil(1 << TILE_BITS);
    let mut tiles = Tiles::by_cost(TILE_BITS, columns, &residuals.costs, BINS);
    let mut histograms = count(planes, &tiles);
    tiles.join(&mut histograms);
    write_grouped(planes, &tiles, &histograms, out);
}

/// Writes it in the entropy groups that take the fewest bits.
pub(super) fn write_clustered(residuals: &Residuals, out: &mut BitWriter) {
    let planes = &residuals.planes;
    let columns = planes.width.div_ceil(1 << clusters::TILE_BITS);
    let all = Segment {
        literals: planes.planes()[0].len() as u32,
        copied: 0,
        distance: 0,
    };
    let picture = residuals.picture();
    let (tiles, histograms) = clusters::of(&picture, &[all], columns, &residuals.costs);
    write_grouped(planes, &tiles, &histograms, out);
}

fn write_grouped(planes: &Planes, tiles: &Tiles, histograms: &[Histogram], out: &mut BitWriter) {
    // No colour cache.
    out.put(0_u8, 1);
    tiles.write(out);
    let tables: Vec<Table> = histograms
        .iter()
        .map(|histogram| Table::of(&Codes::write(histogram, out)))
        .collect();
    write_pixels(planes, tiles, &tables, out);
}

/// The segments of rows that lie in one tile: where they begin, how long they are, and the group.
fn segments<'a>(
    planes: &Planes,
    tiles: &'a Tiles,
) -> impl Iterator<Item = (std::ops::Range<usize>, usize)> + 'a {
    let (width, len, bits) = (planes.width, planes.planes()[0].len(), tiles.bits);
    (0..len / width).flat_map(move |y| {
        let groups = &tiles.group[(y >> bits) * tiles.columns..][..tiles.columns];
        groups.iter().enumerate().map(move |(column, group)| {
            let x = column << bits;
            (
                y * width + x..y * width + (x + (1 << bits)).min(width),
                usize::from(*group),
            )
        })
    })
}

fn count(planes: &Planes, tiles: &Tiles) -> Vec<Histogram> {
    let mut histograms = vec![Histogram::new(); tiles.groups];
    let [green, red, blue] = planes.planes();
    for (range, group) in segments(planes, tiles) {
        let Histogram {
            green: greens,
            red: reds,
            blue: blues,
            ..
        } = &mut histograms[group];
        for ((green, red), blue) in green[range.clone()]
            .iter()
            .zip(&red[range.clone()])
            .zip(&blue[range])
        {
            greens[usize::from(*green)] += 1;
            reds[usize::from(*red)] += 1;
            blues[usize::from(*blue)] += 1;
        }
    }
    histograms
}

/// The codes of literals: bits, and how many they are from bit 16 on.
struct Table([[u32; 256]; 3]);

impl Table {
    fn of(codes: &Codes) -> Self {
        let entry = |code: Code| u32::from(code.len) << 16 | u32::from(code.bits);
        Self(
            [&codes.green, &codes.red, &codes.blue]
                .map(|code| std::array::from_fn(|i| entry(code.codes()[i]))),
        )
    }
}

fn write_pixels(planes: &Planes, tiles: &Tiles, tables: &[Table], out: &mut BitWriter) {
    let [green, red, blue] = planes.planes();
    let rows = green
        .chunks(planes.width)
        .zip(red.chunks(planes.width))
        .zip(blue.chunks(planes.width));
    for (y, ((green, red), blue)) in rows.enumerate() {
        let groups = &tiles.group[(y >> tiles.bits) * tiles.columns..][..tiles.columns];
        // Three codes have 45 bits at most; each write is of eight bytes.
        out.fill(planes.width * 6 + 8, |room| {
            write_row([green, red, blue], groups, 1 << tiles.bits, tables, room);
        });
    }
}

#[inline(always)]
fn write_row(row: [&[u8]; 3], groups: &[u8], tile: usize, tables: &[Table], room: &mut Room<'_>) {
    let [green, red, blue] = row.map(|plane| plane.chunks(tile));
    for (((green, red), blue), group) in green.zip(red).zip(blue).zip(groups) {
        let Table([greens, reds, blues]) = &tables[usize::from(*group)];
        for ((green, red), blue) in green.iter().zip(red).zip(blue) {
            let (green, red, blue) = (
                greens[usize::from(*green)],
                reds[usize::from(*red)],
                blues[usize::from(*blue)],
            );
            let first = green >> 16;
            let second = first + (red >> 16);
            let joined = u64::from(green & 0xFFFF)
                | u64::from(red & 0xFFFF) << first
                | u64::from(blue & 0xFFFF) << second;
            room.put(joined, second + (blue >> 16));
        }
    }
}
