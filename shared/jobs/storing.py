"""From the provider to our bucket: fetch, verify, make the poster frame; under a lease that is renewed meanwhile."""

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
    """A video could not be stored now; `permanent` when trying again would not help: the provider's own file is not
    the video. A bucket that refuses is no such case, since a change of a permission takes minutes to arrive."""

    code: str
    reason: str
    permanent: bool = False


@dataclass(frozen=True)
class Kept:
    """A video in our bucket, and since when the provider had been done with it, as far as that can be known.

    Where the provider writes into our bucket itself, that is when it wrote; else it is when we learned of it.
    """

    output: Output
    since: datetime


async def store(services: Services, job: Job, holder: str) -> None:
    """Store every video of the job, whose lease `holder` has, and tell the core how it went."""
    try:
        async with _renewing(services, job, holder):
            kept = [await _store_one(services, job, index) for index in range(len(job.outputs))]
    except NotStored as failure:
        log.warning("storing_failed", job=job.id, code=failure.code, reason=failure.reason, tries=job.storing_tries + 1)
        event = events.StoringFailed(job.step, holder, failure.code, failure.reason, failure.permanent)
        await apply(services, job.id, event)
        return
    # The bucket's clock is not ours: a lag below zero is none.
    lag_s = max(0.0, (services.clock() - max(one.since for one in kept)).total_seconds())
    log.info("video_stored", job=job.id, model=job.request.model, tries=job.storing_tries + 1, lag_seconds=lag_s)
    await apply(services, job.id, events.Stored(job.step, holder, tuple(one.output for one in kept)))


async def _store_one(services: Services, job: Job, index: int) -> Kept:
    """One video in the bucket, verified, with its poster frame.

    Raises NotStored after the quick tries: permanent when each of them brought the same bytes, which are not the video.
    """
    from shared.media import video  # PyAV is loaded by the first delivery that stores, not at every cold start

    checksums: list[str | None] = []
    for wait_s in (*QUICK_TRIES_AFTER_S, None):
        try:
            stored = await _fetched(services, job, index)
            checksums.append(stored.crc32c)
            kept = Kept(await _verified(services, job, index, stored), _done_at(services, job, index, stored))
            await _describe(services, job, index, stored)
            return kept
        except video.NotThatVideo as error:
            failure = NotStored("INVALID_VIDEO", str(error), permanent=len(set(checksums)) == 1)
            if not _is_ours(services, job.outputs[index].uri):
                await services.objects.delete(_object_name(services, job, index))
        except StorageRefused as error:
            checksums.append(None)
            # Told at once, for only an operator can change it; and tried again like everything else.
            log.error("storage_refused", job=job.id, account=job.account, error=str(error))
            failure = NotStored("STORAGE_REFUSED", str(error))
        except Exception as error:  # noqa: BLE001 - network, provider or bucket: all are tried again
            checksums.append(None)
            failure = NotStored("STORING_FAILED", f"{type(error).__name__}: {error}")
        if wait_s is None:
            raise failure
        await services.sleep(wait_s)
    raise AssertionError("unreachable: the last try returns or raises")


async def _fetched(services: Services, job: Job, index: int) -> StoredObject:
    """The object in our bucket; streamed there from the provider unless the provider wrote it there itself."""
    name = _object_name(services, job, index)
    stored = await services.objects.stat(name)
    if stored is not None:
        return stored
    uri = job.outputs[index].uri
    if _is_ours(services, uri):
        raise FileNotFoundError(uri)
    generator = services.providers.of(job.provider)
    return await services.objects.write(name, _fetching(generator, uri), "video/mp4")


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
    """Say in the bucket what the video is. It is as good without that, so a failure is logged and nothing else."""
    try:
        await services.objects.describe(stored.name, *filenames.description(job, index))
    except (Unavailable, FileNotFoundError) as error:
        log.warning("object_not_described", job=job.id, object=stored.name, error=str(error))


@asynccontextmanager
async def _renewing(services: Services, job: Job, holder: str) -> AsyncIterator[None]:
    """Keeps the lease alive while bytes flow."""

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


def _fetching(generator: Provider, uri: str) -> Callable[[BinaryIO], None]:
    return lambda destination: generator.download(uri, destination)


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
