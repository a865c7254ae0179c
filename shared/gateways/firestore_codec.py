"""Converts between Python values and Firestore messages, for the value types that our documents use.

The official client converts through proto-plus, which takes most of a commit's CPU time. This reads and writes the
wrapped protobuf messages directly.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf.struct_pb2 import NULL_VALUE


def fill(messages: Any, fields: Mapping[str, Any]) -> None:
    """Write fields, which must have passed storable.check(), to a message's map from name to Value.

    Raises TypeError for a type that no document uses.
    """
    for name, value in fields.items():
        _fill(messages[name], value)


def read(messages: Mapping[str, Any]) -> dict[str, Any]:
    """Read the fields of a message's map from name to Value; times are in UTC with microseconds."""
    return {name: _read(message) for name, message in messages.items()}


def _fill(message: Any, value: Any) -> None:
    match value:
        case None:
            message.null_value = NULL_VALUE
        case bool():
            message.boolean_value = value
        case str():
            message.string_value = value
        case int():
            message.integer_value = value
        case float():
            message.double_value = value
        case datetime():
            message.timestamp_value.FromDatetime(value)
        case Mapping():
            # Sets the value even if the map is empty.
            message.map_value.SetInParent()
            fill(message.map_value.fields, value)
        case list() | tuple():
            message.array_value.SetInParent()
            for element in value:
                _fill(message.array_value.values.add(), element)
        case bytes():
            message.bytes_value = value
        case _:
            raise TypeError(f"no document has a {type(value).__name__}")


def _read(message: Any) -> Any:
    match message.WhichOneof("value_type"):
        case "null_value" | None:
            return None
        case "timestamp_value":
            return message.timestamp_value.ToDatetime(tzinfo=UTC)
        case "map_value":
            return read(message.map_value.fields)
        case "array_value":
            return [_read(element) for element in message.array_value.values]
        case kind:
            return getattr(message, kind)
