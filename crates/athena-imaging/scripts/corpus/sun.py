"""Sun rasters."""

import itertools
import struct

import numpy as np

from .picture import SIZES, grey, paint, rgba

BREAKS = 6


def sun(width, height, bits, kind, body, map_type=0, colours=b"", length=None):
    fields = (0x59A66A95, width, height, bits, len(body) if length is None else length, kind, map_type, len(colours))
    return struct.pack(">8I", *[f & 0xFFFFFFFF for f in fields]) + colours + body


def rows(pixels):
    return b"".join(np.ascontiguousarray(row).tobytes() + bytes(row.nbytes % 2) for row in pixels)


def rle(data):
    out, i = bytearray(), 0
    while i < len(data):
        run = 1
        while i + run < len(data) and run < 256 and data[i + run] == data[i]:
            run += 1
        if run > 2:
            out += bytes([0x80, run - 1, data[i]])
            i += run
        else:
            out += bytes([0x80, 0]) if data[i] == 0x80 else bytes([data[i]])
            i += 1
    return bytes(out)


def files():
    for width, height in SIZES:
        name = f"{width}x{height}"
        g, c = grey(width, height), paint(width, height)
        bits = rows(np.packbits(g > 128, axis=1))
        planes = {
            1: bits,
            8: rows(g),
            24: rows(c[:, :, ::-1]),
            32: rows(rgba(width, height)[:, :, [3, 2, 1, 0]]),
        }
        for depth, kind in itertools.product(planes, range(5)):
            body = planes[depth]
            yield f"{name}_{depth}_{kind}.ras", sun(width, height, depth, kind, body)
            if kind == 2:
                yield f"{name}_{depth}_rle.ras", sun(width, height, depth, kind, rle(body))
            if depth <= 8:
                for count in (1 << depth, max(1, (1 << depth) // 2)):
                    for colour in (True, False):
                        ramp = bytes(i * 255 // max(1, count - 1) for i in range(count))
                        table = ramp + (ramp[::-1] if colour else ramp) + ramp
                        label = f"{name}_{depth}_{kind}_map{count}_{int(colour)}"
                        yield f"{label}.ras", sun(width, height, depth, kind, body, 1, table)
                        if kind == 2:
                            yield f"{label}_rle.ras", sun(width, height, depth, kind, rle(body), 1, table)
    body = bytes(200)
    for map_type, length in itertools.product(range(4), (0, 1, 3, 5, 6, 7, 768, 769)):
        for depth in (1, 8, 24):
            yield f"map{map_type}_{length}_{depth}.sr", sun(6, 5, depth, 1, body, map_type, bytes(range(256)) * 3 + b"x" if length == 769 else bytes(length))
    for width, height in itertools.product((0, -1, 6, 80000, 2**31 - 1), repeat=2):
        yield f"claims{width}_{height}.sr", sun(width, height, 24, 1, body)
    for depth in (0, 2, 4, 16, 64, -8):
        yield f"depth{depth}.sr", sun(6, 5, depth, 1, body)
    for kind in (4, 5, 255, 0xFFFF, -1):
        yield f"kind{kind}.sr", sun(6, 5, 24, kind, body)
