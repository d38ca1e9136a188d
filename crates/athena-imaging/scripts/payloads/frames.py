"""Two thousand frames of 448 x 448, as OpenCV has them: whole pictures, parts of them, and what damage leaves."""

import cv2
import numpy as np

from . import drawings, photographs

SIDE = 448
COUNT = 2000


def frames():
    """Names and frames, the same ones every time."""
    rng = np.random.default_rng(13)
    whole = [(name, cv2.imread(path)) for name, path in photographs.paths().items()]
    whole += [(name, np.asarray(picture)[:, :, ::-1]) for name, picture in drawings.pictures()]
    whole = [(name, cv2.resize(np.ascontiguousarray(frame), (SIDE, SIDE))) for name, frame in whole]
    yield from whole
    for number in range(COUNT - len(whole)):
        name, frame = whole[number % len(whole)]
        change = CHANGES[int(rng.integers(len(CHANGES)))]
        yield f"{name}, {change.__name__} {number}", np.ascontiguousarray(change(frame, rng).astype(np.uint8))


def part(frame, rng):
    size = int(rng.integers(40, SIDE))
    x, y = rng.integers(0, SIDE - size, 2)
    return cv2.resize(frame[y : y + size, x : x + size], (SIDE, SIDE), interpolation=int(rng.integers(0, 4)))


def damaged(frame, rng):
    """What a JPEG with flipped bytes decodes to."""
    data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 96))])[1]
    for _ in range(4):
        data[int(rng.integers(len(data) // 2, len(data) - 2))] = int(rng.integers(256))
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return frame if decoded is None or decoded.shape != frame.shape else decoded


def few_colours(frame, rng):
    levels = int(rng.integers(1, 7))
    return frame // np.uint8(255 // levels) * np.uint8(255 // (levels + 1))


def cut_out(frame, rng):
    """A shape with soft edges on one colour, as where alpha was."""
    mask = np.zeros((SIDE, SIDE, 1), np.float32)
    cv2.circle(mask, tuple(int(v) for v in rng.integers(100, 348, 2)), int(rng.integers(20, 200)), 1.0, -1, cv2.LINE_AA)
    mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.3, 3)))[:, :, None]
    return frame * mask + rng.integers(0, 256, 3) * (1 - mask)


def noisy(frame, rng):
    return np.clip(frame + rng.normal(0, rng.uniform(0.3, 20), frame.shape), 0, 255)


def grey(frame, rng):
    return np.repeat(frame[:, :, :1], 3, axis=2)


def two_colours(frame, rng):
    return np.where(frame[:, :, :1] > int(rng.integers(40, 216)), rng.integers(0, 256, 3), rng.integers(0, 256, 3))


def mirrored(frame, rng):
    return np.hstack([frame[:, : SIDE // 2], frame[:, SIDE // 2 - 1 :: -1]])


def rows_shifted(frame, rng):
    return np.stack([np.roll(row, int(rng.integers(3)), axis=0) for row in frame])


CHANGES = [part, damaged, few_colours, cut_out, noisy, grey, two_colours, mirrored, rows_shifted]
