"""AVIF: chroma samplings, ranges and depths, alpha, matrices, profiles, orientations, grids, sequences, film grain.

Pictures come from Pillow, OpenCV and imagecodecs; matrices are patched into their `colr` boxes, and grids are put together here
from the tiles that Pillow encodes.
"""

import io
import itertools
import struct

import cv2
import imagecodecs
import numpy as np
from PIL import Image, ImageCms

from .picture import paint

BREAKS = 1
SIZES = ((64, 48), (63, 47), (1, 1), (17, 13), (131, 97), (2, 3))
SAMPLINGS = ("4:2:0", "4:2:2", "4:4:4", "4:0:0")


def pillow(image, **options):
    out = io.BytesIO()
    image.save(out, "AVIF", speed=8, **options)
    return out.getvalue()


def picture(width, height, index=0):
    return Image.fromarray(paint(width, height, index))


def deep(samples, depth):
    return samples if depth == 8 else (samples.astype(np.uint16) * ((1 << depth) - 1) // 255).astype(np.uint16)


def box(kind, *parts):
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def full(kind, version, flags, *parts):
    return box(kind, bytes([version]) + flags.to_bytes(3, "big"), *parts)


def boxes(data):
    at = 0
    while at + 8 <= len(data):
        length = struct.unpack(">I", data[at : at + 4])[0] or len(data) - at
        yield data[at + 4 : at + 8], data[at + 8 : at + length]
        at += max(length, 8)


def tile(data):
    """The AV1 data of a file of one image, and its properties."""
    top = dict(boxes(data))
    properties = dict(boxes(dict(boxes(top[b"meta"][4:]))[b"iprp"]))
    return top[b"mdat"], dict(boxes(properties[b"ipco"]))


def grid(tiles, columns, rows, width, height, properties, turning=b"", essential=True):
    count = len(tiles)
    kinds = [full(b"infe", 2, 0, struct.pack(">HH", 1, 0) + b"grid\0")]
    kinds += [full(b"infe", 2, 1, struct.pack(">HH", 2 + i, 0) + b"av01\0") for i in range(count)]
    layout = bytes([0, 0, rows - 1, columns - 1]) + struct.pack(">HH", width, height)
    colour = properties.get(b"colr", b"nclx" + struct.pack(">HHHB", 1, 13, 6, 0x80))
    stored = [
        full(b"ispe", 0, 0, struct.pack(">II", width, height)), full(b"ispe", 0, 0, properties[b"ispe"][4:]),
        box(b"av1C", properties[b"av1C"]), box(b"pixi", properties[b"pixi"]), box(b"colr", colour),
    ]  # fmt: skip
    extra = [6 | (0x80 if essential else 0)] if turning else []
    associations = struct.pack(">I", count + 1) + struct.pack(">HB", 1, 3 + len(extra)) + bytes([1, 4, 5, *extra])
    for i in range(count):
        associations += struct.pack(">HB", 2 + i, 4) + bytes([2, 0x83, 4, 5])
    parts = b"".join(struct.pack(">H", 2 + i) for i in range(count))
    references = full(b"iref", 0, 0, box(b"dimg", struct.pack(">HH", 1, count) + parts))

    def meta(offset):
        places = struct.pack(">BBH", 0x44, 0, count + 1)
        for index, data in enumerate([layout, *tiles]):
            places += struct.pack(">HHHII", 1 + index, 0, 1, offset, len(data))
            offset += len(data)
        return full(
            b"meta", 0, 0, full(b"hdlr", 0, 0, bytes(4) + b"pict" + bytes(13)), full(b"pitm", 0, 0, struct.pack(">H", 1)),
            full(b"iloc", 0, 0, places), full(b"iinf", 0, 0, struct.pack(">H", count + 1), *kinds), references,
            box(b"iprp", box(b"ipco", *stored, turning), full(b"ipma", 0, 0, associations)),
        )  # fmt: skip

    head = box(b"ftyp", b"avif" + bytes(4) + b"avifmif1miaf")
    return head + meta(len(head) + len(meta(0)) + 8) + box(b"mdat", layout, *tiles)


def grids():
    for sampling, side in itertools.product(SAMPLINGS, ((64, 64), (128, 96))):
        width, height = side
        tiles = [tile(pillow(picture(*side, i), quality=60, subsampling=sampling)) for i in range(6)]
        properties = tiles[0][1]
        for columns, rows, w, h in (
            (2, 2, 2 * width, 2 * height), (3, 2, 3 * width - 20, 2 * height - 10), (2, 1, 2 * width - 1, height - 1),
            (1, 2, width, 2 * height - 5), (3, 2, 2 * width + 2, height + 2), (2, 2, 2 * width + 5, height),
        ):  # fmt: skip
            data = [tile[0] for tile in tiles[: columns * rows]]
            yield f"grid_{sampling}_{width}_{columns}{rows}_{w}x{h}", grid(data, columns, rows, w, h, properties)
        for kind, body in ((b"irot", b"\1"), (b"imir", b"\0"), (b"clap", struct.pack(">8I", 32, 1, 32, 1, 0, 1, 0, 1))):
            for essential in (False, True):
                name = f"grid_{sampling}_{width}_{kind.decode()}{int(essential)}"
                yield name, grid([tiles[0][0]], 1, 1, *side, properties, box(kind, body), essential)


def matrices(name, data):
    at = data.find(b"colrnclx")
    if at < 0:
        return
    for matrix, full_range in itertools.product((0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 99), (0, 0x80)):
        for primaries in (1, 2, 9) if matrix == 12 else (1,):
            colour = struct.pack(">HHHB", primaries, 13, matrix, full_range)
            yield f"{name}_matrix{matrix}_{primaries}_{full_range}", data[: at + 8] + colour + data[at + 15 :]
    yield f"{name}_nomatrix", data[: at + 4] + b"abcd" + data[at + 8 :]


def stills(width, height):
    image = picture(width, height)
    for sampling, limits, quality in itertools.product(SAMPLINGS, ("full", "limited"), (30, 75, 100)):
        yield f"{sampling}_{limits}_{quality}", pillow(image, quality=quality, subsampling=sampling, range=limits)
    samples = np.array(image)
    opacity = np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))
    alpha = Image.fromarray(np.dstack([samples, opacity]))
    yield "alpha", pillow(alpha, quality=70)
    yield "greyalpha", pillow(alpha.convert("LA"), quality=70)
    yield "grey", pillow(image.convert("L"), quality=70)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    yield "profile", pillow(image, quality=70, icc_profile=profile)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[274], exif[271] = orientation, "a"
        yield f"exif{orientation}", pillow(image, quality=70, exif=exif)
    for strength in (5, 12):
        yield f"grain{strength}", pillow(image, quality=60, advanced={"film-grain-test": str(strength)})
    frames = [picture(width, height, index) for index in range(4)]
    yield "sequence", pillow(frames[0], save_all=True, append_images=frames[1:], duration=100, quality=60)
    more = [frame.convert("RGBA") for frame in frames[1:]]
    yield "sequencealpha", pillow(alpha, save_all=True, append_images=more, duration=100, quality=60)
    for depth, quality in itertools.product((8, 10, 12), (20, 80, 100)):
        wide = deep(samples[:, :, ::-1].copy(), depth)
        options = [cv2.IMWRITE_AVIF_DEPTH, depth, cv2.IMWRITE_AVIF_QUALITY, quality, cv2.IMWRITE_AVIF_SPEED, 8]
        opaque = np.full((height, width), (1 << depth) // 3, wide.dtype)
        for label, kind in (("bgr", wide), ("bgra", np.dstack([wide, opaque])), ("grey", wide[:, :, 1].copy())):
            yield f"cv_{depth}_{quality}_{label}", cv2.imencode(".avif", kind, options)[1].tobytes()
    for depth, sampling in itertools.product((8, 10, 12), ("420", "422", "444")):
        wide = deep(samples, depth)
        yield f"ic_{depth}_{sampling}", imagecodecs.avif_encode(wide, 60, speed=8, bitspersample=depth, pixelformat=sampling)


def files():
    for width, height in SIZES:
        for label, data in stills(width, height):
            name = f"{label}_{width}x{height}"
            yield f"{name}.avif".replace(":", ""), data
            if width in (63, 64) and not label.startswith(("exif", "grain", "profile")):
                for matrix, patched in matrices(name, data):
                    yield f"{matrix}.avif".replace(":", ""), patched
    for label, data in grids():
        yield f"{label}.avif".replace(":", ""), data
