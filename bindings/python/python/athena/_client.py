"""The asynchronous client."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Union

from ._athena import Pending as _Pending
from ._athena import Results as _Results
from ._athena import Session as _Session
from ._athena import Verdict
from ._base import BaseClient
from ._errors import Error, Unfinished
from ._types import (
    Deployment,
    Outcome,
    Seconds,
    Source,
    Stats,
    image,
    keyed,
    outcome,
    several,
)

if TYPE_CHECKING:
    from typing_extensions import Self

    from .imaging import Prepared

Key = TypeVar("Key")
Items = Union[AsyncIterable[Any], Iterable[Any]]


class Client(BaseClient):
    """A client of the Athena service, for asyncio.

    ::

        client = athena.Client.from_env()
        verdict = await client.classify("upload.jpg")
        print(verdict.pcsam, verdict.known_match)

    Make one for the process and share it: it may be used from several event loops, one after the
    other or in several threads. After a fork make another one.
    """

    async def ready(self) -> None:
        """Gets a token, connects, and asks the service something small: for a program's start."""
        await self._core.ready()

    async def classify(self, source: Source) -> Verdict:
        """Classifies one image in one call: right for a few images a second.

        Raises :class:`Error`, whose ``delivery`` says whether the service may have seen the image.
        """
        return await self._core.classify(image(source))

    def classify_all(self, images: Items, **settings: Any) -> ClassifyAll[Any]:
        """Classifies any number of images over a stream, and gives each outcome as it comes.

        ``images`` is an iterable or async iterable of images or of pairs ``(key, image)``; an image
        is whatever :class:`Image` takes, or an :class:`Image`. An outcome's ``key`` is that of the
        pair, or else the image's path, or else its place in the input, from 0. ``settings`` are
        those of :meth:`session`.

        Only as many images are taken on as the session keeps in flight, so the input may be
        endless; a plain iterable is advanced in the event loop and should not block. When the input
        raises, the images before still get their outcomes, and then the exception is raised here.

        ::

            async for outcome in client.classify_all(paths):
                if outcome.error is not None:
                    print(outcome.key, outcome.error)
                else:
                    print(outcome.key, outcome.verdict.pcsam)
        """
        return ClassifyAll(lambda: self._core.session(**settings), images, owned=True)

    def session(self, **settings: Any) -> Session:
        """Opens a streaming session that many tasks submit to.

        ``deployment``, ``connections`` (1), ``max_in_flight`` (256), ``max_in_flight_bytes``
        (256 MiB), ``max_batch`` (32), ``max_message_bytes`` (4 MiB), ``max_resends`` (2), and in
        seconds ``linger`` (0.01), ``resend_grace`` (2), ``image_timeout`` (60),
        ``no_progress_timeout`` (30), ``keepalive`` (20), ``drain_timeout`` (90): docs/streaming.md
        describes them.
        """
        return Session(self._core.session(**settings))

    async def prepare(self, source: Source) -> Prepared:
        """Prepares an image as :meth:`classify` does, on the same threads, and sends nothing."""
        from .imaging import Prepared

        return Prepared(await self._core.prepare(image(source)))

    async def list_deployments(self) -> list[Deployment]:
        """The deployments that the account can see."""
        return [Deployment(*pair) for pair in await self._core.list_deployments()]

    async def collect(self, deployment: str, quiet: Seconds = 2.0) -> AsyncIterator[Outcome[str]]:
        """The results that wait in a deployment, such as one of a process that died.

        Ends when none has come for ``quiet`` seconds. Results leave the service when they are
        received: read to the end. Keys are correlation ids.
        """
        collection = self._core.collect(deployment, quiet)
        while (pair := await collection.next()) is not None:
            yield outcome(*pair)

    async def close(self) -> None:
        """Lets go of the connections. What is under way goes on."""
        self._release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._release()


class Session:
    """A stream to one deployment: submit images from as many tasks as you like.

    Every accepted image ends in exactly one of a verdict, an error, or a cancellation by its
    caller, whatever the network does. As a context manager it is closed at the end::

        async with client.session() as session:
            first = await session.submit("a.jpg")  # waits while there is no room
            second = await session.submit("b.jpg")
            print((await second).pcsam, (await first).pcsam)
    """

    def __init__(self, core: _Session) -> None:
        self._core_or_none: _Session | None = core

    @property
    def _core(self) -> _Session:
        if self._core_or_none is None:
            raise Error("the session is closed", "closed", "not_sent")
        return self._core_or_none

    @property
    def deployment(self) -> str:
        """The deployment whose stream this is."""
        return self._core.deployment

    async def submit(self, source: Source) -> Pending:
        """Hands an image over; waits while as many as the session allows are pending.

        Raises :class:`Error` for an id that is wrong or in flight already, and when the session is
        closed: such an image was not accepted.
        """
        return Pending(await self._core.submit(image(source)))

    async def classify(self, source: Source) -> Verdict:
        """Hands an image over and waits for its verdict."""
        return await self._core.classify(image(source))

    def classify_all(self, images: Items) -> ClassifyAll[Any]:
        """As :meth:`Client.classify_all`, over this session."""
        return ClassifyAll(lambda: self._core, images, owned=False)

    async def ready(self) -> None:
        """Waits until the session is connected, or says why it cannot be."""
        await self._core.ready()

    async def unclaimed(self) -> AsyncIterator[Outcome[str]]:
        """The results of others, which a shared deployment may bring, until the session ends."""
        core = self._core
        while (pair := await core.unclaimed()) is not None:
            yield outcome(*pair)

    def stats(self) -> Stats:
        """A consistent snapshot of the session's counters."""
        return Stats(**self._core.stats())

    async def close(self) -> Stats:
        """Takes nothing more on, and waits until every pending image has ended.

        Raises :class:`Unfinished` after the session's ``drain_timeout``.
        """
        unfinished = await self._core.close()
        if unfinished:
            raise Unfinished(unfinished)
        return self.stats()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, exc_type: object, *_: object) -> None:
        if exc_type is None:
            await self.close()
        self._core_or_none = None


class Pending:
    """The verdict of one image that is still to come, to be awaited once.

    Letting go of it, or :meth:`cancel`, cancels the image: if it was not sent it never will be.
    """

    __slots__ = ("_core",)

    def __init__(self, core: _Pending) -> None:
        self._core = core

    @property
    def correlation_id(self) -> str:
        """The id under which the image was submitted."""
        return self._core.correlation_id

    def cancel(self) -> None:
        """Gives the image up."""
        self._core.cancel()

    def __await__(self) -> Generator[Any, None, Verdict]:
        return self._core.result().__await__()


class ClassifyAll(Generic[Key]):
    """The outcomes of a stream of images, one for each: what ``classify_all`` returns.

    Waiting for the next one may be given up, by ``asyncio.wait_for`` for example, without losing
    one. Letting go of the iterator, or :meth:`aclose`, cancels what has no outcome yet.
    """

    def __init__(self, session: Callable[[], _Session], images: Items, *, owned: bool) -> None:
        self._open = session
        self._images: Items | None = several(images)
        self._owned = owned
        self._ready: deque[Outcome[Key]] = deque()
        self._keys: dict[int, Key] = {}
        self._session: _Session | None = None
        self._results: _Results | None = None
        self._feeder: asyncio.Task[None] | None = None
        self._hand = _Hand()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome[Key]:
        if self._images is not None:
            self._start(self._images)
        while not self._ready:
            results, feeder = self._results, self._feeder
            if results is None or feeder is None:
                raise StopAsyncIteration
            if feeder.done() and not self._keys:
                await self._end()
                continue
            more = await results.wait()
            self._take()
            if not more and self._keys and feeder.done() and not self._ready:
                self._keys.clear()
                await self._end()  # raises what ended it
                raise Error("the stream ended too early", "closed", "unknown")
        return self._ready.popleft()

    def ready(self) -> list[Outcome[Key]]:
        """The outcomes that can be had without waiting, after the one that was waited for."""
        self._take()
        ready = list(self._ready)
        self._ready.clear()
        return ready

    def _take(self) -> None:
        if self._results is not None:
            for number, result in self._results.take():
                self._ready.append(outcome(self._keys.pop(number), result))

    def _start(self, images: Items) -> None:
        self._images = None
        self._session = self._open()
        self._results = self._session.results()
        # It must not know of this object, which ends it by being let go of.
        feed = _feed(images, self._results, self._keys, self._hand)
        self._feeder = asyncio.get_running_loop().create_task(feed)
        self._feeder.add_done_callback(_retrieve)

    async def _end(self) -> None:
        session, feeder = self._session, self._feeder
        if self._owned and session is not None:
            await session.close()
        self._session = self._results = self._feeder = None
        if feeder is not None:
            feeder.result()  # raises what the images raised

    def stop(self) -> None:
        """Takes no more images from the input; those that were taken still have their outcomes."""
        self._hand.stopped = True
        if self._feeder is not None and not self._hand.full:
            self._feeder.cancel()

    def is_fed(self) -> bool:
        """Whether all images of the input have been handed over."""
        return self._feeder is None or self._feeder.done()

    async def aclose(self) -> None:
        """Ends the stream: what has no outcome yet is cancelled, and the input is closed."""
        results, feeder = self._results, self._feeder
        self._images = self._session = self._results = self._feeder = None
        self._ready.clear()
        self._keys.clear()
        if results is not None:
            results.abort()
        if feeder is not None:
            feeder.cancel()
            await asyncio.wait([feeder])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        feeder = getattr(self, "_feeder", None)
        if feeder is not None and not feeder.done():
            # Its loop may run in another thread, or be closed.
            with contextlib.suppress(RuntimeError):
                feeder.get_loop().call_soon_threadsafe(feeder.cancel)
        results = getattr(self, "_results", None)
        if results is not None:
            with contextlib.suppress(RuntimeError):
                results.abort()


@dataclasses.dataclass
class _Hand:
    full: bool = False
    """Whether an image was taken from the input and is not handed over yet."""
    stopped: bool = False
    """Whether that is the last one."""


async def _feed(images: Items, results: _Results, keys: dict[int, Any], hand: _Hand) -> None:
    awaited = isinstance(images, AsyncIterable)
    source: Any = images.__aiter__() if isinstance(images, AsyncIterable) else iter(images)
    number = 0
    try:
        while True:
            try:
                item = await source.__anext__() if awaited else next(source)
            except (StopIteration, StopAsyncIteration):
                return
            keys[number], core = keyed(number, item)
            hand.full = True
            await results.push(number, core)
            hand.full = False
            if hand.stopped:
                raise asyncio.CancelledError
            number += 1
            if not awaited:
                # Others have their turn, however fast the images come.
                await asyncio.sleep(0)
    except GeneratorExit:  # the event loop is gone: nothing can be awaited
        raise
    except BaseException:
        if (aclose := getattr(source, "aclose", None)) is not None:
            await aclose()
        elif (close := getattr(source, "close", None)) is not None:
            close()
        raise
    finally:
        results.end()


def _retrieve(feeder: asyncio.Task[None]) -> None:
    """Marks an exception as seen: it is raised to whoever reads to the end."""
    if not feeder.cancelled():
        feeder.exception()
