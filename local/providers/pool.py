"""Rendering outside the event loop: a few threads, a stop flag and, under load, one video for many."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from local.providers.render import Film, render


class RenderPool:
    """Renders films, at most `workers` at a time.

    With `cache`, a film is rendered once per size, length, sound and input media, without a title, and served again:
    for tests and loads, where the picture does not matter.
    """

    def __init__(self, workers: int = 1, *, cache: bool = False) -> None:
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="render")
        self._stop = threading.Event()
        self._cache: dict[Film, asyncio.Future[bytes]] | None = {} if cache else None

    async def render(self, film: Film) -> bytes:
        """The MP4 of a film. Raises what `render.render` raises."""
        if self._cache is None:
            return await self._rendered(film)
        blank = replace(film, prompt="", seed=0, caption="")
        if blank not in self._cache:
            self._cache[blank] = asyncio.ensure_future(self._rendered(blank))
        return await asyncio.shield(self._cache[blank])

    async def _rendered(self, film: Film) -> bytes:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, render, film, self._stop.is_set)

    def close(self) -> None:
        """Stop the films under way and wait for the threads: a frame's time."""
        self._stop.set()
        self._threads.shutdown(cancel_futures=True)
