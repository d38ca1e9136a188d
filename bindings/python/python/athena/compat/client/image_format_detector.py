"""Formats by the first bytes of a file."""

from __future__ import annotations

from ..generated.athena.models_pb2 import ImageFormat

PNG_MAGIC_BYTES = b"\x89PNG"
JPEG_MAGIC_BYTES = b"\xff\xd8\xff"
GIF87A_MAGIC_BYTES = b"GIF87a"
GIF89A_MAGIC_BYTES = b"GIF89a"
BMP_MAGIC_BYTES = b"BM"
WEBP_RIFF_MAGIC_BYTES = b"RIFF"
WEBP_WEBP_MAGIC_BYTES = b"WEBP"
TIFF_LE_MAGIC_BYTES = b"II*\x00"
TIFF_BE_MAGIC_BYTES = b"MM\x00*"

_FORMATS: dict[bytes, int] = {
    PNG_MAGIC_BYTES: ImageFormat.IMAGE_FORMAT_PNG,
    JPEG_MAGIC_BYTES: ImageFormat.IMAGE_FORMAT_JPEG,
    GIF87A_MAGIC_BYTES: ImageFormat.IMAGE_FORMAT_GIF,
    GIF89A_MAGIC_BYTES: ImageFormat.IMAGE_FORMAT_GIF,
    BMP_MAGIC_BYTES: ImageFormat.IMAGE_FORMAT_BMP,
    TIFF_LE_MAGIC_BYTES: ImageFormat.IMAGE_FORMAT_TIFF,
    TIFF_BE_MAGIC_BYTES: ImageFormat.IMAGE_FORMAT_TIFF,
}


def detect_image_format(data: bytes) -> int:
    """The contract's number of a file's format, that of "unspecified" if it is none of these.

    It only labels data that is sent as it is. What is prepared here is told by its content, with
    all formats that docs/images.md lists.
    """
    for magic, number in _FORMATS.items():
        if data.startswith(magic):
            return number
    if data[:4] == WEBP_RIFF_MAGIC_BYTES and data[8:12] == WEBP_WEBP_MAGIC_BYTES:
        return int(ImageFormat.IMAGE_FORMAT_WEBP)
    return int(ImageFormat.IMAGE_FORMAT_UNSPECIFIED)
