"""What is raised besides ``grpc.aio.AioRpcError``."""

from __future__ import annotations

from typing import Any


class AthenaError(Exception):
    """The root of them all."""


class InvalidRequestError(AthenaError):
    """A request that cannot be sent."""

    default_message: str = "Invalid request"


class InvalidResponseError(AthenaError):
    """An answer that breaks the contract."""

    default_message: str = "Invalid response"


class AuthenticationError(AthenaError):
    """The root of what has to do with credentials: the name that the authentication guide uses."""


class InvalidAuthError(AuthenticationError):
    """There is no token."""

    default_message: str = "auth_token cannot be empty"


class InvalidHostError(AthenaError):
    """There is no host."""

    default_message: str = "host cannot be empty"


class OAuthError(AuthenticationError):
    """The token endpoint gave no token."""

    default_message: str = "OAuth authentication failed"


class TokenExpiredError(AuthenticationError):
    """The token has expired."""

    default_message: str = "Authentication token has expired"


class CredentialError(AuthenticationError):
    """The credentials cannot be used."""

    default_message: str = "Credential management error"


class ServiceUnreachableError(AthenaError, ConnectionError):
    """The service cannot be reached: a ``ConnectionError``, as the authentication guide expects."""


class UndecodableImageError(AthenaError, ValueError):
    """An image that cannot be decoded: a ``ValueError``, as the earlier client raises."""


class ClassificationOutputError(AthenaError):
    """The service answered for an image with an error."""

    def __init__(self, correlation_id: str, error: Any, message: str | None = None) -> None:
        self.correlation_id = correlation_id
        self.error_code = error.code
        self.error_message = error.message
        self.error_details = error.details
        if message is None:
            details = f" ({error.details})" if error.details else ""
            message = f"Classification failed for {correlation_id[:8]}: {error.message}{details}"
        super().__init__(message)
