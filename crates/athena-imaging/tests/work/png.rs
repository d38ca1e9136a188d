//! PNG: chunks and zlib streams that hold nothing, or far too much.

use super::{File, Scale, deflated, file};

fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let crc = zlib_rs::crc32::crc32(zlib_rs::crc32::crc32(0, name), data);
    let len = (data.len() as u32).to_be_bytes();
    [&len[..], name, data, &crc.to_be_bytes()].concat()
}

fn header(width: u32, height: u32, depth: u8, colour: u8, interlaced: u8) -> Vec<u8> {
    let mut data = [width.to_be_bytes(), height.to_be_bytes()].concat();
    data.extend([depth, colour, 0, 0, interlaced]);
    [&b"\x89PNG\r\n\x1A\n"[..], &chunk(b"IHDR", &data)].concat()
}

fn png(header: Vec<u8>, chunks: &[u8]) -> Vec<u8> {
    [&header, chunks, &chunk(b"IEND", b"")].concat()
}

/// One grey pixel among other chunks.
fn pixel(before: &[u8], behind: &[u8]) -> Vec<u8> {
    let data = chunk(b"IDAT", &deflated(2));
    png(header(1, 1, 8, 0, 0), &[before, &data, behind].concat())
}

/// The data in as many chunks as there are bytes.
fn scattered(data: &[u8]) -> Vec<u8> {
    data.iter()
        .flat_map(|&byte| chunk(b"IDAT", &[byte]))
        .collect()
}

fn frame_control(number: u32, side: u32) -> Vec<u8> {
    let mut data = number.to_be_bytes().to_vec();
    data.extend([side.to_be_bytes(), side.to_be_bytes(), [0; 4], [0; 4]].concat());
    data.extend([0, 1, 0, 1, 0, 0]);
    chunk(b"fcTL", &data)
}

pub(super) fn files(scale: Scale) -> Vec<File> {
    let Scale { flood, side } = scale;
    let side = u32::from(side);
    let animation = chunk(b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]);
    let empty_blocks = {
        let mut data = vec![0x78, 0x01];
        data.extend([0, 0, 0, 0xFF, 0xFF].repeat((1 << 20) * flood));
        data
    };
    let text = {
        let bomb = [&b"Comment\0\0"[..], &deflated(64 << 20)].concat();
        [
            chunk(b"zTXt", &bomb),
            chunk(b"iCCP", &bomb),
            chunk(b"iTXt", &bomb),
        ]
        .concat()
    };
    let broken_end = |len| {
        let mut data = deflated(len);
        *data.last_mut().expect("a checksum") ^= 1;
        data
    };
    let rgb = (3 * side + 1) as usize * side as usize;
    vec![
        file(
            "gigabytes behind the last row",
            pixel(&[], &[]).splice_data(&deflated((64 << 20) * flood)),
        ),
        file(
            "Deflate blocks of nothing",
            pixel(&[], &[]).splice_data(&empty_blocks),
        ),
        file(
            "empty image chunks",
            pixel(&[], &[]).splice_chunks(&chunk(b"IDAT", b"").repeat(200_000 * flood)),
        ),
        file("image chunks of a byte", {
            png(
                header(2000, 2000, 8, 2, 0),
                &scattered(&deflated(6001 * 2000)),
            )
        }),
        file(
            "text chunks",
            pixel(&chunk(b"tEXt", b"").repeat(200_000 * flood), &[]),
        ),
        file(
            "text chunks behind the image",
            pixel(&[], &chunk(b"tEXt", b"").repeat(200_000 * flood)),
        ),
        file("compressed texts and profiles", pixel(&text, &[])),
        file("EXIF chunks with broken checksums", {
            let mut exif = chunk(
                b"eXIf",
                &[&b"MM\0\x2A\0\0\0\x08"[..], &[0xFF; 4000]].concat(),
            );
            *exif.last_mut().expect("a checksum") ^= 1;
            pixel(&exif.repeat(500 * flood), &[])
        }),
        file("seven passes of one column", {
            png(
                header(1, 1_000_000, 1, 0, 1),
                &chunk(b"IDAT", &deflated(4_000_000)),
            )
        }),
        file("a checksum that is wrong in the end", {
            let data = broken_end(rgb);
            png(header(side, side, 8, 2, 0), &chunk(b"IDAT", &data))
        }),
        file("sixteen bits and alpha from nothing", {
            let len = (8 * side + 1) as usize * side as usize;
            png(
                header(side, side, 16, 6, 0),
                &chunk(b"IDAT", &deflated(len)),
            )
        }),
        file("frame controls and frame data of nothing", {
            let data = [
                &animation[..],
                &chunk(b"IDAT", &deflated(2)),
                &frame_control(0, 1),
            ]
            .concat();
            let flood = chunk(b"fdAT", &[0; 4]).repeat(200_000 * flood);
            png(header(1, 1, 8, 0, 0), &[&data[..], &flood].concat())
        }),
        file("gigabytes behind the last row of a frame", {
            let control = frame_control(0, 1);
            let data = chunk(b"IDAT", &deflated((64 << 20) * flood));
            png(
                header(1, 1, 8, 0, 0),
                &[&animation[..], &control, &data].concat(),
            )
        }),
    ]
}

trait Splice {
    fn splice_data(self, data: &[u8]) -> Vec<u8>;
    fn splice_chunks(self, chunks: &[u8]) -> Vec<u8>;
}

impl Splice for Vec<u8> {
    /// Puts other data in place of the image's.
    fn splice_data(self, data: &[u8]) -> Vec<u8> {
        png(self[..33].to_vec(), &chunk(b"IDAT", data))
    }

    /// Puts chunks before the image's data.
    fn splice_chunks(self, chunks: &[u8]) -> Vec<u8> {
        [&self[..33], chunks, &self[33..]].concat()
    }
}
