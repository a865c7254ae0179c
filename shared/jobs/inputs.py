"""The input images of a video: read from the request, checked, and stored in the bucket with the job.

They are stored before the job is committed, in a folder that no other request uses
(inputs/{day}/{tenant}/{account}/{job}/{random}/), so a rejected request can remove its own and only those. A daily
sweep removes what a crashed request left behind, once the folder's day is over: no job references it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, BinaryIO

from shared.api.videos import CreateVideo, ImageInput, ImageUpload
from shared.core.documents import MAX_IMAGE_BYTES, Input, InputRole, Job, VideoRequest
from shared.core.errors import ApiError, Unavailable
from shared.core.image_facts import ImageFacts, NotAnImage
from shared.platform import log, passes
from shared.platform.identity import Caller
from shared.platform.ports import NotReached, Place, Services, StoredObject

FIELDS = {"input_reference", "last_frame", "reference_images"}
ROOT = "inputs/"
# A request this old has ended, one way or another.
LEFT_AFTER = timedelta(hours=1)
IMAGES_A_PAGE = 500
# Unreferenced images are swept the day after their own; the extra days make up for missed sweeps.
RECENT_DAYS = 4
CURSOR = "inputs"


@dataclass(frozen=True)
class Given:
    """One image of a request: its bytes, or the URL to fetch them from."""

    role: InputRole
    field: str
    data: bytes | None = None
    url: str | None = None

    @property
    def identity(self) -> str:
        """What two equal requests have in common: the content, however it was sent. For a URL it is the URL itself,
        because its content may be gone when the request is repeated."""
        return hashlib.sha256(self.data).hexdigest() if self.data is not None else str(self.url)


async def given(body: CreateVideo) -> tuple[Given, ...]:
    """All images of the request, not fetched yet. Raises ApiError INVALID_IMAGE."""
    named: list[tuple[InputRole, str, ImageInput]] = []
    if body.input_reference is not None:
        named.append(("first_frame", "input_reference", body.input_reference))
    if body.last_frame is not None:
        named.append(("last_frame", "last_frame", body.last_frame))
    for index, image in enumerate(body.reference_images):
        named.append(("reference", f"reference_images.{index}", image))
    return tuple([await _given(*each) for each in named])


async def check(services: Services, caller: Caller, images: tuple[Given, ...]) -> list[tuple[Given, bytes, ImageFacts]]:
    """Every image with its bytes, fetched if necessary, and its type and size.

    Raises ApiError INVALID_IMAGE or IMAGE_NOT_FETCHED, and UNAVAILABLE if one can't be read now.
    """
    bytes_of = await asyncio.gather(*(_bytes_of(services, image) for image in images))
    pairs = zip(images, bytes_of, strict=True)
    return [(image, data, await _checked(services, caller, image, data)) for image, data in pairs]


async def store(services: Services, caller: Caller, job_id: str, images: tuple[Given, ...]) -> tuple[Input, ...]:
    """Fetch images given by URL, check all of them, and only then store them.

    Raises ApiError INVALID_IMAGE or IMAGE_NOT_FETCHED, and UNAVAILABLE if the bucket doesn't respond.
    """
    checked = await check(services, caller, images)
    folder = f"{ROOT}{services.clock():%Y-%m-%d}/{caller.tenant}/{caller.account}/{job_id}/{services.ids()}/"
    stored: list[Input] = []
    try:
        for number, (image, data, facts) in enumerate(checked):
            name = f"{folder}{number}.{_EXTENSIONS[facts.content_type]}"
            kept = await services.objects.write(name, _writing(data), facts.content_type)
            stored.append(_input(image, kept, facts))
    except Unavailable as error:
        await _remove(services, folder)
        raise ApiError("UNAVAILABLE", retry_after_s=5) from error
    return tuple(stored)


async def discard(services: Services, request: VideoRequest) -> None:
    """Remove the images of a request that created no job. If that fails, the sweep removes them."""
    if request.inputs:
        await _remove(services, request.inputs[0].object.rpartition("/")[0] + "/")


def recent_prefixes(now: datetime, tenant: str, account: str) -> tuple[str, ...]:
    """Prefixes in the bucket that may hold images of an account's recent requests that no job references."""
    return tuple(f"{_folder(now, day)}{tenant}/{account}/" for day in range(RECENT_DAYS))


def _folder(now: datetime, days_ago: int) -> str:
    return f"{ROOT}{now - timedelta(days=days_ago):%Y-%m-%d}/"


async def sweep(services: Services) -> int:
    """Remove images that no job references; returns how many there were. Raises Unavailable.

    Each day's folder is processed once, after the day is over and all its requests have ended, by one pass or by
    several that continue each other's work.
    """
    end = f"{ROOT}{services.clock() - LEFT_AFTER:%Y-%m-%d}/"
    cursor = await passes.cursor(services, CURSOR)
    start = cursor.place.id if cursor.place is not None else ROOT
    swept = 0

    async def read(last: StoredObject | None) -> Sequence[StoredObject]:
        after = last.name if last is not None else start
        return await services.objects.page(ROOT, after, end, IMAGES_A_PAGE) if after < end else ()

    async for page in passes.Pages(read, passes.time_is_up(services)):
        swept += await _sweep_page(services, page)
        cursor = await passes.keep(services, cursor.changed(place=Place(id=page[-1].name)))
    if swept:
        log.warning("inputs_swept", count=swept)
    return swept


async def _sweep_page(services: Services, page: Sequence[StoredObject]) -> int:
    jobs = await services.firestore.get_many(Job, [_job_of(item) for item in page])
    named = {each.object for job in jobs.values() for each in job.request.inputs}
    left = [item.name for item in page if item.name not in named]
    return sum(await passes.for_each(left, services.objects.delete))


def _job_of(item: StoredObject) -> str:
    return item.name.split("/")[4]


_EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


async def _given(role: InputRole, field: str, image: ImageInput) -> Given:
    if isinstance(image, ImageUpload):
        data = await image.file.read(MAX_IMAGE_BYTES + 1)
        return Given(role, field, _bounded(field, data))
    # Either field may hold a data URL: no base64 starts like one.
    text = (image.data or image.image_url or "").strip()
    if text[:5].lower() == "data:":
        head, _, text = text.partition(",")
        if not head.lower().endswith(";base64"):
            raise _invalid(field, "a data URL must be in base64")
    elif image.data is None:
        return Given(role, field, url=text)
    return Given(role, field, _bounded(field, _decoded(field, text)))


def _decoded(field: str, text: str) -> bytes:
    try:
        # Many encoders insert line breaks (RFC 2045).
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise _invalid(field, "it is not valid base64") from None


def _bounded(field: str, data: bytes) -> bytes:
    if len(data) > MAX_IMAGE_BYTES:
        raise _invalid(field, f"it has more than {MAX_IMAGE_BYTES:,} bytes", max_bytes=MAX_IMAGE_BYTES)
    return data


async def _bytes_of(services: Services, image: Given) -> bytes:
    if image.data is not None:
        return image.data
    try:
        response = await services.public_http.fetch(
            str(image.url), MAX_IMAGE_BYTES, "image/png, image/jpeg, image/webp"
        )
    except NotReached as error:
        raise ApiError("IMAGE_NOT_FETCHED", f"{image.field}: {error}.", {"field": image.field}) from error
    return response.data


async def _checked(services: Services, caller: Caller, image: Given, data: bytes) -> ImageFacts:
    try:
        return await services.images.inspect(caller.account, data)
    except NotAnImage as error:
        raise _invalid(image.field, str(error)) from error
    except Unavailable as error:
        raise ApiError("UNAVAILABLE", retry_after_s=5) from error


def _input(image: Given, kept: StoredObject, facts: ImageFacts) -> Input:
    return Input(
        role=image.role,
        object=kept.name,
        content_type=facts.content_type,
        size_bytes=kept.size_bytes,
        crc32c=kept.crc32c,
        width_px=facts.width_px,
        height_px=facts.height_px,
    )


def _invalid(field: str, why: str, **details: Any) -> ApiError:
    return ApiError("INVALID_IMAGE", f"{field}: {why}.", {"field": field, **details})


async def _remove(services: Services, folder: str) -> None:
    try:
        await services.objects.delete(folder)
    except Unavailable as error:
        log.warning("inputs_not_removed", folder=folder, error=str(error))


def _writing(data: bytes) -> Callable[[BinaryIO], None]:
    def write(destination: BinaryIO) -> None:
        destination.write(data)

    return write
