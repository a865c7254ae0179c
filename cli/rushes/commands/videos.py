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
from rushes.exits import Exit
from rushes.failure import Failure, usage
from rushes.paging import After, Limit, collect
from rushes.run import Json, begin
from rushes.submission import Ending, see_through, show, submit
from rushes.wish import Wish, takes_wish

Id = Annotated[str, typer.Argument(metavar="VIDEO", help="Its id: video_...")]
Wait = Annotated[bool, typer.Option("--wait", help="Until it has ended, with a bar that fills.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", dir_okay=False, help="Wait, and write the video here; several: -2, -3, ... as well."),
]
Timeout = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Wait no longer; the job goes on.")]
New = Annotated[bool, typer.Option("--new", help="Another video, even if this very command broke off before.")]
Key = Annotated[str | None, typer.Option(metavar="KEY", help="Idempotency-Key of your own; else one is made and kept.")]
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
    wish: Wish,
    wait: Wait = False,
    out: Out = None,
    timeout: Timeout = A_WAIT_S,
    new: New = False,
    idempotency_key: Key = None,
    json: Json = False,
) -> None:
    """Ask for a video. It is charged at once, and comes back by itself should it fail."""
    submit(begin(context, json), wish, Ending(wait, out, timeout), fresh=new, key=idempotency_key)


@takes_wish
def extend(
    context: typer.Context,
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="The finished video to go on from.")],
    wish: Wish,
    wait: Wait = False,
    out: Out = None,
    timeout: Timeout = A_WAIT_S,
    new: New = False,
    idempotency_key: Key = None,
    json: Json = False,
) -> None:
    """Go on from a finished video: --seconds are added to it."""
    longer = wish.with_fields(extends=video)
    submit(begin(context, json), longer, Ending(wait, out, timeout), fresh=new, key=idempotency_key)


@takes_wish
def estimate(
    context: typer.Context,
    wish: Wish,
    extends: Annotated[str | None, typer.Option(metavar="VIDEO", help="As rushes extend VIDEO.")] = None,
    json: Json = False,
) -> None:
    """What a video would cost and take, and whether it would be accepted now. Nothing is charged."""
    run = begin(context, json)
    asked = wish.with_fields(extends=extends) if extends else wish
    said = run.api().post("/v1/videos/estimate", repeatable=True, **asked.request())
    run.out.answer(said, tables.estimate(said))


def list_videos(
    context: typer.Context,
    status: Annotated[Status | None, typer.Option(help="At most one of status, model and project.")] = None,
    model: Annotated[str | None, typer.Option(help="By the model's id.")] = None,
    project: Annotated[str | None, typer.Option(help="By the project's id.")] = None,
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
        run.out.say(f"There are more: rushes list --after {found['last_id']}")


def get(context: typer.Context, video: Id, json: Json = False) -> None:
    """Show one video."""
    run = begin(context, json)
    show(run, run.api().get(f"/v1/videos/{video}"))


def wait(context: typer.Context, video: Id, out: Out = None, timeout: Timeout = A_WAIT_S, json: Json = False) -> None:
    """Wait until a video has ended; with -o, fetch it then."""
    run = begin(context, json)
    api = run.api()
    see_through(run, api, api.get(f"/v1/videos/{video}"), Ending(True, out, timeout))


def download(
    context: typer.Context,
    video: Id,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", dir_okay=False, help="Where to; else VIDEO.mp4 or VIDEO.jpg.")
    ] = None,
    index: Annotated[int | None, typer.Option(min=0, max=3, help="Only this one of several, from 0.")] = None,
    thumbnail: Annotated[bool, typer.Option("--thumbnail", help="The poster frame instead.")] = False,
    json: Json = False,
) -> None:
    """Fetch a finished video into a file."""
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
            message = f"{video} is {found['status']}: there is no video."
            raise Failure(Exit.STATE, "VIDEO_NOT_AVAILABLE", message, f"See rushes get {video}")
        written = download_all(api, found, target)
    saved = [f"Saved {file['path']} ({file['size_bytes']:,} bytes)" for file in written]
    run.out.answer({"id": video, "downloaded": written}, *saved)


def cancel(
    context: typer.Context,
    video: Id,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, even if not everything comes back.")] = False,
    min_refund: Annotated[
        int | None, typer.Option(min=0, metavar="CREDITS", help="Only if at least so many credits come back.")
    ] = None,
    json: Json = False,
) -> None:
    """Stop a video that has not ended; says what comes back, before and afterwards."""
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
    run.out.answer(said, f"{video} is canceled: {said['refunded']} credits came back, {said['kept']} were kept.")


def delete(
    context: typer.Context,
    video: Id,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Remove a finished video and its files, for good."""
    run = begin(context, json)
    if not yes:
        if run.out.json or not sys.stdin.isatty():
            raise usage("Deleting cannot be undone, and nobody is there to ask.", "Say --yes")
        typer.confirm(f"Delete {video}? It cannot be undone.", abort=True, err=True)
    said = run.api().delete(f"/v1/videos/{video}")
    run.out.answer(said, f"{video} is deleted.")


def _unix(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment else None


def add_to(app: typer.Typer) -> None:
    named: dict[str, Any] = {"list": list_videos}
    for command in (create, extend, estimate, get, wait, download, cancel, delete):
        named[command.__name__] = command
    for name, command in named.items():
        app.command(name, rich_help_panel="Videos")(command)
