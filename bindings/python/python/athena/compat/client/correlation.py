"""How images are named that have no name."""

from __future__ import annotations

import abc
import hashlib

from .consts import MAX_DEPLOYMENT_ID_LENGTH

__all__ = ["CorrelationProvider", "HashCorrelationProvider"]


class CorrelationProvider(abc.ABC):
    """Makes an id of an image's bytes."""

    @abc.abstractmethod
    def get_correlation_id(self, input_data: bytes | str | bytearray) -> str:
        """An id of 1 to 64 characters; raises ``ValueError`` for what it cannot take."""
        raise NotImplementedError


class HashCorrelationProvider(CorrelationProvider):
    """The beginning of the SHA-256: the same for the same bytes.

    As the default of :class:`AthenaOptions` it stands for ids that nothing else has, since two
    images in flight must not share one.
    """

    def get_correlation_id(self, input_data: bytes | str | bytearray) -> str:
        """63 hexadecimal digits of the SHA-256 of bytes, or of a text in UTF-8."""
        try:
            data = input_data if isinstance(input_data, bytes) else str(input_data).encode()
            return hashlib.sha256(data).hexdigest()[:MAX_DEPLOYMENT_ID_LENGTH]
        except Exception as error:
            message = f"Failed to generate correlation ID from input: {error}"
            raise ValueError(message) from error
