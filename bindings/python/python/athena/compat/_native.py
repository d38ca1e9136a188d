"""Images and outcomes of the native client as the messages of the contract."""

from __future__ import annotations

from typing import Any

import athena
from athena import _athena
from athena._contract import MESSAGES, VALUES
from athena.imaging import FRAME_BYTES, Preprocessor

from ._grpc import rpc_error
from .client.exceptions import AthenaError, UndecodableImageError
from .client.models import ImageData
from .client.transformers.core import UNDECODABLE

_OUTPUT = MESSAGES["ClassificationOutput"]
_CLASSIFICATION = MESSAGES["Classification"]

# Kinds that are about an image; others end the stream or the call, as gRPC's errors do.
_OF_IMAGE = {
    athena.ErrorKind.UNREADABLE,
    athena.ErrorKind.UNDECODABLE,
    athena.ErrorKind.TOO_LARGE,
    athena.ErrorKind.NOT_PERMITTED,
    athena.ErrorKind.SERVICE,
    athena.ErrorKind.INVALID_REQUEST,
    athena.ErrorKind.TIMEOUT,
}

_CODES = {
    athena.ErrorKind.UNREADABLE: "ERROR_CODE_UNSPECIFIED",
    athena.ErrorKind.TOO_LARGE: "ERROR_CODE_IMAGE_TOO_LARGE",
    athena.ErrorKind.NOT_PERMITTED: "ERROR_CODE_AFFILIATE_NOT_PERMITTED",
    athena.ErrorKind.INVALID_REQUEST: "ERROR_CODE_CORRELATION_ID_INVALID",
}


def preprocessor(options: Any) -> Preprocessor:
    """How the native client prepares images with these options."""
    return Preprocessor(
        payload="webp" if options.compress_images else "raw",
        interpolation=options.resampling_algorithm.interpolation,
    )


def image(data: ImageData, options: Any, correlation_id: str) -> _athena.Image:
    """The native image of what a program hands in."""
    if options.resize_images and len(data.data) != FRAME_BYTES:
        return _athena.Image.from_bytes(data.data, correlation_id)
    return _athena.Image.from_payload(*as_it_is(data, options), correlation_id)


def as_it_is(data: ImageData, options: Any) -> tuple[bytes, int, int, str | None, str | None]:
    """Data that is not prepared: bytes, format, encoding, MD5 and SHA-1 of the original."""
    md5, sha1 = data.original_hashes()
    number = data.image_format or VALUES["IMAGE_FORMAT_RAW_UINT8_BGR"]
    if options.compress_images and number == VALUES["IMAGE_FORMAT_RAW_UINT8_BGR"]:
        # Lossless as any other; the quality of the options may cost a second for each image.
        sent = _athena.compress_brotli(data.data, 1)
        return sent, number, VALUES["REQUEST_ENCODING_BROTLI"], md5, sha1
    return data.data, number, VALUES["REQUEST_ENCODING_UNCOMPRESSED"], md5, sha1


def digests(request: Any) -> tuple[str | None, str | None]:
    """MD5 and SHA-1 of an input."""
    found = {one.type: one.value for one in request.hashes}
    return found.get(VALUES["HASH_TYPE_MD5"]), found.get(VALUES["HASH_TYPE_SHA1"])


def output(correlation_id: str, result: Any) -> Any:
    """The output for a verdict or an error; raises what ends the whole stream."""
    if isinstance(result, athena.Verdict):
        return _OUTPUT(correlation_id=correlation_id, classifications=_classifications(result))
    if result.service_error is None and result.kind not in _OF_IMAGE:
        raise rpc_error(result) from result
    made = _OUTPUT(correlation_id=correlation_id)
    if result.service_error is not None:
        made.error.code, made.error.message, made.error.details = result.service_error
    else:
        made.error.code = VALUES[_CODES.get(result.kind, "ERROR_CODE_UNSPECIFIED")]
        made.error.message = str(result)
    if result.hash_verdict is not None:
        made.classifications.extend(_classifications(result.hash_verdict))
    return made


async def single(operation: Any, correlation_id: str) -> Any:
    """The output of a single call; raises what it ends in otherwise."""
    try:
        verdict = await operation
    except athena.Error as error:
        if error.service_error is not None:
            raise AthenaError(error.service_error[1]) from error
        if error.kind == athena.ErrorKind.UNDECODABLE:
            if error.hash_verdict is not None and error.hash_verdict.known_match:
                # Known content, whatever has become of its pixels: no exception may hide that.
                return output(error.correlation_id or correlation_id, error.hash_verdict)
            raise UndecodableImageError(f"{UNDECODABLE}: {error}") from error
        raise rpc_error(error) from error
    return output(verdict.correlation_id, verdict)


def _classifications(verdict: athena.Verdict) -> list[Any]:
    return [
        _CLASSIFICATION(label=label, weight=weight) for label, weight in verdict.weights.items()
    ]
