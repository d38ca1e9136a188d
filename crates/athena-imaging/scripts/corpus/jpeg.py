"""JPEG: odd samplings, progressive, arithmetic, CMYK, restarts, markers, orientation.

Baseline files of any sampling come from a small encoder here; the rest from Pillow, and from libjpeg-turbo's cjpeg
and jpegtran when they are installed.
"""

import io
import itertools
import os
import shutil
import struct
import subprocess
import tempfile

import numpy as np
from PIL import Image

from .picture import SIZES, grey, paint, rgba
from .png import exif

BREAKS = 10

ZIGZAG = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
]  # fmt: skip
# A fixed Huffman code for every symbol that occurs: 8 bits for the likely ones, 16 for the rest.
DC_SYMBOLS = list(range(12))
AC_SYMBOLS = [0x00, 0xF0] + [run << 4 | size for size in range(1, 11) for run in range(16)]


def segment(marker, data):
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def huffman(symbols, short, long):
    """Code lengths: the first symbols get `short` bits, the others `long`."""
    counts = [0] * 16
    cut = min(len(symbols), (1 << short) - 2)
    counts[short - 1] = cut
    counts[long - 1] = len(symbols) - cut
    codes, code = {}, 0
    for index, symbol in enumerate(symbols):
        if index == cut:
            code <<= long - short
        codes[symbol] = (code, short if index < cut else long)
        code += 1
    return bytes(counts) + bytes(symbols), codes


DC_TABLE, DC = huffman(DC_SYMBOLS, 4, 8)
AC_TABLE, AC = huffman(AC_SYMBOLS, 7, 12)
BASIS = np.array([[np.cos((2 * x + 1) * u * np.pi / 16) * (0.5 if u else 0.5 / 2**0.5) for x in range(8)] for u in range(8)])


class Bits:
    def __init__(self):
        self.out, self.value, self.count = bytearray(), 0, 0

    def put(self, value, count):
        self.value = self.value << count | value
        self.count += count
        while self.count >= 8:
            byte = self.value >> (self.count - 8) & 255
            self.out.append(byte)
            if byte == 255:
                self.out.append(0)
            self.count -= 8
        self.value &= (1 << self.count) - 1

    def flush(self):
        if self.count:
            self.put((1 << (8 - self.count)) - 1, 8 - self.count)


def signed(value):
    size = abs(value).bit_length()
    return size, value if value >= 0 else value + (1 << size) - 1


def encode(planes, factors, width, height, step=8, restart=0, markers=b"", sof=0xC0, ids=None, dnl=False, split=False):
    """Full-size component planes, subsampled here by averaging."""
    ids = ids or list(range(1, len(planes) + 1))
    hmax, vmax = max(f[0] for f in factors), max(f[1] for f in factors)
    mcux, mcuy = -(-width // (8 * hmax)), -(-height // (8 * vmax))
    table = np.array([min(255, step * (1 + (i % 8 + i // 8) // 3)) for i in range(64)])
    blocks = []
    for plane, (h, v) in zip(planes, factors):
        bw, bh = mcux * h * 8, mcuy * v * 8
        ys = np.minimum((np.arange(bh) * vmax) // v, plane.shape[0] - 1)
        xs = np.minimum((np.arange(bw) * hmax) // h, plane.shape[1] - 1)
        sub = plane[np.ix_(ys, xs)].astype(float) - 128
        tiles = sub.reshape(bh // 8, 8, bw // 8, 8).transpose(0, 2, 1, 3)
        dct = BASIS @ tiles @ BASIS.T
        blocks.append(np.rint(dct.reshape(bh // 8, bw // 8, 64) / table).astype(int)[:, :, ZIGZAG])

    def scan(components):
        bits, previous = Bits(), [0] * len(planes)

        def block(index, y, x):
            coefficients = blocks[index][y, x].tolist()
            difference = coefficients[0] - previous[index]
            previous[index] = coefficients[0]
            size, extra = signed(difference)
            bits.put(*DC[size])
            bits.put(extra, size)
            run = 0
            last = max((k for k in range(1, 64) if coefficients[k]), default=0)
            for k in range(1, last + 1):
                if not coefficients[k]:
                    run += 1
                    continue
                while run > 15:
                    bits.put(*AC[0xF0])
                    run -= 16
                size, extra = signed(max(-1023, min(1023, coefficients[k])))
                bits.put(*AC[run << 4 | size])
                bits.put(extra, size)
                run = 0
            if last < 63:
                bits.put(*AC[0])

        done = 0

        def tick(total):
            nonlocal done
            done += 1
            if restart and done % restart == 0 and done < total:
                bits.flush()
                bits.out += bytes([0xFF, 0xD0 + (done // restart - 1) % 8])
                previous[:] = [0] * len(planes)

        if len(components) == 1:
            index = components[0]
            h, v = factors[index]
            bw = -(-(-(-width * h // hmax)) // 8)
            bh = -(-(-(-height * v // vmax)) // 8)
            for y, x in itertools.product(range(bh), range(bw)):
                block(index, y, x)
                tick(bw * bh)
        else:
            for my, mx in itertools.product(range(mcuy), range(mcux)):
                for index in components:
                    h, v = factors[index]
                    for y, x in itertools.product(range(v), range(h)):
                        block(index, my * v + y, mx * h + x)
                tick(mcux * mcuy)
        bits.flush()
        head = bytes([len(components)]) + b"".join(bytes([ids[i], 0]) for i in components) + b"\0\x3f\0"
        return segment(0xDA, head) + bytes(bits.out)

    out = b"\xff\xd8" + markers + segment(0xDB, b"\0" + bytes(table[ZIGZAG].tolist()))
    frame = struct.pack(">BHHB", 8, 0 if dnl else height, width, len(planes))
    for component, (h, v) in zip(ids, factors):
        frame += bytes([component, h << 4 | v, 0])
    out += segment(sof, frame) + segment(0xC4, b"\0" + DC_TABLE) + segment(0xC4, b"\x10" + AC_TABLE)
    if restart:
        out += segment(0xDD, struct.pack(">H", restart))
    scans = [[i] for i in range(len(planes))] if split else [list(range(len(planes)))]
    for index, components in enumerate(scans):
        out += scan(components)
        if index == 0 and dnl:
            out += segment(0xDC, struct.pack(">H", height))
    return out + b"\xff\xd9"


def ycc(rgb):
    r, g, b = (rgb[:, :, i].astype(float) for i in range(3))
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return [np.clip(p, 0, 255) for p in (y, 128 + (b - y) * 0.564, 128 + (r - y) * 0.713)]


def pillow(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


JFIF = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")


def adobe(transform):
    return segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]))


def tool(name, arguments, data):
    if not shutil.which(name):
        return None
    with tempfile.NamedTemporaryFile(suffix=".ppm") as file:
        file.write(data)
        file.flush()
        done = subprocess.run([name, *arguments, file.name], capture_output=True)
    return done.stdout if done.returncode == 0 else None


def files():
    factor_sets = [
        ((1, 1), (1, 1), (1, 1)), ((2, 1), (1, 1), (1, 1)), ((2, 2), (1, 1), (1, 1)), ((1, 2), (1, 1), (1, 1)),
        ((4, 1), (1, 1), (1, 1)), ((4, 2), (1, 1), (1, 1)), ((1, 4), (1, 1), (1, 1)), ((2, 4), (1, 1), (1, 1)),
        ((3, 1), (1, 1), (1, 1)), ((1, 3), (1, 1), (1, 1)), ((3, 2), (1, 1), (1, 1)), ((2, 2), (2, 1), (2, 1)),
        ((2, 2), (1, 2), (1, 2)), ((2, 2), (2, 2), (2, 2)), ((2, 1), (2, 1), (2, 1)), ((1, 1), (2, 2), (2, 2)),
        ((2, 2), (1, 1), (2, 2)), ((2, 1), (1, 2), (1, 1)), ((4, 4), (1, 1), (1, 1)), ((3, 3), (1, 1), (1, 1)),
        ((3, 1), (2, 1), (1, 1)), ((2, 2), (2, 1), (1, 2)), ((4, 1), (2, 1), (2, 1)), ((2, 1), (1, 1), (2, 1)),
    ]  # fmt: skip
    sizes = [(1, 1), (2, 3), (1, 37), (37, 1), (17, 13), (61, 47), (40, 32), (97, 61)]
    for (width, height), factors in itertools.product(sizes, factor_sets):
        planes = ycc(paint(width, height))
        name = f"{width}x{height}_" + "_".join(f"{h}{v}" for h, v in factors)
        yield f"{name}.jpg", encode(planes, factors, width, height, markers=JFIF)
        if (width, height) in ((17, 13), (61, 47)):
            yield f"{name}_restart.jpg", encode(planes, factors, width, height, restart=2)
            yield f"{name}_split.jpg", encode(planes, factors, width, height, split=True)
            yield f"{name}_coarse.jpg", encode(planes, factors, width, height, step=60)
    for width, height in ((17, 13), (61, 47)):
        name = f"{width}x{height}"
        planes = ycc(paint(width, height))
        rgb = [paint(width, height)[:, :, i] for i in range(3)]
        cmyk = [255 - p for p in rgb] + [grey(width, height)]
        flat = ((1, 1),) * 4
        for label, markers in {
            "plain": b"", "jfif": JFIF, "adobe0": adobe(0), "adobe1": adobe(1), "adobe2": adobe(2), "adobe3": adobe(3),
            "both0": JFIF + adobe(0), "both1": JFIF + adobe(1), "short": segment(0xEE, b"Adob"),
            "shortadobe": segment(0xEE, b"Adobe\0\x64"), "app14": segment(0xEE, b"Other\0\x64\0\0\0\0\0\0"),
        }.items():  # fmt: skip
            for ids in (None, [0, 1, 2], [82, 71, 66], [1, 34, 35], [5, 6, 7]):
                yield f"{name}_{label}_{'_'.join(map(str, ids or []))}.jpg", encode(planes, flat[:3], width, height, markers=markers, ids=ids)
            for factors in (flat, ((2, 2), (1, 1), (1, 1), (2, 2)), ((2, 1), (1, 1), (1, 1), (1, 1))):
                yield f"{name}_cmyk_{label}_{factors[0][0]}{factors[3][0]}.jpg", encode(cmyk, factors, width, height, markers=markers)
            yield f"{name}_cmykids_{label}.jpg", encode(cmyk, flat, width, height, markers=markers, ids=[67, 77, 89, 75])
        yield f"{name}_two.jpg", encode(planes[:2], flat[:2], width, height)
        for factor in ((1, 1), (2, 2), (4, 4), (2, 1), (3, 1)):
            yield f"{name}_grey{factor[0]}{factor[1]}.jpg", encode([grey(width, height)], (factor,), width, height)
        yield f"{name}_dnl.jpg", encode(planes, flat[:3], width, height, dnl=True)
        for sof in (0xC1, 0xC2, 0xC3, 0xC5, 0xC9, 0xCA, 0xCF):
            yield f"{name}_sof{sof:x}.jpg", encode(planes, flat[:3], width, height, sof=sof)
        good = encode(planes, ((2, 2), (1, 1), (1, 1)), width, height, markers=JFIF, restart=3)
        for label, data in {
            "fill": good.replace(b"\xff\xdb", b"\xff\xff\xff\xdb", 1),
            "junk": good.replace(b"\xff\xdb", b"junk\xff\xdb", 1),
            "noend": good[:-2],
            "trailing": good + b"trailing junk",
            "second": good + good,
            "norst": good.replace(b"\xff\xd1", b"", 1),
            "wrongrst": good.replace(b"\xff\xd1", b"\xff\xd5", 1),
            "comment": good.replace(b"\xff\xdb", segment(0xFE, b"hello") + b"\xff\xdb", 1),
            "nodht": good.replace(b"\xff\xc4", b"\xff\xec"),
            "nodqt": good.replace(b"\xff\xdb", b"\xff\xec"),
            "nosof": good.replace(b"\xff\xc0", b"\xff\xec"),
            "twosoi": good[:2] + good,
            "twosof": good.replace(b"\xff\xc4", segment(0xC0, bytes([8, 0, 9, 0, 9, 1, 1, 17, 0])) + b"\xff\xc4", 1),
            "precision12": good.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"),
            "onlyhead": good[: good.index(b"\xff\xda")],
            "icc": good.replace(b"\xff\xdb", segment(0xE2, b"ICC_PROFILE\0\1\1bad") + b"\xff\xdb", 1),
            "iccbad": good.replace(b"\xff\xdb", segment(0xE2, b"ICC_PROFILE\0\5\1bad") + b"\xff\xdb", 1),
            "eoiearly": good.replace(b"\xff\xd1", b"\xff\xd9", 1),
        }.items():
            yield f"{name}_{label}.jpg", data
    for width, height in SIZES + [(300, 200)]:
        name = f"{width}x{height}"
        image = Image.fromarray(paint(width, height))
        for quality, subsampling in itertools.product((10, 75, 95, 100), ("4:4:4", "4:2:2", "4:2:0")):
            tag = subsampling.replace(":", "")
            yield f"{name}_q{quality}_{tag}.jpg", pillow(image, quality=quality, subsampling=subsampling)
            yield f"{name}_q{quality}_{tag}_prog.jpg", pillow(image, quality=quality, subsampling=subsampling, progressive=True)
        yield f"{name}_grey.jpg", pillow(Image.fromarray(grey(width, height)))
        yield f"{name}_greyprog.jpg", pillow(Image.fromarray(grey(width, height)), progressive=True)
        yield f"{name}_cmyk.jpg", pillow(image.convert("CMYK"))
        yield f"{name}_cmykprog.jpg", pillow(image.convert("CMYK"), progressive=True)
        yield f"{name}_rgb.jpg", pillow(image, keep_rgb=True)
        yield f"{name}_restart.jpg", pillow(image, restart_marker_rows=1)
        yield f"{name}_restartblocks.jpg", pillow(image, restart_marker_blocks=2, progressive=True)
        ppm = b"P6\n%d %d\n255\n" % (width, height) + paint(width, height).tobytes()
        for label, arguments in {
            "arith": ["-arithmetic"],
            "arithprog": ["-arithmetic", "-progressive"],
            "arithrestart": ["-arithmetic", "-restart", "1"],
            "sample411": ["-sample", "4x1"],
            "sample440": ["-sample", "1x2"],
            "sample410": ["-sample", "4x2", "-progressive"],
            "optimize": ["-optimize", "-restart", "1"],
            "smooth": ["-smooth", "50", "-dct", "float"],
            "rgbprog": ["-rgb", "-progressive"],
        }.items():
            data = tool("cjpeg", arguments, ppm)
            if data:
                yield f"{name}_{label}.jpg", data
    image = Image.fromarray(paint(61, 47))
    for orientation, big in itertools.product(range(0, 11), (False, True)):
        block = exif(orientation, big)
        yield f"exif{orientation}_{int(big)}.jpg", pillow(image, exif=b"Exif\0\0" + block)
    plain = encode(ycc(paint(17, 13)), ((1, 1),) * 3, 17, 13)

    def with_app(*segments):
        return plain[:2] + b"".join(segments) + plain[2:]

    good = exif(6)
    for label, app in {
        "noprefix": segment(0xE1, good),
        "xmpfirst": segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>") + segment(0xE1, b"Exif\0\0" + good),
        "two": segment(0xE1, b"Exif\0\0" + exif(6)) + segment(0xE1, b"Exif\0\0" + exif(3)),
        "afterjfif": JFIF + segment(0xE1, b"Exif\0\0" + good),
        "beforejfif": segment(0xE1, b"Exif\0\0" + good) + JFIF,
        "comment": segment(0xFE, b"hi") + segment(0xE1, b"Exif\0\0" + good),
        "truncated": segment(0xE1, b"Exif\0\0" + good[:12]),
        "nonext": segment(0xE1, b"Exif\0\0" + good[:-4]),
        "badtag": segment(0xE1, b"Exif\0\0" + good.replace(b"\x2a\0", b"\x2b\0")),
        "mixed": segment(0xE1, b"Exif\0\0IM" + good[2:]),
        "string": segment(0xE1, b"Exif\0\0" + exif(6, before=struct.pack("<HHII", 0x010F, 2, 90, 9999))),
        "unknown": segment(0xE1, b"Exif\0\0" + exif(6, before=struct.pack("<HHII", 0x9999, 2, 90, 9999))),
        "rational": segment(0xE1, b"Exif\0\0" + exif(6, before=struct.pack("<HHII", 0x011A, 5, 1, 999999))),
        "count": segment(0xE1, b"Exif\0\0" + good.replace(b"\1\0\x12\1", b"\xff\0\x12\1")),
        "long": segment(0xE1, b"Exif\0\0" + good.replace(b"\3\0\1\0\0\0", b"\4\0\1\0\0\0")),
        "offset": segment(0xE1, b"Exif\0\0" + good[:4] + struct.pack("<I", 60000) + good[8:]),
        "marker2": segment(0xE1, b"Exif\0\xff" + good),
        "app2": segment(0xE2, b"Exif\0\0" + good),
        "empty": segment(0xE1, b""),
        "short": segment(0xE1, b"Exif\0\0"),
        "iid": segment(0xE1, b"Exif\0\0" + exif(6, before=exif(8)[10:22])),
    }.items():
        yield f"app_{label}.jpg", with_app(app)
