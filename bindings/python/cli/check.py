"""Whether an installed tool classifies pictures: ``python check.py TOOL PICTURE...``, with the SDK installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from athena.emulator import Emulator

tool, *pictures = sys.argv[1:]
with Emulator() as emulator:
    done = subprocess.run(
        [tool, "classify", "--json", *pictures],
        env=os.environ | emulator.environ(),
        stdout=subprocess.PIPE,
        check=True,
    )
records = [json.loads(line) for line in done.stdout.splitlines()]
assert {record["path"] for record in records} == set(pictures), records
assert all(record["pcsam"] is not None for record in records), records
