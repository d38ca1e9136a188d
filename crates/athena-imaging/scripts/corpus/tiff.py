"""TIFF: photometrics, depths, planes, strips and tiles, compressions, byte and bit orders, orientations, odd tags.

Uncompressed, deflated, LZW and PackBits files come from a small writer here, fax and JPEG ones from Pillow and from
libtiff's tiffcp when it is installed.
"""

import io
import itertools
import os
import shutil
import struct
import subprocess
import tempfile
import zlib
from functools import partial

import imagecodecs
import numpy as np
from PIL import Image

from .picture import grey, paint, rgba, wide

BREAKS = 5
SHORT, LONG, RATIONAL, LONG8 = 3, 4, 5, 16
SIZES = dict(((1, 1), (2, 1), (3, 2), (4, 4), (5, 8), (6, 1), (7, 1), (8, 2), (9, 4), (11, 4), (12, 8), (13, 4), (16, 8)))
CODES = {1: "B", 2: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q"}


def compress(data, compression):
    if compression == 1:
        return data
    if compression == 5:
        return imagecodecs.lzw_encode(data)
    if compression in (8, 32946):
        return zlib.compress(data)
    if compression == 32773:
        return imagecodecs.packbits_encode(data)
    return data


def lzw(data, lowest_first=False, early=1, clear_at=4094, clear=1, end=True):
    """LZW of any kind: bits from the top or the lowest, widths that grow `early` codes too soon, a clear code when `clear_at` codes
    are known (never, if there is no room for so many)."""
    codes, bits, free, table, string = [], 9, 258, {bytes([i]): i for i in range(256)}, b""
    codes += [(256, 9)] * clear
    for byte in data:
        longer = string + bytes([byte])
        if longer in table:
            string = longer
            continue
        codes.append((table[string], bits))
        if free < 4096:
            table[longer] = free
        free += 1
        if free - 1 + early >= 1 << bits and bits < 12:
            bits += 1
        if free == clear_at:
            codes.append((256, bits))
            bits, free, table = 9, 258, {bytes([i]): i for i in range(256)}
        string = bytes([byte])
    codes.append((table[string], bits))
    if free + early >= 1 << bits and bits < 12:
        bits += 1
    if end:
        codes.append((257, bits))
    if lowest_first:
        text = "".join(f"{code:0{width}b}"[::-1] for code, width in codes)
    else:
        text = "".join(f"{code:0{width}b}" for code, width in codes)
    text += "0" * (-len(text) % 8)
    step = -1 if lowest_first else 1
    return bytes(int(text[at : at + 8][::step], 2) for at in range(0, len(text), 8))


def bits_of(samples, depth, order):
    """Packs rows of samples (height, n) of `depth` bits."""
    if depth == 8:
        return samples.astype(np.uint8).tobytes()
    if depth in (16, 32):
        return samples.astype(f"{order}u{depth // 8}").tobytes()
    out = b""
    for row in samples:
        bits = ((row[:, None].astype(np.int64) >> np.arange(depth - 1, -1, -1)) & 1).astype(np.uint8).reshape(-1)
        out += np.packbits(bits).tobytes()
    return out


def difference(samples, channels, depth):
    """Horizontal differencing of rows (height, n)."""
    out = samples.astype(np.int64).copy()
    out[:, channels:] -= samples.astype(np.int64)[:, :-channels]
    return out & ((1 << depth) - 1)


def tiff(samples, depth=8, photometric=2, compression=1, order="<", rows=None, tile=None, planar=1, extra=None, predictor=1,
         orientation=None, colours=None, big=False, tags=(), drop=(), sample_format=None, fill=1, pages=1, offset_first=False, coder=None):
    """`samples`: (height, width, channels)."""
    height, width, channels = samples.shape
    chunks = []
    planes = [samples] if planar == 1 else [samples[:, :, i : i + 1] for i in range(channels)]
    rows = rows or height

    def encode(block):
        flat = block.reshape(block.shape[0], -1)
        if predictor == 2:
            flat = difference(flat, block.shape[2], depth)
        data = bits_of(flat, depth, order)
        data = coder(data) if coder else compress(data, compression)
        if fill == 2:
            data = bytes(int(f"{b:08b}"[::-1], 2) for b in data)
        return data

    for plane in planes:
        if tile:
            tw, th = tile
            for y, x in itertools.product(range(0, height, th), range(0, width, tw)):
                block = plane[y : y + th, x : x + tw]
                block = np.pad(block, ((0, th - block.shape[0]), (0, tw - block.shape[1]), (0, 0)), mode="edge")
                chunks.append(encode(block))
        else:
            for y in range(0, height, rows):
                chunks.append(encode(plane[y : y + rows]))
    entries = {
        256: (LONG, [width]), 257: (LONG, [height]), 258: (SHORT, [depth] * channels), 259: (SHORT, [compression]),
        262: (SHORT, [photometric]), 277: (SHORT, [channels]), 284: (SHORT, [planar]),
    }  # fmt: skip
    if tile:
        entries |= {322: (SHORT, [tile[0]]), 323: (SHORT, [tile[1]]), 324: (LONG, None), 325: (LONG, [len(c) for c in chunks])}
    else:
        entries |= {273: (LONG, None), 278: (LONG, [rows]), 279: (LONG, [len(c) for c in chunks])}
    if extra is not None:
        entries[338] = (SHORT, extra)
    if predictor != 1:
        entries[317] = (SHORT, [predictor])
    if orientation is not None:
        entries[274] = (SHORT, [orientation])
    if colours is not None:
        entries[320] = (SHORT, colours)
    if sample_format is not None:
        entries[339] = (SHORT, [sample_format] * channels)
    if fill != 1:
        entries[266] = (SHORT, [fill])
    for tag, value in tags:
        entries[tag] = value
    for tag in drop:
        entries.pop(tag, None)
    head = 16 if big else 8
    body = b""
    offsets = []
    for chunk in chunks:
        offsets.append(head + len(body))
        body += chunk + bytes(len(chunk) % 2)
    where = 324 if tile else 273
    if where in entries and entries[where][1] is None:
        entries[where] = (entries[where][0], offsets)
    position = head + len(body)
    count_code, entry_size, inline = ("Q", 20, 8) if big else ("H", 12, 4)
    directory_size = struct.calcsize(order + count_code) + entry_size * len(entries) + inline
    overflow, directory = b"", b""
    for tag, (kind, values) in sorted(entries.items()):
        if kind == RATIONAL:
            raw = b"".join(struct.pack(order + "II", int(v * 1000), 1000) for v in values)
        elif isinstance(values, bytes):
            raw = values
        else:
            raw = b"".join(struct.pack(order + CODES[kind], v) for v in values)
        count = len(raw) // SIZES[kind]
        if len(raw) <= inline:
            field = raw + bytes(inline - len(raw))
        else:
            field = struct.pack(order + ("Q" if big else "I"), position + directory_size + len(overflow))
            overflow += raw + bytes(len(raw) % 2)
        directory += struct.pack(order + "HH" + ("Q" if big else "I"), tag, kind, count) + field
    mark = b"II" if order == "<" else b"MM"
    if big:
        header = mark + struct.pack(order + "HHHQ", 43, 8, 0, position)
        return header + body + struct.pack(order + "Q", len(entries)) + directory + struct.pack(order + "Q", 0) + overflow
    header = mark + struct.pack(order + "HI", 42, position)
    return header + body + struct.pack(order + "H", len(entries)) + directory + struct.pack(order + "I", 0) + overflow


def palette(depth, shift=8, seed=3):
    rng = np.random.default_rng(seed)
    return [int(v) << shift for v in rng.integers(0, 256, 3 << depth)]


def variants(depth):
    """Label, samples and options for every kind of pixel."""
    def make(width, height):
        g, c, a = grey(width, height), paint(width, height), rgba(width, height)
        deep = lambda n: wide(width, height, n).reshape(height, width, n)
        one = lambda: (g[:, :, None] >> (8 - depth)) if depth <= 8 else deep(1).astype(np.uint32) << (16 if depth == 32 else 0)
        three = lambda n: (np.dstack([c, a[:, :, 3]])[:, :, :n] >> (8 - depth)) if depth <= 8 else deep(n)
        if depth in (1, 2, 4, 8, 16, 32):
            yield "white", one(), dict(photometric=0)
            yield "black", one(), dict(photometric=1)
            yield "two", three(2), dict(photometric=1, extra=[0])
            yield "twoalpha", three(2), dict(photometric=1, extra=[2])
            yield "palette", one(), dict(photometric=3, colours=palette(depth) if depth <= 16 else None)
            yield "palette8", one(), dict(photometric=3, colours=palette(depth, 0) if depth <= 16 else None)
            yield "rgb", three(3), dict(photometric=2)
            for extra in (None, [0], [1], [2], [9]):
                yield f"rgba{extra}", three(4), dict(photometric=2, extra=extra)
            yield "cmyk", three(4), dict(photometric=5)
            yield "cmykink", three(4), dict(photometric=5, tags=[(332, (SHORT, [2]))])
            yield "ycc", three(3), dict(photometric=6, tags=[(530, (SHORT, [1, 1]))])
            yield "lab", three(3), dict(photometric=8)
            yield "icclab", three(3), dict(photometric=9)
            yield "itulab", three(3), dict(photometric=10)
            yield "mask", one(), dict(photometric=4)
            yield "cfa", one(), dict(photometric=32803)
            yield "logl", one(), dict(photometric=32844)
            yield "six", np.dstack([three(3), three(3)]), dict(photometric=2, extra=[0, 0, 0])
            yield "five", np.dstack([three(4), three(1)]), dict(photometric=2, extra=[2, 0])
            yield "format2", three(3), dict(photometric=2, sample_format=2)
            yield "format3", three(3), dict(photometric=2, sample_format=3)
            yield "format4", three(3), dict(photometric=2, sample_format=4)
        else:
            yield "black", (deep(1) >> (16 - depth)) if depth < 16 else deep(1), dict(photometric=1)
            yield "rgb", (deep(3) >> (16 - depth)) if depth < 16 else deep(3), dict(photometric=2)
    return make


def ycc_subsampled(width, height, h, v, **options):
    rgb = paint(width, height).astype(float)
    y = 0.299 * rgb[:, :, 0] + 0.587 * rgb[:, :, 1] + 0.114 * rgb[:, :, 2]
    cb, cr = 128 + (rgb[:, :, 2] - y) * 0.564, 128 + (rgb[:, :, 0] - y) * 0.713
    pad = ((0, -height % v), (0, -width % h))
    y, cb, cr = (np.clip(np.pad(p, pad, mode="edge"), 0, 255).astype(np.uint8) for p in (y, cb, cr))
    data = bytearray()
    for yy in range(0, y.shape[0], v):
        for xx in range(0, y.shape[1], h):
            data += y[yy : yy + v, xx : xx + h].tobytes() + bytes([cb[yy, xx], cr[yy, xx]])
    compression = options.pop("compression", 1)
    blob = tiff(np.zeros((1, 1, 3), np.uint8), photometric=6, compression=compression,
                tags=[(256, (LONG, [width])), (257, (LONG, [height])), (278, (LONG, [height])), (530, (SHORT, [h, v])),
                      (273, (LONG, [0])), (279, (LONG, [0]))] + options.pop("tags", []), **options)
    body = compress(bytes(data), compression)
    at = len(blob)
    order = "<" if blob[:2] == b"II" else ">"
    blob = bytearray(blob)
    start = struct.unpack(order + "I", blob[4:8])[0]
    for index in range(struct.unpack(order + "H", blob[start : start + 2])[0]):
        entry = start + 2 + 12 * index
        tag = struct.unpack(order + "H", blob[entry : entry + 2])[0]
        if tag in (273, 279):
            blob[entry + 8 : entry + 12] = struct.pack(order + "I", at if tag == 273 else len(body))
    return bytes(blob) + body


def tool(arguments, data):
    if not shutil.which("tiffcp"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "a.tif"), os.path.join(folder, "b.tif")
        with open(source, "wb") as file:
            file.write(data)
        done = subprocess.run(["tiffcp", *arguments, source, target], capture_output=True)
        if done.returncode or not os.path.exists(target):
            return None
        with open(target, "rb") as file:
            return file.read()


def pillow(image, **options):
    out = io.BytesIO()
    image.save(out, "TIFF", **options)
    return out.getvalue()


def lzw_files():
    """As libtiff once wrote it, and whatever lies between that and what it writes today."""
    noise = np.random.default_rng(5).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    for (label, picture), lowest_first in itertools.product((("c", paint(60, 40)), ("noise", noise)), (False, True)):
        kinds = dict(early=0 if lowest_first else 1, lowest_first=lowest_first)
        name = f"lzw_{label}_{'old' if lowest_first else 'new'}"
        for early, clear_at in itertools.product((0, 1, 2), (300, 510, 511, 512, 513, 4093, 4094, 4095, 4096, 5118, 9999)):
            coder = partial(lzw, **kinds | dict(early=early, clear_at=clear_at))
            yield f"{name}_{early}_{clear_at}.tif", tiff(picture, compression=5, coder=coder)
        for more, options in dict(noclear=dict(clear=0), clears=dict(clear=3), noend=dict(end=False)).items():
            coder = partial(lzw, **kinds | options)
            for tag, layout in dict(rows=dict(rows=5), tile=dict(tile=(32, 16), predictor=2), planar=dict(planar=2, fill=2)).items():
                yield f"{name}_{more}_{tag}.tif", tiff(picture, compression=5, coder=coder, **layout)
        for predictor, first in itertools.product((1, 2), (1, 2)):
            left = [not lowest_first] * first
            mixed = lambda data: lzw(data, lowest_first=left.pop() != lowest_first if left else lowest_first)
            yield f"{name}_mixed{first}_{predictor}.tif", tiff(picture, compression=5, coder=mixed, rows=10, predictor=predictor)


def files():
    for depth in (1, 2, 4, 8, 16, 32, 10, 12, 14, 3, 24):
        for width, height in ((23, 17), (1, 1), (40, 32)):
            for label, samples, options in variants(depth)(width, height):
                for order in "<>":
                    name = f"{label}_{depth}_{width}x{height}_{'le' if order == '<' else 'be'}"
                    yield f"{name}.tif", tiff(samples, depth, order=order, **options)
                    if width != 23:
                        continue
                    yield f"{name}_strips.tif", tiff(samples, depth, order=order, rows=5, compression=8, **options)
                    yield f"{name}_tiles.tif", tiff(samples, depth, order=order, tile=(16, 16), compression=5, **options)
                    yield f"{name}_planar.tif", tiff(samples, depth, order=order, planar=2, rows=7, **options)
                    yield f"{name}_planartiles.tif", tiff(samples, depth, order=order, planar=2, tile=(16, 32), compression=8, **options)
    for depth, order, compression in itertools.product((8, 16), "<>", (1, 5, 8, 32946, 32773)):
        for width, height in ((97, 61), (23, 17), (300, 200)):
            samples = paint(width, height) if depth == 8 else wide(width, height)
            name = f"c{compression}_{depth}_{width}_{'le' if order == '<' else 'be'}"
            for predictor in (1, 2, 3, 4):
                for layout in (dict(), dict(rows=8), dict(tile=(32, 16)), dict(planar=2), dict(planar=2, tile=(16, 16))):
                    if predictor > 1 and compression in (1, 32773):
                        continue
                    tag = "_".join(f"{k}{v}" for k, v in layout.items()).replace(", ", "-")
                    yield f"{name}_p{predictor}_{tag}.tif", tiff(samples, depth, compression=compression, order=order, predictor=predictor, **layout)
    c = paint(31, 21)
    for orientation in range(0, 10):
        for layout in (dict(), dict(rows=4), dict(tile=(16, 16)), dict(planar=2, rows=3)):
            tag = "_".join(f"{k}{v}" for k, v in layout.items()).replace(", ", "-")
            yield f"o{orientation}_{tag}.tif", tiff(c, orientation=orientation, **layout)
        yield f"o{orientation}_16.tif", tiff(wide(31, 21), 16, orientation=orientation, rows=4)
        yield f"o{orientation}_bit.tif", tiff(grey(31, 21)[:, :, None] >> 7, 1, photometric=0, orientation=orientation)
    for big in (False, True):
        for order in "<>":
            yield f"big{int(big)}_{'le' if order == '<' else 'be'}.tif", tiff(c, big=big, order=order, rows=4, compression=8)
    for compression in (0, 1, 2, 3, 4, 6, 7, 9, 10, 32766, 32771, 32809, 32908, 32909, 34661, 34676, 34712, 34887, 34925, 50000, 50001, 50002, 60000):
        yield f"unknown{compression}.tif", tiff(c, compression=compression)
        yield f"unknown{compression}_bit.tif", tiff(grey(31, 21)[:, :, None] >> 7, 1, photometric=0, compression=compression)
    for fill in (1, 2, 3):
        yield f"fill{fill}.tif", tiff(c, fill=fill)
        yield f"fill{fill}_lzw.tif", tiff(c, fill=fill, compression=5)
        yield f"fill{fill}_bit.tif", tiff(grey(31, 21)[:, :, None] >> 7, 1, photometric=0, fill=fill)
    yield from lzw_files()
    for h, v in itertools.product((1, 2, 3, 4), (1, 2, 3, 4)):
        for width, height in ((24, 16), (23, 17), (5, 3)):
            for compression in (1, 5):
                yield f"ycc{h}{v}_{width}_{compression}.tif", ycc_subsampled(width, height, h, v, compression=compression)
    yield "ycc_ref.tif", ycc_subsampled(24, 16, 2, 2, tags=[(532, (RATIONAL, [16, 235, 128, 240, 128, 240]))])
    yield "ycc_coef.tif", ycc_subsampled(24, 16, 2, 1, tags=[(529, (RATIONAL, [0.2125, 0.7154, 0.0721]))])
    yield "ycc_default.tif", tiff(c, photometric=6)
    yield "lab_white.tif", tiff(c, photometric=8, tags=[(318, (RATIONAL, [0.3127, 0.329]))])
    for label, options in {
        "norows": dict(drop=[278]), "nocounts": dict(drop=[279]), "nocountslzw": dict(drop=[279], compression=5),
        "nophoto": dict(drop=[262]), "nobits": dict(drop=[258]), "nosamples": dict(drop=[277]), "nocompression": dict(drop=[259]),
        "nooffsets": dict(drop=[273]), "nowidth": dict(drop=[256]), "noheight": dict(drop=[257]), "noplanar": dict(drop=[284]),
        "zerorows": dict(tags=[(278, (LONG, [0]))]), "hugerows": dict(tags=[(278, (LONG, [2**32 - 1]))]),
        "morerows": dict(tags=[(278, (LONG, [100]))]), "fewrows": dict(tags=[(278, (LONG, [5]))]),
        "zerocount": dict(tags=[(279, (LONG, [0]))]), "smallcount": dict(tags=[(279, (LONG, [100]))]),
        "largecount": dict(tags=[(279, (LONG, [10**6]))]), "zeroplanar": dict(tags=[(284, (SHORT, [0]))]),
        "badplanar": dict(tags=[(284, (SHORT, [3]))]), "zerowidth": dict(tags=[(256, (LONG, [0]))]),
        "shortsize": dict(tags=[(256, (SHORT, [31])), (257, (SHORT, [21]))]), "bytesize": dict(tags=[(256, (1, [31]))]),
        "floatsize": dict(tags=[(256, (11, [31.0]))]), "hugesize": dict(tags=[(256, (LONG, [10**6])), (257, (LONG, [10**6]))]),
        "largesize": dict(tags=[(256, (LONG, [2000])), (257, (LONG, [2000]))]), "widthfive": dict(tags=[(256, (LONG, [5]))]),
        "samples9": dict(tags=[(277, (SHORT, [9]))]), "samples0": dict(tags=[(277, (SHORT, [0]))]),
        "bitsmixed": dict(tags=[(258, (SHORT, [8, 8, 16]))]), "bitsone": dict(tags=[(258, (SHORT, [8]))]),
        "bitslong": dict(tags=[(258, (LONG, [8, 8, 8]))]), "extraunknown": dict(tags=[(338, (SHORT, [7]))]),
        "orientlong": dict(tags=[(274, (LONG, [6]))]), "orientbyte": dict(tags=[(274, (1, [6]))]),
        "unknowntag": dict(tags=[(65000, (LONG, [1, 2, 3]))]), "offsetsshort": dict(tags=[(273, (SHORT, [8]))]),
        "photo9999": dict(tags=[(262, (SHORT, [9999]))]), "tilesizes": dict(tags=[(322, (SHORT, [16])), (323, (SHORT, [16]))]),
        "subfile": dict(tags=[(254, (LONG, [1]))]), "depth2": dict(tags=[(32997, (LONG, [2]))]),
        "icc": dict(tags=[(34675, (7, bytes(99)))]), "twice": dict(rows=4, tags=[(279, (LONG, [372] * 3))]),
    }.items():  # fmt: skip
        yield f"tag_{label}.tif", tiff(c, **options)
        if label not in ("twice",):
            yield f"tag_{label}_strips.tif", tiff(c, **({"rows": 6} | options))
    for tile in ((16, 16), (8, 8), (17, 5), (64, 64), (1, 1), (16, 1)):
        yield f"tile{tile[0]}_{tile[1]}.tif", tiff(c, tile=tile)
        yield f"tile{tile[0]}_{tile[1]}_lzw.tif", tiff(c, tile=tile, compression=5)
    for width, height in ((64, 40), (97, 61), (500, 30), (8, 8)):
        bits = tiff(grey(width, height)[:, :, None] >> 7, 1, photometric=0)
        bits1 = tiff(grey(width, height)[:, :, None] >> 7, 1, photometric=1)
        for compression in ("g3", "g3:1d", "g3:2d", "g3:1d:fill", "g3:2d:fill", "g4", "lzw", "zip", "packbits"):
            for more in ([], ["-r", "7"], ["-f", "lsb2msb"], ["-t", "-w", "32", "-l", "32"], ["-B"]):
                for tag, source in (("w", bits), ("b", bits1)):
                    data = tool(["-c", compression, *more], source)
                    if data:
                        yield f"fax_{compression.replace(':', '-')}_{width}_{tag}_{''.join(more)}.tif", data
        image = Image.fromarray(grey(width, height) > 127)
        for compression in ("tiff_ccitt", "group3", "group4"):
            yield f"pillow_{compression}_{width}.tif", pillow(image, compression=compression)
        colour = tiff(paint(width, height))
        for more in ([], ["-r", "8"], ["-r", "16"], ["-t", "-w", "32", "-l", "32"], ["-p", "separate"], ["-B"]):
            for compression in ("jpeg", "jpeg:r", "jpeg:r:50", "jpeg:95"):
                data = tool(["-c", compression, *more], colour)
                if data:
                    yield f"jpeg_{compression.replace(':', '-')}_{width}_{''.join(more)}.tif", data
            data = tool(["-c", "jpeg", *more], tiff(grey(width, height)[:, :, None], photometric=1))
            if data:
                yield f"jpeg_grey_{width}_{''.join(more)}.tif", data
        for mode in ("RGB", "L", "CMYK", "YCbCr"):
            picture = Image.fromarray(paint(width, height)).convert(mode)
            yield f"pillow_{mode}_{width}.tif", pillow(picture)
            yield f"pillow_{mode}_{width}_jpeg.tif", pillow(picture, compression="jpeg", quality=80)
            yield f"pillow_{mode}_{width}_lzw.tif", pillow(picture, compression="tiff_lzw")
        frames = [Image.fromarray(paint(width, height, i)) for i in range(3)]
        yield f"pages_{width}.tif", pillow(frames[0], save_all=True, append_images=frames[1:])
