"""What is handed in."""

from .input_model import ImageData

__all__ = ["ImageData"]
