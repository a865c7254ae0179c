"""From the provider to our bucket: download, verify, and make the poster frame, under a lease that is kept renewed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from shared.core import events, filenames, lifecycle
from shared.core.documents import Job, Output
from shared.core.errors import StorageRefused, Unavailable
from shared.jobs.transitions import apply
from shared.platform import log
from shared.platform.ports import ObjectExists, Services, StoredObject
from shared.platform.provider import Provider

# Three tries after the first; then the queue brings the job back until the storing deadline.
QUICK_TRIES_AFTER_S = (1.0, 2.0, 4.0)
RENEW_EVERY_S = lifecycle.LEASE_S / 3


@dataclass
class NotStored(Exception):  # noqa: N818
    """A video couldn't be stored now. `permanent`: a retry won't help, because the provider's file isn't the video. A
    bucket that rejects writes isn't permanent, since permission changes take minutes to take effect."""

    code: str
    reason: str
    permanent: bool = False


@dataclass(frozen=True)
class StoredVideo:
    """A video in our bucket, and when the provider had finished it, as far as we can tell.

    If the provider writes into our bucket itself, that is when it wrote the file; otherwise when we learned of it.
    """

    output: Output
    done_at: datetime


async def store(services: Services, job: Job, holder: str) -> None:
    """Store every video of the job, whose lease `holder` has, and apply the outcome."""
    try:
        async with _renewing(services, job, holder):
            stored = [await _store_one(services, job, index) for index in range(len(job.outputs))]
    except NotStored as failure:
        log.warning("storing_failed", job=job.id, code=failure.code, reason=failure.reason, tries=job.storing_tries + 1)
        event = events.StoringFailed(job.step, holder, failure.code, failure.reason, failure.permanent)
        await apply(services, job.id, event)
        return
    # The bucket's clock may differ from ours: a negative lag counts as zero.
    lag_s = max(0.0, (services.clock() - max(video.done_at for video in stored)).total_seconds())
    log.info("video_stored", job=job.id, model=job.request.model, tries=job.storing_tries + 1, lag_seconds=lag_s)
    await apply(services, job.id, events.Stored(job.step, holder, tuple(video.output for video in stored)))


async def _store_one(services: Services, job: Job, index: int) -> StoredVideo:
    """Store and verify one video, with its poster frame.

    Raises NotStored after the quick tries, permanent if all of them got the same bytes and those aren't the video.
    """
    from shared.media import video  # PyAV is loaded by the first delivery that stores, not at every cold start

    checksums: list[str | None] = []
    for wait_s in (*QUICK_TRIES_AFTER_S, None):
        try:
            stored = await _download(services, job, index)
            checksums.append(stored.crc32c)
            output = await _verified(services, job, index, stored)
            await _describe(services, job, index, stored)
            return StoredVideo(output, _done_at(services, job, index, stored))
        except video.NotThatVideo as error:
            failure = NotStored("INVALID_VIDEO", str(error), permanent=len(set(checksums)) == 1)
            if not _is_ours(services, job.outputs[index].uri):
                await services.objects.delete(_object_name(services, job, index))
        except StorageRefused as error:
            checksums.append(None)
            # Alert at once, since only an operator can fix it, and retry like any other failure.
            log.error("storage_refused", job=job.id, account=job.account, error=str(error))
            failure = NotStored("STORAGE_REFUSED", str(error))
        except Exception as error:  # noqa: BLE001 - network, provider or bucket: all are retried
            checksums.append(None)
            failure = NotStored("STORING_FAILED", f"{type(error).__name__}: {error}")
        if wait_s is None:
            raise failure
        await services.sleep(wait_s)
    raise AssertionError("unreachable: the last try returns or raises")


async def _download(services: Services, job: Job, index: int) -> StoredObject:
    """The object in our bucket, streamed from the provider unless the provider has written it there itself."""
    name = _object_name(services, job, index)
    stored = await services.objects.stat(name)
    if stored is not None:
        return stored
    uri = job.outputs[index].uri
    if _is_ours(services, uri):
        raise FileNotFoundError(uri)
    provider = services.providers.of(job.provider)
    return await services.objects.write(name, _downloading(provider, uri), "video/mp4")


async def _verified(services: Services, job: Job, index: int, stored: StoredObject) -> Output:
    from shared.media import video

    if stored.size_bytes < video.SMALLEST_BYTES:
        raise video.NotThatVideo(f"the file has only {stored.size_bytes} bytes")
    facts = await services.objects.use(stored.name, video.inspect)
    video.check(facts, job.request.file_seconds, *job.request.dimensions_px)
    poster = f"{job.posters_prefix}{job.attempt}/{index}.jpg"
    try:
        await services.objects.write(poster, _writing(facts.poster), "image/jpeg")
    except ObjectExists:
        log.info("poster_kept", job=job.id, object=poster)
    return Output(
        uri=job.outputs[index].uri,
        object=stored.name,
        size_bytes=stored.size_bytes,
        crc32c=stored.crc32c,
        seconds=facts.seconds,
        width_px=facts.width_px,
        height_px=facts.height_px,
        poster=poster,
    )


async def _describe(services: Services, job: Job, index: int, stored: StoredObject) -> None:
    """Set the object's file name and metadata. The video is fine without them, so a failure is only logged."""
    try:
        await services.objects.describe(stored.name, *filenames.description(job, index))
    except (Unavailable, FileNotFoundError) as error:
        log.warning("object_not_described", job=job.id, object=stored.name, error=str(error))


@asynccontextmanager
async def _renewing(services: Services, job: Job, holder: str) -> AsyncIterator[None]:
    """Keep the lease alive while storing."""

    async def renew() -> None:
        while True:
            await services.sleep(RENEW_EVERY_S)
            try:
                await apply(services, job.id, events.LeaseRenewed(job.step, holder))
            except Unavailable as error:
                log.warning("lease_not_renewed", job=job.id, error=str(error))

    renewal = asyncio.ensure_future(renew())
    try:
        yield
    finally:
        renewal.cancel()
        await asyncio.gather(renewal, return_exceptions=True)


def _downloading(provider: Provider, uri: str) -> Callable[[BinaryIO], None]:
    return lambda destination: provider.download(uri, destination)


def _writing(data: bytes) -> Callable[[BinaryIO], None]:
    def write(destination: BinaryIO) -> None:
        destination.write(data)

    return write


def _is_ours(services: Services, uri: str) -> bool:
    return uri.startswith(f"gs://{services.objects.bucket}/")


def _done_at(services: Services, job: Job, index: int, stored: StoredObject) -> datetime:
    if _is_ours(services, job.outputs[index].uri):
        return stored.created_at
    return job.storing_started_at or job.updated_at


def _object_name(services: Services, job: Job, index: int) -> str:
    uri = job.outputs[index].uri
    if _is_ours(services, uri):
        return uri.removeprefix(f"gs://{services.objects.bucket}/")
    return f"{job.prefix}{index}.mp4"
