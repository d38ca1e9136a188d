"""Events of the SDK as records of ``logging``, under the logger ``athena``."""

from __future__ import annotations

import logging

token_loggers: set[str] = set()
"""Names of other loggers under which events of tokens are logged as well."""


def log(level: int, target: str, message: str) -> None:
    """Called by the native module, in a thread that does nothing else."""
    names = {target.replace("::", ".").replace("athena_", "athena.", 1)}
    if target.startswith("athena_auth"):
        names |= token_loggers
    for name in names:
        # The message is no template: it may hold per cent signs.
        logging.getLogger(name).log(level, "%s", message)


logging.getLogger("athena").addHandler(logging.NullHandler())
