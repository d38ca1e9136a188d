//! JPEG: segments, scans, restarts and coefficients that cost next to no bytes.

use super::{File, Scale, file, words};

fn segment(marker: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u16 + 2).to_be_bytes();
    [&[0xFF, marker], &len[..], body].concat()
}

/// A Huffman table of one code, a single zero bit, for `symbol`.
fn table(class_and_id: u8, symbol: u8) -> Vec<u8> {
    let mut body = vec![class_and_id, 1];
    body.extend([0; 15]);
    body.push(symbol);
    segment(0xC4, &body)
}

fn frame(marker: u8, width: u16, height: u16, sampling: &[u8]) -> Vec<u8> {
    let mut body = vec![8];
    body.extend(words([height, width]));
    body.push(sampling.len() as u8);
    for (index, &sampling) in sampling.iter().enumerate() {
        body.extend([index as u8 + 1, sampling, 0]);
    }
    segment(marker, &body)
}

fn scan(components: &[u8], first: u8, last: u8, approximation: u8) -> Vec<u8> {
    let mut body = vec![components.len() as u8];
    body.extend(components.iter().flat_map(|&id| [id, 0]));
    body.extend([first, last, approximation]);
    segment(0xDA, &body)
}

/// The tables that every file here uses: all quantisers 1, and codes for a block of zeroes.
fn start() -> Vec<u8> {
    let mut quantisers = vec![0];
    quantisers.extend([1; 64]);
    let tables = [segment(0xDB, &quantisers), table(0, 0), table(0x10, 0)].concat();
    [&[0xFF, 0xD8], &tables[..]].concat()
}

const END: [u8; 2] = [0xFF, 0xD9];

/// A sound baseline file of 64 x 64 grey pixels, with something before its frame and something behind its scan.
fn small(before: &[u8], behind: &[u8]) -> Vec<u8> {
    let blocks = [0; 16];
    let frame = frame(0xC0, 64, 64, &[0x11]);
    [
        &start(),
        before,
        &frame,
        &scan(&[1], 0, 63, 0),
        &blocks,
        behind,
        &END,
    ]
    .concat()
}

/// As many zero bytes as it takes for all blocks, two bits each.
fn zero_blocks(width: u16, height: u16) -> Vec<u8> {
    vec![0; usize::from(width).div_ceil(8) * usize::from(height).div_ceil(8) / 4 + 1]
}

fn exif(entries: u16) -> Vec<u8> {
    let mut tiff = b"Exif\0\0MM\0\x2A\0\0\0\x08".to_vec();
    tiff.extend(entries.to_be_bytes());
    // Unknown tags, so that all are looked at.
    tiff.extend([0xFF; 12].repeat(entries.into()));
    segment(0xE1, &tiff)
}

fn progressive(width: u16, height: u16, marker: u8, scans: usize) -> Vec<u8> {
    let refinement = scan(&[1], 1, 63, 0x10);
    let first = scan(&[1], 0, 0, 0);
    let frame = frame(marker, width, height, &[0x11]);
    [
        start(),
        frame,
        first,
        refinement.repeat(scans),
        END.to_vec(),
    ]
    .concat()
}

/// Scans whose bits say that no block of the next 32,767 has anything, so that none is skipped for want of data.
fn end_of_band_runs(width: u16, height: u16, scans: usize) -> Vec<u8> {
    let bands = [table(0x10, 0xE0), scan(&[1], 1, 63, 0x10), vec![0; 1 << 10]].concat();
    let frame = frame(0xC2, width, height, &[0x11]);
    [
        start(),
        frame,
        scan(&[1], 0, 0, 0),
        zero_blocks(width, height),
        bands.repeat(scans),
        END.to_vec(),
    ]
    .concat()
}

pub(super) fn files(scale: Scale) -> Vec<File> {
    let Scale { flood, side } = scale;
    let interval = segment(0xDD, &[0, 1]);
    let large = |marker, sampling: &[u8], before: &[u8], ids: &[u8], data: &[u8]| {
        let frame = frame(marker, side, side, sampling);
        [&start(), before, &frame, &scan(ids, 0, 63, 0), data, &END].concat()
    };
    let tables = [
        table(0, 0),
        table(0x10, 0),
        interval.clone(),
        segment(0xFE, b""),
    ]
    .concat();
    vec![
        file(
            "empty APP1 segments",
            small(&segment(0xE1, &[]).repeat(100_000 * flood), &[]),
        ),
        file(
            "EXIF directories of 5,000 entries",
            small(&exif(5_000).repeat(60 * flood), &[]),
        ),
        file(
            "ICC chunks",
            small(
                &segment(0xE2, b"ICC_PROFILE\0\x01\xFF").repeat(50_000 * flood),
                &[],
            ),
        ),
        file(
            "DHT, DRI and COM segments",
            small(&tables.repeat(20_000 * flood), &[]),
        ),
        file(
            "DQT segments",
            small(&start()[2..71].repeat(10_000 * flood), &[]),
        ),
        file(
            "DNL segments",
            small(&[], &segment(0xDC, &[0, 64]).repeat(100_000 * flood)),
        ),
        file("fill bytes", small(&[0xFF].repeat((2 << 20) * flood), &[])),
        file(
            "junk between markers",
            small(&[0x00].repeat((2 << 20) * flood), &[]),
        ),
        file(
            "scans without data",
            progressive(side, side, 0xC2, 2_000 * flood),
        ),
        file(
            "scans of end-of-band runs",
            end_of_band_runs(side, side, 400 * flood),
        ),
        file(
            "scans of a tiny image",
            progressive(8, 8, 0xC2, 100_000 * flood),
        ),
        file(
            "arithmetic scans without data",
            progressive(side, side, 0xCA, 400 * flood),
        ),
        file(
            "arithmetic coefficients",
            large(0xC9, &[0x11], &[], &[1], &[0x55; 4 << 10]),
        ),
        file(
            "a restart for each block",
            large(0xC0, &[0x11], &interval, &[1], &[]),
        ),
        file("restart markers for each block", {
            let restarts: Vec<u8> = (0..u32::from(side).div_ceil(8).pow(2))
                .flat_map(|n| [0, 0xFF, 0xD0 + (n % 8) as u8])
                .collect();
            large(0xC0, &[0x11], &interval, &[1], &restarts)
        }),
        file(
            "four components, one of them sixteenfold",
            large(0xC0, &[0x44, 0x11, 0x11, 0x11], &[], &[1], &[]),
        ),
        file("sequential scans again and again", {
            let first = large(0xC0, &[0x11, 0x11, 0x11], &[], &[1], &[]);
            [
                &first[..first.len() - 2],
                &scan(&[2], 0, 63, 0).repeat(2_000 * flood),
                &END,
            ]
            .concat()
        }),
    ]
}
