"""Bytes and CPU time of lossless payloads beside libwebp's quickest level, in one run; and whether all of them decode.

    python -m payloads [check]     (from this folder)

Makes a virtual environment in a temporary folder (kept for the next run), builds the example `measure`, and lets the encoders
take turns on photographs and on drawings, resized by this crate. Each figure is the least of several turns. Below the pictures are
their sums, beside libwebp's and beside PNG's; the most bytes of any one picture; and the time that libwebp takes to decode them.
That `webp-small` is nowhere larger than `webp` is asserted. With `check` it encodes 2,000 frames with every effort instead and
compares what libwebp, image-webp and OpenCV decode.
"""

import os
import shutil
import subprocess
import sys
import tempfile

CRATE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.join(tempfile.gettempdir(), "athena-imaging-payloads")
PACKAGES = ["matplotlib", "numpy", "opencv-python-headless", "pillow", "scikit-image", "scikit-learn"]
STEPS = ["webp-fastest", "webp", "webp-small", "png", "libwebp"]
TURNS, ROUNDS = 3, 5


def in_venv():
    python = os.path.join(VENV, "bin", "python")
    if not os.path.exists(python):
        subprocess.check_call([sys.executable, "-m", "venv", VENV])
        subprocess.check_call([python, "-m", "pip", "install", "-q", *PACKAGES])
    if os.path.abspath(sys.prefix) != VENV:
        os.chdir(os.path.join(CRATE, "scripts"))
        os.execv(python, [python, "-m", "payloads", *sys.argv[1:]])


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

    def run(self, step, rounds, path):
        self.process.stdin.write(f"{step} linear {rounds} {path}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{step} failed for {path}")
        return int(line)

    def measure(self, step, path):
        """Bytes, and milliseconds without what it takes to get ready."""
        # The least of each, not of differences: another's noise in what is subtracted would pass for speed.
        one, all_rounds = float("inf"), float("inf")
        self.run(step, 1, path)
        for _ in range(TURNS):
            start = self.cpu()
            self.run(step, 1, path)
            middle = self.cpu()
            size = self.run(step, 1 + ROUNDS, path)
            one = min(one, middle - start)
            all_rounds = min(all_rounds, self.cpu() - middle)
        return size, max((all_rounds - one) / ROUNDS, 0.0)


def compare(rust, title, paths, folder):
    print(f"{title:34}" + "".join(f"{step:>22}" for step in STEPS))
    totals = [[0, 0.0, 0.0] for _ in STEPS]
    decoding = [0.0] * len(STEPS)
    for name, path in paths:
        row = [rust.measure(step, path) for step in STEPS]
        by_libwebp = row[-1][0]
        print(f"{name[:33]:34}" + "".join(f"{size:9d} {time:6.2f} {size / by_libwebp:5.2f}" for size, time in row), flush=True)
        if row[STEPS.index("webp-small")][0] > row[STEPS.index("webp")][0]:
            sys.exit(f"{name}: webp-small is larger than webp")
        for total, (size, time) in zip(totals, row):
            total[0] += size
            total[1] += time
            total[2] = max(total[2], size / by_libwebp)
        copy = os.path.join(folder, "encoded")
        shutil.copyfile(path, copy)
        rust.run("check", 1, copy)
        for i, step in enumerate(STEPS):
            if step != "png":
                decoding[i] += rust.measure("decode", f"{copy}.{step}")[1]
    for reference in ["libwebp", "png"]:
        size, time, _ = totals[STEPS.index(reference)]
        print(f"{f'bytes and CPU, {reference} = 1':34}" + "".join(f"{s / size:15.3f} {t / time:6.3f}" for s, t, _ in totals))
    print(f"{'most bytes of a picture':34}" + "".join(f"{most:15.3f}       " for _, _, most in totals))
    print(f"{'decoding by libwebp, its own = 1':34}" + "".join(f"{time / decoding[-1]:22.3f}" for time in decoding), flush=True)


def check(rust, folder):
    import cv2
    import numpy

    from . import frames

    count = 0
    for name, frame in frames.frames():
        path = os.path.join(folder, "frame.ppm")
        cv2.imwrite(path, frame)
        rust.run("check", 1, path)
        for step in STEPS[:3]:
            decoded = cv2.imdecode(numpy.fromfile(f"{path}.{step}", numpy.uint8), cv2.IMREAD_COLOR)
            if decoded is None or not numpy.array_equal(decoded, frame):
                sys.exit(f"{name}: OpenCV sees other pixels in {step}")
        count += 1
    print(f"{count} frames: all decode to the same pixels")


def main():
    in_venv()
    from . import drawings, photographs

    rust = Rust()
    with tempfile.TemporaryDirectory() as folder:
        if sys.argv[1:] == ["check"]:
            return check(rust, folder)
        compare(rust, "photographs", photographs.paths().items(), folder)
        painted = []
        for name, picture in drawings.pictures():
            path = os.path.join(folder, f"{name}.png")
            picture.save(path, compress_level=1)
            painted.append((name, path))
        compare(rust, "drawings", painted, folder)


if __name__ == "__main__":
    main()
