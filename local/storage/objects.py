"""What is known of a stored object, and how the JSON API shows it."""

import base64
import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from local.storage import errors

DEFAULT_CONTENT_TYPE: Final = "application/octet-stream"
NAME_LIMIT_BYTES: Final = 1024
# What a client may set at upload and change with patch or update.
WRITABLE: Final = frozenset(
    {
        "cacheControl",
        "contentDisposition",
        "contentEncoding",
        "contentLanguage",
        "contentType",
        "customTime",
        "eventBasedHold",
        "metadata",
        "storageClass",
        "temporaryHold",
    }
)


@dataclasses.dataclass(frozen=True)
class StoredObject:
    """One live object. Times are Unix seconds; `crc32c` and `md5` are base64 of the big-endian digest."""

    bucket: str
    name: str
    generation: int
    metageneration: int
    size: int
    crc32c: str
    md5: str
    created_at: float
    updated_at: float
    fields: Mapping[str, Any]

    @property
    def etag(self) -> str:
        """The JSON API's etag: it changes with the generation and with the metageneration."""
        raw = b"\x08" + _varint(self.generation) + b"\x10" + _varint(self.metageneration)
        return base64.b64encode(raw).decode()

    @property
    def content_etag(self) -> str:
        """The XML API's ETag: the content's MD5 in hexadecimal, quoted."""
        return f'"{base64.b64decode(self.md5).hex()}"'


@dataclasses.dataclass(frozen=True)
class Conditions:
    """Preconditions of one request; None = not stated. A missing object has generation 0 and no metageneration."""

    generation: int | None = None
    not_generation: int | None = None
    metageneration: int | None = None
    not_metageneration: int | None = None

    @classmethod
    def from_query(cls, query: Mapping[str, str], prefix: str = "if") -> "Conditions":
        """The JSON API's parameters `ifGenerationMatch` and so on; `prefix` "ifSource" reads a copy's source."""
        return cls(
            number(query, f"{prefix}GenerationMatch"),
            number(query, f"{prefix}GenerationNotMatch"),
            number(query, f"{prefix}MetagenerationMatch"),
            number(query, f"{prefix}MetagenerationNotMatch"),
        )

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> "Conditions":
        """The XML API's headers; it has no not-match form."""
        return cls(
            generation=number(headers, "x-goog-if-generation-match"),
            metageneration=number(headers, "x-goog-if-metageneration-match"),
        )

    def check_write(self, current: StoredObject | None) -> None:
        """Raises 412 unless all preconditions hold for `current`."""
        if not (self._matches(current) and self._differs(current)):
            raise errors.precondition_failed()

    def check_read(self, current: StoredObject | None) -> None:
        """Raises 412 for a match, 304 for a not-match precondition that does not hold."""
        if not self._matches(current):
            raise errors.precondition_failed()
        if current is not None and not self._differs(current):
            raise errors.not_modified()

    def _matches(self, current: StoredObject | None) -> bool:
        generation, metageneration = _versions(current)
        return self.generation in (None, generation) and self.metageneration in (None, metageneration)

    def _differs(self, current: StoredObject | None) -> bool:
        generation, metageneration = _versions(current)
        same_generation = self.not_generation is not None and self.not_generation == generation
        same_metageneration = self.not_metageneration is not None and self.not_metageneration == metageneration
        return not (same_generation or same_metageneration)


def number(values: Mapping[str, str], name: str) -> int | None:
    """An optional whole number among query parameters or headers. Raises 400 when it is not one."""
    text = values.get(name)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise errors.invalid(f"Invalid value for {name}: {text!r}") from None


def check_name(name: str) -> str:
    """The name itself. Raises 400 for a name that Cloud Storage refuses."""
    encoded = name.encode("utf-8", "surrogatepass")
    if not encoded or len(encoded) > NAME_LIMIT_BYTES or name in (".", "..") or "\r" in name or "\n" in name:
        raise errors.invalid(f"Invalid object name: {name!r}")
    return name


def writable(body: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a client's object resource that it may set. Raises 400 for custom metadata that is no map of text."""
    fields = {key: value for key, value in body.items() if key in WRITABLE and value is not None}
    metadata = fields.get("metadata", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str | None) for value in metadata.values()):
        raise errors.invalid("Custom metadata must be a map of strings.")
    if "metadata" in fields:
        fields["metadata"] = {key: value for key, value in metadata.items() if value is not None}
    return fields


def merged(current: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The fields after a patch: null removes, custom metadata merges key by key."""
    change = {key: value for key, value in patch.items() if key in WRITABLE}
    if isinstance(change.get("metadata"), dict):
        change["metadata"] = {**current.get("metadata", {}), **change["metadata"]}
    return writable({**current, **change})


def check_custom_time(current: Mapping[str, Any], changed: Mapping[str, Any]) -> None:
    """Raises 400 when customTime is removed or moved back: Cloud Storage lets it move forward only."""
    before = current.get("customTime")
    if before is None:
        return
    after = changed.get("customTime")
    if after is None or _moment(after) < _moment(before):
        raise errors.invalid("Custom time cannot be removed or set to an earlier date.")


def resource(stored: StoredObject, base_url: str) -> dict[str, Any]:
    """The JSON API's object resource, with links that start with `base_url`."""
    path = f"/storage/v1/b/{stored.bucket}/o/{quote(stored.name, safe='')}"
    created = timestamp(stored.created_at)
    shown: dict[str, Any] = {
        "kind": "storage#object",
        "id": f"{stored.bucket}/{stored.name}/{stored.generation}",
        "selfLink": base_url + path,
        "mediaLink": f"{base_url}/download{path}?generation={stored.generation}&alt=media",
        "name": stored.name,
        "bucket": stored.bucket,
        "generation": str(stored.generation),
        "metageneration": str(stored.metageneration),
        "storageClass": "STANDARD",
        "size": str(stored.size),
        "md5Hash": stored.md5,
        "crc32c": stored.crc32c,
        "etag": stored.etag,
        "timeCreated": created,
        "updated": timestamp(stored.updated_at),
        "timeStorageClassUpdated": created,
        "timeFinalized": created,
    }
    return {**shown, **stored.fields}


def timestamp(seconds: float) -> str:
    """Unix seconds as RFC 3339 in UTC with milliseconds."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment(text: str) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise errors.invalid(f"Invalid time: {text!r}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _versions(current: StoredObject | None) -> tuple[int, int | None]:
    return (0, None) if current is None else (current.generation, current.metageneration)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
