"""A long stream of small images: every one has its outcome, and memory does not grow.

    python benchmarks/soak.py [IMAGES]

Prints resident memory and Python objects every tenth part; the first tenth is warming up.
"""

from __future__ import annotations

import asyncio
import gc
import sys

from athena.emulator import Emulator

DOT = b"P6 2 1 255 abcdef"


def resident() -> float:
    """Megabytes of memory, on Linux."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


async def soak(images: int) -> None:
    async with Emulator() as emulator:
        client = emulator.client()
        seen = 0
        for _ in range(10):
            async for outcome in client.classify_all(DOT for _ in range(images // 10)):
                outcome.unwrap()
                seen += 1
            gc.collect()
            print(
                f"{seen:8} images {resident():8.1f} MB {len(gc.get_objects()):8} objects",
                flush=True,
            )
        assert seen == images // 10 * 10


asyncio.run(soak(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
