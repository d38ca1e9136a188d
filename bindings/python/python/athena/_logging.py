"""Events of the SDK as records of ``logging``, under the logger ``athena``."""

from __future__ import annotations

import logging


def log(level: int, target: str, message: str) -> None:
    """Called by the native module, in a thread that does nothing else."""
    name = target.replace("::", ".").replace("athena_", "athena.", 1)
    logger = logging.getLogger(name)
    if logger.isEnabledFor(level):
        # The message is no template: it may hold per cent signs.
        logger.log(level, "%s", message)


logging.getLogger("athena").addHandler(logging.NullHandler())
