"""GIF: tables, interlace, transparency, offsets, disposal, odd code sizes."""

import struct

from .picture import SIZES, grey

BREAKS = 8


def lzw(indices, code_size, clear_every=None, early_end=False, no_clear=False, no_end=False, keep_full=False):
    clear, end = 1 << code_size, (1 << code_size) + 1
    bits, nbits, out = 0, 0, bytearray()

    def put(code, size):
        nonlocal bits, nbits
        bits |= code << nbits
        nbits += size
        while nbits >= 8:
            out.append(bits & 255)
            bits >>= 8
            nbits -= 8

    size, table, nxt = code_size + 1, {}, end + 1
    if not no_clear:
        put(clear, size)
    prefix, count = None, 0
    for value in indices:
        count += 1
        key = (prefix, value)
        if prefix is None:
            prefix = value
        elif key in table:
            prefix = table[key]
        else:
            put(prefix, size)
            if nxt < 4096:
                table[key] = nxt
                if nxt == 1 << size and size < 12:
                    size += 1
                nxt += 1
            elif not keep_full:
                put(clear, size)
                size, table, nxt = code_size + 1, {}, end + 1
            if clear_every and count % clear_every == 0:
                put(clear, size)
                size, table, nxt = code_size + 1, {}, end + 1
            prefix = value
    if prefix is not None and not early_end:
        put(prefix, size)
    if not no_end:
        put(end, size)
    if nbits:
        out.append(bits & 255)
    return bytes(out)


def blocks(data, size=255):
    out = b""
    for i in range(0, len(data), size):
        part = data[i : i + size]
        out += bytes([len(part)]) + part
    return out + b"\0"


def table(bits, seed=0):
    return b"".join(bytes([(i * 37 + seed) % 256, (i * 11 + seed * 3) % 256, (255 - i * 5) % 256]) for i in range(1 << bits))


def control(disposal=0, transparent=None, delay=10):
    return b"\x21\xf9\x04" + struct.pack("<BHB", disposal << 2 | (transparent is not None), delay, transparent or 0) + b"\0"


def image(left, top, width, height, indices, code_size, local=None, interlace=False, block=255, **options):
    flags = (0x40 if interlace else 0) | (0x80 | (local[0] - 1) if local else 0)
    out = b"\x2c" + struct.pack("<HHHHB", left, top, width, height, flags)
    if local:
        out += table(*local)
    if interlace:
        rows = [indices[y * width : (y + 1) * width] for y in range(height)]
        order = list(range(0, height, 8)) + list(range(4, height, 8)) + list(range(2, height, 4)) + list(range(1, height, 2))
        indices = [v for y in order for v in rows[y]]
    return out + bytes([code_size]) + blocks(lzw(indices, code_size, **options), block)


def screen(width, height, bits=None, background=0, seed=0, version=b"89a"):
    flags = 0x80 | (bits - 1) | 0x70 if bits else 0x70
    return b"GIF" + version + struct.pack("<HHBBB", width, height, flags, background, 0) + (table(bits, seed) if bits else b"")


def picture(width, height, bits, seed=1):
    return [int(v) >> (8 - bits) for v in grey(width, height, seed).reshape(-1)]


def files():
    end = b"\x3b"
    for width, height in SIZES + [(300, 200)]:
        name = f"{width}x{height}"
        for bits in (1, 2, 4, 7, 8):
            pixels = picture(width, height, bits)
            code = max(2, bits)
            for interlace in (False, True):
                yield f"{name}_{bits}_{int(interlace)}.gif", screen(width, height, bits) + image(
                    0, 0, width, height, pixels, code, interlace=interlace
                ) + end
        pixels = picture(width, height, 4)
        for transparent in (0, 3, 9, 15, 200):
            for background in (0, 5):
                yield f"{name}_trans{transparent}_{background}.gif", screen(width, height, 4, background) + control(
                    0, transparent
                ) + image(0, 0, width, height, pixels, 4) + end
        yield f"{name}_local.gif", screen(width, height, 4) + image(0, 0, width, height, pixels, 4, local=(4, 77)) + end
        yield f"{name}_localonly.gif", screen(width, height) + image(0, 0, width, height, pixels, 4, local=(4, 77)) + end
        yield f"{name}_notable.gif", screen(width, height) + image(0, 0, width, height, pixels, 4) + end
        yield f"{name}_smalltable.gif", screen(width, height, 3) + image(0, 0, width, height, pixels, 4) + end
        yield f"{name}_smalllocal.gif", screen(width, height, 4) + image(0, 0, width, height, pixels, 4, local=(2, 9)) + end
        yield f"{name}_87a.gif", screen(width, height, 4, version=b"87a") + image(0, 0, width, height, pixels, 4) + end
        for option in ("early_end", "no_clear", "no_end", "keep_full"):
            yield f"{name}_{option}.gif", screen(width, height, 4) + image(
                0, 0, width, height, pixels, 4, **{option: True}
            ) + end
        for block in (1, 2, 3, 7, 254):
            yield f"{name}_block{block}.gif", screen(width, height, 4) + image(
                0, 0, width, height, pixels, 4, block=block
            ) + end
        for code in (4, 5, 8, 9, 11, 12, 1, 3):
            yield f"{name}_code{code}.gif", screen(width, height, 4) + image(
                0, 0, width, height, [p & ((1 << code) - 1) for p in pixels], code
            ) + end
        yield f"{name}_clears.gif", screen(width, height, 4) + image(0, 0, width, height, pixels, 4, clear_every=20) + end
        yield f"{name}_noend.gif", screen(width, height, 4) + image(0, 0, width, height, pixels, 4)
        for extra in (-1, 1, -width, width, 40):
            long = (pixels + pixels * 40)[: max(0, width * height + extra)]
            yield f"{name}_pixels{extra}.gif", screen(width, height, 4) + image(0, 0, width, height, long, 4) + end
        if width > 4 and height > 4:
            w, h = width // 2, height // 2
            for background in (0, 7, 15, 30):
                yield f"{name}_offset{background}.gif", screen(width, height, 4, background) + image(
                    w // 2, h // 2, w, h, picture(w, h, 4), 4
                ) + end
            yield f"{name}_outside.gif", screen(w, h, 4) + image(2, 2, w, h, picture(w, h, 4), 4) + end
            yield f"{name}_larger.gif", screen(w, h, 4) + image(0, 0, width, height, pixels, 4) + end
            for disposal in range(8):
                body = b""
                for i in range(4):
                    body += control(disposal, 3 if i % 2 else None) + image(
                        i, i, w, h, picture(w, h, 4, i), 4, local=(4, i) if i == 2 else None
                    )
                yield f"{name}_animated{disposal}.gif", screen(width, height, 4, 5) + body + end
            netscape = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x05\x00\x00"
            comment = b"\x21\xfe\x05hello\x00"
            text = b"\x21\x01\x0c" + bytes(12) + b"\x03abc\x00"
            for label, extension in {
                "loop": netscape,
                "comment": comment,
                "text": text,
                "unknown": b"\x21\x77\x02ab\x00",
                "longcontrol": b"\x21\xf9\x05\x01\x00\x00\x03\x09\x00",
                "shortcontrol": b"\x21\xf9\x03\x01\x00\x00\x00",
                "twocontrols": control(0, 3) + control(0, None),
                "controlblocks": b"\x21\xf9\x04\x01\x00\x00\x03\x02ab\x00",
                "junk": b"\x00\x00",
            }.items():
                yield f"{name}_{label}.gif", screen(width, height, 4) + extension + image(
                    0, 0, width, height, pixels, 4
                ) + end
    for claims in ((0, 5), (5, 0), (65535, 65535), (30000, 20)):
        yield f"claims{claims[0]}_{claims[1]}.gif", screen(*claims, 4) + image(0, 0, 5, 5, picture(5, 5, 4), 4) + end
    yield "noimage.gif", screen(9, 9, 4) + end
    yield "trailing.gif", screen(9, 9, 4) + image(0, 0, 9, 9, picture(9, 9, 4), 4) + end + b"junk" * 9
