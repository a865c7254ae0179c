"""Reads images in separate processes, with limits on time and memory and without access to anything else.

Each account has one image read at a time, and waits only for its own images and a free process. So an account that
sends slow images occupies one process, for a limited time.
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

# Each takes at most 512 MiB (shared/media/image_worker.py); the function has enough memory for these and the request
# bodies.
AT_ONCE = 2
# From start to output. CPU time has its own limit; this one is for a process that waits or doesn't get the CPU.
LONGEST_S = 15.0
# Longest wait for a free process; after that the client should retry.
WAIT_S = 30.0
LOGGED_CHARS = 500
_TOO_MUCH = "it takes too much time or memory to read"


class ImageWorkers:
    """Starts a new process for each image, so that a malicious image can't affect the next one."""

    def __init__(self, command: tuple[str, ...] = (sys.executable, "-m", "shared.media.image_worker")) -> None:
        self._command = command
        self._free = asyncio.Semaphore(AT_ONCE)

    async def inspect(self, account: str, data: bytes) -> ImageFacts:
        """Check and measure an image. Raises NotAnImage; Unavailable if no process was free or could be started."""
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
        result = json.loads(answer)
    except ValueError as error:
        error_text = complaint.decode(errors="replace")[-LOGGED_CHARS:]
        log.error("image_worker_failed", account=account, status=status, error=error_text)
        raise Unavailable("an image could not be read") from error
    if "error" in result:
        raise NotAnImage(result["error"])
    return ImageFacts(result["type"], result["width"], result["height"])


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the process if it still runs, also when the request was canceled."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        # Shielded, so that another cancellation doesn't leave a zombie; a killed process exits at once.
        await asyncio.shield(process.wait())


def _environment() -> dict[str, str]:
    """Only what Python needs to find modules and libraries; none of our settings."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
