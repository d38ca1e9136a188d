//! TIFF: bytes that many strips share, and tags that promise much.

use super::{File, Scale, deflated, file, words};

const BYTE: u16 = 1;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const SIGNED_BYTE: u16 = 6;
const UNDEFINED: u16 = 7;

/// A little-endian file: the tags, then what does not fit them.
struct Tiff {
    tags: Vec<(u16, u16, u32, Value)>,
}

enum Value {
    Inline(u32),
    /// Bytes somewhere in the file.
    Bytes(Vec<u8>),
}

impl Tiff {
    fn new(width: u32, height: u32, compression: u32) -> Self {
        let mut tiff = Self { tags: Vec::new() };
        for (tag, value) in [
            (256, width),
            (257, height),
            (258, 8),
            (259, compression),
            (262, 1),
            (277, 1),
        ] {
            tiff.set(tag, value);
        }
        tiff
    }

    fn set(&mut self, tag: u16, value: u32) -> &mut Self {
        self.tags.retain(|entry| entry.0 != tag);
        self.tags.push((tag, LONG, 1, Value::Inline(value)));
        self
    }

    fn bytes(&mut self, tag: u16, kind: u16, count: u32, bytes: Vec<u8>) -> &mut Self {
        self.tags.retain(|entry| entry.0 != tag);
        self.tags.push((tag, kind, count, Value::Bytes(bytes)));
        self
    }

    /// The file, whose strips or tiles all are the same `data`.
    fn file(&mut self, blocks: u32, rows: u32, data: &[u8]) -> Vec<u8> {
        let tiled = self.tags.iter().any(|entry| entry.0 == 322);
        let (offsets, counts) = if tiled { (324, 325) } else { (273, 279) };
        if !tiled {
            self.set(278, rows);
        }
        let count = (data.len() as u32).to_le_bytes().repeat(blocks as usize);
        self.bytes(counts, LONG, blocks, count);
        self.bytes(
            offsets,
            LONG,
            blocks,
            8_u32.to_le_bytes().repeat(blocks as usize),
        );
        self.tags.sort_by_key(|entry| entry.0);

        let mut file = [&b"II*\0\0\0\0\0"[..], data].concat();
        let mut directory = (self.tags.len() as u16).to_le_bytes().to_vec();
        for (tag, kind, count, value) in &self.tags {
            directory.extend(tag.to_le_bytes());
            directory.extend(kind.to_le_bytes());
            directory.extend(count.to_le_bytes());
            let value = match value {
                Value::Inline(value) => *value,
                Value::Bytes(bytes) if bytes.len() <= 4 => {
                    let mut four = [0; 4];
                    four[..bytes.len()].copy_from_slice(bytes);
                    u32::from_le_bytes(four)
                }
                Value::Bytes(bytes) => {
                    file.extend(bytes);
                    (file.len() - bytes.len()) as u32
                }
            };
            directory.extend(value.to_le_bytes());
        }
        directory.extend([0; 4]);
        let start = file.len() as u32;
        file[4..8].copy_from_slice(&start.to_le_bytes());
        file.extend(directory);
        file
    }
}

/// Nine-bit codes, most significant bits first.
fn lzw(codes: impl IntoIterator<Item = u32>) -> Vec<u8> {
    let (mut bytes, mut held, mut buffer) = (Vec::new(), 0, 0_u64);
    for code in codes {
        buffer = buffer << 9 | u64::from(code);
        held += 9;
        while held >= 8 {
            held -= 8;
            bytes.push((buffer >> held) as u8);
        }
    }
    bytes.push((buffer << 8 >> held) as u8);
    bytes
}

/// One code after the other, each for a string one byte longer than the last: the most that LZW can say.
fn growing_strings(len: usize) -> Vec<u8> {
    let (mut bytes, mut held, mut buffer) = (Vec::new(), 0, 0_u64);
    let mut put = |code: u64, bits: u32| {
        buffer = buffer << bits | code;
        held += bits;
        while held >= 8 {
            held -= 8;
            bytes.push((buffer >> held) as u8);
        }
    };
    let mut written = 0;
    while written < len {
        put(256, 9);
        put(0, 9);
        for code in 258..4093_u64 {
            let bits = (code + 1).ilog2() + 1;
            put(code, bits.clamp(9, 12));
            written += code as usize - 256;
        }
    }
    put(0, 12);
    bytes
}

fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut bytes, 50);
    let pixels = vec![128; usize::from(width) * usize::from(height)];
    let encoded = encoder.encode(&pixels, width, height, jpeg_encoder::ColorType::Luma);
    encoded.expect("sound settings");
    bytes
}

/// Directories that follow each other in a ring.
fn ring() -> Vec<u8> {
    let mut file = Tiff::new(1, 1, 1).file(1, 1, &[0]);
    let (end, first) = (file.len() - 4, file[4..8].to_vec());
    file[end..].copy_from_slice(&first);
    file
}

/// A directory of as many entries as libtiff admits, all of one type and count.
fn directory(kind: u16, count: u32, entries: u16) -> Vec<u8> {
    let mut file = [&b"II*\0\x08\0\0\0"[..], &entries.to_le_bytes()].concat();
    for tag in 0..entries {
        file.extend((40_000 + tag).to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(count.to_le_bytes());
        file.extend([8, 0, 0, 0]);
    }
    file.extend([0; 4]);
    file
}

pub(super) fn files(scale: Scale) -> Vec<File> {
    const MEGABYTE: usize = 1 << 20;
    let strips = 4096 * scale.flood as u32;
    let small = u32::from(scale.side);
    let shared =
        |compression: u32, data: &[u8]| Tiff::new(1, strips, compression).file(strips, 1, data);
    let empty_blocks = {
        // A zlib header, then stored blocks of nothing.
        let mut data = vec![0x78, 0x01];
        data.extend([0, 0, 0, 0xFF, 0xFF].repeat(MEGABYTE / 5));
        data
    };
    let fax = |compression: u32, data: &[u8]| {
        let mut tiff = Tiff::new(1, strips, compression);
        tiff.set(258, 1).file(strips, 1, data)
    };
    vec![
        file(
            "strips that share PackBits of nothing",
            shared(32773, &vec![0x80; MEGABYTE]),
        ),
        file("strips that share them with reversed bits", {
            Tiff::new(1, strips, 32773)
                .set(266, 2)
                .file(strips, 1, &vec![0x01; MEGABYTE])
        }),
        file(
            "strips that share LZW clear codes",
            shared(5, &lzw([256].repeat(MEGABYTE))),
        ),
        file(
            "strips that share empty Deflate blocks",
            shared(8, &empty_blocks),
        ),
        file(
            "strips that share fax fill bits",
            fax(3, &vec![0; MEGABYTE]),
        ),
        file(
            "strips that share fax make-up codes",
            fax(2, &vec![0xD9; MEGABYTE]),
        ),
        file(
            "strips that share a group 4 line",
            fax(4, &vec![0x11; MEGABYTE]),
        ),
        file("wide group 4 lines", {
            let mut tiff = Tiff::new(1 << 20, 127, 4);
            tiff.set(258, 1).file(127, 1, &[0xFF; 64])
        }),
        file("tables for every JPEG strip", {
            let mut tables = vec![0xFF, 0xD8];
            tables.extend([0xFF, 0xFE, 0, 2].repeat(MEGABYTE / 4));
            let mut tiff = Tiff::new(8, 8 * strips.min(1 << 17), 7);
            tiff.bytes(347, UNDEFINED, tables.len() as u32, tables);
            tiff.file(strips.min(1 << 17), 8, &jpeg(8, 8))
        }),
        file(
            "small JPEG strips",
            Tiff::new(8, 8 * strips.min(1 << 17), 7).file(strips.min(1 << 17), 8, &jpeg(8, 8)),
        ),
        file(
            "a high JPEG in every low strip",
            Tiff::new(64, strips, 7).file(strips, 1, &jpeg(64, 60_000)),
        ),
        file("one LZW strip of growing strings", {
            let pixels = (small * small) as usize;
            Tiff::new(small, small, 5).file(1, small, &growing_strings(pixels))
        }),
        file("tiles that are larger than the image", {
            let data = deflated(64 << 20);
            let mut tiff = Tiff::new(1 << 17, 4, 8);
            tiff.set(322, 8192).set(323, 8192).file(16, 0, &data)
        }),
        file("tiles of one pixel", {
            let side = small.min(5000);
            let mut tiff = Tiff::new(side, side, 32773);
            tiff.set(322, 1).set(323, 1).file(side * side, 0, &[0, 7])
        }),
        file("four planes of each strip", {
            let mut tiff = Tiff::new(1, strips, 32773);
            let samples = words([8_u16.swap_bytes(); 4]);
            tiff.bytes(258, SHORT, 4, samples)
                .set(262, 5)
                .set(277, 4)
                .set(284, 2);
            tiff.file(4 * strips, 1, &vec![0x80; MEGABYTE])
        }),
        file("Lab pixels", {
            let mut tiff = Tiff::new(small, small, 5);
            let samples = words([8_u16.swap_bytes(); 3]);
            tiff.bytes(258, SHORT, 3, samples).set(262, 8).set(277, 3);
            tiff.file(1, small, &growing_strings(3 * (small * small) as usize))
        }),
        file("bits for millions of samples", {
            let mut tiff = Tiff::new(1, 1, 1);
            tiff.bytes(258, SIGNED_BYTE, 4 << 20, vec![8; 4 << 20]);
            tiff.bytes(339, BYTE, 4 << 20, vec![1; 4 << 20])
                .file(1, 1, &[0])
        }),
        file(
            "a directory of 4,096 entries",
            directory(LONG, u32::MAX, 4096),
        ),
        file("a ring of directories", ring()),
    ]
}
