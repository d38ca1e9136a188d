"""Settings of a client."""

from __future__ import annotations

from dataclasses import dataclass

from .correlation import CorrelationProvider, HashCorrelationProvider
from .transformers.core import OpenCVResamplingAlgorithm


@dataclass
class AthenaOptions:
    """How images are prepared and sent.

    ``compress_images`` sends lossless WebP: the same pixels in fewer bytes than Brotli, and in a
    hundredth of the time that its quality 11 takes, so ``compression_quality`` means nothing.
    On a channel of this package images are prepared on every core, and ``num_workers`` means
    nothing either.
    """

    host: str = "localhost"
    resize_images: bool = True
    compress_images: bool = True
    deployment_id: str = "default"
    affiliate: str = "default"
    max_batch_size: int = 10
    num_workers: int = 5
    correlation_provider: type[CorrelationProvider] = HashCorrelationProvider
    timeout: float | None = 120.0
    keepalive_interval: float | None = None
    compression_quality: int = 11
    resampling_algorithm: OpenCVResamplingAlgorithm = OpenCVResamplingAlgorithm.BILINEAR
