"""Buckets and objects as files under one directory.

`buckets/BUCKET/bucket.json` describes a bucket, `buckets/BUCKET/HH/HASH.json` an object, `HASH.GENERATION` beside it
holds its bytes; HASH is the SHA-256 of the object's name (HH its first two digits), so every name is a safe file name.
Replacing `HASH.json` is the one moment at which an object, whole, becomes visible: a process killed before it leaves
files that the next start removes.
"""

import bisect
import dataclasses
import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from local.storage import errors
from local.storage.objects import Conditions, StoredObject, check_custom_time
from local.storage.writer import Writer

BUCKET_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
PAGE_LIMIT: Final = 1000


@dataclasses.dataclass(frozen=True)
class Page:
    """One page of a listing; `token` is None on the last one."""

    objects: list[StoredObject]
    prefixes: list[str]
    token: str | None


class Disk:
    """All buckets under `directory`. Every change is synchronous, so on one event loop it is atomic."""

    def __init__(self, directory: Path) -> None:
        self._buckets_path = directory / "buckets"
        self.uploads_path = directory / "uploads"
        self._buckets_path.mkdir(parents=True, exist_ok=True)
        self.uploads_path.mkdir(parents=True, exist_ok=True)
        self._buckets: dict[str, dict[str, Any]] = {}
        self._objects: dict[str, dict[bytes, StoredObject]] = {}
        self._names: dict[str, list[bytes]] = {}
        self._last_generation = 0
        for path in sorted(self._buckets_path.glob("*/bucket.json")):
            self._load_bucket(path.parent)

    # Buckets

    def buckets(self) -> list[dict[str, Any]]:
        """All buckets' own fields, by name."""
        return [self._buckets[name] for name in sorted(self._buckets)]

    def bucket(self, name: str) -> dict[str, Any]:
        """One bucket's fields. Raises 404."""
        try:
            return self._buckets[name]
        except KeyError:
            raise errors.no_bucket(name) from None

    def create_bucket(self, name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Makes a bucket. Raises 400 for a bad name, 409 when it is there."""
        if not BUCKET_NAME.fullmatch(name):
            raise errors.invalid(f"Invalid bucket name: '{name}'")
        if name in self._buckets:
            raise errors.conflict("Your previous request to create the named bucket succeeded and you already own it.")
        now = time.time()
        bucket = {**fields, "name": name, "created_at": now, "updated_at": now, "metageneration": 1}
        (self._buckets_path / name).mkdir(exist_ok=True)
        self._save_bucket(bucket)
        self._objects[name] = {}
        self._names[name] = []
        return bucket

    def change_bucket(self, name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Merges `fields` into a bucket's, null removing one. Raises 404."""
        current = self.bucket(name)
        kept = {key: value for key, value in {**current, **fields}.items() if value is not None}
        bucket = {
            **kept,
            "name": name,
            "created_at": current["created_at"],
            "updated_at": time.time(),
            "metageneration": current["metageneration"] + 1,
        }
        self._save_bucket(bucket)
        return bucket

    def delete_bucket(self, name: str) -> None:
        """Removes an empty bucket. Raises 404, or 409 when objects are in it."""
        self.bucket(name)
        if self._names[name]:
            raise errors.conflict("The bucket you tried to delete is not empty.")
        shutil.rmtree(self._buckets_path / name)
        del self._buckets[name], self._objects[name], self._names[name]

    # Objects

    def find(self, bucket: str, name: str) -> StoredObject | None:
        """The live object or None. Raises 404 when there is no such bucket."""
        self.bucket(bucket)
        return self._objects[bucket].get(_key(name))

    def get(self, bucket: str, name: str, conditions: Conditions, generation: int | None = None) -> StoredObject:
        """The live object. Raises 404 when it is not there or not `generation`; 412 and 304 as the conditions say."""
        current = self.find(bucket, name)
        if current is None or generation not in (None, current.generation):
            conditions.check_read(None)
            raise errors.no_object(bucket, name)
        conditions.check_read(current)
        return current

    def open(self, stored: StoredObject) -> BinaryIO:
        """The object's bytes. The open file outlives an overwrite or delete of the object."""
        return self._data_path(stored).open("rb")

    def put(
        self, bucket: str, name: str, writer: Writer, fields: Mapping[str, Any], conditions: Conditions
    ) -> StoredObject:
        """Makes the writer's bytes the live object. Raises 404, 412; the writer's file is used up only on success."""
        current = self.find(bucket, name)
        conditions.check_write(current)
        now = time.time()
        stored = StoredObject(
            bucket=bucket,
            name=name,
            generation=self._next_generation(now),
            metageneration=1,
            size=writer.size,
            crc32c=writer.crc32c,
            md5=writer.md5,
            created_at=now,
            updated_at=now,
            fields=dict(fields),
        )
        self._place(stored, writer.release)
        return stored

    def copy(
        self, source: StoredObject, bucket: str, name: str, fields: Mapping[str, Any], conditions: Conditions
    ) -> StoredObject:
        """Makes a copy of `source` the live object of that name. Raises 404, 412."""
        conditions.check_write(self.find(bucket, name))
        now = time.time()
        stored = dataclasses.replace(
            source,
            bucket=bucket,
            name=name,
            generation=self._next_generation(now),
            metageneration=1,
            created_at=now,
            updated_at=now,
            fields=dict(fields),
        )
        self._place(stored, lambda target: _link(self._data_path(source), target))
        return stored

    def change(self, stored: StoredObject, fields: Mapping[str, Any], conditions: Conditions) -> StoredObject:
        """Replaces the writable fields of the live object. Raises 412, and 400 when customTime would move back."""
        conditions.check_write(stored)
        check_custom_time(stored.fields, fields)
        changed = dataclasses.replace(
            stored, fields=dict(fields), metageneration=stored.metageneration + 1, updated_at=time.time()
        )
        self._save_object(changed)
        return changed

    def delete(self, bucket: str, name: str, conditions: Conditions, generation: int | None = None) -> None:
        """Removes the live object. Raises 404, 412."""
        current = self.find(bucket, name)
        conditions.check_write(current)
        if current is None or generation not in (None, current.generation):
            raise errors.no_object(bucket, name)
        self._meta_path(current).unlink()
        self._data_path(current).unlink()
        key = _key(name)
        del self._objects[bucket][key]
        names = self._names[bucket]
        del names[bisect.bisect_left(names, key)]

    def page(self, bucket: str, prefix: str, delimiter: str, start: str, end: str, after: str, limit: int) -> Page:
        """Objects by name (UTF-8 order) and, with a delimiter, the prefixes that stand for the deeper ones.

        `start` is inclusive and `end` exclusive, "" = open; `after` is the last name or prefix of the page before.
        """
        self.bucket(bucket)
        names, objects = self._names[bucket], self._objects[bucket]
        first, cut, stop = _key(prefix), _key(delimiter), _key(end)
        position = max(bisect.bisect_left(names, first), bisect.bisect_left(names, _key(start)))
        if after:
            last = _key(after)
            is_prefix = bool(cut) and last.endswith(cut) and len(last) > len(first)
            skipped = bisect.bisect_left(names, _successor(last)) if is_prefix else bisect.bisect_right(names, last)
            position = max(position, skipped)
        found: list[StoredObject] = []
        prefixes: list[str] = []
        token = ""
        while position < len(names):
            key = names[position]
            if not key.startswith(first) or (stop and key >= stop):
                break
            if len(found) + len(prefixes) == limit:
                return Page(found, prefixes, token)
            at = key.find(cut, len(first)) if cut else -1
            if at >= 0:
                group = key[: at + len(cut)]
                token = group.decode()
                prefixes.append(token)
                position = bisect.bisect_left(names, _successor(group))
            else:
                token = key.decode()
                found.append(objects[key])
                position += 1
        return Page(found, prefixes, None)

    # Files

    def _place(self, stored: StoredObject, move: Callable[[Path], None]) -> None:
        before = self._objects[stored.bucket].get(_key(stored.name))
        target = self._data_path(stored)
        target.parent.mkdir(exist_ok=True)
        move(target)
        self._save_object(stored)
        if before is None:
            bisect.insort(self._names[stored.bucket], _key(stored.name))
        else:
            self._data_path(before).unlink()

    def _next_generation(self, now: float) -> int:
        self._last_generation = max(self._last_generation + 1, int(now * 1_000_000))
        return self._last_generation

    def _stem(self, stored: StoredObject) -> Path:
        digest = hashlib.sha256(_key(stored.name)).hexdigest()
        return self._buckets_path / stored.bucket / digest[:2] / digest

    def _meta_path(self, stored: StoredObject) -> Path:
        return self._stem(stored).with_suffix(".json")

    def _data_path(self, stored: StoredObject) -> Path:
        return self._stem(stored).with_suffix(f".{stored.generation}")

    def _save_object(self, stored: StoredObject) -> None:
        _replace_json(self._meta_path(stored), dataclasses.asdict(stored))
        self._objects[stored.bucket][_key(stored.name)] = stored

    def _save_bucket(self, bucket: dict[str, Any]) -> None:
        _replace_json(self._buckets_path / bucket["name"] / "bucket.json", bucket)
        self._buckets[bucket["name"]] = bucket

    def _load_bucket(self, path: Path) -> None:
        bucket = json.loads((path / "bucket.json").read_text("utf-8"))
        objects: dict[bytes, StoredObject] = {}
        kept = {path / "bucket.json"}
        for meta_path in path.glob("??/*.json"):
            stored = StoredObject(**json.loads(meta_path.read_text("utf-8")))
            objects[_key(stored.name)] = stored
            kept |= {meta_path, self._data_path(stored)}
            self._last_generation = max(self._last_generation, stored.generation)
        for leftover in {file for file in path.rglob("*") if file.is_file()} - kept:
            leftover.unlink()
        name = bucket["name"]
        self._buckets[name], self._objects[name], self._names[name] = bucket, objects, sorted(objects)


def _key(name: str) -> bytes:
    return name.encode()


def _successor(prefix: bytes) -> bytes:
    # UTF-8 never holds the byte 0xFF, so the last byte can always grow.
    return prefix[:-1] + bytes([prefix[-1] + 1])


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        # A file system without hard links.
        shutil.copyfile(source, target)


def _replace_json(path: Path, document: Mapping[str, Any]) -> None:
    temporary = path.with_suffix(f".{uuid.uuid4().hex}.tmp")
    temporary.write_text(json.dumps(document, ensure_ascii=False), "utf-8")
    temporary.replace(path)
