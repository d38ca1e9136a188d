//! AVIF: boxes, items, tiles and frames.

use super::{File, Scale, file, words};

/// A picture of 17 x 13 pixels, its AV1 data last of all.
const PICTURE: &[u8] = include_bytes!("../fixtures/avif_444_limited_75_17x13.avif");

fn part(kind: &[u8; 4], bodies: &[&[u8]]) -> Vec<u8> {
    let body = bodies.concat();
    let len = 8 + body.len() as u32;
    [&len.to_be_bytes()[..], kind, &body].concat()
}

/// The body of the first box of a kind, wherever it is.
fn body(kind: &[u8; 4]) -> &'static [u8] {
    let at = PICTURE.windows(4).position(|name| name == kind);
    let at = at.expect("a box of that kind") - 4;
    let len = PICTURE[at..]
        .first_chunk()
        .map(|len| u32::from_be_bytes(*len));
    &PICTURE[at + 8..at + len.expect("a length") as usize]
}

/// Items from 1: kind, extents, properties.
struct Item<'a>(&'a [u8; 4], Vec<(u32, u32)>, Vec<u8>);

fn avif(items: &[Item<'_>], size: [u32; 2], references: &[u8], data: &[&[u8]]) -> Vec<u8> {
    let count = items.len() as u16;
    let ftyp = part(b"ftyp", &[b"avif\0\0\0\0avif"]);
    let mut kinds = Vec::new();
    for (id, Item(kind, ..)) in (1_u16..).zip(items) {
        let entry = [&[2, 0, 0, 0][..], &words([id, 0]), &kind[..], &[0]].concat();
        kinds.extend(part(b"infe", &[&entry]));
    }
    let mut properties = [&[0; 4][..], &u32::from(count).to_be_bytes()].concat();
    for (id, Item(.., known)) in (1_u16..).zip(items) {
        for some in known.chunks(255) {
            properties.extend([&words([id])[..], &[some.len() as u8], some].concat());
        }
    }
    let known: usize = items
        .iter()
        .map(|Item(.., known)| known.len().div_ceil(255))
        .sum();
    properties[4..8].copy_from_slice(&(known as u32).to_be_bytes());
    let whole = size.map(u32::to_be_bytes).concat();
    let stored = [
        part(b"ispe", &[&[0; 4], &whole]),
        part(b"ispe", &[body(b"ispe")]),
        part(b"av1C", &[body(b"av1C")]),
    ]
    .concat();
    let meta = |start: u32| {
        let mut places = [&[0, 0, 0, 0, 0x44, 0][..], &words([count])].concat();
        for (id, Item(_, extents, _)) in (1_u16..).zip(items) {
            places.extend(words([id, 0, extents.len() as u16]));
            for (offset, len) in extents {
                places.extend([start + offset, *len].map(u32::to_be_bytes).concat());
            }
        }
        let parts = [
            part(b"pitm", &[&[0, 0, 0, 0, 0, 1]]),
            part(b"iloc", &[&places]),
            part(b"iinf", &[&[0; 4], &words([count]), &kinds]),
            part(b"iref", &[&[0; 4], references]),
            part(
                b"iprp",
                &[&part(b"ipco", &[&stored]), &part(b"ipma", &[&properties])],
            ),
        ];
        part(b"meta", &[&[0; 4], &parts.concat()])
    };
    let start = (ftyp.len() + meta(0).len() + 8) as u32;
    [ftyp, meta(start), part(b"mdat", data)].concat()
}

/// Grey, of 4 and 36 megapixels, as Pillow writes them: most of a frame of AV1 costs no bits.
const ONE_COLOUR: [&[u8]; 2] = [
    include_bytes!("one_colour_4.avif"),
    include_bytes!("one_colour_36.avif"),
];

pub(super) fn files(Scale { flood, side }: Scale) -> Vec<File> {
    let picture = body(b"mdat");
    let len = picture.len() as u32;
    let image = |extents| Item(b"av01", extents, vec![2, 3]);
    let single = |data: &[&[u8]]| {
        let all: usize = data.iter().map(|data| data.len()).sum();
        avif(&[image(vec![(0, all as u32)])], [17, 13], &[], data)
    };
    vec![
        file("one colour", ONE_COLOUR[usize::from(side > 6000)].to_vec()),
        file("tiles that are one image", {
            const SIDE: u32 = 80;
            let layout = [0, 0, SIDE as u8 - 1, SIDE as u8 - 1];
            let size = [17 * SIDE, 13 * SIDE];
            let layout = [&layout[..], &words(size.map(|side| side as u16))].concat();
            let tiles = words([2]).repeat((SIDE * SIDE) as usize);
            let references = part(b"dimg", &[&words([1, (SIDE * SIDE) as u16]), &tiles]);
            let grid = Item(b"grid", vec![(len, layout.len() as u32)], vec![1]);
            avif(
                &[grid, image(vec![(0, len)])],
                size,
                &references,
                &[picture, &layout],
            )
        }),
        file(
            "a frame again and again",
            single(&vec![picture; 5_000 * flood]),
        ),
        file(
            "a frame, then nothing",
            single(&[picture, &vec![0x12; 4_000_000 * flood]]),
        ),
        file("parts that share bytes", {
            let extents = vec![(0, len); 60_000];
            avif(&[image(extents)], [17, 13], &[], &[picture])
        }),
        file("properties of one item, asked for again and again", {
            let items = [
                image(vec![(0, len)]),
                Item(b"av01", vec![(0, len)], vec![3; 100_000 * flood]),
            ];
            let reference = part(b"auxl", &[&words([2, 1, 1])]);
            avif(
                &items,
                [17, 13],
                &reference.repeat(10_000 * flood),
                &[picture],
            )
        }),
        file("boxes of nothing", {
            let empty = part(b"free", &[]).repeat(500_000 * flood);
            [&PICTURE[..20], &empty, &PICTURE[20..]].concat()
        }),
    ]
}
