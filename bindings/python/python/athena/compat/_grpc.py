"""grpcio, where it is installed: its channels, and the errors that programs catch."""

from __future__ import annotations

from typing import Any

import athena

from .client.exceptions import AthenaError

try:
    import grpc
    import grpc.aio

    ChannelBase: Any = grpc.aio.Channel
    MetadataPlugin: Any = grpc.AuthMetadataPlugin
    AioRpcError: Any = grpc.aio.AioRpcError
except ImportError:
    grpc = None
    ChannelBase = object
    MetadataPlugin = object

    class AioRpcError(AthenaError):  # type: ignore[no-redef]
        """What stands in for grpcio's error, by the name of its status code."""

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


def rpc_error(error: athena.Error) -> Any:
    """The error that grpcio would have raised."""
    code = _CODES.get(error.kind, "INTERNAL")
    if grpc is None:
        return AioRpcError(code, str(error))
    metadata = grpc.aio.Metadata()
    status = getattr(grpc.StatusCode, code)
    return AioRpcError(status, metadata, metadata, details=str(error))


def need(what: str) -> Any:
    """grpcio, or an error that says who needs it."""
    if grpc is None:
        raise ImportError(f"{what} needs grpcio: pip install 'athena-rs[compat]'")
    return grpc
