#!/usr/bin/env python3
"""CPU time of OpenCV and of this crate, side by side, one thread each.

    python3 scripts/compare_opencv.py [PHOTOGRAPH...]

Makes a virtual environment with opencv-python-headless in a temporary folder (kept for the next run), builds the example
`measure`, writes photographs in each format, and lets the two take turns: what else the machine does then weighs on both.
Each figure is the least of several turns. Ratios above 1 mean that this crate is faster.

The photographs are those in colour that scikit-image, scikit-learn and matplotlib ship, or the ones that are named: each as
it is, and on sheets of 0.3 to 48 megapixels, side by side. Nothing is enlarged, since that leaves less to decode in a pixel.
"""

import itertools
import math
import os
import subprocess
import sys
import tempfile
import time

CRATE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(tempfile.gettempdir(), "athena-imaging-opencv")
PACKAGES = ["matplotlib", "numpy", "opencv-python-headless", "scikit-image", "scikit-learn"]
TURNS = 7
SHEETS = [(640, 480), (1152, 864), (2000, 1500), (4000, 3000), (8000, 6000)]


def in_venv():
    python = os.path.join(VENV, "bin", "python")
    if not os.path.exists(python):
        subprocess.check_call([sys.executable, "-m", "venv", VENV])
        subprocess.check_call([python, "-m", "pip", "install", "-q", *PACKAGES])
    if os.path.abspath(sys.prefix) != VENV:
        os.execv(python, [python, *sys.argv])


class Rust:
    """The example `measure`, whose CPU time the kernel tells in nanoseconds."""

    def __init__(self):
        build = ["cargo", "build", "--release", "-q", "-p", "athena-imaging", "--features", "avif", "--example", "measure"]
        subprocess.check_call(build, cwd=CRATE)
        target = os.environ.get("CARGO_TARGET_DIR", os.path.join(CRATE, "..", "..", "target"))
        program = os.path.join(target, "release", "examples", "measure")
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def cpu(self):
        with open(f"/proc/{self.process.pid}/schedstat") as file:
            return int(file.read().split()[0]) / 1e6

    def run(self, step, interpolation, rounds, path):
        self.process.stdin.write(f"{step} {interpolation} {rounds} {path}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def measure(self, step, interpolation, rounds, path):
        """Milliseconds for a round, without what it takes to get ready."""
        self.run(step, interpolation, 1, path)
        start = self.cpu()
        self.run(step, interpolation, 1, path)
        one = self.cpu()
        self.run(step, interpolation, 1 + rounds, path)
        return (self.cpu() - one - (one - start)) / rounds


def measure_opencv(work, rounds):
    work()
    start = time.process_time()
    for _ in range(rounds):
        work()
    return (time.process_time() - start) * 1e3 / rounds


def compare(rust, label, step, interpolation, path, work, budget=150.0):
    once = max(measure_opencv(work, 1), 0.02)
    rounds = max(3, min(300, int(budget / once)))
    ours, theirs = [], []
    for _ in range(TURNS if once < budget else 3):
        theirs.append(measure_opencv(work, rounds))
        ours.append(rust.measure(step, interpolation, rounds, path))
    ratio = min(theirs) / min(ours)
    print(f"{label:44} {min(theirs):9.3f} {min(ours):9.3f} {ratio:7.2f}", flush=True)
    return ratio


def sheet(photographs, size):
    """The photographs in rows from left to right, as often as they fit; every other round is mirrored."""
    import numpy

    width, height = size
    paper = numpy.zeros((height, width, 3), numpy.uint8)
    following = itertools.cycle([*photographs, *(photograph[:, ::-1] for photograph in photographs)])
    y = 0
    while y < height:
        x, lowest = 0, height
        while x < width:
            part = next(following)[: height - y, : width - x]
            paper[y : y + part.shape[0], x : x + part.shape[1]] = part
            x += part.shape[1]
            lowest = min(lowest, part.shape[0])
        y += lowest
    return paper


def mean(ratios):
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def main():
    in_venv()
    import cv2
    import numpy

    cv2.setNumThreads(1)
    paths = sys.argv[1:]
    if not paths:
        from payloads import photographs

        paths = photographs.paths().values()
    pictures = [cv2.imread(path) for path in paths]
    pictures = [picture for picture in pictures if not numpy.array_equal(picture[..., 0], picture[..., 2])]
    sheets = [sheet(pictures, size) for size in SHEETS]
    rust = Rust()
    folder = tempfile.mkdtemp()
    modes = {"linear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST, "area": cv2.INTER_AREA, "lanczos4": cv2.INTER_LANCZOS4}
    quality, sampling = cv2.IMWRITE_JPEG_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR
    progressive = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    # How they are written, and the greatest sheet: GIF takes minutes to write, and 48 megapixels of AVIF are refused.
    groups = {
        "JPEG 4:2:0": ("jpg", [quality, 88, sampling, 0x221111], 48),
        "JPEG 4:4:4": ("jpg", [quality, 88, sampling, 0x111111], 48),
        "progressive JPEG 4:2:0": ("jpg", [quality, 88, sampling, 0x221111, *progressive], 48),
        "progressive JPEG 4:4:4": ("jpg", [quality, 92, sampling, 0x111111, *progressive], 48),
        "PNG": ("png", [], 48),
        "WebP": ("webp", [cv2.IMWRITE_WEBP_QUALITY, 80], 12),
        "AVIF": ("avif", [cv2.IMWRITE_AVIF_QUALITY, 70, cv2.IMWRITE_AVIF_SPEED, 9], 3),
        "GIF": ("gif", [], 3),
        "BMP": ("bmp", [], 48),
        "PPM": ("ppm", [], 48),
        "LZW TIFF": ("tiff", [cv2.IMWRITE_TIFF_COMPRESSION, 5], 48),
    }
    print(f"{'CPU milliseconds':44} {'OpenCV':>9} {'this':>9} {'ratio':>7}")
    for group, (extension, options, most) in groups.items():

        def ratio(frame):
            path = os.path.join(folder, f"photograph.{extension}")
            cv2.imwrite(path, frame, options)
            data = numpy.fromfile(path, numpy.uint8)

            def work():
                return cv2.resize(cv2.imdecode(data, cv2.IMREAD_COLOR), (448, 448), interpolation=cv2.INTER_LINEAR)

            label = f"{group}, {frame.shape[1]} x {frame.shape[0]}"
            return compare(rust, label, "frame", "linear", path, work)

        ratios = [ratio(picture) for picture in pictures]
        print(f"{f'{group}: photographs, mean':48} {mean(ratios):7.2f} {min(ratios):7.2f} {max(ratios):7.2f}")
        ratios = [ratio(paper) for paper in sheets if paper.size <= 3e6 * most * 1.01]
        print(f"{f'{group}: sheets':48} " + " ".join(f"{ratio:7.2f}" for ratio in ratios), flush=True)
    for name, mode in modes.items():
        for frame in [pictures[0], *sheets[:-1]]:
            path = os.path.join(folder, "resize.ppm")
            cv2.imwrite(path, frame)
            label = f"resize {name}, {frame.shape[1]} x {frame.shape[0]}"
            compare(rust, label, "resize", name, path, lambda: cv2.resize(frame, (448, 448), interpolation=mode), 60.0)


if __name__ == "__main__":
    main()
