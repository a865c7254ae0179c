"""Images are read by processes of their own: with a time, a memory and nothing else that could be harmed.

One account has one image read at a time, and waits for nobody's but its own and for a free process. So whoever sends
images that take long takes one of the processes, for a bounded time, and not the others.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from shared.core.errors import Unavailable
from shared.core.image_facts import ImageFacts, NotAnImage
from shared.media.images import type_of
from shared.platform import log
from shared.platform.commits import turn_of

# Each takes at most 512 MiB (shared/media/image_worker.py), beside the requests' bodies: the function has room for
# both.
AT_ONCE = 2
# From start to answer. The processor's time has its own limit; this is for a process that waits, or has to.
LONGEST_S = 15.0
# Who waits longer for a process is better off coming back.
WAIT_S = 30.0
LOGGED_CHARS = 500
_TOO_MUCH = "it takes too much time or memory to read"


class ImageWorkers:
    """Starts a process for each image. A fresh one each time: what an image did to it goes with it."""

    def __init__(self, command: tuple[str, ...] = (sys.executable, "-m", "shared.media.image_worker")) -> None:
        self._command = command
        self._free = asyncio.Semaphore(AT_ONCE)

    async def inspect(self, account: str, data: bytes) -> ImageFacts:
        """Raises NotAnImage, and Unavailable when no process was free in time or none could be started."""
        type_of(data)
        turn = turn_of(f"images/{account}")
        try:
            async with asyncio.timeout(WAIT_S) as waiting, turn.lock, self._free:
                waiting.reschedule(None)
                return await self._inspect(account, data)
        except TimeoutError as error:
            raise Unavailable("no process was free to read an image") from error

    async def _inspect(self, account: str, data: bytes) -> ImageFacts:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE, env=_environment(),
            )  # fmt: skip
        except OSError as error:
            raise Unavailable(f"no process for an image: {error}") from error
        try:
            async with asyncio.timeout(LONGEST_S):
                answer, complaint = await process.communicate(data)
        except TimeoutError as error:
            log.warning("image_worker_killed", account=account, reason="time")
            raise NotAnImage(_TOO_MUCH) from error
        finally:
            await _end(process)
        return _facts(account, process.returncode, answer, complaint)


def _facts(account: str, status: int | None, answer: bytes, complaint: bytes) -> ImageFacts:
    if status is not None and status < 0:
        log.warning("image_worker_killed", account=account, reason=f"signal {-status}")
        raise NotAnImage(_TOO_MUCH)
    try:
        told = json.loads(answer)
    except ValueError as error:
        error_text = complaint.decode(errors="replace")[-LOGGED_CHARS:]
        log.error("image_worker_failed", account=account, status=status, error=error_text)
        raise Unavailable("an image could not be read") from error
    if "error" in told:
        raise NotAnImage(told["error"])
    return ImageFacts(told["type"], told["width"], told["height"])


async def _end(process: asyncio.subprocess.Process) -> None:
    """Whatever happened, nothing of it is left: also where the request was canceled meanwhile."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        # Not to be left to the next cancellation: a killed process is gone at once.
        await asyncio.shield(process.wait())


def _environment() -> dict[str, str]:
    """What Python needs to find its modules and libraries, and none of our settings."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
