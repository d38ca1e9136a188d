"""Prints what to put on ``PYTHONPATH`` so that ``resolver_athena_client`` is this package."""

import os
from pathlib import Path

print(
    os.pathsep.join(
        filter(None, [str(Path(__file__).with_name("_switch")), os.environ.get("PYTHONPATH")])
    )
)
