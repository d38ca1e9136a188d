"""The messages and enums of the contract."""

from typing import Any

from athena._contract import ENUMS, MESSAGES, VALUES

globals().update(MESSAGES)
globals().update(ENUMS)
globals().update(VALUES)


def __getattr__(name: str) -> Any:  # for type checkers: everything is set above
    raise AttributeError(name)
