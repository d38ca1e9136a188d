"""Batches of requests for a stream of grpcio."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Generic, TypeVar

from athena._contract import MESSAGES

T = TypeVar("T")

_Request = MESSAGES["ClassifyRequest"]


class WorkerBatcher(Generic[T]):
    """Transforms items side by side and gives requests of several, until the source ends.

    A request without inputs keeps the stream alive while the source is slow. What the source
    raises is raised after what came before it.
    """

    def __init__(
        self,
        source: AsyncIterator[T],
        transformer_func: Callable[[T], Awaitable[Any]],
        deployment_id: str,
        max_batch_size: int = 10,
        num_workers: int = 4,
        queue_size: int = 100,
        keepalive_interval: float = 30.0,
        batch_timeout: float = 0.1,
    ) -> None:
        self.source = source
        self.transformer_func = transformer_func
        self.deployment_id = deployment_id
        self.max_batch_size = max_batch_size
        self.num_workers = num_workers
        self.keepalive_interval = keepalive_interval
        self.batch_timeout = batch_timeout
        self.logger = logging.getLogger(__name__)
        self.raised: BaseException | None = None
        """What the source raised."""
        self._queue: asyncio.Queue[Any] = asyncio.Queue(max(1, queue_size))
        self._turn = asyncio.Lock()
        self._exhausted = False
        self._workers: list[asyncio.Task[None]] = []
        self._get: asyncio.Task[Any] | None = None

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if not self._workers:
            work = [self._work() for _ in range(max(1, self.num_workers))]
            self._workers = [asyncio.ensure_future(one) for one in work]
        inputs: list[Any] = []
        while len(inputs) < self.max_batch_size:
            patience = self.batch_timeout if inputs else self.keepalive_interval
            done, item = await self._next(patience)
            if not done:
                break
            if item is None:
                if inputs:
                    break
                if self.raised is not None:
                    raise self.raised
                raise StopAsyncIteration
            inputs.append(item)
        return _Request(deployment_id=self.deployment_id, inputs=inputs)

    async def _next(self, patience: float) -> tuple[bool, Any]:
        """The next item, ``None`` at the end; or nothing within the time."""
        if self._get is None:
            if self._queue.empty() and all(worker.done() for worker in self._workers):
                return True, None
            self._get = asyncio.ensure_future(self._queue.get())
        waiting = {self._get, *(w for w in self._workers if not w.done())}
        while not self._get.done():
            done, _ = await asyncio.wait(
                waiting, timeout=patience, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                return False, None
            waiting -= done - {self._get}
            if not self._get.done() and len(waiting) == 1:
                self._get.cancel()
                self._get = None
                return True, None
        item, self._get = self._get.result(), None
        return True, item

    async def _work(self) -> None:
        while True:
            async with self._turn:
                if self._exhausted:
                    return
                try:
                    item = await self.source.__anext__()
                except StopAsyncIteration:
                    self._exhausted = True
                    return
                except Exception as error:  # noqa: BLE001 - raised by `__anext__`
                    self.raised, self._exhausted = error, True
                    return
            try:
                made = await self.transformer_func(item)
            except Exception:
                self.logger.exception("an item could not be transformed")
                continue
            await self._queue.put(made)

    async def shutdown(self) -> None:
        """Ends the workers."""
        tasks = [*self._workers, *([self._get] if self._get is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
