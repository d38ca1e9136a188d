"""grpcio, where it is installed: its channels, and the errors that programs catch.

It is imported when something needs it: most programs never do, and it would double what the import takes.
"""

from __future__ import annotations

import sys
from typing import Any

import athena

from .client.exceptions import AthenaError


class _AioRpcError(AthenaError):
    """What stands in for grpcio's error where that is not installed, by the name of its status code."""

    def __init__(self, code: str, details: str) -> None:
        super().__init__(f"{code}: {details}")
        self._code, self._details = code, details

    def code(self) -> str:
        """The status code's name."""
        return self._code

    def details(self) -> str:
        """What happened."""
        return self._details


_CODES = {
    athena.ErrorKind.AUTHENTICATION: "UNAUTHENTICATED",
    athena.ErrorKind.NOT_PERMITTED: "PERMISSION_DENIED",
    athena.ErrorKind.INVALID_REQUEST: "INVALID_ARGUMENT",
    athena.ErrorKind.TOO_LARGE: "RESOURCE_EXHAUSTED",
    athena.ErrorKind.OVERLOADED: "RESOURCE_EXHAUSTED",
    athena.ErrorKind.TIMEOUT: "DEADLINE_EXCEEDED",
    athena.ErrorKind.CLOSED: "CANCELLED",
    athena.ErrorKind.CONNECT: "UNAVAILABLE",
    athena.ErrorKind.TLS: "UNAVAILABLE",
    athena.ErrorKind.UNAVAILABLE: "UNAVAILABLE",
}


def _grpc() -> Any:
    try:
        import grpc
        import grpc.aio
    except ImportError:
        return None
    return grpc


def rpc_error(error: athena.Error) -> Any:
    """The error that grpcio would have raised."""
    code, grpc = _CODES.get(error.kind, "INTERNAL"), _grpc()
    if grpc is None:
        return _AioRpcError(code, str(error))
    metadata = grpc.aio.Metadata()
    status = getattr(grpc.StatusCode, code)
    return grpc.aio.AioRpcError(status, metadata, metadata, details=str(error))


def need(what: str) -> Any:
    """grpcio, or an error that says who needs it."""
    grpc = _grpc()
    if grpc is None:
        raise ImportError(f"{what} needs grpcio: pip install 'athena-rs[compat]'")
    return grpc


def register(channel: type) -> None:
    """Makes a class one of ``grpc.aio.Channel``'s for ``isinstance``, once somebody can ask."""
    base = getattr(sys.modules.get("grpc.aio"), "Channel", None)
    if base is not None:
        base.register(channel)
