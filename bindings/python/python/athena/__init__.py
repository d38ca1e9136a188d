"""Client for the Athena image-classification service, and a local Athena to test against.

- :class:`Client`: for asyncio. :mod:`athena.blocking` has the same for threads.
- :mod:`athena.imaging`: files to the exact pixels that the service wants, without a client.
- :mod:`athena.emulator`: a running Athena for tests, also as the pytest fixture ``athena_emulator``.
- :mod:`athena.compat`: for programs that were written for the service's earlier Python client.

Events are logged under the logger ``athena``.
"""

from typing import Any

from . import _logging as _logging
from ._athena import (
    DEFAULT_AUDIENCE,
    DEFAULT_ENDPOINT,
    DEFAULT_TOKEN_URL,
    ForkError,
    OAuthClientCredentials,
    Provenance,
    Secret,
    Token,
    Verdict,
    __version__,
)
from ._client import ClassifyAll, Client, Pending, Session
from ._errors import (
    ConfigError,
    Delivery,
    EmulatorError,
    Error,
    ErrorKind,
    ImageError,
    Unfinished,
)
from ._types import Deployment, Image, Outcome, SecretSource, Source, Stats, TokenSource

__all__ = [
    "DEFAULT_AUDIENCE",
    "DEFAULT_ENDPOINT",
    "DEFAULT_TOKEN_URL",
    "ClassifyAll",
    "Client",
    "ConfigError",
    "Delivery",
    "Deployment",
    "EmulatorError",
    "Error",
    "ErrorKind",
    "ForkError",
    "Image",
    "ImageError",
    "OAuthClientCredentials",
    "Outcome",
    "Pending",
    "Provenance",
    "Secret",
    "SecretSource",
    "Session",
    "Source",
    "Stats",
    "Token",
    "TokenSource",
    "Unfinished",
    "Verdict",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Submodules are there without an import of their own, and cost nothing before they are used."""
    if name in ("blocking", "compat", "emulator", "imaging"):
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
