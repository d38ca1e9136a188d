"""Windows and OS/2 bitmaps."""

import itertools
import struct

import numpy as np

from .picture import SIZES, grey, paint, rgba

BREAKS = 6


def rows(pixels, bits):
    """Packs indices or colours of `bits` each into rows padded to four bytes, bottom row first."""
    out = b""
    for line in pixels[::-1]:
        if bits == 1:
            raw = np.packbits(line & 1).tobytes()
        elif bits == 4:
            line = list(line) + [0] * (len(line) % 2)
            raw = bytes((a & 15) << 4 | (b & 15) for a, b in zip(line[::2], line[1::2]))
        else:
            raw = np.ascontiguousarray(line).tobytes()
        out += raw + bytes(-len(raw) % 4)
    return out


def palette(count, colour=True, entry=4):
    out = b""
    for i in range(count):
        v = i * 255 // max(1, count - 1)
        out += (bytes([v, 255 - v, v * 7 % 256]) if colour else bytes([v, v, v])) + bytes(entry - 3)
    return out


def bmp(width, height, bits, body, compression=0, header=40, table=b"", used=0, masks=None, offset=None, planes=1):
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, abs(height) & 0xFFFF, planes, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", header, width, height, planes, bits, compression, len(body), 2835, 2835, used, 0)
        extra = b""
        if header >= 52:
            extra = struct.pack("<III", *(masks or (0, 0, 0))[:3])
        if header >= 56:
            extra += struct.pack("<I", (masks or (0, 0, 0, 0))[3])
        if header > 56:
            extra += b"sRGB"[::-1] + bytes(header - 60)
        if 40 < header < 52:
            extra = bytes(header - 40)
        info += extra
        if header in (40,) and masks and compression == 3:
            table = struct.pack("<III", *masks[:3]) + table
    start = 14 + len(info) + len(table) if offset is None else offset
    return b"BM" + struct.pack("<IHHI", (start + len(body)) & 0xFFFFFFFF, 0, 0, start) + info + table + body


def rle(indices, bits, escapes=False):
    out = bytearray()
    for line in indices[::-1]:
        x = 0
        line = [int(v) & (15 if bits == 4 else 255) for v in line]
        while x < len(line):
            run = 1
            while x + run < len(line) and line[x + run] == line[x] and run < 255:
                run += 1
            if run >= 3 or len(line) - x < 3:
                run = min(run, len(line) - x)
                out += bytes([run, line[x] * 17 if bits == 4 else line[x]])
                x += run
            else:
                count = min(len(line) - x, 255 if len(line) % 2 else 20)
                out += bytes([0, count])
                part = line[x : x + count]
                if bits == 4:
                    part = part + [0] * (len(part) % 2)
                    raw = bytes(a << 4 | b for a, b in zip(part[::2], part[1::2]))
                else:
                    raw = bytes(part)
                out += raw + bytes(len(raw) % 2)
                x += count
        out += b"\0\0"
    if escapes:
        out[0:0] = bytes([0, 2, 1, 1])
    return bytes(out + b"\0\1")


def files():
    for width, height in SIZES + [(200, 150)]:
        colour = paint(width, height)
        index = grey(width, height)
        name = f"{width}x{height}"
        for bits in (1, 4, 8):
            count = 1 << bits
            small = (index >> (8 - bits)).astype(np.uint8)
            body = rows(small, bits)
            yield f"{name}_{bits}.bmp", bmp(width, height, bits, body, table=palette(count))
            yield f"{name}_{bits}_grey.bmp", bmp(width, height, bits, body, table=palette(count, False))
            yield f"{name}_{bits}_down.bmp", bmp(width, -height, bits, body, table=palette(count))
            yield f"{name}_{bits}_os2.bmp", bmp(width, height, bits, body, header=12, table=palette(count, entry=3))
            yield f"{name}_{bits}_os2grey.bmp", bmp(width, height, bits, body, header=12, table=palette(count, False, 3))
            used = max(1, count // 2)
            yield f"{name}_{bits}_used.bmp", bmp(width, height, bits, body, table=palette(used), used=used)
            yield f"{name}_{bits}_v5.bmp", bmp(width, height, bits, body, header=124, table=palette(count))
        for bits, code in ((4, 2), (8, 1)):
            small = (index >> (8 - bits) if bits == 4 else index // 40).astype(np.uint8)
            for escapes in (False, True):
                body = rle(small, bits, escapes)
                for is_colour in (True, False):
                    yield f"{name}_rle{bits}_{int(escapes)}{int(is_colour)}.bmp", bmp(
                        width, height, bits, body, code, table=palette(1 << bits, is_colour)
                    )
            yield f"{name}_rle{bits}_down.bmp", bmp(width, -height, bits, rle(small, bits), code, table=palette(1 << bits))
        bgr = np.ascontiguousarray(colour[:, :, ::-1])
        yield f"{name}_24.bmp", bmp(width, height, 24, rows(bgr, 24))
        yield f"{name}_24_down.bmp", bmp(width, -height, 24, rows(bgr, 24))
        yield f"{name}_24_os2.bmp", bmp(width, height, 24, rows(bgr, 24), header=12)
        bgra = np.ascontiguousarray(rgba(width, height)[:, :, [2, 1, 0, 3]])
        yield f"{name}_32.bmp", bmp(width, height, 32, rows(bgra, 32))
        yield f"{name}_32_os2.bmp", bmp(width, height, 32, rows(bgra, 32), header=12)
        mask_sets = {
            "bgra": (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
            "rgba": (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
            "noalpha": (0xFF0000, 0xFF00, 0xFF, 0),
            "ten": (0x3FF00000, 0xFFC00, 0x3FF, 0xC0000000),
            "four": (0xF00, 0xF0, 0xF, 0xF000),
            "zero": (0, 0, 0, 0),
            "part": (0xFF0000, 0, 0xFF, 0),
            "holes": (0xF0F00000, 0xFF00, 0x81, 0),
            "wide": (0xFFFFFFFF, 0xFFFF, 0xFFFF0000, 0),
        }
        for label, masks in mask_sets.items():
            for header in (40, 52, 56, 108, 124):
                yield f"{name}_32_{label}{header}.bmp", bmp(width, height, 32, rows(bgra, 32), 3, header, masks=masks)
        rng = np.random.default_rng(width)
        words = rng.integers(0, 65536, (height, width)).astype("<u2")
        yield f"{name}_555.bmp", bmp(width, height, 16, rows(words, 16))
        for label, masks in {
            "555": (0x7C00, 0x3E0, 0x1F, 0),
            "565": (0xF800, 0x7E0, 0x1F, 0),
            "444": (0xF00, 0xF0, 0xF, 0),
        }.items():
            for header in (40, 108):
                yield f"{name}_16_{label}{header}.bmp", bmp(width, height, 16, rows(words, 16), 3, header, masks=masks)
    body = rows(np.ascontiguousarray(paint(9, 7)), 24)
    for header in (16, 20, 35, 36, 38, 40, 42, 48, 52, 56, 60, 64, 108, 124, 200):
        if header < 40:
            full = bmp(9, 7, 24, body, header=40)
            yield f"header{header}.bmp", full[:14] + struct.pack("<I", header) + full[18:]
        else:
            yield f"header{header}.bmp", bmp(9, 7, 24, body, header=header)
    for offset in (0, 14, 20, 54, 55, 60, 4000, 2**31, 2**32 - 1):
        yield f"offset{offset}.bmp", bmp(9, 7, 24, body, offset=offset)
    for width, height in itertools.product((0, -1, 1, 9, 70000, 2**31 - 1, -(2**31)), repeat=2):
        yield f"claims_{width}_{height}.bmp", bmp(width, height, 24, body)
    for bits in (0, 2, 3, 5, 15, 17, 31, 33, 64, 255):
        yield f"bits{bits}.bmp", bmp(9, 7, bits, body)
    for compression in (1, 2, 3, 4, 5, 6, 11, 255, 2**31):
        for bits in (1, 4, 8, 16, 24, 32):
            yield f"compression{compression}_{bits}.bmp", bmp(
                9, 7, bits, body * 4, compression, table=palette(1 << bits if bits <= 8 else 0)
            )
