"""PNG and APNG: every colour type, depth, filter and interlace, ancillary chunks, checksums, broken order."""

import itertools
import struct
import zlib

import numpy as np

from .picture import SIZES, grey, paint, rgba, wide

BREAKS = 8
SIGNATURE = b"\x89PNG\r\n\x1a\n"
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(kind, data, crc=None):
    value = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", value)


def ihdr(width, height, depth, colour, interlace=0, compression=0, filter_method=0):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, compression, filter_method, interlace))


def samples(width, height, depth, colour, seed=1):
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    if depth == 16:
        source = wide(width, height, channels, seed)
        return source.reshape(height, width, channels)
    if channels == 1:
        source = (grey(width, height, seed) >> (8 - depth))[:, :, None]
    elif channels == 2:
        source = rgba(width, height, seed)[:, :, 2:]
    elif channels == 3:
        source = paint(width, height, seed)
    else:
        source = rgba(width, height, seed)
    return source


def pack(rows, depth):
    height, width, channels = rows.shape
    if depth == 16:
        return [row.astype(">u2").tobytes() for row in rows]
    if depth == 8:
        return [row.astype(np.uint8).tobytes() for row in rows]
    out = []
    for row in rows.reshape(height, width):
        bits = ((row[:, None] >> np.arange(depth - 1, -1, -1)) & 1).astype(np.uint8).reshape(-1)
        out.append(np.packbits(bits).tobytes())
    return out


def filtered(lines, bpp, choose):
    out, previous = bytearray(), None
    for y, line in enumerate(lines):
        kind = choose(y)
        a = np.frombuffer(line, np.uint8).astype(int)
        up = np.frombuffer(previous, np.uint8).astype(int) if previous is not None else np.zeros_like(a)
        left = np.concatenate([np.zeros(bpp, int), a])[: len(a)]
        corner = np.concatenate([np.zeros(bpp, int), up])[: len(a)]
        if kind == 1:
            delta = a - left
        elif kind == 2:
            delta = a - up
        elif kind == 3:
            delta = a - (left + up) // 2
        elif kind == 4:
            p = left + up - corner
            pa, pb, pc = abs(p - left), abs(p - up), abs(p - corner)
            delta = a - np.where((pa <= pb) & (pa <= pc), left, np.where(pb <= pc, up, corner))
        else:
            delta = a
        out.append(kind)
        out += (delta % 256).astype(np.uint8).tobytes()
        previous = line
    return bytes(out)


def raw(width, height, depth, colour, interlace=0, filters=lambda y: y % 5, seed=1):
    rows = samples(width, height, depth, colour, seed)
    bpp = max(1, rows.shape[2] * depth // 8)
    if not interlace:
        return filtered(pack(rows, depth), bpp, filters)
    out = b""
    for x0, y0, dx, dy in ADAM7:
        part = rows[y0::dy, x0::dx]
        if part.size:
            out += filtered(pack(part, depth), bpp, filters)
    return out


def palette(count):
    return chunk(b"PLTE", b"".join(bytes([(i * 37) % 256, (i * 11 + 5) % 256, (255 - i * 3) % 256]) for i in range(count)))


def idats(stream, size=None):
    size = size or len(stream) or 1
    return b"".join(chunk(b"IDAT", stream[i : i + size]) for i in range(0, max(1, len(stream)), size))


def png(width, height, depth, colour, interlace=0, before=b"", after=b"", split=None, level=6, stream=None, plte=None, seed=1, end=True):
    data = zlib.compress(raw(width, height, depth, colour, interlace, seed=seed), level) if stream is None else stream
    table = plte if plte is not None else (palette(1 << depth) if colour == 3 else b"")
    body = SIGNATURE + ihdr(width, height, depth, colour, interlace) + table + before + idats(data, split) + after
    return body + (chunk(b"IEND", b"") if end else b"")


KINDS = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16), (6, 8), (6, 16)]


def exif(orientation, big=False, prefix=b"", before=b""):
    order = ">" if big else "<"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    count = 1 + len(before) // 12
    return prefix + (b"MM\0\x2a" if big else b"II\x2a\0") + struct.pack(order + "IH", 8, count) + before + entry + bytes(4)


def animation(width, height, depth, colour, frames, default_hidden=False, interlace=0, acount=None, extra=b"", trns=b""):
    """`frames`: (width, height, x, y, dispose, blend)."""
    table = (palette(1 << depth) if colour == 3 else b"") + trns
    out = SIGNATURE + ihdr(width, height, depth, colour, interlace) + chunk(b"acTL", struct.pack(">II", len(frames) if acount is None else acount, 0)) + table + extra
    sequence = 0
    if default_hidden:
        out += idats(zlib.compress(raw(width, height, depth, colour, interlace, seed=9)))
    for index, (w, h, x, y, dispose, blend) in enumerate(frames):
        out += chunk(b"fcTL", struct.pack(">IIIIIHHBB", sequence, w, h, x, y, 1, 10, dispose, blend))
        sequence += 1
        data = zlib.compress(raw(w, h, depth, colour, interlace, seed=index + 2))
        if index == 0 and not default_hidden:
            out += idats(data, 400)
        else:
            for start in range(0, len(data), 500):
                out += chunk(b"fdAT", struct.pack(">I", sequence) + data[start : start + 500])
                sequence += 1
    return out + chunk(b"IEND", b"")


def files():
    for (width, height), (colour, depth), interlace in itertools.product(SIZES, KINDS, (0, 1)):
        name = f"{width}x{height}_{colour}_{depth}_{interlace}"
        yield f"{name}.png", png(width, height, depth, colour, interlace)
    for colour, depth in KINDS:
        width, height = 23, 14
        name = f"{colour}_{depth}"
        make = lambda **options: png(width, height, depth, colour, **options)
        for kind in range(5):
            stream = zlib.compress(raw(width, height, depth, colour, filters=lambda y: kind))
            yield f"{name}_filter{kind}.png", make(stream=stream)
        for value in (5, 17, 255):
            stream = zlib.compress(raw(width, height, depth, colour, filters=lambda y: value if y == 9 else 0))
            yield f"{name}_filter{value}.png", make(stream=stream)
        trns = {0: struct.pack(">H", 3), 2: struct.pack(">HHH", 10, 20, 30), 3: bytes([0, 128, 255][: 1 << depth]), 4: b"\0\1", 6: b"\0\1"}[colour]
        for label, before in {
            "trns": chunk(b"tRNS", trns),
            "trnsshort": chunk(b"tRNS", trns[:1]),
            "trnslong": chunk(b"tRNS", bytes(300)),
            "trnsempty": chunk(b"tRNS", b""),
            "gamma": chunk(b"gAMA", struct.pack(">I", 100000)),
            "gamma0": chunk(b"gAMA", struct.pack(">I", 0)),
            "srgb": chunk(b"sRGB", b"\0"),
            "sbit": chunk(b"sBIT", bytes([1] * {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}[colour])),
            "bkgd": chunk(b"bKGD", bytes({0: 2, 2: 6, 3: 1, 4: 2, 6: 6}[colour])),
            "bkgdbad": chunk(b"bKGD", bytes(4)),
            "phys": chunk(b"pHYs", struct.pack(">IIB", 1, 2, 1)),
            "text": chunk(b"tEXt", b"Comment\0hello"),
            "ztxt": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"hello" * 99)),
            "iccbad": chunk(b"iCCP", b"name\0\0" + b"notzlib"),
            "chrm": chunk(b"cHRM", struct.pack(">8I", *range(8))),
            "hist": chunk(b"hIST", bytes(2 << depth if depth <= 8 else 2)),
            "time": chunk(b"tIME", bytes(7)),
            "cicp": chunk(b"cICP", bytes(4)),
            "unknown": chunk(b"abCd", b"hello"),
            "critical": chunk(b"ABCD", b"hello"),
            "reserved": chunk(b"abcd", b"hello"),
            "oddname": chunk(b"a1Cd", b"hello"),
            "crc": chunk(b"tEXt", b"Comment\0hello", crc=1),
            "crccritical": chunk(b"ABCD", b"hello", crc=1),
            "palette": palette(4),
            "palettebad": chunk(b"PLTE", bytes(7)),
            "paletteempty": chunk(b"PLTE", b""),
            "palettelong": chunk(b"PLTE", bytes(3 * 300)),
            "ihdr2": ihdr(width, height, depth, colour),
            "iendearly": chunk(b"IEND", b""),
            "cgbi": chunk(b"CgBI", bytes(4)),
        }.items():
            yield f"{name}_{label}.png", make(before=before)
        for label, after in {
            "text": chunk(b"tEXt", b"Comment\0hello"),
            "crc": chunk(b"tEXt", b"Comment\0hello", crc=1),
            "critical": chunk(b"ABCD", b"hello"),
            "idat": chunk(b"tEXt", b"a\0b") + chunk(b"IDAT", b"more"),
            "idatempty": chunk(b"IDAT", b""),
            "plte": palette(2),
            "exif": chunk(b"eXIf", exif(6)),
            "fctl": chunk(b"fcTL", bytes(26)),
        }.items():
            yield f"{name}_after_{label}.png", make(after=after)
        yield f"{name}_noend.png", make(end=False)
        yield f"{name}_endcrc.png", make(end=False) + chunk(b"IEND", b"", crc=5)
        yield f"{name}_enddata.png", make(end=False) + chunk(b"IEND", b"abc")
        for split in (1, 2, 7, 100):
            yield f"{name}_split{split}.png", make(split=split)
        yield f"{name}_stored.png", make(level=0)
        rows = raw(width, height, depth, colour)
        compressed = zlib.compress(rows)
        for label, stream in {
            "long": zlib.compress(rows + b"more"),
            "verylong": zlib.compress(rows + bytes(5000)),
            "short": zlib.compress(rows[:-1]),
            "shorter": zlib.compress(rows[: len(rows) // 2]),
            "nothing": zlib.compress(b""),
            "empty": b"",
            "adler": compressed[:-4] + b"abcd",
            "noadler": compressed[:-4],
            "halfadler": compressed[:-2],
            "tail": compressed + b"trailing",
            "cut9": compressed[:-9],
            "cut20": compressed[:-20],
            "raw": compressed[2:],
            "header": b"\x79" + compressed[1:],
            "window": b"\x18" + bytes([31 - (0x18 * 256) % 31]) + compressed[2:],
            "window7": b"\x88" + bytes([31 - (0x88 * 256) % 31]) + compressed[2:],
            "method": b"\x79\x9b" + compressed[2:],
            "dict": b"\x78\xbb" + compressed[2:],
        }.items():
            yield f"{name}_stream_{label}.png", make(stream=stream)
        if colour == 3:
            for count in (1, 2, 3, 5, 255, 256):
                yield f"{name}_colours{count}.png", make(plte=palette(count))
            yield f"{name}_noplte.png", make(plte=b"")
            yield f"{name}_pltecrc.png", make(plte=chunk(b"PLTE", bytes(3 << depth), crc=9))
        for orientation in range(0, 10):
            yield f"{name}_exif{orientation}.png", make(before=chunk(b"eXIf", exif(orientation, orientation % 2 == 0)))
        for label, block in {
            "prefix": exif(6, prefix=b"Exif\0\0"),
            "empty": b"",
            "short": exif(6)[:14],
            "garbage": b"garbage!" * 5,
            "string": exif(6, before=struct.pack("<HHII", 0x010F, 2, 90, 9999)),
            "unknown": exif(6, before=struct.pack("<HHII", 0x9999, 2, 90, 9999)),
            "count": exif(6).replace(b"\1\0\x12\1", b"\xff\0\x12\1"),
            "rational": exif(6, before=struct.pack("<HHII", 0x011A, 5, 1, 999999)),
        }.items():
            yield f"{name}_exif_{label}.png", make(before=chunk(b"eXIf", block))
        yield f"{name}_exif_crc.png", make(before=chunk(b"eXIf", exif(6), crc=3))
        yield f"{name}_exif_two.png", make(before=chunk(b"eXIf", exif(6)) + chunk(b"eXIf", exif(3)))
        full = (24, 17, 0, 0, 0, 0)
        for dispose, blend in itertools.product(range(3), range(2)):
            frames = [(24, 17, 0, 0, dispose, blend), (10, 9, 3, 4, dispose, blend), (24, 17, 0, 0, 0, blend)]
            for hidden in (False, True):
                yield f"{name}_apng{dispose}{blend}{int(hidden)}.png", animation(24, 17, depth, colour, frames, hidden)
        yield f"{name}_apng_partfirst.png", animation(24, 17, depth, colour, [(10, 9, 3, 4, 0, 1), full], True)
        yield f"{name}_apng_partfirst0.png", animation(24, 17, depth, colour, [(10, 9, 3, 4, 0, 0), full], True)
        yield f"{name}_apng_partidat.png", animation(24, 17, depth, colour, [(10, 9, 3, 4, 0, 0), full])
        yield f"{name}_apng_one.png", animation(24, 17, depth, colour, [full])
        yield f"{name}_apng_onehidden.png", animation(24, 17, depth, colour, [(10, 9, 3, 4, 0, 0)], True)
        yield f"{name}_apng_count.png", animation(24, 17, depth, colour, [full, full], acount=7)
        yield f"{name}_apng_count0.png", animation(24, 17, depth, colour, [full, full], acount=0)
        yield f"{name}_apng_count1.png", animation(24, 17, depth, colour, [full, full], acount=1)
        yield f"{name}_apng_outside.png", animation(24, 17, depth, colour, [(24, 17, 1, 0, 0, 0), full])
        yield f"{name}_apng_outside2.png", animation(24, 17, depth, colour, [full, (24, 17, 1, 0, 0, 0)])
        yield f"{name}_apng_dispose9.png", animation(24, 17, depth, colour, [(24, 17, 0, 0, 9, 0), full])
        yield f"{name}_apng_interlace.png", animation(24, 17, depth, colour, [full, full], interlace=1)
        yield f"{name}_apng_interlacehidden.png", animation(24, 17, depth, colour, [(10, 9, 3, 4, 0, 0), full], True, interlace=1)
        yield f"{name}_apng_trns.png", animation(24, 17, depth, colour, [(24, 17, 0, 0, 0, 1), full], trns=chunk(b"tRNS", trns))
        yield f"{name}_apng_exif.png", animation(24, 17, depth, colour, [full, full], extra=chunk(b"eXIf", exif(6)))
    for colour, depth in itertools.product(range(8), (0, 1, 2, 3, 4, 8, 16, 32)):
        if (colour, depth) not in KINDS:
            yield f"bad_{colour}_{depth}.png", SIGNATURE + ihdr(9, 9, depth, colour) + palette(2) + idats(zlib.compress(bytes(4000))) + chunk(b"IEND", b"")
    stream = idats(zlib.compress(bytes(4000))) + chunk(b"IEND", b"")
    for label, head in {
        "compression": ihdr(9, 9, 8, 2, compression=1),
        "filter": ihdr(9, 9, 8, 2, filter_method=1),
        "filter64": ihdr(9, 9, 8, 2, filter_method=64),
        "interlace": ihdr(9, 9, 8, 2, interlace=2),
        "width0": ihdr(0, 9, 8, 2),
        "height0": ihdr(9, 0, 8, 2),
        "wide": ihdr(1000001, 1, 1, 0),
        "tall": ihdr(1, 1000001, 1, 0),
        "huge": ihdr(2**31 - 1, 2**31 - 1, 8, 2),
        "over": ihdr(2**31, 3, 8, 2),
        "bomb": ihdr(40000, 40000, 8, 2),
        "long": chunk(b"IHDR", bytes(14)),
        "crc": chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 2, 0, 0, 0), crc=1),
        "none": b"",
        "textfirst": chunk(b"tEXt", b"a\0b") + ihdr(9, 9, 8, 2),
        "cgbi": chunk(b"CgBI", bytes(4)) + ihdr(9, 9, 8, 2),
    }.items():
        yield f"head_{label}.png", SIGNATURE + head + stream
    large = png(400, 300, 8, 2)
    yield "large.png", large
    yield "large_split.png", png(400, 300, 8, 6, split=8192)
