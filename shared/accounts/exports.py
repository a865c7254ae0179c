"""Exports of all of a user's data, as JSON files in the bucket that can be downloaded for a week."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, BinaryIO, TypeVar

from shared.accounts import api_keys
from shared.accounts.api_keys import ApiKey
from shared.accounts.chores import Chore, ExportedFile
from shared.api import views
from shared.api.account_data import ChoreStatus, ExportFileView, ExportQuery, ExportView
from shared.api.bodies import MAX_PAGE
from shared.api.videos import ListVideosQuery
from shared.core.documents import Account, Document, Job, Transaction
from shared.core.errors import ApiError
from shared.platform import accounts, audit, commits, durable_tasks, passes
from shared.platform.commits import Batch
from shared.platform.identity import Caller
from shared.platform.ports import Services
from shared.webhooks import endpoints
from shared.workspace import projects
from shared.workspace.projects import Project

KEPT_FOR = timedelta(days=7)
EXPORTS_A_DAY = 5
PAGES_A_FILE = 5
D = TypeVar("D", bound=Document)
EXPORT_ID = r"^export_[A-Za-z0-9_-]{22}$"


@dataclass(frozen=True)
class _Part:
    """Some of a phase's documents, and the cursor for the next ones; None if these are the last."""

    data: list[dict[str, Any]]
    cursor: str | None = None


async def start(services: Services, caller: Caller) -> Chore:
    """Start an export, or return the one in progress. Raises ApiError RATE_LIMITED after five in 24 hours."""
    recent = await _recent(services, caller)
    if recent and recent[0].status in ("queued", "in_progress"):
        return recent[0]
    day_ago = services.clock() - timedelta(days=1)
    if len(recent) == EXPORTS_A_DAY and recent[-1].created_at > day_ago:
        wait_s = (recent[-1].created_at - day_ago).total_seconds()
        message = f"At most {EXPORTS_A_DAY} exports in 24 hours."
        raise ApiError("RATE_LIMITED", message, {"exports_a_day": EXPORTS_A_DAY}, retry_after_s=int(wait_s) + 1)
    id_ = f"export_{services.ids()}"

    async def made() -> Batch[Chore]:
        owner = (caller.tenant, caller.account)
        export = durable_tasks.new(services, Chore, id_, *owner, kind="export", phase=PHASES[0])
        return Batch(export, [await accounts.acting(services, caller)])

    export = await commits.create(services, Chore, id_, made)
    audit.record("account_exported", caller, export=export.id)
    await durable_tasks.enqueue(services, export)
    return export


async def _recent(services: Services, caller: Caller) -> list[Chore]:
    where = {"tenant": caller.tenant, "account": caller.account, "kind": "export"}
    return await services.firestore.newest(Chore, where, None, EXPORTS_A_DAY)


async def get(services: Services, caller: Caller, export_id: str) -> Chore:
    """The caller's export. Raises ApiError NOT_FOUND."""
    found = await services.firestore.get(Chore, export_id) if re.fullmatch(EXPORT_ID, export_id) else None
    if found is None or found.account != caller.account or found.tenant != caller.tenant:
        raise ApiError("NOT_FOUND", "Export not found.", {"export": export_id[:64]})
    return found


async def view(services: Services, export: Chore, query: ExportQuery | None = None) -> ExportView:
    """The export, and once it's completed, a page of its files with signed URLs. Raises Unavailable."""
    query = query or ExportQuery()
    files = export.files if export.status == "completed" else ()
    first = 1 + next((n for n, file in enumerate(files) if file.name == query.after), -1)
    page = files[first : first + query.limit]
    return ExportView(
        id=export.id,
        status=export.status,
        created_at=export.created_at,
        completed_at=export.completed_at,
        expires_at=export.expires_at,
        files=await passes.for_each(page, lambda file: _file_view(services, file)),
        has_more=first + len(page) < len(files),
    )


async def _file_view(services: Services, file: ExportedFile) -> ExportFileView:
    signed = await services.objects.sign(file.object, file.name)
    return ExportFileView(
        name=file.name,
        size_bytes=file.size_bytes,
        url=signed.url,
        url_expires_at=signed.expires_at,
    )


# --- the steps ---


async def step(services: Services, export: Chore) -> Chore:
    """Run one step of the export's phase; returns the export to commit. Raises Unavailable."""
    account = await services.firestore.get(Account, export.account)
    if account is None or account.closed_at is not None or export.phase == EXPIRY:
        await services.objects.delete(export.prefix)
        status: ChoreStatus = "expired" if export.completed_at is not None else "canceled"
        return export.changed(status=status, files=(), due_at=None)
    part = await _READERS[export.phase](services, account, export.cursor)
    files = export.files
    if part.data:
        files = (*files, await _write(services, export, part))
    if part.cursor is not None:
        return durable_tasks.forward(export, services.clock(), status="in_progress", files=files, cursor=part.cursor)
    return _next_phase(services, export.changed(files=files, cursor=None))


def _next_phase(services: Services, export: Chore) -> Chore:
    now = services.clock()
    following = PHASES.index(export.phase) + 1
    if following < len(PHASES):
        return durable_tasks.forward(export, now, status="in_progress", phase=PHASES[following])
    end = now + KEPT_FOR
    # Its last step runs when the export expires, through the same task and sweep as the others.
    return durable_tasks.forward(export, end, status="completed", phase=EXPIRY, completed_at=now, expires_at=end)


async def _write(services: Services, export: Chore, part: _Part) -> ExportedFile:
    """Write a new object. If the step is repeated, only the object named in its commit counts."""
    number = 1 + sum(file.name.startswith(f"{export.phase}-") for file in export.files)
    name = f"{export.phase}-{number:04d}.json"
    body = {"object": f"export.{export.phase}", "export": export.id, "account": export.account, "data": part.data}
    raw = json.dumps(body, ensure_ascii=False, indent=1).encode()

    def produce(destination: BinaryIO) -> None:
        destination.write(raw)

    stored = await services.objects.write(f"{export.prefix}{services.ids()}/{name}", produce, "application/json")
    return ExportedFile(name=name, object=stored.name, size_bytes=stored.size_bytes)


async def _account(services: Services, account: Account, _: str | None) -> _Part:
    shown = views.account(account, await services.live_settings.get()).model_dump(mode="json")
    return _Part([{**shown, "issuer": account.issuer, "subject": account.sub, "disabled": account.disabled}])


async def _videos(services: Services, account: Account, cursor: str | None) -> _Part:
    async def read(after: str | None) -> list[Job]:
        query = ListVideosQuery(limit=MAX_PAGE, after=after)
        return await services.firestore.list_jobs(account.tenant, account.id, query)

    return await _listed(read, lambda job: _video(services, job), cursor)


def _video(services: Services, job: Job) -> dict[str, Any]:
    shown = views.video(job, services.clock()).model_dump(mode="json")
    files = [f"/v1/videos/{job.id}/content?index={file['index']}" for file in shown["files"]]
    return {**shown, "webhook_url": job.webhook_url, "content": files}


async def _transactions(services: Services, account: Account, cursor: str | None) -> _Part:
    async def read(after: str | None) -> list[Transaction]:
        return await services.firestore.list_transactions(account.tenant, account.id, after, MAX_PAGE)

    return await _listed(read, lambda entry: views.transaction(entry).model_dump(mode="json"), cursor)


async def _listed(
    read: Callable[[str | None], Awaitable[list[D]]], show: Callable[[D], dict[str, Any]], cursor: str | None
) -> _Part:
    """Read some pages of a list; `read` returns one item more than a page if there is a next page."""
    data: list[dict[str, Any]] = []
    for _ in range(PAGES_A_FILE):
        page = await read(cursor)
        data += [show(item) for item in page[:MAX_PAGE]]
        cursor = page[MAX_PAGE - 1].id if len(page) > MAX_PAGE else None
        if cursor is None:
            break
    return _Part(data, cursor)


async def _api_keys(services: Services, account: Account, cursor: str | None) -> _Part:
    last = await services.firestore.get(ApiKey, cursor) if cursor is not None else None
    page = await services.firestore.newest(ApiKey, {"account": account.id}, last, MAX_PAGE)
    data = [
        {**api_keys.view(key).model_dump(mode="json"), "revoked_at": key.revoked_at and key.revoked_at.isoformat()}
        for key in page
    ]
    return _Part(data, page[-1].id if len(page) == MAX_PAGE else None)


async def _webhook_endpoints(services: Services, account: Account, _: str | None) -> _Part:
    found = await endpoints.of_account(services, account)
    return _Part([endpoints.view(endpoint).model_dump(mode="json") for endpoint in found])


async def _projects(services: Services, account: Account, _: str | None) -> _Part:
    """The projects that the user created. They belong to the tenant, so a deletion keeps them."""
    found = await services.firestore.newest(Project, {"tenant": account.tenant}, None, projects.MAX_PROJECTS)
    return _Part([projects.view(one).model_dump(mode="json") for one in found if one.created_by == account.id])


_READERS: Mapping[str, Callable[[Services, Account, str | None], Awaitable[_Part]]] = {
    "account": _account,
    "videos": _videos,
    "transactions": _transactions,
    "api_keys": _api_keys,
    "webhook_endpoints": _webhook_endpoints,
    "projects": _projects,
}
PHASES = tuple(_READERS)
EXPIRY = "expiry"
