"""Single calls, and what they end in."""

from __future__ import annotations

import asyncio
import os
import pickle
import struct
import zlib
from pathlib import Path

import athena
import athena.blocking
import pytest
from athena.emulator import Emulator, Namespace


async def test_an_image_may_be_bytes_a_buffer_a_path_or_an_image(
    athena_emulator: Namespace, pictures: list[Path]
) -> None:
    client, path = athena_emulator.client(), pictures[0]
    data = path.read_bytes()
    image = athena.Image(data, correlation_id="upload-7")
    sources = [data, bytearray(data), memoryview(data), path, str(path), image]
    verdicts = [await client.classify(source) for source in sources]
    assert {verdict.pcsam for verdict in verdicts} == {verdicts[0].pcsam}
    assert verdicts[-1].correlation_id == "upload-7"
    provenance = verdicts[0].provenance
    assert provenance is not None
    assert (provenance.format, provenance.bytes) == ("bmp", len(data))


async def test_a_verdict_tells_what_the_service_said(
    athena_emulator: Namespace, picture: bytes
) -> None:
    weights = {"UnknownCSAM-PCSAM": 0.75, "UnknownCSAM-adult": 0.5, "Something-New": 0.25}
    athena_emulator.add_rule(image=picture, weights=weights, known=True)
    verdict = await athena_emulator.client().classify(picture)
    assert verdict.pcsam == 0.75
    assert verdict.weight("Something-New") == 0.25
    assert verdict.top_category == ("adult", 0.5)
    assert verdict.known_match and verdict.hash_checked
    assert weights.items() <= verdict.weights.items()
    again = pickle.loads(pickle.dumps(verdict))
    assert again == verdict and again.provenance == verdict.provenance


def animation(*colours: bytes) -> bytes:
    """An animated PNG of one pixel, of these colours."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    chunks = [
        chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)),
        chunk(b"acTL", struct.pack(">II", len(colours), 0)),
    ]
    number = 0
    for colour in colours:
        frame = struct.pack(">IIIIIHHBB", number, 1, 1, 0, 0, 1, 10, 0, 0)
        chunks.append(chunk(b"fcTL", frame))
        pixels = zlib.compress(b"\0" + colour)
        if number == 0:
            chunks.append(chunk(b"IDAT", pixels))
        else:
            chunks.append(chunk(b"fdAT", struct.pack(">I", number + 1) + pixels))
        number += 1 if number == 0 else 2
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


async def test_the_worst_frame_of_an_animation_speaks_for_all(
    athena_emulator: Namespace,
) -> None:
    data = animation(b"\xff\0\0", b"\0\xff\0", b"\0\0\xff")
    client = athena_emulator.client()
    alone = await client.classify(data)
    assert (alone.frame, alone.frames, alone.sends) == (None, [], 1)
    verdict = await client.classify(athena.Image(data, frames=8))
    assert [place for place, _ in verdict.frames] == [0, 1, 2]
    assert len({frame.pcsam for _, frame in verdict.frames}) == 3
    assert verdict.pcsam == max(frame.pcsam or 0 for _, frame in verdict.frames)
    assert dict(verdict.frames)[verdict.frame or 0].pcsam == verdict.pcsam
    assert verdict.sends == 3
    again = pickle.loads(pickle.dumps(verdict))
    assert (again.frame, again.frames, again.sends) == (verdict.frame, verdict.frames, 3)
    async for outcome in client.classify_all([athena.Image(data, frames=2), b"no picture"]):
        assert outcome.sends == (2 if outcome.verdict else 1)


async def test_an_undecodable_image_is_an_error_with_the_word_on_its_hashes(
    athena_emulator: Namespace,
) -> None:
    data = b"no picture"
    athena_emulator.add_known_hashes(athena.imaging.hashes(data).md5)
    with pytest.raises(athena.Error) as raised:
        await athena_emulator.client().classify(data)
    error = raised.value
    assert error.kind == "undecodable" and error.kind is athena.ErrorKind.UNDECODABLE
    assert error.delivery == "answered" and error.is_of_image and not error.is_transient
    assert error.hash_verdict is not None and error.hash_verdict.known_match
    again = pickle.loads(pickle.dumps(error))
    assert (again.kind, again.hash_verdict, str(again)) == (
        error.kind,
        error.hash_verdict,
        str(error),
    )


async def test_the_service_may_refuse_an_image(athena_emulator: Namespace, dot: bytes) -> None:
    athena_emulator.add_rule(error=("affiliate_not_permitted", "not enabled"))
    with pytest.raises(athena.Error, match="not enabled") as raised:
        await athena_emulator.client().classify(dot)
    assert raised.value.kind == athena.ErrorKind.NOT_PERMITTED


async def test_a_call_ends_in_time(athena_emulator: Namespace, dot: bytes) -> None:
    athena_emulator.add_rule(silent=True)
    with pytest.raises(athena.Error) as raised:
        await athena_emulator.client(timeout=0.2).classify(dot)
    error = raised.value
    assert error.kind == "timeout" and error.is_transient and error.delivery == "unknown"


async def test_readiness_tells_what_is_wrong(athena_emulator: Namespace) -> None:
    await athena_emulator.client().ready()
    wrong = athena.OAuthClientCredentials(
        athena_emulator.client_id, "wrong", token_url=athena_emulator._emulator.token_url
    )
    with pytest.raises(athena.Error) as raised:
        await athena_emulator.client(token_source=wrong).ready()
    assert raised.value.kind == "authentication"
    assert raised.value.oauth_code in ("invalid_client", "access_denied")
    with pytest.raises(athena.Error) as raised:
        await athena_emulator.client(endpoint="https://localhost:1").ready()
    assert raised.value.kind == "connect" and raised.value.delivery == "not_sent"


def test_what_cannot_work_is_told_at_once() -> None:
    with pytest.raises(athena.ConfigError) as raised:
        athena.Client("ftp://example.com")
    assert raised.value.setting == "endpoint"
    with pytest.raises(athena.ConfigError) as raised:
        athena.OAuthClientCredentials("id", "secret", token_url="http://example.com/token")
    assert raised.value.setting == "token_url"
    with pytest.raises(athena.ConfigError):
        athena.Client(ca_certificate="no certificate")
    with pytest.raises(TypeError):
        athena.Client(token_source=7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Preprocessor"):
        athena.Client(preprocessor=7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="buffer is needed, not int"):
        athena.Image(7)


async def test_a_path_may_speak_in_bytes(athena_emulator: Namespace, pictures: list[Path]) -> None:
    class Speaks(os.PathLike[bytes]):
        def __fspath__(self) -> bytes:
            return os.fsencode(pictures[0])

    assert (await athena_emulator.client().classify(Speaks())).pcsam is not None


def test_the_environment_is_that_of_the_other_clients(
    athena_emulator: Namespace, dot: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with athena_emulator.environment():
        assert athena.blocking.Client.from_env().classify(dot).pcsam is not None
    monkeypatch.delenv("OAUTH_CLIENT_ID", raising=False)
    monkeypatch.delenv("ATHENA_TOKEN", raising=False)
    with pytest.raises(athena.ConfigError, match="OAUTH_CLIENT_ID"):
        athena.Client.from_env()


async def test_a_thousand_calls_at_once(athena_emulator: Namespace, light: athena.Image) -> None:
    client = athena_emulator.client()
    verdicts = await asyncio.gather(*(client.classify(light) for _ in range(1000)))
    assert len({verdict.correlation_id for verdict in verdicts}) == 1000


async def test_cancelling_a_call_cancels_its_work(athena_emulator: Namespace, dot: bytes) -> None:
    athena_emulator.add_rule(silent=True)
    session = athena_emulator.client().session()
    call = asyncio.ensure_future(session.classify(dot))
    await athena_emulator.expect_async(1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    while session.stats().pending:
        await asyncio.sleep(0)
    assert session.stats().cancelled == 1


async def test_deployments_are_listed_and_collected(athena_emulator: Namespace, dot: bytes) -> None:
    client = athena_emulator.client()
    athena_emulator.add_rule(delay=0.3)
    session = client.session(deployment="left-behind")
    orphan = await session.submit(athena.Image(dot, correlation_id="orphan"))
    await athena_emulator.expect_async(1, deployment="left-behind")
    del session, orphan
    found = [outcome async for outcome in client.collect("left-behind", quiet=1.0)]
    assert [outcome.key for outcome in found] == ["orphan"] and found[0].unwrap()
    assert "left-behind" in [deployment.id for deployment in await client.list_deployments()]


async def test_a_client_that_is_closed_says_so(athena_emulator: Namespace, dot: bytes) -> None:
    async with athena_emulator.client() as client:
        await client.classify(dot)
    with pytest.raises(athena.Error, match="closed"):
        await client.classify(dot)


def test_threads_share_a_blocking_client(athena_emulator: Namespace, dot: bytes) -> None:
    from concurrent.futures import ThreadPoolExecutor

    client = athena_emulator.blocking_client()
    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(lambda _: client.classify(dot), range(64)))
    assert len({verdict.correlation_id for verdict in verdicts}) == 64


async def test_blocking_calls_do_not_stop_an_event_loop(
    athena_emulator: Namespace, dot: bytes
) -> None:
    client = athena_emulator.blocking_client()
    with pytest.raises(RuntimeError, match="event loop"):
        client.classify(dot)
    assert (await asyncio.to_thread(client.classify, dot)).pcsam is not None


def test_raw_frames_hashes_and_prepared_images(athena_emulator: Namespace, picture: bytes) -> None:
    client = athena_emulator.blocking_client()
    plain = client.classify(picture)
    frame = athena.Image.raw_bgr(athena.imaging.frame(picture))
    assert client.classify(frame).pcsam == plain.pcsam
    prepared = athena.imaging.prepare(picture)
    assert client.classify(athena.Image.prepared(prepared)).pcsam == plain.pcsam
    hashes = athena.imaging.hashes(picture)
    verdict = client.classify(athena.Image.hashes_only(md5=hashes.md5, sha1=hashes.sha1))
    assert verdict.hash_checked and verdict.pcsam is None


def test_an_emulator_of_its_own() -> None:
    with Emulator(labels="live") as emulator:
        verdict = emulator.blocking_client().classify(b"P6 1 1 255 abc")
        assert "classA" in verdict.categories
    with pytest.raises(athena.EmulatorError):
        emulator.stats()
    with pytest.raises(athena.EmulatorError, match="lables"):
        Emulator(lables="live").start()
