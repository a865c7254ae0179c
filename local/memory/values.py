"""Values as Firestore keeps them: their normal form, their order, and the JSON form of its REST API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

Fields: TypeAlias = Mapping[str, Any]
Json: TypeAlias = dict[str, Any]

_KEPT = frozenset({type(None), bool, int, float, bytes, str})
# The rank of numbers among the types.
NUMBER = 2


def stored(value: Any) -> Any:
    """The value as it comes back from Firestore: tuples as lists, enums as text, times in UTC.

    Whether Firestore can hold it is storable.check()'s to say. Raises TypeError for what it has no type for. Never
    shares a mutable part with its argument.
    """
    kind = type(value)
    # What most values are comes first: the simulation stores some hundred thousand of them a second.
    if kind in _KEPT:
        return value
    if kind is dict:
        return _stored_map(value)
    match value:
        case None | bool() | float() | bytes():
            return value
        case str():
            return str(value)
        case int():
            return int(value)
        case datetime():
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        case list() | tuple():
            return [stored(item) for item in value]
        case Mapping():
            return _stored_map(value)
        case _:
            raise TypeError(f"Firestore cannot hold a {type(value).__name__}")


def _stored_map(value: Mapping[Any, Any]) -> dict[str, Any]:
    # Raises TypeError for a name that is no text.
    "".join(value)
    return {str(name): item if type(item) in _KEPT else stored(item) for name, item in value.items()}


def sort_key(value: Any) -> tuple[int, Any]:
    """Where a value stands in Firestore's order of all values: by type first, then by value."""
    match value:
        case None:
            return 0, 0
        case bool():
            return 1, value
        case int() | float():
            return NUMBER, value
        case datetime():
            return 3, value
        case str():
            return 4, value.encode()
        case bytes():
            return 5, value
        case list():
            return 8, [sort_key(item) for item in value]
        case _:
            return 9, [(key.encode(), sort_key(item)) for key, item in sorted(value.items())]


def same_type(one: Any, other: Any) -> bool:
    """Whether an inequality may hold between them: Firestore compares values of one type only."""
    return sort_key(one)[0] == sort_key(other)[0]


def to_json(value: Any) -> Json:
    """A stored value in the form of Firestore's REST API, which marks the types."""
    match value:
        case None:
            return {"nullValue": None}
        case bool():
            return {"booleanValue": value}
        case int():
            return {"integerValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case bytes():
            return {"bytesValue": value.hex()}
        case datetime():
            return {"timestampValue": value.isoformat()}
        case list():
            return {"arrayValue": {"values": [to_json(item) for item in value]}}
        case _:
            return {"mapValue": {"fields": {key: to_json(item) for key, item in value.items()}}}


def from_json(value: Json) -> Any:
    """The stored value of its JSON form."""
    ((kind, content),) = value.items()
    match kind:
        case "integerValue":
            return int(content)
        case "bytesValue":
            return bytes.fromhex(content)
        case "timestampValue":
            return datetime.fromisoformat(content)
        case "arrayValue":
            return [from_json(item) for item in content["values"]]
        case "mapValue":
            return {key: from_json(item) for key, item in content["fields"].items()}
        case _:
            return content
