"""What is done to images before they are sent."""

from .core import compress_image, resize_image
from .worker_batcher import WorkerBatcher

__all__ = ["WorkerBatcher", "compress_image", "resize_image"]
