"""Tokens and secrets, and sources of them that are written in Python."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path

import athena
import pytest
from athena.emulator import Namespace


async def test_credentials_have_a_cache_that_clients_share(
    athena_emulator: Namespace, dot: bytes
) -> None:
    credentials = athena_emulator.credentials()
    token = await credentials.token()
    assert token.scheme == "Bearer" and token.lifetime == 3600.0 and token.expires_at is not None
    for _ in range(2):
        await athena_emulator.client(token_source=credentials).classify(dot)
    assert credentials.requests == 1
    credentials.invalidate(token)
    assert credentials.cached() is None
    assert (await credentials.token()).expose_secret() != ""
    assert credentials.requests == 2


async def test_a_fixed_token(athena_emulator: Namespace, dot: bytes) -> None:
    token = athena.Token(athena_emulator.mint())
    assert (await athena_emulator.client(token_source=token).classify(dot)).weights
    expired = athena.Token(athena_emulator.mint("expired"))
    with pytest.raises(athena.Error) as raised:
        await athena_emulator.client(token_source=expired).classify(dot)
    assert raised.value.kind == "authentication"


async def test_token_sources_in_python(athena_emulator: Namespace, dot: bytes) -> None:
    loop, seen = asyncio.get_running_loop(), []

    async def in_the_loop() -> athena.Token:
        assert asyncio.get_running_loop() is loop
        await asyncio.sleep(0)
        seen.append("async")
        return athena.Token(athena_emulator.mint(), lifetime=600)

    def in_a_thread() -> str:
        assert threading.current_thread() is not threading.main_thread()
        seen.append("sync")
        return athena_emulator.mint()

    for source in (in_the_loop, in_a_thread, lambda: in_the_loop()):
        client = athena_emulator.client(token_source=source)
        await asyncio.gather(*(client.classify(dot) for _ in range(10)))
    assert seen == ["async", "sync", "async"]  # one call each, however many wait for it


def test_async_sources_without_a_loop(athena_emulator: Namespace, dot: bytes) -> None:
    async def source() -> str:
        await asyncio.sleep(0)
        return athena_emulator.mint()

    assert athena_emulator.blocking_client(token_source=source).classify(dot).weights


def test_a_source_that_ends_its_loop_ends_nobody_elses(
    athena_emulator: Namespace, dot: bytes
) -> None:
    async def ends() -> str:
        raise SystemExit(3)

    async def source() -> str:
        return athena_emulator.mint()

    with pytest.raises(athena.Error, match="token source") as raised:
        athena_emulator.blocking_client(token_source=ends).classify(dot)
    cause = raised.value.__cause__
    assert isinstance(cause, RuntimeError) and "SystemExit" in str(cause)
    assert athena_emulator.blocking_client(token_source=source).classify(dot).weights


def test_a_loop_that_is_closed_takes_no_call_of_a_source_with_it(
    athena_emulator: Namespace, dot: bytes
) -> None:
    calls = 0

    async def source() -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.Event().wait()
        return athena_emulator.mint()

    client = athena_emulator.client(token_source=source)

    async def begin() -> asyncio.Task[athena.Verdict]:
        task = asyncio.ensure_future(client.classify(dot))
        while not calls:
            await asyncio.sleep(0)
        return task

    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(begin())
    loop.close()
    assert asyncio.run(client.classify(dot)).weights
    assert calls == 2
    del task


async def test_a_source_that_raises_fails_the_call_with_its_exception(
    athena_emulator: Namespace, dot: bytes
) -> None:
    class VaultError(Exception):
        pass

    def source() -> str:
        raise VaultError("the token is hunter2")

    with pytest.raises(athena.Error) as raised:
        await athena_emulator.client(token_source=source).classify(dot)
    error = raised.value
    assert error.kind == "authentication" and not error.is_transient
    assert isinstance(error.__cause__, VaultError)
    assert "VaultError" in str(error) and "hunter2" not in str(error)


async def test_what_may_pass_is_tried_again(athena_emulator: Namespace, dot: bytes) -> None:
    calls = 0

    def source() -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ConnectionResetError
        return athena_emulator.mint()

    await athena_emulator.client(token_source=source).classify(dot)
    assert calls == 2


async def test_secrets_come_from_functions_and_files(
    athena_emulator: Namespace, dot: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text(athena_emulator.client_secret + "\n")

    async def vault() -> athena.Secret:
        return athena.Secret(athena_emulator.client_secret, valid_for=60)

    for secret in (file, vault, lambda: athena_emulator.client_secret):
        credentials = athena.OAuthClientCredentials(
            athena_emulator.client_id, secret, token_url=athena_emulator._emulator.token_url
        )
        # The client tells the credentials whom to trust.
        await athena_emulator.client(token_source=credentials).classify(dot)


def test_nothing_shows_a_secret() -> None:
    things = [
        athena.Token("hunter2"),
        athena.Secret("hunter2"),
        athena.OAuthClientCredentials("id", "hunter2"),
    ]
    for thing in things:
        assert "hunter2" not in f"{thing!r} {thing}"
    assert "hunter2" not in repr(athena.Client(token_source=things[0]))


async def test_refreshes_are_logged_without_secrets(
    athena_emulator: Namespace,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("athena._logging.token_logger", None)
    with caplog.at_level(logging.DEBUG, logger="athena"):
        credentials = athena_emulator.credentials()
        token = await credentials.token()
        while "token obtained" not in caplog.text:
            await asyncio.sleep(0.01)
    assert {record.name.split(".")[0] for record in caplog.records} == {"athena"}
    assert token.expose_secret() not in caplog.text
    assert athena_emulator.client_secret not in caplog.text
