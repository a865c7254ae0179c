"""Parses multipart/form-data bodies, with nested field names and files, into values for the request models.

Names may have parts in brackets: labels[a]=b is {"labels": {"a": "b"}}; reference_images[] and reference_images[0] are
lists. A repeated name makes a list. Values stay strings; the models convert them. An empty field counts as omitted,
because a browser form always sends all its fields.
"""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from shared.api.videos import MAX_IMAGE_CHARS, ImageUpload
from shared.core.errors import ApiError

MEDIA_TYPE = "multipart/form-data"
MAX_FIELDS = 100
MAX_FILES = 8
# Parts of a name such as reference_images[0][image_url].
MAX_DEPTH = 3
_PLAIN_ENCODINGS = (b"binary", b"8bit", b"7bit")
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_PART = re.compile(r"\[([^\[\]]*)\]")
_INDEX = re.compile(r"[0-9]{1,3}")


def is_form(headers: Headers) -> bool:
    return headers.get("content-type", "").partition(";")[0].strip().lower() == MEDIA_TYPE


async def read(request: Request, files: AsyncExitStack) -> dict[str, Any]:
    """Return the form's fields. Files larger than 1 MiB are kept on disk; closing `files` removes them.

    Raises ApiError INVALID_REQUEST, also for a form that ends before its closing boundary: the incomplete part, and any
    after it, would be missing from a request that the user pays for.
    """
    parser = _Parser(
        request.headers, request.stream(), max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=MAX_IMAGE_CHARS
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise ApiError("INVALID_REQUEST", f"The form can't be read: {error.message}") from None
    files.push_async_callback(form.close)
    fields: dict[str, Any] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            # Browsers send an empty file without a name for a file input that was left empty.
            if value.filename or value.size:
                _put(fields, name, ImageUpload(file=value))
        elif value:
            _put(fields, name, value)
    return _lists(fields)  # type: ignore[no-any-return]


class _Parser(MultiPartParser):
    """Starlette's parser, made strict: it ignores a missing end, transfer encodings and bytes that aren't UTF-8."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ended = False

    async def parse(self) -> FormData:
        _, options = parse_options_header(self.headers["content-type"])
        charset = options.get(b"charset", b"utf-8").lower()
        if charset not in (b"utf-8", b"utf8"):
            # Some of Python's other codecs are extremely slow, and some don't produce text.
            named = charset[:40].decode("ascii", "replace")
            raise MultiPartException(f"Text must be UTF-8, but the Content-Type has charset={named}.")
        form = await super().parse()
        if not self._ended:
            # These include the file of the incomplete part, which the form doesn't have yet.
            for file in self._files_to_close_on_error:
                file.close()
            raise MultiPartException("It ends before its closing boundary.")
        return form

    def on_end(self) -> None:
        self._ended = True

    def on_header_end(self) -> None:
        name, value = self._current_partial_header_name.lower(), self._current_partial_header_value.strip().lower()
        if name == b"content-transfer-encoding" and value not in _PLAIN_ENCODINGS:
            raise MultiPartException("Send its parts without a Content-Transfer-Encoding.")
        super().on_header_end()

    def on_part_end(self) -> None:
        if self._current_part.file is None:
            try:
                self._current_part.data.decode()
            except UnicodeDecodeError:
                raise MultiPartException("Text must be UTF-8.") from None
        super().on_part_end()


def _put(fields: dict[str, Any], name: str, value: Any) -> None:
    found = _NAME.fullmatch(name)
    parts = [found[1], *_PART.findall(found[2])] if found else [name]
    if len(parts) > MAX_DEPTH:
        raise ApiError("INVALID_REQUEST", f"{name[:200]}: name is nested too deeply", {"field": name[:200]})
    place: Any = fields
    for part, after in pairwise(parts):
        key = _key(place, part, last=False, taken=after)
        inner = place.setdefault(key, _Numbered() if not after or _INDEX.fullmatch(after) else {})
        if not isinstance(inner, dict):
            raise ApiError(
                "INVALID_REQUEST", f"{name[:200]}: used as both a value and an object", {"field": name[:200]}
            )
        place = inner
    key = _key(place, parts[-1], last=True)
    if key in place:
        there = place[key]
        place[key] = [*there, value] if isinstance(there, list) else [there, value]
    else:
        place[key] = value


class _Numbered(dict[Any, Any]):
    """A list while it is being parsed: its values by index."""


def _key(place: dict[Any, Any], part: str, last: bool, taken: str = "") -> Any:
    """The key of a part within `place`. For an empty part of a list that is the next index, or the last one if the
    object there has no `taken` yet."""
    if not isinstance(place, _Numbered):
        return part
    if _INDEX.fullmatch(part):
        return int(part)
    newest = max(place, default=-1)
    continues = not last and isinstance(place.get(newest), dict) and taken not in place[newest]
    return newest if continues else newest + 1


def _lists(value: Any) -> Any:
    if isinstance(value, _Numbered):
        return [_lists(value[key]) for key in sorted(value)]
    if isinstance(value, dict):
        return {key: _lists(inner) for key, inner in value.items()}
    return value
