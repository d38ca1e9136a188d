"""Radiance pictures."""

import numpy as np

from .picture import SIZES, paint

BREAKS = 8


def rgbe(width, height, scale):
    value = (paint(width, height).astype(float) / 255) ** 2.2 * scale
    top = value.max(axis=2)
    exponent = np.where(top > 1e-32, np.ceil(np.log2(np.maximum(top, 1e-38)) + 1e-9), -128)
    mantissa = np.clip(value * 256 / 2.0 ** exponent[..., None], 0, 255)
    return np.dstack([mantissa, np.clip(exponent + 128, 0, 255)]).astype(np.uint8)


def run_lengths(line):
    out, i = bytearray(), 0
    while i < len(line):
        run = 1
        while i + run < len(line) and run < 127 and line[i + run] == line[i]:
            run += 1
        if run > 2:
            out += bytes([128 + run, line[i]])
            i += run
        else:
            j = i
            while j < len(line) and j - i < 128 and not (j + 2 < len(line) and line[j] == line[j + 1] == line[j + 2]):
                j += 1
            out += bytes([j - i]) + bytes(line[i:j])
            i = j
    return bytes(out)


def encode(pixels, rle):
    height, width = pixels.shape[:2]
    if not rle:
        return pixels.tobytes()
    out = b""
    for row in pixels:
        out += bytes([2, 2, width >> 8, width & 255])
        for channel in range(4):
            out += run_lengths(row[:, channel].tolist())
    return out


def files():
    for width, height in SIZES + [(120, 90)]:
        for scale in (0.2, 1.0, 7.0, 3000.0):
            pixels = rgbe(width, height, scale)
            for rle in (False, True):
                if rle and width < 8:
                    continue
                body = encode(pixels, rle)
                name = f"{width}x{height}_{scale}_{int(rle)}"
                head = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n"
                size = f"-Y {height} +X {width}\n".encode()
                yield f"{name}.hdr", head + size + body
                if scale == 1.0:
                    yield f"{name}_rgbe.hdr", head.replace(b"RADIANCE", b"RGBE") + size + body
                    yield f"{name}.pic", head + size + body
    width, height = 20, 11
    pixels = rgbe(width, height, 1.0)
    body = encode(pixels, True)
    size = f"-Y {height} +X {width}\n".encode()
    fmt = b"FORMAT=32-bit_rle_rgbe\n"
    heads = {
        "exposure": b"#?RADIANCE\n" + fmt + b"EXPOSURE=2.5\n\n",
        "gamma": b"#?RADIANCE\nGAMMA=2.2\n" + fmt + b"\n",
        "comment": b"#?RADIANCE\n# hello\n" + fmt + b"\n",
        "noformat": b"#?RADIANCE\n\n",
        "xyze": b"#?RADIANCE\nFORMAT=32-bit_rle_xyze\n\n",
        "crlf": b"#?RADIANCE\r\nFORMAT=32-bit_rle_rgbe\r\n\r\n",
        "long": b"#?RADIANCE\n" + b"SOFTWARE=" + b"x" * 300 + b"\n" + fmt + b"\n",
        "longnl": b"#?RADIANCE\n" + b"x" * 127 + b"\n" + fmt + b"\n",
        "nul": b"#?RADIANCE\nA\0B\n" + fmt + b"\n",
        "junkline": b"#?RADIANCE\nwhatever\n" + fmt + b"\n",
        "spaced": b"#?RADIANCE\n FORMAT=32-bit_rle_rgbe\n\n",
        "suffix": b"#?RADIANCEXX\n" + fmt + b"\n",
    }
    for label, head in heads.items():
        yield f"head_{label}.hdr", head + size + body
    head = heads["comment"]
    sizes = {
        "plusy": f"+Y {height} +X {width}\n",
        "minusx": f"-Y {height} -X {width}\n",
        "xfirst": f"+X {width} -Y {height}\n",
        "spaces": f"-Y   {height}   +X   {width}   \n",
        "nospace": f"-Y{height}+X{width}\n",
        "tail": f"-Y {height} +X {width} rest of line\n",
        "leading": f"  -Y {height} +X {width}\n",
        "negative": f"-Y -{height} +X {width}\n",
        "zero": f"-Y 0 +X {width}\n",
        "huge": f"-Y 2000000 +X 2000000\n",
        "wide": f"-Y 4 +X 1100000\n",
        "plus": f"-Y +{height} +X +{width}\n",
        "float": f"-Y {height}.5 +X {width}\n",
        "overflow": f"-Y {height} +X 99999999999\n",
    }
    for label, text in sizes.items():
        yield f"size_{label}.hdr", head + text.encode() + body
    mixed = encode(pixels[:4], True) + encode(pixels[4:], False)
    yield "mixed.hdr", head + size + mixed
    yield "wrongwidth.hdr", head + size + body.replace(bytes([2, 2, 0, 20]), bytes([2, 2, 0, 21]))
