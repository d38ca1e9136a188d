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
"""Seconds that images which were taken on have, at most, to be answered when a stream is left."""
_AHEAD = 4
"""Batches that are fetched before somebody asks for them."""
_MOST_LEFT = 10_000
_MOST_DEPLOYMENTS = 64

_left: OrderedDict[tuple[str, ...], deque[tuple[str, Any]]] = OrderedDict()
"""Results that came for streams which were left, by account and deployment."""


class NativeStream:
    """Outcomes in batches, those of others in the deployment included.

    Programs leave a stream in the middle, and find the other results on the next one of the same
    deployment. So images that were taken on are still sent then, and what comes within a moment waits
    here for that one; what is answered later waits at the service.
    """

    def __init__(
        self, session: _athena.Session, pairs: AsyncIterator[Any], key: tuple[str, ...]
    ) -> None:
        self._session: _athena.Session | None = session
        self._stream: ClassifyAll[str] = ClassifyAll(lambda: session, pairs, owned=False)
        self._key = key
        # Batches, each with whose room it took, and `None` when the images of our own are done. Nobody
        # waits for room with a batch in hand, which would be lost when the stream is left.
        self._queue: asyncio.Queue[tuple[Batch, asyncio.Semaphore] | None] = asyncio.Queue()
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
                item = await asyncio.wait_for(self._queue.get(), self._patience)
            except asyncio.TimeoutError:
                break
            if item is not None:
                batch, room = item
                room.release()
                return batch
            await self._tasks[0]  # raises what the images raised
            if self._count and not self._shared:
                break
            self._patience = _QUIET
        await session.close()
        await self.aclose()
        raise StopAsyncIteration

    async def _own(self) -> None:
        room = asyncio.Semaphore(_AHEAD)
        try:
            await room.acquire()
            async for outcome in self._stream:
                batch = _batch([outcome, *self._stream.ready()])
                self._count += len(batch)
                self._queue.put_nowait((batch, room))
                await room.acquire()
        finally:
            self._queue.put_nowait(None)

    async def _others(self, session: _athena.Session) -> None:
        room = asyncio.Semaphore(_AHEAD)
        await room.acquire()
        while (pair := await session.unclaimed()) is not None:
            self._shared = True
            self._queue.put_nowait(([pair], room))
            await room.acquire()

    async def aclose(self) -> None:
        """Ends the stream: what is not answered within a moment is cancelled."""
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
        self._stream.stop()
        left: deque[tuple[str, Any]] = deque(maxlen=_MOST_LEFT)
        loop = asyncio.get_running_loop()
        end = loop.time() + _FAREWELL
        while True:
            waits = not self._stream.is_fed() or session.stats()["pending"]
            ended = not waits or loop.time() > end
            come = _batch(self._stream.ready())
            while not self._queue.empty():
                if item := self._queue.get_nowait():
                    batch, room = item
                    room.release()
                    come.extend(batch)
            left.extend(come)
            if ended and not come:
                break
            await asyncio.sleep(0.005)
        if left:
            _left[self._key] = left
            while len(_left) > _MOST_DEPLOYMENTS:
                _left.popitem(last=False)


def _batch(outcomes: list[Outcome[str]]) -> Batch:
    return [(one.key, one.verdict or one.error) for one in outcomes]
