"""The client for threads: Django, Celery, Ray, Spark, scripts.

The same as :mod:`athena`, without ``await``. Calls wait without holding the GIL, may be made from
many threads at once, and end with Ctrl-C. In a thread that runs an event loop they raise, since
they would stop it: use :class:`athena.Client` there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from . import _athena
from ._athena import Verdict
from ._base import BaseClient
from ._errors import Error, Unfinished
from ._types import (
    Deployment,
    Image,
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

__all__ = ["Client", "Pending", "Session"]

T = TypeVar("T")


class Client(BaseClient):
    """A client of the Athena service, for threads.

    ::

        client = athena.blocking.Client.from_env()
        verdict = client.classify("upload.jpg")
        print(verdict.pcsam, verdict.known_match)

    Make one for each process and share it between its threads. After a fork, as in the workers of
    gunicorn and Celery, make another one.
    """

    def ready(self) -> None:
        """Gets a token, connects, and asks the service something small: for a program's start."""
        _wait(self._core.ready())

    def classify(self, source: Source) -> Verdict:
        """Classifies one image in one call: right for a few images a second."""
        return _wait(self._core.classify(image(source)))

    def classify_all(self, images: Iterable[Any], **settings: Any) -> Iterator[Outcome[Any]]:
        """Classifies any number of images over a stream: see :meth:`athena.Client.classify_all`."""
        several(images)
        return _classify_all(self._core.session(**settings), images, owned=True)

    def classify_batch(self, images: Iterable[Any], **settings: Any) -> list[Outcome[Any]]:
        """The outcomes of a batch in the order of its images, for ``map_batches`` and its like.

        Raises ``TypeError`` for what is no image before any is sent. A key is that of the pair, or else the
        image's place.
        """
        items = list(several(images))
        made = [Image._of(keyed(number, item)[1], None) for number, item in enumerate(items)]
        done = {o.key: o for o in self.classify_all(enumerate(made), **settings)}
        return [
            Outcome(
                item[0] if isinstance(item, tuple) else number,
                done[number].verdict,
                done[number].error,
            )
            for number, item in enumerate(items)
        ]

    def session(self, **settings: Any) -> Session:
        """Opens a streaming session: see :meth:`athena.Client.session`."""
        return Session(self._core.session(**settings))

    def prepare(self, source: Source) -> Prepared:
        """Prepares an image as :meth:`classify` does, and sends nothing."""
        from .imaging import Prepared

        return Prepared(_wait(self._core.prepare(image(source))))

    def list_deployments(self) -> list[Deployment]:
        """The deployments that the account can see."""
        return [Deployment(*pair) for pair in _wait(self._core.list_deployments())]

    def collect(self, deployment: str, quiet: Seconds = 2.0) -> Iterator[Outcome[str]]:
        """The results that wait in a deployment: see :meth:`athena.Client.collect`."""
        collection = self._core.collect(deployment, quiet)
        while (pair := _wait(collection.next())) is not None:
            yield outcome(*pair)

    def close(self) -> None:
        """Lets go of the connections. What is under way goes on."""
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._release()


class Session:
    """A stream to one deployment, for as many threads as you like: see :class:`athena.Session`."""

    def __init__(self, core: _athena.Session) -> None:
        self._core_or_none: _athena.Session | None = core

    @property
    def _core(self) -> _athena.Session:
        if self._core_or_none is None:
            raise Error("the session is closed", "closed", "not_sent")
        return self._core_or_none

    @property
    def deployment(self) -> str:
        """The deployment whose stream this is."""
        return self._core.deployment

    def submit(self, source: Source) -> Pending:
        """Hands an image over; waits while as many as the session allows are pending."""
        return Pending(_wait(self._core.submit(image(source))))

    def classify(self, source: Source) -> Verdict:
        """Hands an image over and waits for its verdict."""
        return _wait(self._core.classify(image(source)))

    def classify_all(self, images: Iterable[Any]) -> Iterator[Outcome[Any]]:
        """As :meth:`Client.classify_all`, over this session."""
        return _classify_all(self._core, several(images), owned=False)

    def ready(self) -> None:
        """Waits until the session is connected, or says why it cannot be."""
        _wait(self._core.ready())

    def stats(self) -> Stats:
        """A consistent snapshot of the session's counters."""
        return Stats(**self._core.stats())

    def close(self) -> Stats:
        """Takes nothing more on, and waits until every pending image has ended.

        Raises :class:`athena.Unfinished` after the session's ``drain_timeout``.
        """
        unfinished = _wait(self._core.close())
        if unfinished:
            raise Unfinished(unfinished)
        return self.stats()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exc_type: object, *_: object) -> None:
        if exc_type is None:
            self.close()
        self._core_or_none = None


class Pending:
    """The verdict of one image that is still to come. Letting go of it cancels the image."""

    __slots__ = ("_core",)

    def __init__(self, core: _athena.Pending) -> None:
        self._core = core

    @property
    def correlation_id(self) -> str:
        """The id under which the image was submitted."""
        return self._core.correlation_id

    def cancel(self) -> None:
        """Gives the image up."""
        self._core.cancel()

    def result(self) -> Verdict:
        """Waits for the verdict, once; raises :class:`athena.Error` if there is none."""
        return _wait(self._core.result())


def _wait(operation: _athena.Operation[T]) -> T:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return operation.wait()
    raise RuntimeError(
        "this thread runs an event loop, which a blocking call would stop: "
        "await athena.Client here, or call from another thread (asyncio.to_thread)"
    )


def _classify_all(
    session: _athena.Session, images: Iterable[Any], *, owned: bool
) -> Iterator[Outcome[Any]]:
    results = session.results()
    keys: dict[int, Any] = {}
    raised: Exception | None = None
    items = enumerate(images)
    more = True
    try:
        while more or keys:
            if more and not results.is_full():
                try:
                    number, item = next(items)
                    keys[number], core = keyed(number, item)
                except StopIteration:
                    more = False
                except Exception as error:  # the images before it still have their outcomes
                    more, raised = False, error
                else:
                    _wait(results.push(number, core))
                if not more:
                    results.end()
            else:
                _wait(results.wait())
            for number, result in results.take():
                yield outcome(keys.pop(number), result)
        if owned:
            _wait(session.close())
    finally:
        results.abort()
        if (close := getattr(images, "close", None)) is not None and more:
            close()
    if raised is not None:
        raise raised
