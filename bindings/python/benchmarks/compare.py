"""The earlier client and this package, side by side: the same program with another import.

    python benchmarks/compare.py FOLDER-OF-PHOTOGRAPHS

Needs an interpreter that has both: Python 3.12 or later, ``pip install resolver_athena_client
protobuf`` and the wheel. Each measurement is a process of its own, against an emulator in this one.
Figures include the start of the interpreter; CPU is that of the client's process alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

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
print(json.dumps({
    "images": seen,
    "seconds": time.perf_counter() - began,
    "cpu": used.ru_utime + used.ru_stime,
    "mb": used.ru_maxrss / 1024,
}), flush=True)
os._exit(0)  # the earlier client's tasks would keep it
"""


def measure(folder: str, count: int, mode: str, environ: dict[str, str], ours: bool) -> dict:
    if ours:
        switch = subprocess.check_output([sys.executable, "-m", "athena.compat"], text=True)
        environ = environ | {"PYTHONPATH": switch.strip()}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder, str(count), mode],
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", help="photographs to cycle through")
    parser.add_argument("--few", type=int, default=60, help="images for what is slow")
    parser.add_argument("--many", type=int, default=3000, help="images for what is not")
    options = parser.parse_args()
    folder = str(Path(options.folder).resolve())

    from athena.emulator import Emulator

    with Emulator() as emulator:
        environ = emulator.environ()
        print(f"{'':34}{'images/s':>10}{'CPU ms/image':>14}{'MB':>8}")
        for mode, few in (("defaults", options.few), ("uncompressed", options.many)):
            old = measure(folder, few, mode, environ, ours=False)
            new = measure(folder, options.many, mode, environ, ours=True)
            for name, figures in (
                (f"resolver_athena_client, {mode}", old),
                (f"athena.compat, {mode}", new),
            ):
                line = f"{figures['images/s']:10.1f}{figures['CPU ms/image']:14.2f}{figures['MB']:8.0f}"
                print(f"{name:34}{line}")
            ratios = (
                f"{new['images/s'] / old['images/s']:9.1f}x"
                f"{old['CPU ms/image'] / new['CPU ms/image']:13.1f}x{old['MB'] / new['MB']:7.1f}x"
            )
            print(f"{'better by':34}{ratios}")


if __name__ == "__main__":
    main()
