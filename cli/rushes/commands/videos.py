"""Videos: ask for them, see how they get on, fetch and remove them."""

from __future__ import annotations

import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rushes import tables
from rushes.downloads import download as download_one
from rushes.downloads import download_all
from rushes.exit_codes import Exit
from rushes.failure import Failure, usage
from rushes.paging import After, Limit, collect
from rushes.run import Json, begin
from rushes.submission import Ending, see_through, show, submit
from rushes.video_request import VideoRequest, takes_wish

Id = Annotated[str, typer.Argument(metavar="VIDEO", help="Video id: video_...")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until it finishes, showing progress.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", dir_okay=False, help="Wait, and save the video here; several get -2, -3, ..."),
]
Timeout = Annotated[
    float, typer.Option(min=0, metavar="SECONDS", help="Stop waiting after SECONDS; the job continues.")
]
New = Annotated[
    bool, typer.Option("--new", help="Always create a new video, even if the same command was interrupted.")
]
Key = Annotated[str | None, typer.Option(metavar="KEY", help="Idempotency key (default: generated and saved).")]
Moment = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="In local time.")]
A_WAIT_S = 3600.0


class Status(StrEnum):
    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


class Order(StrEnum):
    NEWEST = "desc"
    OLDEST = "asc"


@takes_wish
def create(
    context: typer.Context,
    request: VideoRequest,
    wait: Wait = False,
    out: Out = None,
    timeout: Timeout = A_WAIT_S,
    new: New = False,
    idempotency_key: Key = None,
    json: Json = False,
) -> None:
    """Create a video. You're charged immediately and refunded if it fails."""
    submit(begin(context, json), request, Ending(wait, out, timeout), fresh=new, key=idempotency_key)


@takes_wish
def extend(
    context: typer.Context,
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="The finished video to extend.")],
    request: VideoRequest,
    wait: Wait = False,
    out: Out = None,
    timeout: Timeout = A_WAIT_S,
    new: New = False,
    idempotency_key: Key = None,
    json: Json = False,
) -> None:
    """Extend a finished video by --seconds."""
    longer = request.with_fields(extends=video)
    submit(begin(context, json), longer, Ending(wait, out, timeout), fresh=new, key=idempotency_key)


@takes_wish
def estimate(
    context: typer.Context,
    request: VideoRequest,
    extends: Annotated[str | None, typer.Option(metavar="VIDEO", help="Estimate an extension of VIDEO.")] = None,
    json: Json = False,
) -> None:
    """Estimate cost and duration without creating a video."""
    run = begin(context, json)
    asked = request.with_fields(extends=extends) if extends else request
    said = run.api().post("/v1/videos/estimate", repeatable=True, **asked.request())
    run.out.answer(said, tables.estimate(said))


def list_videos(
    context: typer.Context,
    status: Annotated[
        Status | None, typer.Option(help="Filter by status; only one of status, model and project.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Filter by model id.")] = None,
    project: Annotated[str | None, typer.Option(help="Filter by project id.")] = None,
    since: Moment = None,
    until: Moment = None,
    order: Annotated[Order, typer.Option(help="Newest or oldest first.")] = Order.NEWEST,
    limit: Limit = 20,
    after: After = None,
    json: Json = False,
) -> None:
    """List your videos."""
    run = begin(context, json)
    query = {
        "status": status,
        "model": model,
        "project": project,
        "created_after": _unix(since),
        "created_before": _unix(until),
        "order": order,
    }
    found = collect(run.api(), "/v1/videos", limit, after, **query)
    run.out.answer(found, tables.videos(found["data"]))
    if found["has_more"] and not run.out.json:
        run.out.say(f"More: rushes list --after {found['last_id']}")


def get(context: typer.Context, video: Id, json: Json = False) -> None:
    """Show one video."""
    run = begin(context, json)
    show(run, run.api().get(f"/v1/videos/{video}"))


def wait(context: typer.Context, video: Id, out: Out = None, timeout: Timeout = A_WAIT_S, json: Json = False) -> None:
    """Wait for a video to finish; with -o, download it."""
    run = begin(context, json)
    api = run.api()
    see_through(run, api, api.get(f"/v1/videos/{video}"), Ending(True, out, timeout))


def download(
    context: typer.Context,
    video: Id,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", dir_okay=False, help="Output file (default: VIDEO.mp4 or VIDEO.jpg).")
    ] = None,
    index: Annotated[
        int | None, typer.Option(min=0, max=3, help="Only this one of several videos, starting at 0.")
    ] = None,
    thumbnail: Annotated[bool, typer.Option("--thumbnail", help="Download the poster frame instead.")] = False,
    json: Json = False,
) -> None:
    """Download a finished video."""
    run = begin(context, json)
    api = run.api()
    target = out or Path(f"{video}.{'jpg' if thumbnail else 'mp4'}")
    if thumbnail:
        written = [download_one(api, video, target, index=index or 0, variant="thumbnail")]
    elif index is not None:
        written = [download_one(api, video, target, index=index)]
    else:
        found = api.get(f"/v1/videos/{video}")
        if found["status"] != "completed":
            message = f"{video} is {found['status']}; there's nothing to download."
            raise Failure(Exit.STATE, "VIDEO_NOT_AVAILABLE", message, f"See rushes get {video}")
        written = download_all(api, found, target)
    saved = [f"Saved {file['path']} ({file['size_bytes']:,} bytes)" for file in written]
    run.out.answer({"id": video, "downloaded": written}, *saved)


def cancel(
    context: typer.Context,
    video: Id,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Skip confirmation.")] = False,
    min_refund: Annotated[
        int | None,
        typer.Option(min=0, metavar="CREDITS", help="Cancel only if at least this many credits are refunded."),
    ] = None,
    json: Json = False,
) -> None:
    """Cancel a video and show the refund."""
    run = begin(context, json)
    api = run.api()
    path = f"/v1/videos/{video}/cancel"
    terms = api.get(path)
    if not run.out.json:
        run.out.say(terms["message"])
        if terms["kept"] and not yes and sys.stdin.isatty():
            typer.confirm(f"Cancel {video}?", abort=True, err=True)
            # The user agreed to what was said, and to nothing less.
            min_refund = max(min_refund or 0, terms["cancel_returns"])
    said = api.post(path, params={"min_refund": min_refund} if min_refund is not None else {})
    run.out.answer(said, f"Canceled {video}. Refunded {said['refunded']} credits, kept {said['kept']}.")


def delete(
    context: typer.Context,
    video: Id,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Permanently delete a video and its files."""
    run = begin(context, json)
    if not yes:
        if run.out.json or not sys.stdin.isatty():
            raise usage("Refusing to delete without confirmation.", "Pass --yes.")
        typer.confirm(f"Delete {video}? This can't be undone.", abort=True, err=True)
    said = run.api().delete(f"/v1/videos/{video}")
    run.out.answer(said, f"Deleted {video}.")


def _unix(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment else None


def add_to(app: typer.Typer) -> None:
    named: dict[str, Any] = {"list": list_videos}
    for command in (create, extend, estimate, get, wait, download, cancel, delete):
        named[command.__name__] = command
    for name, command in named.items():
        app.command(name, rich_help_panel="Videos")(command)
