"""What asynchronous and blocking clients have in common: their settings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ._athena import Client as _Client
from ._errors import Error
from ._types import Pem, Seconds, TokenSource

if TYPE_CHECKING:
    from typing_extensions import Self

    from .imaging import Preprocessor


class BaseClient:
    """The settings of a client. Nothing is connected and no thread is started by making one."""

    _core_or_none: _Client | None

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        token_source: TokenSource | None = None,
        affiliate: str | None = None,
        preprocessor: Preprocessor | None = None,
        ca_certificate: Pem | None = None,
        only_given_authorities: bool = False,
        identity_files: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None,
        server_name: str | None = None,
        proxy: str | None = None,
        no_proxy: bool = False,
        allow_plaintext: bool = False,
        timeout: Seconds | None = None,
        connect_timeout: Seconds | None = None,
        ping: tuple[Seconds, Seconds] | None = None,
        preparation_threads: int | None = None,
        hash_undecodable: bool = True,
        sha256: bool = False,
        _from_env: bool = False,
    ) -> None:
        """
        - ``endpoint``: ``https://host:port`` or ``host:port``; the live service by default.
        - ``token_source``: see :data:`TokenSource`. Without one calls carry no token.
        - ``affiliate``: on whose behalf images are classified, unless an image names its own.
        - ``preprocessor``: how images are prepared; see :mod:`athena.imaging`.
        - ``ca_certificate``: certificate authorities to trust as well, here and at the token
          endpoint; ``only_given_authorities`` trusts no others.
        - ``identity_files``: certificate and key (PEM) for mutual TLS, read for each connection.
        - ``server_name``: the name that the server's certificate must have, if not the host's.
        - ``proxy``: ``http://user:password@host:port`` instead of ``HTTPS_PROXY`` and its like;
          ``no_proxy`` uses none.
        - ``allow_plaintext``: whether an ``http://`` endpoint may be on another machine.
        - ``timeout``: for a single call, preparation and retries included; 30 s.
        - ``connect_timeout``: for a connection; 10 s.
        - ``ping``: how often a quiet connection is pinged, and how long the answer may take.
        - ``preparation_threads``: images prepared at the same time; the number of cores.
        - ``hash_undecodable``: whether an image that cannot be decoded is looked up by its hashes.
        - ``sha256``: whether verdicts and errors tell the file's SHA-256.

        Times are in seconds. Raises :class:`ConfigError` for what cannot work.
        """
        self._core_or_none = _Client(
            from_env=_from_env,
            endpoint=endpoint,
            token_source=token_source,
            affiliate=affiliate,
            preprocessor=getattr(preprocessor, "_core", preprocessor),
            ca_certificate=ca_certificate,
            only_given_authorities=only_given_authorities,
            identity_files=identity_files,
            server_name=server_name,
            proxy=proxy,
            no_proxy=no_proxy,
            allow_plaintext=allow_plaintext,
            timeout=timeout,
            connect_timeout=connect_timeout,
            ping=ping,
            preparation_threads=preparation_threads,
            hash_undecodable=hash_undecodable,
            sha256=sha256,
        )

    @classmethod
    def from_env(cls, **settings: Any) -> Self:
        """A client as the environment says, with the same settings as ``Client()`` on top.

        ``OAUTH_CLIENT_ID`` with ``OAUTH_CLIENT_SECRET`` or ``OAUTH_CLIENT_SECRET_FILE``, or else
        ``ATHENA_TOKEN``, is required; ``ATHENA_HOST``, ``ATHENA_AFFILIATE``, ``OAUTH_AUTH_URL``,
        ``OAUTH_AUDIENCE`` and ``ATHENA_CA_FILE`` have defaults.
        """
        return cls(**settings, _from_env=True)

    @property
    def _core(self) -> _Client:
        if self._core_or_none is None:
            raise Error("the client is closed", "closed", "not_sent")
        return self._core_or_none

    def _release(self) -> None:
        self._core_or_none = None
