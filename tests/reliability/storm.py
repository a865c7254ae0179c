"""Many requests of one user at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import httpx2

from testing.cloud import User

TIMEOUT_S = 120.0


def storm(user: User, calls: Iterable[tuple[str, dict[str, Any] | None]]) -> list[httpx2.Response]:
    """POST them all at the same moment, each on a connection of its own."""
    return asyncio.run(_storm(user, list(calls)))


async def _storm(user: User, calls: list[tuple[str, dict[str, Any] | None]]) -> list[httpx2.Response]:
    headers = {"Authorization": f"Bearer {user.token}"}
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False, limits=limits, headers=headers) as client:
        return await asyncio.gather(*(client.post(f"{user.cloud.url}{path}", json=body) for path, body in calls))
