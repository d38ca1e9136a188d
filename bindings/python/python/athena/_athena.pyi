"""The native half of the package. Use what ``athena`` and its modules export."""

from collections.abc import Awaitable, Callable, Generator
from datetime import timedelta
from os import PathLike
from typing import Any, Generic, TypeVar, final

from ._types import Buffer, Pem

T_co = TypeVar("T_co", covariant=True)

CORES: int
DEFAULT_ENDPOINT: str
DEFAULT_TOKEN_URL: str
DEFAULT_AUDIENCE: str
FILE_DESCRIPTOR_SET: bytes
__version__: str

Seconds = float | timedelta

class ForkError(RuntimeError): ...

@final
class Operation(Generic[T_co]):
    def __await__(self) -> Generator[Any, None, T_co]: ...
    def wait(self) -> T_co: ...

@final
class Verdict:
    """What the service says about an image: a weight for each label.

    Labels are kept as the service sent them, unknown ones included; any label may be missing.
    """

    def __init__(
        self,
        correlation_id: str,
        weights: dict[str, float],
        provenance: Provenance | None = None,
        sends: int | None = None,
        frame: int | None = None,
        frames: list[tuple[int, Verdict]] = ...,
    ) -> None: ...
    @property
    def correlation_id(self) -> str:
        """The id under which the image was sent."""
    @property
    def weights(self) -> dict[str, float]:
        """All labels with their weights, in the service's order."""
    def weight(self, label: str) -> float | None:
        """The weight of a label, ``None`` when the answer lacks it."""
    @property
    def pcsam(self) -> float | None:
        """The overall probability, 0 to 1: the one for a yes/no decision.

        ``None`` when the image was checked by hash alone, or matched a known hash: that is no
        all-clear.
        """
    @property
    def entropy(self) -> float | None:
        """How undecided the classifier is; may exceed 1."""
    @property
    def categories(self) -> dict[str, float]:
        """The classifier's categories with their weights, which sum to about 1."""
    @property
    def top_category(self) -> tuple[str, float] | None:
        """The category of the greatest weight."""
    @property
    def known_match(self) -> bool:
        """Whether a hash of the original file is that of known content."""
    @property
    def hash_checked(self) -> bool:
        """Whether the service looked at least one hash up."""
    @property
    def provenance(self) -> Provenance | None:
        """What is known of the image's file."""
    @property
    def sends(self) -> int | None:
        """How often the image was handed to a connection, and may be billed.

        More than once where a connection broke before there was an answer, and for each frame of an
        animation. ``None`` for results that this process did not send.
        """
    @property
    def frame(self) -> int | None:
        """Where several frames of an animation were judged: the place, from 0, of the worst."""
    @property
    def frames(self) -> list[tuple[int, Verdict]]:
        """The frames that were judged, with their places; none where the image was judged as one."""

@final
class Provenance:
    """What is known of an image's file. Digests are in hexadecimal."""

    def __init__(
        self,
        format: str | None = None,
        width: int | None = None,
        height: int | None = None,
        bytes: int | None = None,
        md5: str | None = None,
        sha1: str | None = None,
        sha256: str | None = None,
        frame_sha256: str | None = None,
    ) -> None: ...
    @property
    def format(self) -> str | None: ...
    @property
    def width(self) -> int | None: ...
    @property
    def height(self) -> int | None: ...
    @property
    def bytes(self) -> int | None: ...
    @property
    def md5(self) -> str | None: ...
    @property
    def sha1(self) -> str | None: ...
    @property
    def sha256(self) -> str | None: ...
    @property
    def frame_sha256(self) -> str | None: ...

@final
class Token:
    """A token, ready to be sent. Neither ``repr`` nor ``str`` shows the secret.

    Without a ``lifetime``, in seconds from now, it is used until the service rejects it.
    """

    def __init__(
        self, secret: str, *, scheme: str = "Bearer", lifetime: Seconds | None = None
    ) -> None: ...
    @property
    def scheme(self) -> str: ...
    @property
    def lifetime(self) -> float | None: ...
    @property
    def expires_at(self) -> float | None:
        """When it expires, in seconds since 1970."""
    def expose_secret(self) -> str:
        """The secret in the clear. Never log it."""

@final
class Secret:
    """A client secret, and for how many seconds its source need not be asked again."""

    def __init__(self, text: str, *, valid_for: Seconds | None = None) -> None: ...

SecretSource = Callable[[], str | Secret | Awaitable[str | Secret]]

@final
class OAuthClientCredentials:
    def __init__(
        self,
        client_id: str,
        client_secret: str | Secret | PathLike[str] | SecretSource,
        *,
        token_url: str | None = None,
        audience: str | None = None,
        scopes: list[str] = ...,
        parameters: dict[str, str] = ...,
        basic_auth: bool = False,
        allow_plaintext: bool = False,
        ca_certificate: Pem | None = None,
        proxy: str | None = None,
        refresh_before: Seconds | None = None,
        patience: Seconds | None = None,
    ) -> None: ...
    def token(self) -> Operation[Token]: ...
    def cached(self) -> Token | None: ...
    def invalidate(self, token: Token) -> None: ...
    @property
    def requests(self) -> int: ...

@final
class Image:
    @staticmethod
    def from_bytes(
        data: Buffer,
        correlation_id: str | None = None,
        affiliate: str | None = None,
        timeout: Seconds | None = None,
        frames: int = 1,
    ) -> Image: ...
    @staticmethod
    def from_file(
        path: str | PathLike[str],
        correlation_id: str | None = None,
        affiliate: str | None = None,
        timeout: Seconds | None = None,
        frames: int = 1,
    ) -> Image: ...
    @staticmethod
    def from_prepared(
        prepared: Prepared,
        correlation_id: str | None = None,
        affiliate: str | None = None,
        timeout: Seconds | None = None,
    ) -> Image: ...
    @staticmethod
    def raw_bgr(
        frame: Buffer,
        md5: str | bytes | None = None,
        sha1: str | bytes | None = None,
        correlation_id: str | None = None,
        affiliate: str | None = None,
        timeout: Seconds | None = None,
    ) -> Image: ...
    @staticmethod
    def from_payload(
        data: Buffer,
        format: int,
        encoding: int,
        md5: str | bytes | None = None,
        sha1: str | bytes | None = None,
        correlation_id: str | None = None,
        affiliate: str | None = None,
        timeout: Seconds | None = None,
    ) -> Image: ...
    @staticmethod
    def hashes_only(
        md5: str | bytes | None = None,
        sha1: str | bytes | None = None,
        correlation_id: str | None = None,
        affiliate: str | None = None,
        timeout: Seconds | None = None,
    ) -> Image: ...

@final
class Prepared:
    @property
    def place(self) -> tuple[int, int]: ...
    @property
    def format(self) -> str: ...
    @property
    def numbers(self) -> tuple[int, int]: ...
    @property
    def is_brotli(self) -> bool: ...
    @property
    def provenance(self) -> Provenance: ...

@final
class Frame:
    @property
    def place(self) -> tuple[int, int]: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...

@final
class Preprocessor:
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
    ) -> None: ...
    def prepare(self, data: Buffer) -> Prepared: ...
    def frame(self, data: Buffer) -> Frame: ...

def compress_brotli(data: Buffer, quality: int) -> bytes: ...
def hashes(data: Buffer) -> tuple[str, str]: ...
def inspect(data: Buffer) -> tuple[str, int, int, int]: ...

@final
class Client:
    def __init__(self, **settings: Any) -> None: ...
    def ready(self) -> Operation[None]: ...
    def classify(self, image: Image) -> Operation[Verdict]: ...
    def prepare(self, image: Image) -> Operation[Prepared]: ...
    def list_deployments(self) -> Operation[list[tuple[str, int]]]: ...
    def session(self, **settings: Any) -> Session: ...
    def collect(self, deployment: str, quiet: Seconds) -> Collection: ...

@final
class Collection:
    def next(self) -> Operation[tuple[str, Any] | None]: ...

@final
class Session:
    @property
    def deployment(self) -> str: ...
    def submit(self, image: Image) -> Operation[Pending]: ...
    def classify(self, image: Image) -> Operation[Verdict]: ...
    def results(self) -> Results: ...
    def ready(self) -> Operation[None]: ...
    def close(self) -> Operation[list[str]]: ...
    def unclaimed(self) -> Operation[tuple[str, Any] | None]: ...
    def stats(self) -> dict[str, Any]: ...

@final
class Pending:
    @property
    def correlation_id(self) -> str: ...
    def result(self) -> Operation[Verdict]: ...
    def cancel(self) -> None: ...

@final
class Results:
    def push(self, number: int, image: Image) -> Operation[None]: ...
    def is_full(self) -> bool: ...
    def end(self) -> None: ...
    def wait(self) -> Operation[bool]: ...
    def take(self) -> list[tuple[int, Any]]: ...
    def abort(self) -> None: ...

@final
class Emulator:
    @staticmethod
    def start(settings: str) -> Operation[Emulator]: ...
    @property
    def endpoint(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def token_url(self) -> str: ...
    @property
    def admin_url(self) -> str: ...
    @property
    def ca_pem(self) -> str: ...
    @property
    def client_id(self) -> str: ...
    @property
    def client_secret(self) -> str: ...
    @property
    def audience(self) -> str: ...
    @property
    def affiliate(self) -> str: ...
    def environment(self, ca_file: str | PathLike[str]) -> str: ...
    def shutdown(self) -> Operation[None]: ...
