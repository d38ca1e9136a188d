"""Portable float maps."""

import numpy as np

from .picture import SIZES, paint

BREAKS = 6


def pfm(width, height, channels, scale, big, factor=1.0, tail=b""):
    value = paint(width, height).astype(np.float32) * factor
    if channels == 1:
        value = value[:, :, 0]
    body = value[::-1].astype(">f4" if big else "<f4").tobytes()
    kind = b"PF" if channels == 3 else b"Pf"
    return kind + f"\n{width} {height}\n{scale}\n".encode() + body + tail


def files():
    for width, height in SIZES:
        for channels in (1, 3):
            for big in (False, True):
                sign = "" if big else "-"
                name = f"{width}x{height}_{channels}_{int(big)}"
                yield f"{name}.pfm", pfm(width, height, channels, f"{sign}1.0", big)
                yield f"{name}_frac.pfm", pfm(width, height, channels, f"{sign}1.0", big, 0.7371)
                yield f"{name}_half.pfm", pfm(width, height, channels, f"{sign}2", big)
                yield f"{name}_scaled.pfm", pfm(width, height, channels, f"{sign}0.0039", big, 1 / 255)
                yield f"{name}_large.pfm", pfm(width, height, channels, f"{sign}1", big, 1e9)
                yield f"{name}_minus.pfm", pfm(width, height, channels, f"{sign}1", big, -1.0)
    body = paint(6, 5).astype("<f4").tobytes()
    special = np.frombuffer(body, "<f4").copy()
    special[:8] = [np.nan, np.inf, -np.inf, 0.5, 1.5, 2.5, 254.5, -0.5]
    yield "special.pfm", b"PF\n6 5\n-1.0\n" + special.tobytes()
    for label, head in {
        "crlf": b"PF\r\n6 5\r\n-1.0\r\n",
        "space": b"PF 6 5\n-1.0\n",
        "twospaces": b"PF\n6  5\n-1.0\n",
        "comment": b"PF\n# hi\n6 5\n-1.0\n",
        "lines": b"PF\n6\n5\n-1.0\n",
        "tabs": b"PF\n6\t5\t-1.0\t",
        "zero": b"PF\n6 5\n0.0\n",
        "minuszero": b"PF\n6 5\n-0.0\n",
        "junkscale": b"PF\n6 5\nabc\n",
        "exp": b"PF\n6 5\n-1e0\n",
        "hexfloat": b"PF\n6 5\n-0x1p1\n",
        "inf": b"PF\n6 5\n-inf\n",
        "nan": b"PF\n6 5\nnan\n",
        "suffix": b"PF\n6x 5y\n-1.0z\n",
        "negative": b"PF\n-6 5\n-1.0\n",
        "zerowidth": b"PF\n0 5\n-1.0\n",
        "large": b"PF\n600000 50000\n-1.0\n",
        "overflow": b"PF\n99999999999 5\n-1.0\n",
        "plus": b"PF\n+6 +5\n-1.0\n",
        "tiny": b"PF\n6 5\n-1e-30\n",
        "big": b"PF\n6 5\n-1e30\n",
        "long": b"PF\n6 5\n-1." + b"0" * 3000 + b"\n",
        "third": b"PF\n6 5\n-0.333333333333\n",
        "seven": b"PF\n6 5\n-7\n",
    }.items():
        yield f"head_{label}.pfm", head + body
