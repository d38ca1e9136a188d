"""The messages of the wire contract, as classes of protobuf.

They are made from the description in the native module, in a pool of their own: the classes that
another package generated from the same contract do not collide with them.
"""

from __future__ import annotations

from typing import Any

try:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
except ImportError as error:
    raise ImportError("athena.compat needs protobuf: pip install 'athena-rs[compat]'") from error

from ._athena import FILE_DESCRIPTOR_SET

_files = descriptor_pb2.FileDescriptorSet.FromString(FILE_DESCRIPTOR_SET).file
_pool = descriptor_pool.DescriptorPool()
for _file in _files:
    _pool.Add(_file)


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(name))


Empty: Any = _message("google.protobuf.Empty")

MESSAGES: dict[str, Any] = {}
"""Message classes, by name."""
ENUMS: dict[str, Any] = {}
"""Enums, by name."""
VALUES: dict[str, int] = {}
"""The enums' values, by name."""

for _file in _files:
    if _file.package == "athena":
        for _type in _file.message_type:
            MESSAGES[_type.name] = _message(f"athena.{_type.name}")
        for _enum in _file.enum_type:
            ENUMS[_enum.name] = EnumTypeWrapper(_pool.FindEnumTypeByName(f"athena.{_enum.name}"))
            VALUES.update((value.name, value.number) for value in _enum.value)
