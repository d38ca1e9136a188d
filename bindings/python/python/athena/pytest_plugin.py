"""Fixtures for pytest, found by themselves once the package is installed.

- ``athena_emulator``: a namespace of an emulator that the whole test run shares: fresh credentials,
  rules and figures for each test.
- ``athena_server``: that emulator itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .emulator import Emulator, Namespace


@pytest.fixture(scope="session")
def athena_server() -> Iterator[Emulator]:
    """One emulator for the whole run."""
    from .emulator import Emulator

    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def athena_emulator(athena_server: Emulator) -> Iterator[Namespace]:
    """An Athena for this test alone."""
    with athena_server.namespace() as namespace:
        yield namespace
