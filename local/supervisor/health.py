"""Whether a process of the local cloud answers yet."""

from __future__ import annotations

import asyncio
from typing import Final

import grpc.aio
import httpx2

from local.ports import HOST
from local.supervisor.plan import Member

ASK_EVERY_S: Final = 0.05
ANSWER_WITHIN_S: Final = 30.0


async def ready(member: Member) -> None:
    """Returns once the process answers; ask under a timeout, since it may never do so."""
    if member.health == "http":
        await _http(f"http://{HOST}:{member.port}{member.path}")
    elif member.health == "grpc":
        await _grpc(f"{HOST}:{member.port}")


async def _http(url: str) -> None:
    # Any answer will do: what a function says to an unknown path is its own affair.
    async with httpx2.AsyncClient(trust_env=False, timeout=ANSWER_WITHIN_S) as client:
        while True:
            try:
                await client.get(url)
                return
            except httpx2.TransportError:
                await asyncio.sleep(ASK_EVERY_S)


async def _grpc(target: str) -> None:
    options = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200)]
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        await channel.channel_ready()
