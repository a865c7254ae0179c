"""The source video of an extension."""

from __future__ import annotations

from shared.api.videos import ContentQuery
from shared.core.documents import Extends
from shared.jobs import outputs
from shared.jobs.queries import own_job
from shared.kinds.video import Source
from shared.platform.identity import Caller
from shared.platform.ports import Services


async def source(services: Services, caller: Caller, video: str) -> Source:
    """The first file of the caller's own finished video.

    Raises ApiError: NOT_FOUND for somebody else's, JOB_NOT_FINISHED, VIDEO_NOT_AVAILABLE, or GONE if its files are.
    """
    job = await own_job(services, caller, video)
    name = outputs.content(job, ContentQuery()).name
    output = job.outputs[0]
    assert output.seconds is not None, f"{job.id} is completed without a length"
    assert output.size_bytes is not None, f"{job.id} is completed without a size"
    return Source(
        video=Extends(job=job.id, object=name, size_bytes=output.size_bytes, seconds=output.seconds),
        model=job.request.model,
        aspect_ratio=job.request.aspect_ratio,
        resolution=job.request.resolution,
    )
