"""A good one-day solution: videos over FastAPI, arq and Redis. Measured alongside Rushes by bench/peers.py.

A create is checked, kept as a hash in Redis and enqueued; a worker starts it at the provider and looks at it until it
has ended; a status is one read of the hash. There are no credits, and what Redis or the worker loses is lost.

    uvicorn arq_service:app          arq arq_service.Worker
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, ClassVar, Literal

import httpx
from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

REDIS = RedisSettings(host="127.0.0.1", port=int(os.environ["REDIS_PORT"]))
API_KEYS = frozenset(os.environ["API_KEYS"].split(","))
MODELS = {"veo-3.1": "veo-3.1-generate-preview", "veo-3.1-fast": "veo-3.1-fast-generate-preview"}
SIZES = {"1280x720": ("16:9", "720p"), "720x1280": ("9:16", "720p"), "1920x1080": ("16:9", "1080p")}
JOBS_KEPT_S = 7 * 86_400
LOOK_EVERY_S = 10.0
GENERATION_TIMEOUT_S = 900
CALL_TIMEOUT_S = 45.0


class CreateVideo(BaseModel):
    model_config = ConfigDict(extra="forbid")

    prompt: Annotated[str, Field(min_length=1, max_length=4096)]
    model: Literal["veo-3.1", "veo-3.1-fast"] = "veo-3.1-fast"
    seconds: Literal["4", "6", "8"] = "8"
    size: Literal["1280x720", "720x1280", "1920x1080"] = "1280x720"


class Video(BaseModel):
    id: str
    object: Literal["video"] = "video"
    status: Literal["queued", "in_progress", "completed", "failed"]
    model: str
    prompt: str
    seconds: str
    size: str
    created_at: int
    completed_at: int | None = None
    error: str | None = None


# --- the API ---


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.redis = await create_pool(REDIS)
    yield
    await app.state.redis.aclose()


app = FastAPI(title="videos", lifespan=lifespan)
bearer = HTTPBearer()


async def redis(request: Request) -> ArqRedis:
    pool: ArqRedis = request.app.state.redis
    return pool


async def authenticated(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> str:
    if credentials.credentials not in API_KEYS:
        raise HTTPException(401, "API key not found.")
    return credentials.credentials


Redis = Annotated[ArqRedis, Depends(redis)]
ApiKey = Annotated[str, Depends(authenticated)]


@app.get("/healthz")
async def healthz(pool: Redis) -> Response:
    await pool.ping()
    return Response()


@app.post("/v1/videos", status_code=202)
async def create_video(body: CreateVideo, key: ApiKey, pool: Redis) -> Video:
    video = Video(
        id=f"video_{secrets.token_urlsafe(16)}", status="queued", created_at=int(time.time()), **body.model_dump()
    )
    async with pool.pipeline() as pipeline:
        pipeline.hset(name_of(video.id), mapping={**video.model_dump(exclude_none=True), "key": key})
        pipeline.expire(name_of(video.id), JOBS_KEPT_S)
        await pipeline.execute()
    await pool.enqueue_job("generate", video.id, _job_id=video.id)
    return video


@app.get("/v1/videos/{video_id}")
async def get_video(video_id: str, key: ApiKey, pool: Redis) -> Video:
    kept = await read(pool, video_id)
    if kept.get("key") != key:
        raise HTTPException(404, "Video not found.")
    return Video.model_validate(kept)


# --- the worker ---


async def generate(context: dict[str, Any], video_id: str) -> None:
    """Start the video at the provider, and look at it until it has ended."""
    pool, provider = context["redis"], context["provider"]
    video = Video.model_validate(await read(pool, video_id))
    aspect_ratio, resolution = SIZES[video.size]
    parameters = {"aspectRatio": aspect_ratio, "resolution": resolution, "durationSeconds": int(video.seconds)}
    body = {"instances": [{"prompt": video.prompt}], "parameters": parameters}
    operation = await call(provider, "POST", f"models/{MODELS[video.model]}:predictLongRunning", json=body)
    await pool.hset(name_of(video_id), mapping={"status": "in_progress", "operation": operation["name"]})
    while not operation.get("done"):
        await asyncio.sleep(LOOK_EVERY_S)
        operation = await call(provider, "GET", operation["name"])
    failed = operation.get("error")
    ended = {"status": "failed", "error": failed["message"]} if failed else {"status": "completed"}
    await pool.hset(name_of(video_id), mapping={**ended, "completed_at": int(time.time())})


async def call(provider: httpx.AsyncClient, method: str, path: str, **options: Any) -> dict[str, Any]:
    answer = await provider.request(method, path, **options)
    answer.raise_for_status()
    parsed: dict[str, Any] = answer.json()
    return parsed


async def read(pool: ArqRedis, video_id: str) -> dict[str, str]:
    kept = await pool.hgetall(name_of(video_id))
    return {name.decode(): value.decode() for name, value in kept.items()}


def name_of(video_id: str) -> str:
    return f"video:{video_id}"


async def open_provider(context: dict[str, Any]) -> None:
    headers = {"x-goog-api-key": os.environ["GEMINI_API_KEY"]}
    base = f"{os.environ['GEMINI_URL']}/v1beta/"
    context["provider"] = httpx.AsyncClient(base_url=base, headers=headers, timeout=CALL_TIMEOUT_S)


async def close_provider(context: dict[str, Any]) -> None:
    await context["provider"].aclose()


class Worker:
    functions: ClassVar = [generate]
    redis_settings = REDIS
    on_startup = open_provider
    on_shutdown = close_provider
    job_timeout = GENERATION_TIMEOUT_S
    max_jobs = 100
