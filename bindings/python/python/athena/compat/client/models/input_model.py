"""An image and its digests."""

from __future__ import annotations

import hashlib

from athena import _athena

from ..image_format_detector import detect_image_format


class ImageData:
    """An image's bytes, with the digests of what it was and has become.

    Sending an image does not change it. The transformers change ``data`` in place, and add digests
    of it behind those of the original.
    """

    data: bytes
    """The bytes: the file's, until a transformer has changed them."""
    image_format: int
    """The contract's number of their format."""
    correlation_id: str | None
    """The id to send it under; made when there is none."""

    def __init__(self, image_bytes: bytes, correlation_id: str | None = None) -> None:
        self.data = image_bytes
        self.image_format = detect_image_format(image_bytes)
        self.correlation_id = correlation_id
        self._original = image_bytes
        self._md5_hashes: list[str] | None = None
        self._sha256_hashes: list[str] | None = None

    # Computed when they are asked for: sending needs neither.

    @property
    def md5_hashes(self) -> list[str]:
        """MD5 of the original and of each change of the pixels, in hexadecimal."""
        if self._md5_hashes is None:
            self._md5_hashes = [hashlib.md5(self._original, usedforsecurity=False).hexdigest()]
        return self._md5_hashes

    @md5_hashes.setter
    def md5_hashes(self, hashes: list[str]) -> None:
        self._md5_hashes = hashes

    @property
    def sha256_hashes(self) -> list[str]:
        """SHA-256 of the original and of each change of the pixels, in hexadecimal."""
        if self._sha256_hashes is None:
            self._sha256_hashes = [hashlib.sha256(self._original).hexdigest()]
        return self._sha256_hashes

    @sha256_hashes.setter
    def sha256_hashes(self, hashes: list[str]) -> None:
        self._sha256_hashes = hashes

    def original_hashes(self) -> tuple[str, str]:
        """MD5 and SHA-1 of the original: what the service looks up."""
        return _athena.hashes(self._original)

    def add_transformation_hashes(self) -> None:
        """Adds the digests of ``data`` as it is now."""
        self.sha256_hashes.append(hashlib.sha256(self.data).hexdigest())
        self.md5_hashes.append(hashlib.md5(self.data, usedforsecurity=False).hexdigest())
