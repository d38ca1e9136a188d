"""What the tests share. They run against an installed package and its own emulator."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import athena
import pytest
from athena.emulator import Namespace

PICTURES = Path(__file__).resolve().parents[3] / "examples" / "images"


@pytest.fixture(scope="session")
def pictures() -> list[Path]:
    """One small picture of each format."""
    return sorted(PICTURES.iterdir())


@pytest.fixture(scope="session")
def picture() -> bytes:
    """A small picture's bytes."""
    return (PICTURES / "seashore.webp").read_bytes()


@pytest.fixture(scope="session")
def dot() -> bytes:
    """The smallest picture."""
    return b"P6 2 1 255 abcdef"


@pytest.fixture(scope="session")
def light() -> athena.Image:
    """An image without pixels, for tests that need many."""
    return athena.Image.hashes_only(md5="0" * 32)


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(athena_emulator: Namespace) -> Run:
    """Runs a program in a process of its own, pointed at the emulator."""

    def run(program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program), *arguments],
            env=os.environ | athena_emulator.environ(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    return run
