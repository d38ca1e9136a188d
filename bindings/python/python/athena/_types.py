"""Types that both kinds of client speak of."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Generic, TypeVar, Union

from ._athena import Image as _Image
from ._athena import OAuthClientCredentials, Prepared, Secret, Token, Verdict
from ._errors import Error

Buffer = Union[bytes, bytearray, memoryview, Any]
"""``bytes``, or anything else with the buffer protocol, such as a numpy array."""

Seconds = Union[float, timedelta]
"""A time in seconds, or a ``timedelta``."""

Pem = Union[str, bytes, "os.PathLike[str]"]
"""Certificates in PEM: the text itself, or the path of a file as an ``os.PathLike``."""

SecretSource = Callable[[], str | Secret | Awaitable[str | Secret]]
"""A function, async or not, that returns a client secret as it is now."""

TokenSource = Union[
    OAuthClientCredentials, Token, Callable[[], str | Token | Awaitable[str | Token]]
]
"""Where tokens come from: credentials, a fixed token, or a function, async or not, that obtains one.

A function is asked when no valid token is at hand: let it return a :class:`Token` with its
``lifetime``, since a bare text is used until the service rejects it.
"""

Key = TypeVar("Key")


class Image:
    """An image to classify.

    ``source`` is what the platform holds: the file's bytes, or its path (``str`` or
    ``os.PathLike``), which is read when its turn comes. :meth:`raw_bgr`, :meth:`hashes_only` and
    :meth:`prepared` make images that need no preparation.

    ``correlation_id`` names the image, in 1 to 64 bytes that nothing else in flight has; a unique
    one is made otherwise. ``affiliate`` and ``timeout`` (seconds) stand in for the client's.

    Of an animation up to ``frames`` frames are judged, evenly spread, the first included: they are one
    image with one result, the worst (:attr:`Verdict.frames` has them all), and each is sent, and
    may be billed. If one of them fails, or cannot be shown, the image does.
    """

    __slots__ = ("_core", "source")

    _core: _Image
    source: object
    """What it was made of."""

    def __init__(
        self,
        source: Buffer | str | os.PathLike[str],
        *,
        correlation_id: str | None = None,
        affiliate: str | None = None,
        timeout: Seconds | None = None,
        frames: int = 1,
    ) -> None:
        if isinstance(source, (str, os.PathLike)):
            path = os.fsdecode(source)  # a path may speak in bytes
            self._core = _Image.from_file(path, correlation_id, affiliate, timeout, frames)
        else:
            self._core = _Image.from_bytes(source, correlation_id, affiliate, timeout, frames)
        self.source = source

    @classmethod
    def _of(cls, core: _Image, source: object) -> Image:
        image = cls.__new__(cls)
        image._core = core
        image.source = source
        return image

    @classmethod
    def raw_bgr(
        cls,
        frame: Buffer,
        *,
        md5: str | bytes | None = None,
        sha1: str | bytes | None = None,
        correlation_id: str | None = None,
        affiliate: str | None = None,
        timeout: Seconds | None = None,
    ) -> Image:
        """A raw frame: 448 rows of 448 pixels of blue, green, red; 602,112 bytes.

        The digests are those of the file that the platform holds.
        """
        core = _Image.raw_bgr(frame, md5, sha1, correlation_id, affiliate, timeout)
        return cls._of(core, frame)

    @classmethod
    def hashes_only(
        cls,
        *,
        md5: str | bytes | None = None,
        sha1: str | bytes | None = None,
        correlation_id: str | None = None,
        affiliate: str | None = None,
        timeout: Seconds | None = None,
    ) -> Image:
        """No pixels: only the digests of the original file are looked up."""
        core = _Image.hashes_only(md5, sha1, correlation_id, affiliate, timeout)
        return cls._of(core, None)

    @classmethod
    def prepared(
        cls,
        prepared: Prepared,
        *,
        correlation_id: str | None = None,
        affiliate: str | None = None,
        timeout: Seconds | None = None,
    ) -> Image:
        """What :func:`athena.imaging.prepare` has made."""
        core = _Image.from_prepared(
            getattr(prepared, "_core", prepared), correlation_id, affiliate, timeout
        )
        return cls._of(core, prepared)

    def __repr__(self) -> str:
        return repr(self._core)


Source = Union[Image, Buffer, str, "os.PathLike[str]"]
"""An :class:`Image`, or what one is made of."""


def image(source: Source) -> _Image:
    """The native image of whatever users hand in."""
    return source._core if isinstance(source, Image) else Image(source)._core


@dataclasses.dataclass(frozen=True)
class Outcome(Generic[Key]):
    """What became of one image: a verdict or an error, never both and never neither."""

    key: Key
    """What names it to you: see ``classify_all``."""
    verdict: Verdict | None
    """The service's verdict."""
    error: Error | None
    """Why there is none."""

    @property
    def sends(self) -> int | None:
        """How often the image was handed to a connection, and may be billed, verdict or not."""
        result = self.verdict or self.error
        return result.sends if result is not None else None

    def unwrap(self) -> Verdict:
        """The verdict; raises the error if there is none."""
        if self.verdict is not None:
            return self.verdict
        assert self.error is not None
        raise self.error


def outcome(key: Key, result: Verdict | Error) -> Outcome[Key]:
    """The outcome of what the native module gives."""
    if isinstance(result, Verdict):
        return Outcome(key, result, None)
    return Outcome(key, None, result)


def several(images: Any) -> Any:
    """What is to be gone through. A path or bytes could be, too, and would fall apart into letters."""
    if isinstance(images, (str, bytes, bytearray, memoryview, os.PathLike, Image)):
        raise TypeError(
            f"several images are needed, not one {type(images).__name__}: put it into a list, or call classify"
        )
    return images


def keyed(number: int, item: Any) -> tuple[Any, _Image]:
    """The key and the image of an item of ``classify_all``."""
    try:
        return _keyed(number, item)
    except TypeError as error:
        raise TypeError(f"item {number} of the images: {error}") from None


def _keyed(number: int, item: Any) -> tuple[Any, _Image]:
    if isinstance(item, tuple):
        if len(item) != 2:
            raise TypeError(f"a pair of a key and an image is needed, not a tuple of {len(item)}")
        key, source = item
        return key, image(source)
    if isinstance(item, (str, os.PathLike)):
        return item, image(item)
    if isinstance(item, Image) and isinstance(item.source, (str, os.PathLike)):
        return item.source, item._core
    return number, image(item)


@dataclasses.dataclass(frozen=True)
class Deployment:
    """A deployment and how much waits in it."""

    id: str
    """Its id."""
    backlog: int
    """Results that nobody has collected yet."""


@dataclasses.dataclass(frozen=True)
class Stats:
    """What a session has counted: ``accepted == verdicts + sum(errors.values()) + cancelled + pending``."""

    accepted: int
    refused: int
    verdicts: int
    cancelled: int
    pending: int
    preparing: int
    queued: int
    in_flight: int
    stranded: int
    window: int
    hung_reads: int
    batches: int
    bytes_sent: int
    resent: int
    duplicates: int
    late: int
    unclaimed: int
    unclaimed_dropped: int
    stray_errors: int
    connections: int
    connects: int
    disconnects: int
    errors: dict[str, int]
    """Images that ended with an error, by kind."""
