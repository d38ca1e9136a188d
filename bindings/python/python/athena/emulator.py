"""A local Athena to test against: real TLS, tokens and gRPC, no account and no network.

::

    with athena.emulator.Emulator() as emulator:
        emulator.add_rule(image=upload, weights={"UnknownCSAM-PCSAM": 0.97})
        verdict = emulator.blocking_client().classify(upload)
        assert verdict.pcsam > 0.9

**It is not a classifier.** Weights that no rule decides are computed from the pixels and mean nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from . import _athena, blocking
from ._athena import OAuthClientCredentials
from ._client import Client
from ._errors import EmulatorError
from ._types import Buffer, Seconds

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Emulator", "Namespace"]


class Namespace:
    """A part of an emulator with credentials, rules, faults, deployments and figures of its own.

    Tests that run at the same time share one emulator so. It lasts until it is deleted, which the
    end of a ``with`` block does, or the emulator stops.
    """

    name: str
    """Its name."""
    client_id: str
    """Its client's id."""
    client_secret: str
    """That client's secret."""
    affiliate: str
    """An affiliate that the client may classify for."""

    def __init__(self, emulator: Emulator, told: dict[str, Any]) -> None:
        self._owner = emulator
        self._path = f"/namespaces/{quote(told['name'], safe='')}"
        self.name = told["name"]
        self.client_id = told["client_id"]
        self.client_secret = told["client_secret"]
        self.affiliate = told["affiliate"]

    @property
    def _emulator(self) -> Emulator:
        return self._owner

    def credentials(self) -> OAuthClientCredentials:
        """Credentials that the emulator accepts."""
        emulator = self._emulator
        return OAuthClientCredentials(
            self.client_id,
            self.client_secret,
            token_url=emulator.token_url,
            audience=emulator.audience,
            ca_certificate=emulator.ca_pem,
        )

    def client(self, **settings: Any) -> Client:
        """An asynchronous client of it, with settings of yours on top."""
        return Client(**self._settings(settings))

    def blocking_client(self, **settings: Any) -> blocking.Client:
        """A blocking client of it, with settings of yours on top."""
        return blocking.Client(**self._settings(settings))

    def _settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        emulator = self._emulator
        known: dict[str, Any] = {
            "endpoint": emulator.endpoint,
            "affiliate": self.affiliate,
            "ca_certificate": emulator.ca_pem,
        }
        if "token_source" not in settings:
            known["token_source"] = self.credentials()
        return known | settings

    def environ(self) -> dict[str, str]:
        """The variables that point programs in any language at it, CA included."""
        return self._emulator._environ() | {
            "ATHENA_AFFILIATE": self.affiliate,
            "OAUTH_CLIENT_ID": self.client_id,
            "OAUTH_CLIENT_SECRET": self.client_secret,
            "ATHENA_EMULATOR_ADMIN_URL": self._emulator.admin_url + self._path,
        }

    @contextlib.contextmanager
    def environment(self) -> Iterator[dict[str, str]]:
        """Sets those variables in this process for the time of a ``with`` block."""
        variables = self.environ()
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            yield variables
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    def add_rule(
        self,
        *,
        image: Buffer | None = None,
        md5: str | None = None,
        sha1: str | None = None,
        correlation_id: str | None = None,
        affiliate: str | None = None,
        deployment: str | None = None,
        format: str | None = None,
        weights: dict[str, float] | None = None,
        known: bool | None = None,
        error: str | tuple[str, str] | None = None,
        delay: Seconds | None = None,
        silent: bool = False,
        next: int | None = None,
        name: str | None = None,
    ) -> None:
        """Decides what is answered to inputs that fit; the first rule that fits wins.

        Which inputs: those of ``image`` (a file, known by its pixels and hashes in every payload),
        ``md5`` or ``sha1``; with a ``correlation_id`` (``*`` stands for any text), ``affiliate``,
        ``deployment`` or ``format``. All of them when nothing is said.

        What is answered: exactly these ``weights``; whether the hashes that were sent are
        ``known``; an ``error``, as a code such as ``"model_error"`` or a pair of code and text;
        after a ``delay`` in seconds; or nothing at all when ``silent``. What is left out is as
        without the rule. With ``next`` the rule answers so many inputs, then it is spent.
        """
        when: dict[str, Any] = {}
        if image is not None:
            when = dict(self._emulator.digests(image))
        for key, value in _said(
            md5=md5,
            sha1=sha1,
            correlation_id=correlation_id,
            affiliate=affiliate,
            deployment=deployment,
            format=format,
        ).items():
            when[key] = value
        code, text = error if isinstance(error, tuple) else (error, "")
        answer = _said(
            weights=weights,
            known=known,
            error=None if code is None else {"code": code, "message": text},
            delay=None if delay is None else _duration(delay),
        )
        if silent:
            answer["silent"] = True
        rule = _said(name=name, next=next) | {"when": when, "answer": answer}
        self._ask("POST", "/rules", rule)

    def rules(self) -> list[dict[str, Any]]:
        """The rules, and in ``matches`` how many inputs each has answered."""
        rules: list[dict[str, Any]] = self._ask("GET", "/rules")
        return rules

    def clear_rules(self) -> None:
        """Forgets all rules."""
        self._ask("DELETE", "/rules")

    def expect(
        self,
        count: int | None = None,
        *,
        at_least: int | None = None,
        within: Seconds = 5.0,
        **selector: str,
    ) -> list[dict[str, Any]]:
        """Waits until so many inputs have come that fit the selector, and returns them.

        The selector is as in :meth:`add_rule`. By default one input or more. Raises
        ``AssertionError`` with what did come. Blocks: in a coroutine use :meth:`expect_async`.
        """
        wanted = _said(count=count, at_least=at_least)
        if not wanted:
            wanted = {"at_least": 1}
        query = urlencode(wanted | selector | {"wait": _duration(within)})
        status, body = self._emulator._request("GET", f"{self._path}/inputs?{query}")
        if status == http.HTTPStatus.EXPECTATION_FAILED:
            raise AssertionError(body.decode(errors="replace"))
        inputs: list[dict[str, Any]] = _answer(status, body)
        return inputs

    async def expect_async(
        self,
        count: int | None = None,
        *,
        at_least: int | None = None,
        within: Seconds = 5.0,
        **selector: str,
    ) -> list[dict[str, Any]]:
        """As :meth:`expect`, while the event loop goes on."""
        return await asyncio.to_thread(
            self.expect, count, at_least=at_least, within=within, **selector
        )

    def inputs(self) -> list[dict[str, Any]]:
        """The last inputs, up to a thousand, oldest first, without their images."""
        inputs: list[dict[str, Any]] = self._ask("GET", "/inputs")
        return inputs

    def stats(self) -> dict[str, Any]:
        """What has happened so far."""
        stats: dict[str, Any] = self._ask("GET", "/stats")
        return stats

    def deployments(self) -> list[dict[str, Any]]:
        """The deployments of its clients."""
        deployments: list[dict[str, Any]] = self._ask("GET", "/deployments")
        return deployments

    def set_faults(self, **faults: Any) -> None:
        """What to do wrong on purpose, as ``set_faults(seed=7, cut={"next": 1})``.

        docs/emulator.md lists the faults. Without arguments there are none any more.
        """
        self._ask("PUT", "/faults", faults)

    def add_known_hashes(self, *digests: str) -> None:
        """More MD5 or SHA-1 digests, in hexadecimal, that count as known content."""
        self._ask("POST", "/known-hashes", list(digests))

    def mint(self, kind: str = "valid") -> str:
        """An access token: ``valid``, ``expired``, ``wrong_audience``, ``foreign`` and others."""
        token: str = self._ask("POST", f"/tokens?kind={quote(kind)}")["access_token"]
        return token

    def revoke_tokens(self) -> None:
        """Refuses every token issued so far."""
        self._ask("POST", "/tokens/revoke")

    def cut_streams(self) -> None:
        """Ends all open streams; results that nobody collected wait in their deployments."""
        self._ask("POST", "/streams/cut")

    def goaway(self) -> None:
        """Sends ``GOAWAY`` on all connections."""
        self._ask("POST", "/connections/goaway")

    def disconnect(self) -> None:
        """Drops all connections without a farewell."""
        self._ask("POST", "/connections/drop")

    def reset(self) -> None:
        """Back to how it began."""
        self._ask("POST", "/reset")

    def delete(self) -> None:
        """Ends the namespace: its streams are cut, its tokens refused."""
        self._emulator._ask_at("DELETE", self._path)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        return self._emulator._ask_at(method, self._path + path, body)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.delete()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.delete()


class Emulator(Namespace):
    """An emulator in this process, on free ports of loopback, for as long as a ``with`` block.

    Settings are those of its TOML file, as in ``Emulator(token_lifetime="90s", labels="live")``;
    docs/emulator.md has them. What a :class:`Namespace` does, it does for the configured clients.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings_of_emulator = settings
        self._core: _athena.Emulator | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._path = ""
        self.name = "default"

    @property
    def _emulator(self) -> Emulator:
        return self

    def start(self) -> Self:
        """Starts it; it is ready to be called then."""
        settings = json.dumps(self._settings_of_emulator)
        self._started(_athena.Emulator.start(settings).wait())
        return self

    def stop(self) -> None:
        """Stops it, once what is in progress has been handed out."""
        if (core := self._stopped()) is not None:
            core.shutdown().wait()

    def _started(self, core: _athena.Emulator) -> None:
        self._core = core
        self.endpoint = core.endpoint
        self.host = core.host
        self.token_url = core.token_url
        self.admin_url = core.admin_url
        self.ca_pem = core.ca_pem
        self.audience = core.audience
        self.client_id = core.client_id
        self.client_secret = core.client_secret
        self.affiliate = core.affiliate

    def _stopped(self) -> _athena.Emulator | None:
        core, self._core = self._core, None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
        return core

    endpoint: str
    """The gRPC endpoint, as ``https://localhost:PORT``."""
    host: str
    """The same as ``host:port``."""
    token_url: str
    """The token endpoint."""
    admin_url: str
    """The admin API, which curl and browsers' developers can ask as well."""
    ca_pem: str
    """The certificate of the CA that clients must trust."""
    audience: str
    """The audience that tokens must have."""

    def namespace(self, name: str | None = None) -> Namespace:
        """A fresh namespace, for a test that shares the emulator with others."""
        told = self._ask_at("POST", "/namespaces", _said(name=name))
        return Namespace(self, told)

    def digests(self, image: Buffer) -> dict[str, str]:
        """What rules tell an image by."""
        body = bytes(image) if isinstance(image, bytes) else memoryview(image).tobytes()
        digests: dict[str, str] = _answer(*self._request("POST", "/digests", body))
        return digests

    def restart(self, downtime: Seconds = 0.0) -> None:
        """Closes the gRPC port and its connections, and opens it again after ``downtime``."""
        self._ask("POST", f"/listener/restart?downtime={_duration(downtime)}")

    @property
    def ca_file(self) -> str:
        """A file with :attr:`ca_pem`, which goes when the emulator stops."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="athena-emulator-")
        path = os.path.join(self._folder.name, "ca.pem")
        if not os.path.exists(path):
            with open(path, "w", encoding="ascii") as file:
                file.write(self.ca_pem)
        return path

    def _environ(self) -> dict[str, str]:
        if self._core is None:
            raise EmulatorError("the emulator is not running")
        variables = {}
        for line in self._core.environment(self.ca_file).splitlines():
            name, equals, value = line.partition("=")
            if equals and not name.startswith("#"):
                variables[name] = value.strip("'")
        return variables | {"ATHENA_CA_FILE": self.ca_file}

    def delete(self) -> None:
        """The namespace of the configured clients stays: this resets it."""
        self.reset()

    def _ask_at(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        return _answer(*self._request(method, path, data))

    def _request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        if self._core is None:
            raise EmulatorError("the emulator is not running")
        # No proxy, whatever the environment says, and no time limit but the emulator's own.
        connection = http.client.HTTPConnection(urlsplit(self.admin_url).netloc)
        try:
            headers = {} if body is None else {"content-type": "application/json"}
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        settings = json.dumps(self._settings_of_emulator)
        self._started(await _athena.Emulator.start(settings))
        return self

    async def __aexit__(self, *_: object) -> None:
        if (core := self._stopped()) is not None:
            await core.shutdown()


def _said(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _duration(seconds: Seconds) -> str:
    seconds = seconds if isinstance(seconds, (int, float)) else seconds.total_seconds()
    return f"{round(seconds * 1e6)}us"


def _answer(status: int, body: bytes) -> Any:
    text = body.decode(errors="replace")
    try:
        told = json.loads(text) if text else None
    except ValueError:
        told = text.strip()
    if status >= http.HTTPStatus.BAD_REQUEST:
        error = told.get("error") if isinstance(told, dict) else None
        raise EmulatorError(error or told or f"HTTP {status}")
    return told
