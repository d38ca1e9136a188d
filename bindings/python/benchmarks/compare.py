"""The earlier client and this package, side by side: the same program with another import.

    python3.12 benchmarks/compare.py

builds the wheel as it is released, installs it beside the earlier client into an environment of its own under
``target/``, makes 39 photographs of 0.5 to 1 megapixels out of those that public packages ship, and measures. Each
measurement is a process of its own, against an emulator in this one. Figures include the start of the interpreter; CPU is
that of the client's process alone, and memory is what it ever had resident, libraries included.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parents[1]
WORK = ROOT / "target" / "python-compare"

# The earlier client needs Python 3.12, although it says 3.10, and forgets to require protobuf.
EARLIER = ["resolver_athena_client==1.4.0", "protobuf"]
# What photographs.py finds pictures in, and Pillow, which comes with them.
PICTURES = ["scikit-image", "scikit-learn", "matplotlib"]

PHOTOGRAPHS = """
import sys
from pathlib import Path
from PIL import Image
sys.path.insert(0, sys.argv[1])
import photographs

names = (
    "astronaut camera chelsea coffee hubble_deep_field ihc motorcycle_left motorcycle_right retina rocket "
    "china flower grace_hopper"
)
paths = photographs.paths()
for name in names.split():
    picture = Image.open(paths[name]).convert("RGB")
    for megapixels in 0.5, 0.75, 1.0:
        scale = (megapixels * 1e6 / (picture.width * picture.height)) ** 0.5
        size = round(picture.width * scale), round(picture.height * scale)
        path = Path(sys.argv[2], f"{name}-{size[0]}x{size[1]}.jpg")
        picture.resize(size, Image.Resampling.LANCZOS).save(path, quality=88)
"""

PROGRAM = """
import asyncio, itertools, json, os, resource, sys, time, uuid
from pathlib import Path
began = time.perf_counter()
from resolver_athena_client.client.athena_client import AthenaClient
from resolver_athena_client.client.athena_options import AthenaOptions
from resolver_athena_client.client.channel import CredentialHelper, create_channel_with_credentials
from resolver_athena_client.client.models import ImageData

folder, count, compress = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "defaults"
files = [path.read_bytes() for path in sorted(folder.iterdir())]

async def images():
    for number, data in zip(range(count), itertools.cycle(files)):
        yield ImageData(data, f"image-{number}")

async def main():
    helper = CredentialHelper(
        os.environ["OAUTH_CLIENT_ID"], os.environ["OAUTH_CLIENT_SECRET"],
        os.environ["OAUTH_AUTH_URL"], os.environ["OAUTH_AUDIENCE"],
    )
    options = AthenaOptions(
        host=os.environ["ATHENA_HOST"], affiliate=os.environ["ATHENA_AFFILIATE"],
        deployment_id=f"compare-{uuid.uuid4()}", compress_images=compress,
    )
    channel = await create_channel_with_credentials(options.host, helper)
    seen = 0
    async with AthenaClient(channel, options) as client:
        async for response in client.classify_images(images()):
            assert not any(output.error.message for output in response.outputs)
            seen += len(response.outputs)
            if seen >= count:
                break
    return seen

seen = asyncio.run(main())
used = resource.getrusage(resource.RUSAGE_SELF)
try:
    # Of this program alone: what getrusage tells includes that of the process which started it.
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    peak = int(status["VmHWM"].split()[0]) / 1024
except OSError:
    peak = used.ru_maxrss / (1 << 20)  # bytes on macOS
print(json.dumps({
    "images": seen,
    "seconds": time.perf_counter() - began,
    "cpu": used.ru_utime + used.ru_stime,
    "mb": peak,
}), flush=True)
os._exit(0)  # the earlier client's tasks would keep it
"""


def environment(name: str, packages: list[str]) -> Path:
    """An environment's interpreter."""
    python = WORK / name / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", WORK / name], check=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *packages], check=True)
    return python


def photographs() -> Path:
    folder = WORK / "photographs"
    if not folder.exists():
        python = environment("pictures", PICTURES)
        scripts = ROOT / "crates" / "athena-imaging" / "scripts" / "payloads"
        fresh = folder.with_suffix(".new")
        fresh.mkdir(parents=True, exist_ok=True)
        subprocess.run([python, "-c", PHOTOGRAPHS, scripts, fresh], check=True)
        fresh.rename(folder)
    return folder


def wheel(python: Path) -> Path:
    out = WORK / "wheel"
    command = [python, "-m", "maturin", "build", "--release", "--locked", "--quiet"]
    environ = {"CARGO_TARGET_DIR": str(ROOT / "target")} | os.environ
    for built in out.glob("*.whl"):
        built.unlink()
    subprocess.run([*command, "--out", out], cwd=PACKAGE, env=environ, check=True)
    return next(out.glob("*.whl"))


def measure(folder: Path, count: int, mode: str, environ: dict[str, str], ours: bool) -> dict:
    if ours:
        switch = subprocess.check_output([sys.executable, "-m", "athena.compat"], text=True)
        environ = environ | {"PYTHONPATH": switch.strip()}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), str(count), mode],
        env=os.environ | environ,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    told = json.loads(done.stdout)
    return {
        "images/s": told["images"] / told["seconds"],
        "CPU ms/image": 1000 * told["cpu"] / told["images"],
        "MB": told["mb"],
    }


def compare(folder: Path, options: argparse.Namespace) -> None:
    from athena.emulator import Emulator

    def several(*arguments: object, ours: bool) -> dict[str, float]:
        runs = [measure(*arguments, ours=ours) for _ in range(options.runs)]
        return {name: statistics.median(run[name] for run in runs) for name in runs[0]}

    with Emulator() as emulator:
        environ = emulator.environ()
        print(f"{'':38}{'images/s':>10}{'CPU ms/image':>14}{'MB':>8}")
        for mode, few in (("defaults", options.few), ("uncompressed", options.many)):
            old = several(folder, few, mode, environ, ours=False)
            new = several(folder, options.many, mode, environ, ours=True)
            for name, figures in (
                (f"resolver_athena_client, {mode}", old),
                (f"athena.compat, {mode}", new),
            ):
                line = f"{figures['images/s']:10.1f}{figures['CPU ms/image']:14.2f}{figures['MB']:8.1f}"
                print(f"{name:38}{line}")
            ratios = (
                f"{new['images/s'] / old['images/s']:9.1f}x"
                f"{old['CPU ms/image'] / new['CPU ms/image']:13.1f}x{old['MB'] / new['MB']:7.2f}x"
            )
            print(f"{'better by':38}{ratios}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="other photographs to cycle through")
    parser.add_argument("--wheel", type=Path, help="a wheel that is built already")
    parser.add_argument("--few", type=int, default=60, help="images for what is slow")
    parser.add_argument("--many", type=int, default=3000, help="images for what is not")
    parser.add_argument("--runs", type=int, default=1, help="of which the median is told")
    parser.add_argument("--installed", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.installed:
        compare(options.folder, options)
        return
    if sys.version_info < (3, 12):
        sys.exit("run this with Python 3.12 or later: the earlier client needs it")
    folder = (options.folder or photographs()).resolve()
    python = environment("both", [*EARLIER, "maturin>=1.16,<2"])
    built = options.wheel or wheel(python)
    environment("both", ["--force-reinstall", "--no-deps", str(built.resolve())])
    arguments = [*sys.argv[1:], "--folder", str(folder), "--installed"]
    subprocess.run([python, __file__, *arguments], check=True)


if __name__ == "__main__":
    main()
