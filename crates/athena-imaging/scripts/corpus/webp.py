"""WebP: lossy, lossless, alpha, animations, metadata, loose chunks."""

import io
import struct

import numpy as np
from PIL import Image

from .picture import SIZES, paint, rgba
from .png import exif

BREAKS = 10


def encode(image, **options):
    out = io.BytesIO()
    image.save(out, "WEBP", **options)
    return out.getvalue()


def riff(*chunks):
    body = b"WEBP" + b"".join(k + struct.pack("<I", len(d)) + d + bytes(len(d) % 2) for k, d in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def parts(data):
    at, out = 12, []
    while at + 8 <= len(data):
        size = struct.unpack("<I", data[at + 4 : at + 8])[0]
        out.append((data[at : at + 4], data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return out


def vp8x(flags, width, height):
    return b"VP8X", bytes([flags, 0, 0, 0]) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]


def files():
    for width, height in SIZES + [(160, 120), (300, 200)]:
        name = f"{width}x{height}"
        rgb, alpha = Image.fromarray(paint(width, height)), Image.fromarray(rgba(width, height))
        for quality in (0, 40, 80, 100):
            yield f"{name}_lossy{quality}.webp", encode(rgb, quality=quality)
            yield f"{name}_alpha{quality}.webp", encode(alpha, quality=quality)
        for method in (0, 3, 6):
            yield f"{name}_lossless{method}.webp", encode(rgb, lossless=True, method=method)
            yield f"{name}_losslessalpha{method}.webp", encode(alpha, lossless=True, method=method)
        yield f"{name}_exact.webp", encode(alpha, lossless=True, exact=True)
        few = rgb.quantize(12).convert("RGB")
        yield f"{name}_few.webp", encode(few, lossless=True)
        yield f"{name}_two.webp", encode(rgb.quantize(2).convert("RGB"), lossless=True)
        for orientation in (1, 3, 6, 8):
            block = b"Exif\0\0" + exif(orientation, orientation == 6)
            yield f"{name}_exif{orientation}.webp", encode(rgb, exif=block)
        frames = [Image.fromarray(rgba(width, height, i)) for i in range(4)]
        yield f"{name}_animated.webp", encode(frames[0], save_all=True, append_images=frames[1:], duration=50)
        yield f"{name}_animatedlossless.webp", encode(frames[0], save_all=True, append_images=frames[1:], duration=50, lossless=True)
        opaque = [f.convert("RGB") for f in frames]
        yield f"{name}_animatedopaque.webp", encode(opaque[0], save_all=True, append_images=opaque[1:], duration=50, background=(9, 80, 200, 255))
        simple = parts(encode(rgb))[0]
        stored = parts(encode(rgb, lossless=True))[0]
        block = exif(6)
        for label, data in {
            "vp8x": riff(vp8x(0, width, height), simple),
            "vp8x_l": riff(vp8x(0, width, height), stored),
            "vp8x_alphaflag": riff(vp8x(0x10, width, height), simple),
            "vp8x_wrongsize": riff(vp8x(0, width + 1, height), simple),
            "vp8x_animflag": riff(vp8x(2, width, height), simple),
            "exifnoflag": riff(vp8x(0, width, height), simple, (b"EXIF", block)),
            "exifraw": riff(vp8x(8, width, height), simple, (b"EXIF", block)),
            "exifprefix": riff(vp8x(8, width, height), simple, (b"EXIF", b"Exif\0\0" + block)),
            "exiffirst": riff(vp8x(8, width, height), (b"EXIF", block), simple),
            "exiftwo": riff(vp8x(8, width, height), simple, (b"EXIF", block), (b"EXIF", exif(3))),
            "exifsimple": riff(simple, (b"EXIF", block)),
            "unknown": riff(vp8x(0, width, height), (b"JUNK", b"abc"), simple, (b"MORE", b"xyzw")),
            "icc": riff(vp8x(0x20, width, height), (b"ICCP", bytes(99)), simple),
            "two": riff(simple, simple),
            "raw": simple[1],
            "rawl": stored[1],
            "sizeless": b"RIFF\0\0\0\0WEBP" + riff(simple)[12:],
            "sizebig": b"RIFF" + struct.pack("<I", len(riff(simple)) + 90) + riff(simple)[8:],
            "sizesmall": b"RIFF" + struct.pack("<I", len(riff(simple)) - 20) + riff(simple)[8:],
            "trailing": riff(simple) + b"junk" * 9,
            "none": riff(vp8x(0, width, height)),
        }.items():
            yield f"{name}_{label}.webp", data
        animated = parts(encode(frames[0], save_all=True, append_images=frames[1:], duration=50, lossless=True))
        for background in (b"\0\0\0\0", b"\xff\x80\x10\xff"):
            changed = [(k, background + d[4:]) if k == b"ANIM" else (k, d) for k, d in animated]
            yield f"{name}_background{background[0]}.webp", riff(*changed)
        if width > 8 and height > 8:
            small = Image.fromarray(rgba(width // 2 * 2 - 4, height // 2 * 2 - 4, 7))
            for flags in range(4):
                for lossless in (True, False):
                    inner = [p for p in parts(encode(small, lossless=lossless)) if p[0] != b"VP8X"]
                    body = b"".join(k + struct.pack("<I", len(d)) + d + bytes(len(d) % 2) for k, d in inner)
                    header = b"".join(struct.pack("<I", v)[:3] for v in (1, 1, small.width - 1, small.height - 1, 40)) + bytes([flags])
                    yield f"{name}_offset{flags}{int(lossless)}.webp", riff(
                        vp8x(0x12, width, height), (b"ANIM", b"\x40\x80\xc0\xff\0\0"), (b"ANMF", header + body)
                    )
    noise = np.random.default_rng(5).integers(0, 256, (90, 130, 3)).astype(np.uint8)
    yield "noise.webp", encode(Image.fromarray(noise), lossless=True)
    yield "noise_lossy.webp", encode(Image.fromarray(noise), quality=95)
