"""Events of the SDK as records of ``logging``, under the logger ``athena``."""

from __future__ import annotations

import logging

token_logger: str | None = None
"""The logger for events of tokens, where that is to be another."""


def log(level: int, target: str, message: str) -> None:
    """Called by the native module, in a thread that does nothing else."""
    name = target.replace("::", ".").replace("athena_", "athena.", 1)
    if token_logger is not None and target.startswith("athena_auth"):
        name = token_logger
    # The message is not a template: it may hold per cent signs.
    logging.getLogger(name).log(level, "%s", message)


logging.getLogger("athena").addHandler(logging.NullHandler())
