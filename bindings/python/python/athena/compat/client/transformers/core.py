"""Changes of one image, in place."""

from __future__ import annotations

import asyncio
import enum

from athena import _athena
from athena._errors import ImageError
from athena.imaging import FRAME_BYTES, Preprocessor

from ...generated.athena.models_pb2 import ImageFormat
from ..exceptions import UndecodableImageError
from ..models import ImageData

UNDECODABLE = "Failed to decode image data for resizing"


class OpenCVResamplingAlgorithm(enum.Enum):
    """How frames are resized; the values are OpenCV's numbers, and so are the pixels."""

    NEAREST = 0
    BOX = 3
    BILINEAR = 1
    LANCZOS = 4

    @property
    def interpolation(self) -> str:
        """The name that :class:`athena.imaging.Preprocessor` has for it."""
        return {"NEAREST": "nearest", "BOX": "area", "LANCZOS": "lanczos4"}.get(self.name, "linear")


async def resize_image(
    image_data: ImageData,
    sampling_algorithm: OpenCVResamplingAlgorithm = OpenCVResamplingAlgorithm.BILINEAR,
) -> ImageData:
    """Makes an image the raw frame of 448 x 448, unless it is one. Raises ``ValueError``."""
    if len(image_data.data) == FRAME_BYTES:
        return image_data
    preprocessor = Preprocessor(interpolation=sampling_algorithm.interpolation)
    try:
        frame = await asyncio.to_thread(preprocessor.frame, image_data.data)
    except ImageError as error:
        raise UndecodableImageError(UNDECODABLE) from error
    image_data.data = frame.tobytes()
    image_data.image_format = ImageFormat.IMAGE_FORMAT_RAW_UINT8_BGR
    image_data.add_transformation_hashes()
    return image_data


def compress_image(image_data: ImageData, quality: int = 11) -> ImageData:
    """Compresses the data with Brotli, at a quality from 0 to 11."""
    image_data.data = _athena.compress_brotli(image_data.data, quality)
    return image_data
