"""Writes golden.tsv: what OpenCV makes of every image file in a folder.

Usage: python golden.py FOLDER [--decoded]          (needs opencv-python-headless)

Columns: file, width, height, then the SHA-256 of the decoded BGR frame and, unless `--decoded`, of its 448 x 448
frame for each interpolation; `refused` where OpenCV gives no image.
"""

import hashlib
import multiprocessing
import os
import sys
from concurrent.futures import ThreadPoolExecutor

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


def describe_all(paths, connection):
    for path in paths:
        connection.send(describe(path))


def run(paths):
    """Rows for `paths`, from another process: a file that crashes OpenCV counts as refused."""
    rows = []
    while len(rows) < len(paths):
        receiver, sender = multiprocessing.Pipe(duplex=False)
        worker = multiprocessing.Process(target=describe_all, args=(paths[len(rows) :], sender))
        worker.start()
        sender.close()
        try:
            while len(rows) < len(paths):
                rows.append(receiver.recv())
        except EOFError:
            print("crash:", paths[len(rows)])
            rows.append("-\t-\trefused")
        worker.join()
    return rows


def main():
    folder = sys.argv[1]
    entries = [e for e in os.scandir(folder) if e.is_file() and not e.name.endswith((".tsv", ".md", ".py"))]
    names = sorted(e.name for e in entries)
    paths = [os.path.join(folder, name) for name in names]
    halves = [paths[: len(paths) // 2], paths[len(paths) // 2 :]]
    with ThreadPoolExecutor(len(halves)) as pool:
        rows = [row for part in pool.map(run, halves) for row in part]
    with open(os.path.join(folder, "golden.tsv"), "w") as out:
        out.write(HEADER + "\n")
        for name, row in zip(names, rows):
            out.write(f"{name}\t{row}\n")


if __name__ == "__main__":
    main()
