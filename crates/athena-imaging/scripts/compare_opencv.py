#!/usr/bin/env python3
"""CPU time of OpenCV and of this crate, side by side, one thread each.

    python3 scripts/compare_opencv.py [PHOTOGRAPH]

Makes a virtual environment with opencv-python-headless in a temporary folder (kept for the next run), builds the example
`measure`, writes test images of many sizes and formats, and lets the two take turns: what else the machine does then weighs
on both. Each figure is the least of several turns. Ratios above 1 mean that this crate is faster.
"""

import math
import os
import subprocess
import sys
import tempfile
import time

CRATE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(tempfile.gettempdir(), "athena-imaging-opencv")
TURNS = 7


def in_venv():
    python = os.path.join(VENV, "bin", "python")
    if not os.path.exists(python):
        subprocess.check_call([sys.executable, "-m", "venv", VENV])
        subprocess.check_call([python, "-m", "pip", "install", "-q", "opencv-python-headless", "numpy"])
    if os.path.abspath(sys.prefix) != VENV:
        os.execv(python, [python, *sys.argv])


class Rust:
    """The example `measure`, whose CPU time the kernel tells in nanoseconds."""

    def __init__(self):
        build = ["cargo", "build", "--release", "-q", "-p", "athena-imaging", "--example", "measure"]
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
    rounds = max(1, min(300, int(budget / once)))
    ours, theirs = [], []
    for _ in range(TURNS):
        theirs.append(measure_opencv(work, rounds))
        ours.append(rust.measure(step, interpolation, rounds, path))
    ratio = min(theirs) / min(ours)
    print(f"{label:44} {min(theirs):9.3f} {min(ours):9.3f} {ratio:7.2f}", flush=True)
    return ratio


def main():
    in_venv()
    import cv2
    import numpy

    cv2.setNumThreads(1)
    default = os.path.join(CRATE, "..", "..", "..", "shared", "images", "jpeg_coffee_444.jpg")
    source = cv2.imread(sys.argv[1] if len(sys.argv) > 1 else default)
    rust = Rust()
    folder = tempfile.mkdtemp()
    modes = {"linear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST, "area": cv2.INTER_AREA, "lanczos4": cv2.INTER_LANCZOS4}
    sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR
    groups = {
        "JPEG 4:2:0": [("jpg", [cv2.IMWRITE_JPEG_QUALITY, 88, sampling, 0x221111])],
        "JPEG 4:4:4": [("jpg", [cv2.IMWRITE_JPEG_QUALITY, 88, sampling, 0x111111])],
        "JPEG progressive": [("jpg", [cv2.IMWRITE_JPEG_QUALITY, 88, cv2.IMWRITE_JPEG_PROGRESSIVE, 1])],
        "PNG": [("png", [])],
        "WebP": [("webp", [cv2.IMWRITE_WEBP_QUALITY, 80])],
        "GIF": [("gif", [])],
        "BMP": [("bmp", [])],
        "PNM": [("ppm", [])],
    }
    sizes = [(640, 480), (1000, 750), (2000, 1500), (4000, 3000)]
    rng = numpy.random.default_rng(7)
    print(f"{'CPU milliseconds':44} {'OpenCV':>9} {'this':>9} {'ratio':>7}")
    frames = {}
    for size in sizes:
        enlarged = cv2.resize(source, size, interpolation=cv2.INTER_CUBIC).astype(numpy.int16)
        frames[size] = numpy.clip(enlarged + rng.normal(0, 4, enlarged.shape), 0, 255).astype(numpy.uint8)
    for group, variants in groups.items():
        ratios = []
        for size in sizes:
            if group in ("GIF", "WebP") and size[0] > 2000:
                continue
            extension, options = variants[0]
            path = os.path.join(folder, f"{group}-{size[0]}.{extension}".replace(" ", "-").replace(":", ""))
            cv2.imwrite(path, frames[size], options)
            data = numpy.fromfile(path, numpy.uint8)

            def work():
                return cv2.resize(cv2.imdecode(data, cv2.IMREAD_COLOR), (448, 448), interpolation=cv2.INTER_LINEAR)

            ratios.append(compare(rust, f"{group} {size[0]} x {size[1]}, decode + linear", "frame", "linear", path, work))
        print(f"{group + ', geometric mean':64} {math.exp(sum(map(math.log, ratios)) / len(ratios)):7.2f}")
    for name, mode in modes.items():
        for size in [(300, 200), *sizes]:
            frame = frames.get(size)
            if frame is None:
                frame = cv2.resize(source, size)
            path = os.path.join(folder, f"resize-{size[0]}.ppm")
            cv2.imwrite(path, frame)
            label = f"resize {name} {size[0]} x {size[1]}"
            compare(rust, label, "resize", name, path, lambda: cv2.resize(frame, (448, 448), interpolation=mode), 60.0)


if __name__ == "__main__":
    main()
