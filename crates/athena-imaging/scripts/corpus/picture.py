"""Pictures to encode, and the ways in which files break."""

import random

import numpy as np

SIZES = [(1, 1), (1, 37), (37, 1), (2, 3), (7, 5), (8, 8), (16, 16), (17, 13), (31, 33), (61, 47), (64, 40), (97, 61)]


def paint(width, height, seed=1):
    """An RGB picture with smooth areas, edges and grain."""
    rng = np.random.default_rng(seed * 7919 + width * 31 + height)
    y, x = np.mgrid[0:height, 0:width].astype(float)
    channels = []
    for _ in range(3):
        fx, fy, phase = rng.uniform(0.02, 0.2, 2).tolist() + [rng.uniform(0, 6)]
        plane = 127 + 90 * np.sin(fx * x + phase) * np.cos(fy * y)
        plane += rng.normal(0, 6, (height, width))
        channels.append(plane)
    image = np.stack(channels, axis=2)
    for _ in range(3):
        cx, cy, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(1, max(2, min(width, height) / 3))
        image[(x - cx) ** 2 + (y - cy) ** 2 < r * r] = rng.uniform(0, 255, 3)
    return np.clip(image, 0, 255).astype(np.uint8)


def grey(width, height, seed=1):
    return paint(width, height, seed)[:, :, 1]


def rgba(width, height, seed=1):
    alpha = paint(width, height, seed + 50)[:, :, 0]
    alpha = np.where(alpha > 180, 255, np.where(alpha < 60, 0, alpha)).astype(np.uint8)
    return np.dstack([paint(width, height, seed), alpha])


def wide(width, height, channels=3, seed=1):
    """The same in 16 bits."""
    rng = np.random.default_rng(seed)
    base = (rgba if channels == 4 else paint)(width, height, seed).astype(np.uint16)
    base = base * 257 - rng.integers(0, 200, base.shape).astype(np.uint16) * (base > 0)
    return {1: base[:, :, 1], 2: base[:, :, 1:3]}.get(channels, base[:, :, :channels]).astype(np.uint16)


def break_file(data, rng: random.Random, count):
    """Truncations, flipped and random bytes, cuts, repeats and trailing junk."""
    if len(data) < 4:
        return
    for _ in range(count):
        kind = rng.choice(["cut", "cut", "cut", "flip", "flip", "flip", "header", "header", "random", "remove", "insert", "append", "zero"])
        broken = bytearray(data)
        at = rng.randrange(len(data))
        if kind == "cut":
            point = rng.choice([at, len(data) - 1 - rng.randrange(min(12, len(data) - 1)), rng.randrange(min(len(data), 80))])
            broken = broken[:point]
        elif kind == "flip":
            broken[at] ^= 1 << rng.randrange(8)
        elif kind == "header":
            at = rng.randrange(min(len(data), 64))
            broken[at] = rng.choice([0, 1, 2, 3, 255, rng.randrange(256), broken[at] ^ (1 << rng.randrange(8))])
        elif kind == "random":
            for _ in range(rng.randrange(1, 6)):
                broken[rng.randrange(len(data))] = rng.randrange(256)
        elif kind == "remove":
            del broken[at : at + rng.randrange(1, 9)]
        elif kind == "insert":
            broken[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
        elif kind == "append":
            broken += bytes(rng.randrange(256) for _ in range(rng.randrange(1, 50)))
        else:
            end = at + rng.randrange(1, 30)
            broken[at:end] = bytes(len(broken[at:end]))
        yield bytes(broken)
