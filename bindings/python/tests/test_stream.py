"""Streams of images: one outcome for each, whatever happens."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import athena
import pytest
from athena.emulator import Namespace


async def test_each_image_has_one_outcome_with_its_key(
    athena_emulator: Namespace, pictures: list[Path], dot: bytes
) -> None:
    async def images() -> AsyncIterator[object]:
        for path in pictures:
            yield path
        yield "/no/such/file.jpg"
        yield b"no picture"
        yield ("mine", dot)
        yield athena.Image(dot, correlation_id="x" * 65)

    client, count = athena_emulator.client(), len(pictures)
    outcomes = {o.key: o async for o in client.classify_all(images())}
    errors = {key: o.error.kind for key, o in outcomes.items() if o.error is not None}
    assert list(outcomes.keys() - set(pictures) - {"mine"} - errors.keys()) == []
    assert errors == {
        "/no/such/file.jpg": "unreadable",
        count + 1: "undecodable",
        count + 3: "invalid_request",
    }
    assert len(outcomes) == count + 4
    assert all(o.unwrap().pcsam is not None for key, o in outcomes.items() if key not in errors)


@pytest.mark.parametrize("kind", ["list", "generator", "empty"])
async def test_plain_iterables(athena_emulator: Namespace, light: athena.Image, kind: str) -> None:
    count = 0 if kind == "empty" else 600
    images = [light] * count if kind == "list" else (light for _ in range(count))
    keys = [outcome.key async for outcome in athena_emulator.client().classify_all(images)]
    assert sorted(keys) == list(range(count))


async def test_an_input_that_raises_raises_after_the_outcomes_before_it(
    athena_emulator: Namespace, dot: bytes
) -> None:
    async def images() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield dot
        raise LookupError("the database went away")

    outcomes = []
    with pytest.raises(LookupError, match="went away"):
        async for outcome in athena_emulator.client().classify_all(images()):
            outcomes.append(outcome)
    assert sorted(o.key for o in outcomes) == list(range(100))
    assert all(o.error is None for o in outcomes)


def test_the_same_for_threads(athena_emulator: Namespace, dot: bytes, light: athena.Image) -> None:
    client = athena_emulator.blocking_client()

    def images() -> Iterator[athena.Image]:
        yield from [light] * 300
        raise LookupError

    keys = []
    with pytest.raises(LookupError):
        for outcome in client.classify_all(images()):
            keys.append(outcome.key)
    assert sorted(keys) == list(range(300))
    assert list(client.classify_all([])) == []
    outcomes = client.classify_batch([("a", dot), ("a", b"?"), ("b", dot)])
    assert [(o.key, o.error is None) for o in outcomes] == [("a", True), ("a", False), ("b", True)]


async def test_only_so_many_are_taken_on_and_a_break_ends_it(
    athena_emulator: Namespace, dot: bytes
) -> None:
    asked, closed = 0, asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        nonlocal asked
        try:
            while True:
                asked += 1
                yield dot
        finally:
            closed.set()

    stream = athena_emulator.client().classify_all(endless(), max_in_flight=8)
    async for _ in stream:
        for _ in range(100):
            await asyncio.sleep(0)
        break
    assert asked <= 18  # those in flight, those answered and not taken, one in each hand
    del stream
    gc.collect()
    await asyncio.wait_for(closed.wait(), 30)


async def test_a_wait_that_is_given_up_loses_no_outcome(
    athena_emulator: Namespace, dot: bytes
) -> None:
    athena_emulator.add_rule(delay=0.02)
    stream = athena_emulator.client().classify_all([dot] * 50)
    keys = []
    while True:
        try:
            keys.append((await asyncio.wait_for(stream.__anext__(), 0.001)).key)
        except asyncio.TimeoutError:
            continue
        except StopAsyncIteration:
            break
    assert sorted(keys) == list(range(50))


async def test_several_readers_of_one_stream(
    athena_emulator: Namespace, light: athena.Image
) -> None:
    stream = athena_emulator.client().classify_all([light] * 200)

    async def read() -> list[int]:
        return [outcome.key async for outcome in stream]

    parts = await asyncio.gather(*(read() for _ in range(4)))
    assert sorted(key for part in parts for key in part) == list(range(200))


async def test_a_session_that_breaks_gives_each_image_its_outcome(
    athena_emulator: Namespace, dot: bytes
) -> None:
    athena_emulator.set_faults(cut={"next": 4}, duplicate={"every": 5})
    async with athena_emulator.client().session(max_batch=4, max_resends=5) as session:
        pending = [await session.submit(dot) for _ in range(60)]
        verdicts = [await one for one in pending]
        assert [v.correlation_id for v in verdicts] == [p.correlation_id for p in pending]
        keys = [o.key async for o in session.classify_all([("k", dot)] * 10)]
        assert keys == ["k"] * 10
        stats = await session.close()
    assert stats.accepted == stats.verdicts == 70


async def test_a_session_that_is_left_by_an_exception_ends_at_once(
    athena_emulator: Namespace, dot: bytes
) -> None:
    athena_emulator.add_rule(silent=True)
    with pytest.raises(KeyError):
        async with athena_emulator.client().session() as session:
            pending = await session.submit(dot)
            raise KeyError
    with pytest.raises(athena.Error) as raised:
        await pending
    assert raised.value.kind == "closed"


async def test_what_is_not_finished_in_time_is_named(
    athena_emulator: Namespace, dot: bytes
) -> None:
    athena_emulator.add_rule(silent=True)
    session = athena_emulator.client().session(drain_timeout=0.2)
    pending = await session.submit(athena.Image(dot, correlation_id="late"))
    with pytest.raises(athena.Unfinished) as raised:
        await session.close()
    assert raised.value.images == ["late"]
    with pytest.raises(athena.Error):
        await pending


async def test_a_pending_image_can_be_awaited_once_or_given_up(
    athena_emulator: Namespace, dot: bytes
) -> None:
    athena_emulator.add_rule(correlation_id="held", silent=True)
    session = athena_emulator.client().session()
    pending = await session.submit(dot)
    await pending
    with pytest.raises(RuntimeError, match="already"):
        await pending
    held = await session.submit(athena.Image(dot, correlation_id="held"))
    held.cancel()
    while session.stats().pending:
        await asyncio.sleep(0)
    assert session.stats().cancelled == 1


async def test_results_of_others_are_unclaimed(athena_emulator: Namespace, dot: bytes) -> None:
    client = athena_emulator.client()
    athena_emulator.add_rule(delay=0.3)
    first = client.session(deployment="shared")
    pending = await first.submit(athena.Image(dot, correlation_id="of-the-first"))
    await athena_emulator.expect_async(1)
    del first, pending
    second = client.session(deployment="shared")
    async for outcome in second.unclaimed():
        assert outcome.key == "of-the-first"
        break


async def test_what_is_no_image_is_told_with_its_place_after_the_outcomes_before_it(
    athena_emulator: Namespace, dot: bytes
) -> None:
    keys = []
    with pytest.raises(
        TypeError, match="item 2 of the images: bytes or another buffer .* NoneType"
    ):
        async for outcome in athena_emulator.client().classify_all([dot, dot, None, dot]):
            keys.append(outcome.key)
    assert sorted(keys) == [0, 1]
    with pytest.raises(TypeError, match="item 0 .* a tuple of 3"):
        await athena_emulator.client().classify_all([("key", dot, "more")]).__anext__()


def test_a_batch_with_what_is_no_image_is_refused_before_any_is_sent(
    athena_emulator: Namespace, dot: bytes
) -> None:
    with pytest.raises(TypeError, match="item 1 of the images"):
        athena_emulator.blocking_client().classify_batch([dot, None])
    assert athena_emulator.stats()["inputs"] == 0


@pytest.mark.parametrize(
    "one", ["upload.jpg", Path("upload.jpg"), b"bytes", athena.Image(b"bytes")]
)
def test_one_image_is_not_taken_for_several(athena_emulator: Namespace, one: object) -> None:
    client, blocking = athena_emulator.client(), athena_emulator.blocking_client()
    for call in (client.classify_all, blocking.classify_all, blocking.classify_batch):
        with pytest.raises(TypeError, match="several images"):
            call(one)  # type: ignore[arg-type,operator]


@pytest.mark.parametrize(
    "settings",
    [
        {"max_message_bytes": 1},
        {"max_message_bytes": 0, "max_batch": 0, "max_in_flight": 0, "max_in_flight_bytes": 0},
        {"connections": 1 << 40},
        {"image_timeout": 0},
    ],
)
def test_settings_that_leave_no_room_still_give_each_image_its_outcome(
    athena_emulator: Namespace, dot: bytes, settings: dict[str, int]
) -> None:
    client = athena_emulator.blocking_client()
    assert sorted(o.key for o in client.classify_all([dot] * 3, **settings)) == [0, 1, 2]
