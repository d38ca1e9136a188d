#!/usr/bin/env python3
"""Measures this project's `athena scan` against the public Python client, in one run on one machine.

    python3 xtask/compare/compare.py [--images N] [--folder DIR] [--before ATHENA]

Builds the tool, starts the local emulator in a process of its own, installs the Python client from
PyPI into a virtual environment under target/, and streams the same pictures through both: at their
defaults, and with raw frames, which is the fastest lossless setting of either and an equal one.
Prints a Markdown table: images per second, CPU per image, bytes sent per image, peak memory, ratios.
With `--before` an earlier build of `athena` takes its turn too, at its defaults.
Run it on a machine that does nothing else; quote the ratios.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The client needs Python 3.12, although it says 3.10, and forgets to require protobuf.
CLIENT = ["resolver_athena_client==1.4.0", "protobuf"]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--images", type=int, default=200, help="pictures in each run")
    arguments.add_argument("--slow-images", type=int, default=20, help="pictures in the run with Brotli 11")
    arguments.add_argument("--folder", type=Path, default=ROOT / "examples" / "images")
    arguments.add_argument("--before", type=Path, help="an earlier build of `athena`, to be measured beside this one")
    options = arguments.parse_args()
    if sys.version_info < (3, 12):
        sys.exit("run this with Python 3.12 or newer: the Python client needs it")

    subprocess.run(["cargo", "build", "--release", "-p", "athena-cli"], cwd=ROOT, check=True)
    athena = ROOT / "target" / "release" / "athena"
    python = install_client()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        environment, emulator = start_emulator(athena, scratch)
        try:
            pictures = scratch / "pictures"
            jpegs = sorted(p for p in options.folder.iterdir() if p.suffix in (".jpg", ".jpeg"))
            few = copies(jpegs, pictures / "few", options.slow_images)
            many = copies(jpegs, pictures / "many", options.images)
            client = Path(__file__).with_name("python_client.py")
            scan = lambda tool, *flags: [tool, "scan", many, "--output", scratch / f"{time.time_ns()}.jsonl", *flags]
            runs = [
                ("Python, defaults (raw + Brotli 11)", few, [python, client, few, "default"]),
                ("athena, defaults (lossless WebP)", many, scan(athena)),
                ("Python, raw frames", many, [python, client, many, "raw"]),
                ("athena, raw frames", many, scan(athena, "--payload", "raw")),
            ]
            if options.before:
                runs.append(("athena before, defaults", many, scan(options.before.resolve())))
            rows = [measure(name, command, folder, environment) for name, folder, command in runs]
        finally:
            emulator.terminate()
            emulator.wait()
    report(rows)


def install_client() -> Path:
    venv = ROOT / "target" / "compare-venv"
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *CLIENT], check=True)
    return python


def start_emulator(athena: Path, scratch: Path):
    env_file = scratch / "emulator.env"
    emulator = subprocess.Popen(
        [athena, "emulator", "--env-file", env_file],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(200):
        if env_file.exists() and emulator.poll() is None:
            break
        time.sleep(0.05)
    else:
        sys.exit("the emulator did not start")
    environment = dict(os.environ)
    for line in env_file.read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            environment[name] = value.strip("'")
    return environment, emulator


def copies(pictures: list, folder: Path, count: int) -> Path:
    """Distinct files, so that no client can skip one as already seen."""
    folder.mkdir(parents=True)
    for number in range(count):
        source = pictures[number % len(pictures)]
        # A comment after the end of the picture changes the file's hashes, not its pixels.
        (folder / f"{number:05}.jpg").write_bytes(source.read_bytes() + f"{number}".encode())
    return folder


# Runs a command and prints what it cost: a process of its own, so that nothing else is counted.
WRAPPER = """
import json, resource, subprocess, sys, time
started = time.monotonic()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
seconds = time.monotonic() - started
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
cpu, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
print(json.dumps(dict(code=code, seconds=seconds, cpu=cpu, peak=peak)))
"""


def measure(name: str, command: list, folder: Path, environment: dict) -> dict:
    before = stats(environment)
    wrapped = [sys.executable, "-c", WRAPPER, *map(str, command)]
    out = subprocess.run(wrapped, env=environment, check=True, stdout=subprocess.PIPE)
    row = json.loads(out.stdout)
    after = stats(environment)
    images, expected = after["inputs"] - before["inputs"], len(list(folder.iterdir()))
    if row["code"] != 0 or images != expected:
        sys.exit(f"{name}: exit code {row['code']}, {images} of {expected} pictures reached the emulator")
    row.update(name=name, images=images, bytes=(after["input_bytes"] - before["input_bytes"]) / images)
    print(f"{name}: done", file=sys.stderr)
    return row


def stats(environment: dict) -> dict:
    with urllib.request.urlopen(environment["ATHENA_EMULATOR_ADMIN_URL"] + "/stats") as answer:
        return json.load(answer)


def report(rows: list) -> None:
    print("| client | images | images/s | CPU ms/image | bytes/image | peak MiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        rate, cpu = row["images"] / row["seconds"], row["cpu"] * 1000 / row["images"]
        print(
            f"| {row['name']} | {row['images']} | {rate:.1f} | {cpu:.1f} "
            f"| {row['bytes']:,.0f} | {row['peak']:.0f} |"
        )
    print()
    pairs = [rows[0:2], rows[2:4], *([before, rows[1]] for before in rows[4:])]
    for other, ours in pairs:
        speed = (ours["images"] / ours["seconds"]) / (other["images"] / other["seconds"])
        cpu = (other["cpu"] / other["images"]) / (ours["cpu"] / ours["images"])
        print(
            f"{ours['name']} against {other['name']}: {speed:.1f} x the images per second, "
            f"1/{cpu:.1f} of the CPU, {ours['bytes'] / other['bytes']:.2f} x the bytes, "
            f"{ours['peak'] / other['peak']:.2f} x the peak memory."
        )


if __name__ == "__main__":
    main()
