"""Credentials, and channels that use them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import athena
from athena import _logging

from .._grpc import need, register
from .exceptions import (
    CredentialError,
    InvalidAuthError,
    InvalidHostError,
    OAuthError,
    ServiceUnreachableError,
)

if TYPE_CHECKING:
    from typing_extensions import Self

# The name that the authentication guide sets to DEBUG.
_logging.token_logger = "athena_client.client.channel"


@dataclass(frozen=True)
class TokenData:
    """A token and its times, in seconds since 1970."""

    access_token: str = field(repr=False)
    expires_at: float
    scheme: str
    issued_at: float = field(default_factory=time.time)
    proactive_refresh_threshold: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.proactive_refresh_threshold < 1:
            raise ValueError("proactive_refresh_threshold must be between 0 and 1")

    def is_valid(self) -> bool:
        """Whether it has 30 s to live."""
        return time.time() < self.expires_at - 30

    def is_old(self) -> bool:
        """Whether less than the threshold is left of its life."""
        life = self.expires_at - self.issued_at
        return self.expires_at - time.time() < life * self.proactive_refresh_threshold


class _Token(TokenData, str):
    """A token for both spellings: ``get_token().access_token`` and ``len(await get_token())``.

    It is the text, has the attributes of :class:`TokenData`, and may be awaited.
    """

    def __new__(cls, access_token: str, *_: object, **__: object) -> Self:
        return str.__new__(cls, access_token)

    def __await__(self) -> Generator[Any, None, Self]:
        return self
        yield

    def __str__(self) -> str:
        return self.access_token

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return str.__hash__(self)

    def __reduce__(self) -> tuple[Any, ...]:
        fields = (self.access_token, self.expires_at, self.scheme, self.issued_at)
        return (type(self), (*fields, self.proactive_refresh_threshold))


class CredentialHelper:
    """Tokens by the client-credentials grant, from one cache for all threads and channels.

    A token is renewed in the background before it expires.
    """

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        auth_url: str = athena.DEFAULT_TOKEN_URL,
        audience: str = athena.DEFAULT_AUDIENCE,
        proactive_refresh_threshold: float = 0.25,
    ) -> None:
        if not client_id:
            raise CredentialError("client_id cannot be empty")
        if not client_secret:
            raise CredentialError("client_secret cannot be empty")
        if not 0 < proactive_refresh_threshold < 1:
            raise ValueError("proactive_refresh_threshold must be a float between 0 and 1")
        self._threshold = proactive_refresh_threshold
        self._settings = (client_id, client_secret, auth_url, audience)
        self._lock = threading.Lock()
        self._made: tuple[int, athena.OAuthClientCredentials] | None = None

    def __repr__(self) -> str:
        return f"CredentialHelper({self._settings[0]!r}, [redacted])"

    @property
    def client_id(self) -> str:
        """Whose tokens these are."""
        return self._settings[0]

    @property
    def source(self) -> athena.OAuthClientCredentials:
        """The credentials behind it, for :class:`athena.Client`."""
        with self._lock:
            # A forked worker goes on with credentials of its own.
            if self._made is None or self._made[0] != os.getpid():
                client_id, secret, url, audience = self._settings
                try:
                    made = athena.OAuthClientCredentials(
                        client_id,
                        secret,
                        token_url=url,
                        audience=audience,
                        ca_certificate=_authorities(),
                        # A quarter of the token's life, which is the most there is.
                        refresh_before=timedelta(days=3650),
                        # For an endpoint that is not there; the earlier client did not try again.
                        patience=10,
                    )
                except athena.ConfigError as error:
                    raise OAuthError(str(error)) from error
                self._made = (os.getpid(), made)
            return self._made[1]

    def get_token(self) -> _Token:
        """A token that is valid now, which may be awaited. Raises :class:`OAuthError`.

        Waits for the token endpoint when there is none, also in an event loop, as it always has:
        channels get theirs without waiting.
        """
        source = self.source
        try:
            token = source.cached() or source.token().wait()
        except athena.Error as error:
            raise _oauth_error(error) from error
        lifetime = 3600.0 if token.lifetime is None else token.lifetime
        expires_at = token.expires_at or time.time() + lifetime
        return _Token(
            token.expose_secret(),
            expires_at,
            token.scheme,
            expires_at - lifetime,
            self._threshold,
        )

    def invalidate_token(self) -> None:
        """Forgets the token: the next one is fetched."""
        token = self.source.cached()
        if token is not None:
            self.source.invalidate(token)


def _oauth_error(error: athena.Error) -> OAuthError:
    if error.status is not None:
        code = f": {error.oauth_code}" if error.oauth_code else ""
        return OAuthError(f"OAuth request failed with status {error.status}{code}")
    if error.is_transient:
        return OAuthError(f"Failed to connect to OAuth server: {error}")
    return OAuthError(str(error))


def _authorities() -> Path | None:
    """The authorities that gRPC is told to trust."""
    path = os.environ.get("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH")
    return Path(path) if path else None


class _AutoRefreshTokenAuthMetadataPlugin:
    """Puts a token on each call of a channel of grpcio."""

    def __init__(self, credential_helper: CredentialHelper) -> None:
        self._credential_helper = credential_helper

    def __call__(self, _: Any, callback: Any) -> None:
        try:
            token = self._credential_helper.get_token()
            callback((("authorization", f"{token.scheme} {token.access_token}"),), None)
        except Exception as error:  # noqa: BLE001 - gRPC passes it on
            callback((), error)


class Channel:
    """A way to the service: calls of :class:`AthenaClient` go through the native client.

    It is a ``grpc.aio.Channel`` as well, for programs that make calls of their own: these go
    through a channel of grpcio, which is made for the first of them.
    """

    def __init__(self, host: str, tokens: Any) -> None:
        register(type(self))
        self._host = host.removeprefix("dns:///")
        self._tokens = tokens
        self._grpc: Any = None
        self._clients: dict[tuple[Any, ...], athena.Client] = {}

    def client(self, preprocessor: Any, settings: tuple[str, float | None]) -> athena.Client:
        """The native client with this preprocessor, affiliate and time for a call."""
        key = (os.getpid(), preprocessor, *settings)
        if key not in self._clients:
            affiliate, timeout = settings
            self._clients[key] = athena.Client(
                self._host,
                token_source=self._source(),
                affiliate=affiliate,
                preprocessor=preprocessor,
                ca_certificate=_authorities(),
                timeout=timeout,
            )
        return self._clients[key]

    @property
    def account(self) -> tuple[str, str]:
        """Whose results these are: host and client."""
        helper = self._tokens
        ours = issubclass(type(helper), CredentialHelper)
        return self._host, helper.client_id if ours else str(id(helper))

    def _source(self) -> Any:
        if isinstance(self._tokens, athena.Token):
            return self._tokens
        if issubclass(type(self._tokens), CredentialHelper):
            return self._tokens.source
        return _foreign(self._tokens)

    async def check(self) -> None:
        """Whether the service can be reached with these credentials, as the guide expects."""
        try:
            await self.client(None, ("", None)).ready()
        except athena.Error as error:
            if error.kind == athena.ErrorKind.AUTHENTICATION:
                raise _oauth_error(error) from error
            if error.kind in _UNREACHABLE:
                message = f"cannot reach the service at {self._host}: {error}"
                raise ServiceUnreachableError(message) from error

    def _channel(self) -> Any:
        if self._grpc is None:
            grpc = need("a call through grpc.aio")
            if isinstance(self._tokens, athena.Token):
                calls = grpc.access_token_call_credentials(self._tokens.expose_secret())
            else:
                calls = grpc.metadata_call_credentials(
                    _AutoRefreshTokenAuthMetadataPlugin(self._tokens)
                )
            credentials = grpc.composite_channel_credentials(grpc.ssl_channel_credentials(), calls)
            options = [("grpc.max_receive_message_length", 64 << 20)]
            self._grpc = grpc.aio.secure_channel(self._host, credentials, options=options)
        return self._grpc

    async def close(self, grace: float | None = None) -> None:
        """Lets go of the connections."""
        self._clients.clear()
        if self._grpc is not None:
            await self._grpc.close(grace)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def get_state(self, try_to_connect: bool = False) -> Any:
        return self._channel().get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: Any) -> None:
        await self._channel().wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._channel().channel_ready()

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._channel().unary_unary(*args, **kwargs)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._channel().unary_stream(*args, **kwargs)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._channel().stream_unary(*args, **kwargs)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._channel().stream_stream(*args, **kwargs)


_UNREACHABLE = (
    athena.ErrorKind.CONNECT,
    athena.ErrorKind.TLS,
    athena.ErrorKind.UNAVAILABLE,
    athena.ErrorKind.TIMEOUT,
)


def _foreign(helper: Any) -> Any:
    """A source of tokens of a helper that is not ours but has ``get_token``."""

    def source() -> athena.Token:
        token = helper.get_token()
        left = max(0.0, token.expires_at - time.time())
        return athena.Token(token.access_token, scheme=token.scheme, lifetime=left)

    return source


async def create_channel_with_credentials(
    host: str, credential_helper: CredentialHelper
) -> Channel:
    """A channel whose calls carry the helper's token.

    Raises :class:`InvalidHostError` without a host; :class:`OAuthError`, which is an
    ``AuthenticationError``, when there is no token; and a ``ConnectionError`` when the service
    cannot be reached.
    """
    if not host:
        raise InvalidHostError(InvalidHostError.default_message)
    channel = Channel(host, credential_helper)
    # A helper of the program's own, such as a mock, is asked when it is needed.
    if issubclass(type(credential_helper), CredentialHelper):
        await channel.check()
    return channel


def create_channel(host: str, auth_token: str) -> Channel:
    """A channel whose calls carry a fixed token, which cannot be renewed."""
    if not host:
        raise InvalidHostError(InvalidHostError.default_message)
    if not auth_token:
        raise InvalidAuthError(InvalidAuthError.default_message)
    try:
        return Channel(host, athena.Token(auth_token))
    except athena.ConfigError as error:
        raise InvalidAuthError(str(error)) from error
