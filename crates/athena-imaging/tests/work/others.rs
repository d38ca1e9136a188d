//! The plain formats: headers that go on and on, runs of nothing.

use super::{File, Scale, file};

fn bitmap(width: i32, height: i32, bits: u16, compression: u32, data: &[u8]) -> Vec<u8> {
    let colours = 256 * 4;
    let mut bytes = b"BM".to_vec();
    bytes.extend([0; 8]);
    bytes.extend((54 + colours as u32).to_le_bytes());
    bytes.extend(40_u32.to_le_bytes());
    bytes.extend(width.to_le_bytes());
    bytes.extend(height.to_le_bytes());
    bytes.extend([1, 0]);
    bytes.extend(bits.to_le_bytes());
    bytes.extend(compression.to_le_bytes());
    bytes.extend([0; 12]);
    bytes.extend(256_u32.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(vec![0; colours]);
    bytes.extend(data);
    bytes
}

fn text(head: &str, repeated: &str, count: usize, tail: &str) -> Vec<u8> {
    [head, &repeated.repeat(count), tail].concat().into_bytes()
}

fn radiance(header: &str, size: &str, data: &[u8]) -> Vec<u8> {
    let head = format!("#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n{header}\n{size}\n");
    [head.as_bytes(), data].concat()
}

pub(super) fn files(scale: Scale) -> Vec<File> {
    let Scale { flood, side } = scale;
    vec![
        file(
            "BMP: 8-bit steps of nothing",
            bitmap(8, 8, 8, 1, &[0, 2, 0, 0].repeat(500_000 * flood)),
        ),
        file(
            "BMP: 4-bit steps of nothing",
            bitmap(8, 8, 4, 2, &[0, 2, 0, 0].repeat(500_000 * flood)),
        ),
        file(
            "BMP: rows that are left out",
            bitmap(side.into(), side.into(), 8, 1, &[0, 1]),
        ),
        file(
            "BMP: rows of one pixel",
            bitmap(1, 1 << 20, 8, 1, &[1, 0].repeat(1 << 20)),
        ),
        file(
            "PBM: comments",
            text("P1\n", "#\n", 1_000_000 * flood, "1 1 1\n"),
        ),
        file(
            "PGM: leading zeroes",
            text("P2\n", "0", 2_000_000 * flood, "1 1 255 7\n"),
        ),
        file(
            "PPM: white space",
            text("P3 1 1 255\n", " ", 2_000_000 * flood, "1 2 3\n"),
        ),
        file(
            "PAM: comments",
            text("P7\n", "#\n", 1_000_000 * flood, "ENDHDR\n"),
        ),
        file(
            "PAM: tuple types",
            text("P7\n", "TUPLTYPE RGB\n", 100_000 * flood, "ENDHDR\n"),
        ),
        file(
            "PFM: a scale of many digits",
            text("PF\n1 1\n-", "1", 2_000, "x\n"),
        ),
        file("Sun: a blank raster", {
            let fields = [0x59A6_6A95, side.into(), side.into(), 8, 0, 1, 0, 0_u32];
            let head = fields.map(u32::to_be_bytes).concat();
            [head, vec![0; usize::from(side) * usize::from(side)]].concat()
        }),
        file(
            "HDR: header lines",
            radiance(&"A=1\n".repeat(500_000 * flood), "-Y 1 +X 1", &[0; 4]),
        ),
        file("HDR: runs of one byte", {
            let plane = [1, 7].repeat(1000);
            let line = [
                &[2, 2, 1000_u16.to_be_bytes()[0], 1000_u16.to_be_bytes()[1]],
                &plane.repeat(4)[..],
            ];
            radiance("", "-Y 200 +X 1000", &line.concat().repeat(200))
        }),
        file("HDR: rows of eight pixels", {
            let line = [&[2, 2, 0, 8], &[136, 7].repeat(4)[..]].concat();
            radiance("", "-Y 100000 +X 8", &line.repeat(100_000))
        }),
    ]
}
