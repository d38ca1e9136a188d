"""A long stream of small images: every one has its outcome, and memory does not grow.

    python benchmarks/soak.py [IMAGES]

The emulator is a process of its own. Prints what each holds, with glibc what is in use of the heap, and
Python's objects, every tenth part; the first tenths are warming up.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import athena

DOT = b"P6 2 1 255 abcdef"

EMULATOR = """
import json, sys
from athena.emulator import Emulator
with Emulator() as emulator:
    print(json.dumps(emulator.environ()), flush=True)
    sys.stdin.read()
"""


class MallInfo(ctypes.Structure):
    """glibc's ``struct mallinfo2``."""

    # Bytes in use: of blocks with a mapping of their own, and of others.
    _fields_ = [
        *((f"before{number}", ctypes.c_size_t) for number in range(4)),
        ("hblkhd", ctypes.c_size_t),
        *((f"between{number}", ctypes.c_size_t) for number in range(2)),
        ("uordblks", ctypes.c_size_t),
        *((f"after{number}", ctypes.c_size_t) for number in range(2)),
    ]


def in_use() -> float:
    """Megabytes of the heap that are in use, where that can be asked for."""
    try:
        mallinfo = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return float("nan")
    mallinfo.restype = MallInfo
    info = mallinfo()
    return (info.uordblks + info.hblkhd) / 1e6


def resident(pid: int) -> float:
    """Megabytes of memory, on Linux."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


async def soak(images: int, emulator: int) -> None:
    client = athena.Client.from_env()
    seen = 0
    for _ in range(10):
        async for outcome in client.classify_all(DOT for _ in range(images // 10)):
            outcome.unwrap()
            seen += 1
        gc.collect()
        print(
            f"{seen:8} images {resident(os.getpid()):8.1f} MB {in_use():8.1f} MB in use"
            f" {len(gc.get_objects()):8} objects, the emulator {resident(emulator):8.1f} MB",
            flush=True,
        )
    assert seen == images // 10 * 10


def main() -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", EMULATOR], text=True, **pipes) as emulator:
        assert emulator.stdout and emulator.stdin
        os.environ |= json.loads(emulator.stdout.readline())
        asyncio.run(soak(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, emulator.pid))
        emulator.stdin.close()


if __name__ == "__main__":
    main()
