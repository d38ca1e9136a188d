"""Any image file to the exact 448 x 448 frame that Athena expects: OpenCV's pixels, bit for bit.

Without OpenCV and without a client. All work is done without the GIL, in the calling thread.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from . import _athena
from ._athena import Provenance
from ._types import Buffer

__all__ = [
    "FRAME_BYTES",
    "SIDE",
    "Hashes",
    "Inspection",
    "Prepared",
    "Preprocessor",
    "frame",
    "hashes",
    "inspect",
    "prepare",
]

SIDE = 448
"""Width and height of the frame that the service takes."""
FRAME_BYTES = SIDE * SIDE * 3
"""Bytes of that frame: three for each pixel."""


class Hashes(NamedTuple):
    """Digests of a file's original bytes, in lower-case hexadecimal."""

    md5: str
    sha1: str


class Inspection(NamedTuple):
    """What a file says of itself."""

    format: str
    width: int
    """In pixels, upright."""
    height: int
    """In pixels, upright."""
    frames: int
    """Frames or pages; 1 for a still image."""


class Prepared:
    """An image ready to be sent: ``athena.Image.prepared(prepared)`` sends it."""

    __slots__ = ("_core",)

    def __init__(self, core: _athena.Prepared) -> None:
        self._core = core

    @property
    def data(self) -> memoryview:
        """The bytes to send, without a copy: they live as long as the view.

        ``bytes(prepared.data)`` copies them, ``numpy.asarray(prepared.data)`` does not.
        """
        return _view(self._core, self._core.place)

    @property
    def format(self) -> str:
        """What they are: ``raw`` (blue, green, red), or ``WEBP``, ``PNG`` and so on."""
        return self._core.format

    @property
    def is_brotli(self) -> bool:
        """Whether they are compressed with Brotli besides."""
        return self._core.is_brotli

    @property
    def provenance(self) -> Provenance:
        """What is known of the file, its digests included."""
        return self._core.provenance

    def __repr__(self) -> str:
        return f"Prepared({len(self.data)} bytes of {self.format})"


class Preprocessor:
    """How images are prepared, for a client or for use without one. Raises ``ConfigError``.

    - ``payload``: ``webp`` (lossless: the same pixels in the fewest bytes), ``webp-fastest``,
      ``webp-small``, ``png``, ``raw``, ``original`` (the file itself where the service would see
      the same pixels), or ``jpeg`` with ``jpeg_quality`` (lossy: scores move).
    - ``interpolation``: ``linear`` as the service's reference has it, ``nearest``, ``area`` or
      ``lanczos4``: each OpenCV's, exactly.
    - ``brotli``: compresses the payload besides, with this quality from 0 to 11.
    - ``frame_digest``: whether to compute the SHA-256 of the frame, for records.
    - ``limits``: what an image may cost, such as ``{"max_pixels": 40_000_000}``; docs/images.md
      names them. ``shared_memory``: what all images together may, in bytes.
    """

    __slots__ = ("_core",)

    def __init__(
        self,
        *,
        payload: str = "webp",
        interpolation: str = "linear",
        brotli: int | None = None,
        frame_digest: bool = False,
        jpeg_quality: int = 90,
        shared_memory: int | None = None,
        limits: dict[str, int] | None = None,
    ) -> None:
        self._core = _athena.Preprocessor(
            payload=payload,
            interpolation=interpolation,
            brotli=brotli,
            frame_digest=frame_digest,
            jpeg_quality=jpeg_quality,
            shared_memory=shared_memory,
            limits=limits,
        )

    def prepare(self, data: Buffer) -> Prepared:
        """Decodes, turns upright, resizes, encodes and hashes one file. Raises ``ImageError``."""
        return Prepared(self._core.prepare(data))

    def frame(self, data: Buffer) -> memoryview:
        """The frame alone: a view of 448 x 448 x 3 bytes (blue, green, red). Raises ``ImageError``.

        ``numpy.asarray(view)`` is an array of that shape, without a copy.
        """
        frame = self._core.frame(data)
        return _view(frame, frame.place).cast("B", (frame.height, frame.width, 3))


_default = Preprocessor()


def prepare(data: Buffer) -> Prepared:
    """As :meth:`Preprocessor.prepare`, with the service's pixels and the cheapest lossless payload."""
    return _default.prepare(data)


def frame(data: Buffer) -> memoryview:
    """As :meth:`Preprocessor.frame`, with the service's pixels."""
    return _default.frame(data)


def hashes(data: Buffer) -> Hashes:
    """MD5 and SHA-1 of a file, as hash lists of known content hold them."""
    return Hashes(*_athena.hashes(data))


def inspect(data: Buffer) -> Inspection:
    """What a file says of itself, without decoding it. Raises ``ImageError``."""
    return Inspection(*_athena.inspect(data))


def _view(owner: Any, place: tuple[int, int]) -> memoryview:
    """A read-only view of bytes that belong to ``owner``, which lives as long as the view.

    Python 3.10's stable interface has no buffer protocol for native classes: a ctypes array stands
    between.
    """
    address, length = place
    import ctypes  # programs that only stream never need it

    array: Any = (ctypes.c_ubyte * length).from_address(address)
    array.owner = owner
    return memoryview(array).cast("B").toreadonly()
