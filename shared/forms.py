"""Bodies of multipart/form-data: fields with nested names, and files, as the values that the models are made from.

A name may have parts in brackets: labels[a]=b is {"labels": {"a": "b"}}, reference_images[] and reference_images[0] are
lists. A name that comes again makes a list. Values stay texts; the models' types read them.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from shared.errors import ApiError
from shared.models import MAX_IMAGE_CHARS, ImageUpload

MEDIA_TYPE = "multipart/form-data"
MAX_FIELDS = 100
MAX_FILES = 8
# Of a name such as reference_images[0][image_url].
MAX_DEPTH = 3
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_PART = re.compile(r"\[([^\[\]]*)\]")
_INDEX = re.compile(r"[0-9]{1,3}")


def is_form(headers: Headers) -> bool:
    return headers.get("content-type", "").partition(";")[0].strip().lower() == MEDIA_TYPE


async def read(request: Request) -> dict[str, Any]:
    """The form's fields. Files beyond 1 MiB lie on disk until request.close(). Raises ApiError INVALID_REQUEST."""
    try:
        form = await request.form(max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=MAX_IMAGE_CHARS)
    except HTTPException as error:
        raise ApiError("INVALID_REQUEST", f"The form cannot be read: {error.detail}") from None
    fields: dict[str, Any] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            # What a browser sends for a file that was not chosen.
            if value.filename or value.size:
                _put(fields, name, ImageUpload(file=value))
        else:
            _put(fields, name, value)
    return _lists(fields)  # type: ignore[no-any-return]


def _put(fields: dict[str, Any], name: str, value: Any) -> None:
    found = _NAME.fullmatch(name)
    parts = [found[1], *_PART.findall(found[2])] if found else [name]
    if len(parts) > MAX_DEPTH:
        raise ApiError("INVALID_REQUEST", f"{name[:200]}: the name has too many parts", {"field": name[:200]})
    place: Any = fields
    for part, after in pairwise(parts):
        key = _key(place, part, last=False, taken=after)
        inner = place.setdefault(key, _Numbered() if not after or _INDEX.fullmatch(after) else {})
        if not isinstance(inner, dict):
            raise ApiError("INVALID_REQUEST", f"{name[:200]}: it is a value and an object", {"field": name[:200]})
        place = inner
    key = _key(place, parts[-1], last=True)
    if key in place:
        there = place[key]
        place[key] = [*there, value] if isinstance(there, list) else [there, value]
    else:
        place[key] = value


class _Numbered(dict[Any, Any]):
    """A list while it is read: its values by their place."""


def _key(place: dict[Any, Any], part: str, last: bool, taken: str = "") -> Any:
    """Where in `place` the part is: an empty one is a list's next, or goes on with an object that lacks `taken`."""
    if not isinstance(place, _Numbered):
        return part
    if _INDEX.fullmatch(part):
        return int(part)
    newest = max(place, default=-1)
    goes_on = not last and isinstance(place.get(newest), dict) and taken not in place[newest]
    return newest if goes_on else newest + 1


def _lists(value: Any) -> Any:
    if isinstance(value, _Numbered):
        return [_lists(value[key]) for key in sorted(value)]
    if isinstance(value, dict):
        return {key: _lists(inner) for key, inner in value.items()}
    return value
