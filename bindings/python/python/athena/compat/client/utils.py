"""Reading of answers."""

from __future__ import annotations

import logging
from typing import Any

from .exceptions import ClassificationOutputError

logger = logging.getLogger(__name__)


def process_classification_outputs(
    response: Any, *, raise_on_error: bool = False, log_errors: bool = True
) -> list[Any]:
    """The outputs without an error. One with an error is logged and left out, or raised."""
    successful = []
    for output in response.outputs:
        if not _failed(output):
            successful.append(output)
            continue
        if log_errors:
            _log(output)
        if raise_on_error:
            raise ClassificationOutputError(output.correlation_id, output.error)
    return successful


def get_output_error_summary(response: Any) -> dict[str, int]:
    """How many outputs failed with each code."""
    counts: dict[str, int] = {}
    for output in response.outputs:
        if _failed(output):
            code = str(output.error.code)
            counts[code] = counts.get(code, 0) + 1
    return counts


def has_output_errors(response: Any) -> bool:
    """Whether an output has an error."""
    return any(_failed(output) for output in response.outputs)


def get_successful_outputs(response: Any) -> list[Any]:
    """The outputs without an error."""
    return [output for output in response.outputs if not _failed(output)]


def log_output_errors(response: Any) -> None:
    """Logs the outputs with an error."""
    for output in response.outputs:
        if _failed(output):
            _log(output)
            if output.error.details:
                logger.debug("details of %s: %s", output.correlation_id[:8], output.error.details)


def _failed(output: Any) -> bool:
    return bool(output.error and output.error.message)


def _log(output: Any) -> None:
    error = output.error
    logger.error(
        "image %s failed: %s (code %s)", output.correlation_id[:8], error.message, error.code
    )
