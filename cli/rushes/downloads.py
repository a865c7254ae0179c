"""Fetching finished videos: from the signed URL straight into the file, which is whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import httpx2

from rushes import transport
from rushes.api import Api
from rushes.exit_codes import Exit
from rushes.failure import Failure, Json

TIMEOUT_S: Final = 60.0
TRIES: Final = 5


def targets(out: Path, count: int) -> list[Path]:
    """One name for each of so many videos: boat.mp4, boat-2.mp4, boat-3.mp4."""
    return [out if place == 0 else out.with_stem(f"{out.stem}-{place + 1}") for place in range(count)]


def download_all(api: Api, video: Json, out: Path) -> list[Json]:
    """Download all videos of the job into one directory; returns the files. Raises Failure."""
    files = video["files"]
    return [
        download(api, video["id"], path, index=file["index"], size_bytes=file["size_bytes"])
        for path, file in zip(targets(out, len(files)), files, strict=True)
    ]


def download(
    api: Api, video: str, out: Path, *, index: int = 0, variant: str = "video", size_bytes: int | None = None
) -> Json:
    """One video, or its poster frame, into the file. Raises Failure.

    A connection that breaks goes on where it broke, each time with a fresh URL.
    """
    try:
        with _whole(out) as file:
            _fetch(api, f"/v1/videos/{video}/content", index, variant, file)
            written = file.tell()
            if size_bytes is not None and written != size_bytes:
                raise Failure(Exit.UNAVAILABLE, "UNAVAILABLE", f"{written:,} of {size_bytes:,} bytes arrived.")
    except OSError as error:
        said, action = f"Can't write {out}: {error.strerror}.", f"rushes download {video} -o OTHER_FILE"
        raise Failure(Exit.UNEXPECTED, "FILE_NOT_WRITTEN", said, action) from None
    return {"index": index, "path": str(out), "size_bytes": written}


@contextmanager
def _whole(out: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name once it is complete, and is removed otherwise. Raises OSError."""
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        try:
            yield file
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    part.replace(out)


def _fetch(api: Api, path: str, index: int, variant: str, file: IO[bytes]) -> None:
    for left in reversed(range(TRIES)):
        url = api.get(path, index=index, variant=variant, redirect="json")["url"]
        try:
            # Without our token: the signature in the URL is what lets in.
            with transport.client(url, TIMEOUT_S) as client:
                _append(client, url, file)
                return
        except httpx2.TransportError as error:
            if not left:
                raise Failure(Exit.UNAVAILABLE, "UNAVAILABLE", f"The download was interrupted: {error}") from None


def _append(client: httpx2.Client, url: str, file: IO[bytes]) -> None:
    """What the file lacks."""
    have = file.tell()
    headers = {"Range": f"bytes={have}-"} if have else {}
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == httpx2.codes.RANGE_NOT_SATISFIABLE:
            return
        if response.is_error:
            said = f"The storage returned {response.status_code}."
            raise Failure(Exit.UNAVAILABLE, "UNAVAILABLE", said, "Run the same command again.", True)
        if response.status_code != httpx2.codes.PARTIAL_CONTENT:
            file.seek(0)
            file.truncate()
        # As they come: in a chunk of a certain size, what had come of it would be lost with the line.
        for chunk in response.iter_bytes():
            file.write(chunk)
