"""What Firestore can store: the only place that makes outside text storable, or says why a document isn't. Pure.

The limits are from https://cloud.google.com/firestore/quotas, and each was tried on Google's emulator
(tests/contract/test_store.py): Firestore always rejects an invalid document, with a 400.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from typing import Any, TypeVar, cast

from pydantic import AfterValidator

from shared.core.errors import NotStorable

MAX_ID_BYTES = 1_500
# Of a field's path: its name and those of the maps around it, joined by dots.
MAX_PATH_BYTES = 1_500
MAX_VALUE_BYTES = 1_048_487
MAX_DOCUMENT_BYTES = 1_048_576
# A longer value can be stored but not queried: an index keeps 1,500 bytes, of which one terminates the text.
MAX_QUERIED_BYTES = 1_499
MAX_DEPTH = 20
MAX_INTEGER = 2**63 - 1
# Of one outside text in a job or a delivery; a document has about a dozen of them.
MAX_TEXT_BYTES = 8 * 1024
# Items that one event may list: no request makes more than a handful of videos.
MAX_LISTED = 32

# Reserved by Firestore as names of fields, documents and collections.
_RESERVED = re.compile(r"__.*__", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_REPLACED = "\N{REPLACEMENT CHARACTER}"
# https://cloud.google.com/firestore/docs/storage-size
_DOCUMENT_BYTES = 32
_NAME_BYTES = 16
_T = TypeVar("_T")


def text(value: str, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """The text without characters that UTF-8 can't encode, truncated to `max_bytes` between two characters."""
    value = _SURROGATE.sub(_REPLACED, value[:max_bytes])
    data = value.encode()
    return value if len(data) <= max_bytes else data[:max_bytes].decode(errors="ignore")


def cleaned(value: _T) -> _T:
    """The same frozen dataclass, tuple, text or model with all its text made storable; other values are unchanged."""
    if isinstance(value, str):
        return cast(_T, text(value) if type(value) is str else value)
    if isinstance(value, tuple):
        return cast(_T, tuple(cleaned(item) for item in value[:MAX_LISTED]))
    if is_dataclass(value) and not isinstance(value, type):
        changes = {field.name: cleaned(getattr(value, field.name)) for field in fields(value)}
        return cast(_T, replace(value, **changes))
    return value


def key_problem(name: str) -> str | None:
    """Why a field can't have this name; None if it can."""
    if not name:
        return "a name is empty"
    if _RESERVED.fullmatch(name):
        return "names that begin and end with two underscores are reserved"
    if _SURROGATE.search(name):
        return "a name is not valid Unicode"
    return "a name is too long" if len(name.encode()) > MAX_PATH_BYTES else None


def id_problem(id_: str) -> str | None:
    """Why a document can't have this id; None if it can."""
    if "/" in id_ or id_ in (".", ".."):
        return "the id is not one segment of a path"
    return key_problem(id_)


def _good_key(name: str) -> str:
    problem = key_problem(name)
    if problem is not None:
        raise ValueError(problem)
    return name


# For the type of a map's keys that a caller or an administrator chooses.
AS_KEY = AfterValidator(_good_key)


def check(path: str, document: Mapping[str, Any]) -> None:
    """Raises NotStorable for a document, at path "collection/id", that Firestore would reject.

    Raises TypeError for a type that no document has: a bug in the code, not bad data.
    """
    id_ = path.partition("/")[2]
    if problem := id_problem(id_):
        raise NotStorable("id", problem)
    size = _DOCUMENT_BYTES + _NAME_BYTES + len(path.encode()) + 1 + _map_bytes(document, "", 0)
    if size > MAX_DOCUMENT_BYTES:
        raise NotStorable("(document)", f"it has {size:,} bytes; the maximum is {MAX_DOCUMENT_BYTES:,}")


def check_queried(path: str, value: Any) -> None:
    """Raises NotStorable for a value that can't be queried."""
    if isinstance(value, str) and _text_bytes(value, path) > MAX_QUERIED_BYTES:
        raise NotStorable(path, f"a query asks for at most {MAX_QUERIED_BYTES:,} bytes")


def _map_bytes(value: Mapping[str, Any], path: str, depth: int) -> int:
    size = 0
    for name, item in value.items():
        inner = f"{path}.{name}" if path else name
        size += _name_bytes(name, inner) + _value_bytes(item, inner, depth)
    return size


def _name_bytes(name: str, path: str) -> int:
    """The stored size of a field's name; raises NotStorable for an invalid name."""
    if name.isascii() and name and len(path) <= MAX_PATH_BYTES // 4 and not name.startswith("__"):
        return len(name) + 1
    if problem := key_problem(name):
        raise NotStorable(path, problem)
    if len(path.encode()) > MAX_PATH_BYTES:
        raise NotStorable(path, "the names of the fields around it are too long together")
    return len(name.encode()) + 1


def _value_bytes(value: Any, path: str, depth: int) -> int:
    # The most common types first: the simulation stores some hundred thousand values a second.
    if isinstance(value, str):
        return _text_bytes(value, path) + 1
    if value is None or isinstance(value, bool):
        return 1
    if isinstance(value, int):
        if not -MAX_INTEGER - 1 <= value <= MAX_INTEGER:
            raise NotStorable(path, "the number does not fit in 64 bits")
        return 8
    if isinstance(value, float | datetime):
        return 8
    if isinstance(value, bytes):
        return _bounded(len(value), path)
    if depth >= MAX_DEPTH:
        raise NotStorable(path, f"it is nested more than {MAX_DEPTH} deep")
    if isinstance(value, Mapping):
        return _map_bytes(value, path, depth + 1)
    if isinstance(value, list | tuple):
        if any(isinstance(item, list | tuple) for item in value):
            raise NotStorable(path, "a list cannot hold a list")
        return sum(_value_bytes(item, path, depth + 1) for item in value)
    raise TypeError(f"no document has a {type(value).__name__}")


def _text_bytes(value: str, path: str) -> int:
    if value.isascii():
        return _bounded(len(value), path)
    try:
        return _bounded(len(value.encode()), path)
    except UnicodeEncodeError:
        raise NotStorable(path, "the text is not valid Unicode") from None


def _bounded(size: int, path: str) -> int:
    if size > MAX_VALUE_BYTES:
        raise NotStorable(path, f"a value has at most {MAX_VALUE_BYTES:,} bytes")
    return size
