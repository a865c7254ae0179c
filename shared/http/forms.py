"""Bodies of multipart/form-data: fields with nested names, and files, as the values that the models are made from.

A name may have parts in brackets: labels[a]=b is {"labels": {"a": "b"}}, reference_images[] and reference_images[0] are
lists. A name that comes again makes a list. Values stay texts; the models' types read them. A field left empty
counts as left out: no form can leave one out by itself.
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
# Of a name such as reference_images[0][image_url].
MAX_DEPTH = 3
_PLAIN_ENCODINGS = (b"binary", b"8bit", b"7bit")
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_PART = re.compile(r"\[([^\[\]]*)\]")
_INDEX = re.compile(r"[0-9]{1,3}")


def is_form(headers: Headers) -> bool:
    return headers.get("content-type", "").partition(";")[0].strip().lower() == MEDIA_TYPE


async def read(request: Request, files: AsyncExitStack) -> dict[str, Any]:
    """The form's fields. Its files, beyond 1 MiB on disk, are removed when `files` is left.

    Raises ApiError INVALID_REQUEST, also for a form that breaks off before its closing boundary: the part that was not
    yet whole, and any after it, would be missing from what is paid for.
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
            # What a browser sends for a file that was not chosen.
            if value.filename or value.size:
                _put(fields, name, ImageUpload(file=value))
        elif value:
            _put(fields, name, value)
    return _lists(fields)  # type: ignore[no-any-return]


class _Parser(MultiPartParser):
    """Starlette's parser, which passes over the end of a form, over encodings and over bytes that are not UTF-8."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ended = False

    async def parse(self) -> FormData:
        _, options = parse_options_header(self.headers["content-type"])
        charset = options.get(b"charset", b"utf-8").lower()
        if charset not in (b"utf-8", b"utf8"):
            # Python's codecs for the others include some that take forever, and some that make no text.
            named = charset[:40].decode("ascii", "replace")
            raise MultiPartException(f"Text must be UTF-8, but the Content-Type has charset={named}.")
        form = await super().parse()
        if not self._ended:
            # The last of them is not among the form's parts yet.
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
