"""Asking for a video once, and seeing it through to its end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rushes import tables
from rushes.api import Api
from rushes.downloads import download_all
from rushes.exit_codes import Exit
from rushes.failure import Failure, Json
from rushes.pending import Pending, pending
from rushes.run import Run
from rushes.video_request import VideoRequest
from rushes.waiting import FINAL, Wait, how_to_go_on, watching

# An earlier run's key stands for something that cannot be gone on with.
LOST = frozenset({"GONE", "IDEMPOTENCY_KEY_REUSED"})
# An estimate says so for a request that cannot be made as it is.
UNMAKEABLE = frozenset({Exit.USAGE, Exit.NOT_FOUND, Exit.STATE})


@dataclass(frozen=True)
class Ending:
    """How far a command goes along with the video: to its acceptance, to its end, or into a file."""

    wait: bool
    out: Path | None
    timeout_s: float

    @property
    def waits(self) -> bool:
        return self.wait or self.out is not None


def submit(run: Run, request: VideoRequest, ending: Ending, *, fresh: bool, key: str | None) -> None:
    """Ask for the video, and see it through as far as was wished. Raises Failure."""
    api = run.api()
    same = {"for": api.connection.profile or api.connection.url, "as": api.connection.source, **request.identity()}
    with pending(same, fresh=fresh, key=key) as note:
        video = _accepted(run, api, request, note)
        if not ending.waits:
            said = (
                f"{video['id']} is {video['stage']}: {video['cost']} credits, about {video['expected_seconds']:.0f} s"
            )
            run.out.answer(video, said, *_warnings(video))
            # Not before: whoever did not see which video was paid for gives the command again.
            note.done()
            run.out.say(how_to_go_on(video["id"]))
            return
        try:
            see_through(run, api, video, ending)
        except Failure as failure:
            if failure.exit in (Exit.JOB_FAILED, Exit.JOB_CANCELED):
                note.done()
            raise
        note.done()


def _accepted(run: Run, api: Api, request: VideoRequest, note: Pending) -> Json:
    """The video as the server took it, or took it before."""
    try:
        video = api.post("/v1/videos", key=note.key, **_priced(api, request, note).request())
    except Failure as failure:
        if note.resumed and failure.code in LOST:
            note.renew()
            return _accepted(run, api, request, note)
        # Whether an unanswered request was accepted is not known: the same command again will tell.
        if failure.exit is not Exit.UNAVAILABLE:
            note.done()
        raise
    if not note.resumed:
        return video
    if video["status"] in ("failed", "canceled"):
        note.renew()
        return _accepted(run, api, request, note)
    run.out.warn(f"Continuing with {video['id']} from the interrupted command (--new creates another one).")
    return video


def _priced(api: Api, request: VideoRequest, note: Pending) -> VideoRequest:
    """The request with the price that it agrees to: the one quoted now, or when it was first sent."""
    if note.quote is None:
        try:
            note.agree(api.post("/v1/videos/estimate", repeatable=True, **request.request())["quote"])
        except Failure as failure:
            if failure.exit not in UNMAKEABLE:
                raise
            # The create says so as well, or returns what an earlier one with this key made.
            return request
    return request.with_fields(quote=note.quote)


def see_through(run: Run, api: Api, video: Json, ending: Ending) -> None:
    """Wait for the end, fetch what was made, and say so. Raises Failure, with INTERRUPTED after Ctrl-C."""
    out = str(ending.out) if ending.out else None
    try:
        if video["status"] not in FINAL:
            with watching(run.out, video) as watcher:
                wait = Wait(api, video, ending.timeout_s, watcher)
                try:
                    video = wait.until_final()
                finally:
                    video = wait.video
        _check(video)
        written = download_all(api, video, ending.out) if ending.out else []
    except KeyboardInterrupt:
        raise _interrupted(video, out) from None
    saved = [f"Saved {file['path']} ({file['size_bytes']:,} bytes)" for file in written]
    shown = saved or [f"{video['id']} is completed. Download it with rushes download {video['id']}"]
    run.out.answer({**video, "downloaded": written}, *shown, *_warnings(video))


def _interrupted(video: Json, out: str | None) -> Failure:
    """What Ctrl-C leaves, and how to go on."""
    if video["status"] == "completed":
        message = f"{video['id']} is completed."
        action = f"Download it with rushes download {video['id']}" + (f" -o {out}" if out else "")
    else:
        message, action = f"{video['id']} keeps generating.", how_to_go_on(video["id"], out)
    return Failure(Exit.INTERRUPTED, "INTERRUPTED", message, action, document=video)


def _check(video: Json) -> None:
    """Raises Failure when it ended without a video."""
    if video["status"] == "failed":
        error, back = video["error"], f"Refunded {video['refunded']} of {video['cost']} credits."
        message = f"{video['id']}: {error['reason'] or error['message']} {back}"
        raise Failure(Exit.JOB_FAILED, error["code"], message, error["suggested_action"], document=video)
    if video["status"] == "canceled":
        message = f"{video['id']} was canceled. Refunded {video['refunded']} of {video['cost']} credits."
        raise Failure(Exit.JOB_CANCELED, "CANCELED", message, document=video)


def _warnings(video: Json) -> list[str]:
    return [warning["message"] for warning in video["warnings"]]


def show(run: Run, video: Json) -> None:
    run.out.answer(video, tables.video(video))
