"""The types that the package promises are those that it has."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import get_origin

import athena
from athena import _athena


def test_the_stubs_name_what_the_native_module_has() -> None:
    stub = ast.parse(Path(athena.__file__).with_name("_athena.pyi").read_text())
    promised = {}
    for node in stub.body:
        if isinstance(node, ast.ClassDef):
            promised[node.name] = {
                member.name for member in node.body if isinstance(member, ast.FunctionDef)
            } - {"__init__"}
        elif isinstance(node, ast.FunctionDef):
            promised[node.name] = set()
    # What is made by methods alone is not exported.
    del promised["Collection"]
    for name, members in promised.items():
        assert members <= set(dir(getattr(_athena, name))), name
    classes = {name for name, value in vars(_athena).items() if inspect.isclass(value)}
    assert classes <= promised.keys()


def test_everything_public_is_documented() -> None:
    assert Path(athena.__file__).with_name("py.typed").exists()
    for name in athena.__all__:
        value = getattr(athena, name)
        # In Python 3.10 an alias such as `Callable[...]` passes for a class.
        if inspect.isclass(value) and get_origin(value) is None:
            assert value.__doc__, name
