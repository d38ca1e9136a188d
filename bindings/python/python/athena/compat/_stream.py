"""A stream of the native client as the earlier client's programs use one."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from athena import _athena
from athena._client import ClassifyAll
from athena._types import Outcome

if TYPE_CHECKING:
    from typing_extensions import Self

Batch = list[tuple[str, Any]]
"""Correlation ids, each with a verdict or an error."""

_QUIET = 2.0
"""Seconds without a result of others after which a stream without images of its own ends."""
_FAREWELL = 2.0
"""Seconds that images which were taken on have, at most, to be sent when a stream is left."""
_MOST_LEFT = 10_000
_MOST_DEPLOYMENTS = 64

_left: OrderedDict[tuple[str, ...], deque[tuple[str, Any]]] = OrderedDict()
"""Results that came for streams which were left, by account and deployment."""


class NativeStream:
    """Outcomes in batches, those of others in the deployment included.

    Programs leave a stream in the middle, and find the other results on the next one of the same
    deployment. So images that were taken on are still sent then; what is answered later waits at
    the service, and what has come already waits here.
    """

    def __init__(
        self, session: _athena.Session, pairs: AsyncIterator[Any], key: tuple[str, ...]
    ) -> None:
        self._session: _athena.Session | None = session
        self._stream: ClassifyAll[str] = ClassifyAll(lambda: session, pairs, owned=False)
        self._key = key
        # Batches, and `None` when the images of our own are done.
        self._queue: asyncio.Queue[Batch | None] = asyncio.Queue(4)
        self._tasks: list[asyncio.Task[None]] = []
        self._count = 0
        self._patience: float | None = None
        self._shared = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch:
        session = self._session
        if session is None:
            raise StopAsyncIteration
        if not self._tasks:
            work = (self._own(), self._others(session))
            self._tasks = [asyncio.ensure_future(one) for one in work]
            if left := _left.pop(self._key, None):
                self._shared = True
                return list(left)
        while True:
            try:
                batch = await asyncio.wait_for(self._queue.get(), self._patience)
            except asyncio.TimeoutError:
                break
            if batch is not None:
                return batch
            await self._tasks[0]  # raises what the images raised
            if self._count and not self._shared:
                break
            self._patience = _QUIET
        await session.close()
        await self.aclose()
        raise StopAsyncIteration

    async def _own(self) -> None:
        try:
            async for outcome in self._stream:
                batch = _batch([outcome, *self._stream.ready()])
                self._count += len(batch)
                await self._queue.put(batch)
        finally:
            await self._queue.put(None)

    async def _others(self, session: _athena.Session) -> None:
        while (pair := await session.unclaimed()) is not None:
            self._shared = True
            await self._queue.put([pair])

    async def aclose(self) -> None:
        """Ends the stream: what is not sent within a moment is cancelled."""
        session, self._session = self._session, None
        if session is None:
            return
        tasks, self._tasks = self._tasks, []
        try:
            if tasks and not tasks[0].done():
                await self._leave(session)
        finally:
            for task in tasks:
                task.cancel()
            await self._stream.aclose()

    async def _leave(self, session: _athena.Session) -> None:
        await self._stream.stop()
        left: deque[tuple[str, Any]] = deque(maxlen=_MOST_LEFT)
        loop = asyncio.get_running_loop()
        end = loop.time() + _FAREWELL
        while True:
            while not self._queue.empty():
                left.extend(self._queue.get_nowait() or [])
            stats = session.stats()
            if not stats["preparing"] + stats["queued"] or loop.time() > end:
                break
            await asyncio.sleep(0.005)
        if left:
            _left[self._key] = left
            while len(_left) > _MOST_DEPLOYMENTS:
                _left.popitem(last=False)


def _batch(outcomes: list[Outcome[str]]) -> Batch:
    return [(one.key, one.verdict or one.error) for one in outcomes]
