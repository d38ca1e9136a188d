"""Netpbm: P1 to P7."""

import numpy as np

from .picture import SIZES, grey, paint, rgba, wide

BREAKS = 5


def ascii_body(values, per_line=12):
    values = [str(v) for v in np.asarray(values).reshape(-1).tolist()]
    return "\n".join(" ".join(values[i : i + per_line]) for i in range(0, len(values), per_line)).encode() + b"\n"


def pam(width, height, depth, maxval, kind, body, extra=b""):
    head = f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {depth}\nMAXVAL {maxval}\n".encode()
    return head + (b"TUPLTYPE " + kind + b"\n" if kind else b"") + extra + b"ENDHDR\n" + body


def files():
    for width, height in SIZES + [(150, 100)]:
        name = f"{width}x{height}"
        g, c = grey(width, height), paint(width, height)
        bits = (g > 128).astype(np.uint8)
        head = lambda kind, maxval=None: f"{kind}\n{width} {height}\n".encode() + (f"{maxval}\n".encode() if maxval else b"")
        yield f"{name}_p1.pbm", head("P1") + ascii_body(bits)
        yield f"{name}_p1tight.pbm", head("P1") + "".join(map(str, bits.reshape(-1).tolist())).encode()
        yield f"{name}_p4.pbm", head("P4") + b"".join(np.packbits(row).tobytes() for row in bits)
        for maxval in (1, 2, 7, 15, 100, 128, 254, 255):
            small = (g.astype(int) * maxval // 255).astype(np.uint8)
            colour = (c.astype(int) * maxval // 255).astype(np.uint8)
            yield f"{name}_p2_{maxval}.pgm", head("P2", maxval) + ascii_body(small)
            yield f"{name}_p5_{maxval}.pgm", head("P5", maxval) + small.tobytes()
            yield f"{name}_p3_{maxval}.ppm", head("P3", maxval) + ascii_body(colour)
            yield f"{name}_p6_{maxval}.ppm", head("P6", maxval) + colour.tobytes()
        for maxval in (256, 511, 1023, 4095, 30000, 65534, 65535):
            deep = (wide(width, height).astype(np.int64) * maxval // 65535).astype(">u2")
            yield f"{name}_p2_{maxval}.pgm", head("P2", maxval) + ascii_body(deep[:, :, 0])
            yield f"{name}_p5_{maxval}.pgm", head("P5", maxval) + deep[:, :, 0].tobytes()
            yield f"{name}_p3_{maxval}.ppm", head("P3", maxval) + ascii_body(deep)
            yield f"{name}_p6_{maxval}.ppm", head("P6", maxval) + deep.tobytes()
        kinds = {1: b"GRAYSCALE", 2: b"GRAYSCALE_ALPHA", 3: b"RGB", 4: b"RGB_ALPHA"}
        planes = {1: g, 2: rgba(width, height)[:, :, 2:], 3: c, 4: rgba(width, height)}
        for depth, data in planes.items():
            data = np.ascontiguousarray(data)
            for kind in (kinds[depth], b"", b"RGB", b"BLACKANDWHITE", b"STRANGE"):
                yield f"{name}_p7_{depth}_{kind.decode()}.pam", pam(width, height, depth, 255, kind, data.tobytes())
                deep = (data.astype(int) * 257).astype(">u2").tobytes()
                yield f"{name}_p7_{depth}_{kind.decode()}_16.pam", pam(width, height, depth, 65535, kind, deep)
            yield f"{name}_p7_{depth}_100.pam", pam(width, height, depth, 100, kinds[depth], (data // 3).tobytes())
        yield f"{name}_p7_bw.pam", pam(width, height, 1, 1, b"BLACKANDWHITE", bits.tobytes())
        yield f"{name}_p7_bwnull.pam", pam(width, height, 1, 1, b"", bits.tobytes())
        yield f"{name}_p7_bw3.pam", pam(width, height, 3, 1, b"RGB", np.dstack([bits] * 3).tobytes())
    body = bytes(range(60, 60 + 90))
    for label, head in {
        "comment": b"P6\n# hi\n6 5\n255\n",
        "comments": b"P6# a\n# b\n6 # c\n5\n# d\n255\n",
        "commentcr": b"P6\r# hi\r6 5\r255\r",
        "maxcomment": b"P6\n6 5\n255# x\n",
        "crlf": b"P6\r\n6 5\r\n255\r\n",
        "space": b"P6 6 5 255 ",
        "tabs": b"P6\t6\t5\t255\t",
        "zero": b"P6\n0 5\n255\n",
        "maxzero": b"P6\n6 5\n0\n",
        "maxlarge": b"P6\n6 5\n65536\n",
        "maxhuge": b"P6\n6 5\n9999999999\n",
        "negative": b"P6\n-6 5\n255\n",
        "letters": b"P6\n6a 5\n255\n",
        "huge": b"P6\n70000 70000\n255\n",
        "wide": b"P6\n1200000 1\n255\n",
        "leading": b"P6\n0006 05\n0255\n",
        "p8": b"P8\n6 5\n255\n",
        "p0": b"P0\n6 5\n255\n",
        "nospace": b"P66 5\n255\n",
        "vt": b"P6\v6\f5\n255\n",
    }.items():
        yield f"head_{label}.ppm", head + body
    for label, text in {
        "over": b"P2\n3 2\n100\n1 2 3 101 200 70000\n",
        "comment": b"P2\n3 2\n100\n1 2 # three\n3 4 5 6\n",
        "junk": b"P2\n3 2\n100\n1 2 x 4 5 6\n",
        "minus": b"P2\n3 2\n100\n1 2 -3 4 5 6\n",
        "short": b"P2\n3 2\n100\n1 2 3 4 5",
        "exact": b"P2\n3 2\n100\n1 2 3 4 5 6",
        "bits": b"P1\n3 2\n101 010",
        "bits2": b"P1\n3 2\n1 0 2 9 1 0 ",
        "bitcomment": b"P1\n3 2\n1 0 1 # x\n0 1 0\n",
        "glued": b"P1\n3 2\n101010",
    }.items():
        yield f"text_{label}.pnm", text
    for label, extra in {
        "comment": b"# hello\n",
        "blank": b"\n\n",
        "unknown": b"COLOUR red\n",
        "twice": b"WIDTH 6\n",
        "spaces": b"TUPLTYPE   RGB   \n",
        "novalue": b"TUPLTYPE\n",
        "long": b"TUPLTYPE " + b"x" * 300 + b"\n",
        "depthneg": b"DEPTH -3\n",
    }.items():
        yield f"pam_{label}.pam", pam(6, 5, 3, 255, b"", body, extra)
        yield f"pam_{label}_rgb.pam", pam(6, 5, 3, 255, b"RGB", body, extra)
    yield "pam_depth5.pam", pam(3, 5, 5, 255, b"", body)
    yield "pam_depth0.pam", pam(3, 5, 0, 255, b"", body)
    yield "pam_max0.pam", pam(6, 5, 3, 0, b"RGB", body)
    yield "pam_cr.pam", pam(6, 5, 3, 255, b"RGB", body).replace(b"\n", b"\r", 7)
    yield "pam_missing.pam", b"P7\nWIDTH 6\nHEIGHT 5\nMAXVAL 255\nENDHDR\n" + body
