"""What can go wrong."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._athena import Provenance, Verdict


class ErrorKind(str, enum.Enum):
    """The kinds of :class:`Error`. Each is equal to its text, as in ``error.kind == "timeout"``."""

    INVALID_REQUEST = "invalid_request"
    """Something in the request is wrong, such as an id that is too long: correct it."""
    UNREADABLE = "unreadable"
    """The image's file could not be read."""
    UNDECODABLE = "undecodable"
    """The image could not be decoded; see :attr:`Error.hash_verdict`."""
    TOO_LARGE = "too_large"
    """The image is larger than a message, or than the service takes."""
    AUTHENTICATION = "authentication"
    """No token could be had, or the service refuses it: check the credentials."""
    NOT_PERMITTED = "not_permitted"
    """The account may not do this; often an affiliate that is not enabled."""
    CONNECT = "connect"
    """The service could not be reached: address, DNS, firewall or proxy."""
    TLS = "tls"
    """The server's certificate is not trusted, or the TLS handshake failed."""
    UNAVAILABLE = "unavailable"
    """The connection broke, or the service said that it is unavailable."""
    OVERLOADED = "overloaded"
    """The service refuses work for now: send less."""
    TIMEOUT = "timeout"
    """No answer within the time allowed."""
    SERVICE = "service"
    """The service failed this image or this request."""
    PROTOCOL = "protocol"
    """The service's answer breaks the contract."""
    CLOSED = "closed"
    """The session ended before the answer came."""
    UNKNOWN = "unknown"
    """A kind that this version has no name for."""

    __str__ = str.__str__

    @classmethod
    def _missing_(cls, value: object) -> ErrorKind:
        return cls.UNKNOWN


class Delivery(str, enum.Enum):
    """How far an image got that has no verdict."""

    NOT_SENT = "not_sent"
    """It never left this process: the service has not seen it."""
    UNKNOWN = "unknown"
    """It was handed to the connection: the service may have seen it, and may bill it."""
    ANSWERED = "answered"
    """The service answered, with an error."""

    __str__ = str.__str__


class Error(Exception):
    """Why an image, or a call, has no verdict. It is never an all-clear.

    An exception that a token source or secret source of yours raised is the ``__cause__``.
    """

    kind: ErrorKind
    """What kind of failure it is."""
    delivery: Delivery
    """Whether the service may have seen the image."""
    is_transient: bool
    """Whether the same call may succeed later without a change on this side."""
    is_of_image: bool
    """Whether it is the image's own; otherwise send the image again, however permanent the kind."""
    correlation_id: str | None
    """The image's id, where the error concerns one."""
    sends: int | None
    """How often the image was handed to a connection, and may be billed; ``None`` where it is not known."""
    retry_after: float | None
    """For how many seconds the service asks to be left alone."""
    hash_verdict: Verdict | None
    """For an image that could not be decoded: what the service says about its hashes."""
    hash_error: Error | None
    """For such an image: why its hashes could not be looked up either."""
    provenance: Provenance | None
    """What is known of the image's file."""
    status: int | None
    """The HTTP status of the token endpoint, where that is what failed."""
    service_error: tuple[int, str, str] | None
    """The service's own error as it came: the contract's number of its code, message, details."""
    oauth_code: str | None
    """The token endpoint's error code, such as ``invalid_client``."""

    def __init__(
        self,
        message: str,
        kind: str = ErrorKind.SERVICE,
        delivery: str = Delivery.UNKNOWN,
        *,
        is_transient: bool = False,
        is_of_image: bool = False,
        correlation_id: str | None = None,
        sends: int | None = None,
        retry_after: float | None = None,
        hash_verdict: Verdict | None = None,
        hash_error: Error | None = None,
        provenance: Provenance | None = None,
        status: int | None = None,
        oauth_code: str | None = None,
        service_error: tuple[int, str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = ErrorKind(kind)
        self.delivery = Delivery(delivery)
        self.is_transient = is_transient
        self.is_of_image = is_of_image
        self.correlation_id = correlation_id
        self.sends = sends
        self.retry_after = retry_after
        self.hash_verdict = hash_verdict
        self.hash_error = hash_error
        self.provenance = provenance
        self.status = status
        self.oauth_code = oauth_code
        self.service_error = service_error

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), self.args, self.__dict__)


class Unfinished(Error):
    """A session was closed before all of its images had ended."""

    images: list[str]
    """Their correlation ids."""

    def __init__(self, images: list[str]) -> None:
        super().__init__(
            f"the session was closed with {len(images)} images unfinished", ErrorKind.CLOSED
        )
        self.images = images

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.images,))


class ConfigError(ValueError):
    """A setting that cannot work, told before anything is sent."""

    setting: str
    """Which one."""

    def __init__(self, message: str, setting: str = "") -> None:
        super().__init__(message, setting)
        self.setting = setting

    def __str__(self) -> str:
        return str(self.args[0])


class ImageError(ValueError):
    """Why an image cannot be prepared. The same bytes fail in the same way every time."""

    format: str | None
    """The file's format, once it was recognised."""

    def __init__(self, message: str, format: str | None = None) -> None:
        super().__init__(message, format)
        self.format = format

    def __str__(self) -> str:
        return str(self.args[0])


class EmulatorError(Exception):
    """Why the emulator could not start, or did not do as it was asked."""
