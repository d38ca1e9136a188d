"""Sizes of the service."""

from typing import Final

EXPECTED_WIDTH: Final[int] = 448
"""Pixels in a row of the frame."""
EXPECTED_HEIGHT: Final[int] = 448
"""Rows of the frame."""
MAX_DEPLOYMENT_ID_LENGTH: Final[int] = 63
"""Characters of a deployment's id, and of a correlation id made from a hash."""
