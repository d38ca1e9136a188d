"""Writes golden.tsv: what OpenCV makes of every image file in a folder.

Usage: python golden.py FOLDER [--decoded]          (needs opencv-python-headless)

Columns: file, width, height, then the SHA-256 of the decoded BGR frame and, unless `--decoded`, of its 448 x 448
frame for each interpolation; `refused` where OpenCV gives no image.
"""

import hashlib
import multiprocessing
import os
import sys

INTERPOLATIONS = ("linear", "nearest", "area", "lanczos4")
RESIZED = () if "--decoded" in sys.argv else INTERPOLATIONS
HEADER = "\t".join(("file", "width", "height", "decoded") + RESIZED)


def sha256(frame):
    return hashlib.sha256(frame.tobytes()).hexdigest()


def describe(path):
    os.environ["OPENCV_LOG_LEVEL"] = "OFF"
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    with open(path, "rb") as file:
        data = np.frombuffer(file.read(), np.uint8)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    except cv2.error:
        image = None
    if image is None:
        return "-\t-\trefused"
    if image.ndim == 2:  # a grey float map stays grey
        image = np.repeat(image[:, :, None], 3, axis=2)
    height, width = image.shape[:2]
    hashes = [sha256(image)]
    for name in RESIZED:
        frame = image
        if (width, height) != (448, 448):
            frame = cv2.resize(image, (448, 448), interpolation=getattr(cv2, "INTER_" + name.upper()))
        hashes.append(sha256(frame))
    return "\t".join([str(width), str(height)] + hashes)


def main():
    folder = sys.argv[1]
    entries = [e for e in os.scandir(folder) if e.is_file() and not e.name.endswith((".tsv", ".md", ".py"))]
    names = sorted(e.name for e in entries)
    paths = [os.path.join(folder, name) for name in names]
    with multiprocessing.Pool(2) as pool:
        rows = pool.map(describe, paths, chunksize=16)
    with open(os.path.join(folder, "golden.tsv"), "w") as out:
        out.write(HEADER + "\n")
        for name, row in zip(names, rows):
            out.write(f"{name}\t{row}\n")


if __name__ == "__main__":
    main()
