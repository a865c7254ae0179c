"""A copy of all that is kept of a user, as JSON files in the bucket that can be downloaded for a week."""

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
    """Some of a phase's documents, and where to go on; None when these are the last."""

    data: list[dict[str, Any]]
    cursor: str | None = None


async def start(services: Services, caller: Caller) -> Chore:
    """A new export, or the one that is under way. Raises ApiError RATE_LIMITED after five in a day."""
    recent = await _recent(services, caller)
    if recent and recent[0].status in ("queued", "in_progress"):
        return recent[0]
    day_ago = services.clock() - timedelta(days=1)
    if len(recent) == EXPORTS_A_DAY and recent[-1].created_at > day_ago:
        wait_s = (recent[-1].created_at - day_ago).total_seconds()
        told = f"At most {EXPORTS_A_DAY} exports in 24 hours."
        raise ApiError("RATE_LIMITED", told, {"exports_a_day": EXPORTS_A_DAY}, retry_after_s=int(wait_s) + 1)
    id_ = f"export_{services.ids()}"

    async def made() -> Batch[Chore]:
        owner = (caller.tenant, caller.account)
        chore = durable_tasks.new(services, Chore, id_, *owner, kind="export", phase=PHASES[0])
        return Batch(chore, [await accounts.acting(services, caller)])

    chore = await commits.create(services, Chore, id_, made)
    audit.record("account_exported", caller, export=chore.id)
    await durable_tasks.enqueue(services, chore)
    return chore


async def _recent(services: Services, caller: Caller) -> list[Chore]:
    where = {"tenant": caller.tenant, "account": caller.account, "kind": "export"}
    return await services.firestore.newest(Chore, where, None, EXPORTS_A_DAY)


async def get(services: Services, caller: Caller, export_id: str) -> Chore:
    """The caller's export. Raises ApiError NOT_FOUND."""
    found = await services.firestore.get(Chore, export_id) if re.fullmatch(EXPORT_ID, export_id) else None
    if found is None or found.account != caller.account or found.tenant != caller.tenant:
        raise ApiError("NOT_FOUND", "Export not found.", {"export": export_id[:64]})
    return found


async def view(services: Services, chore: Chore, query: ExportQuery | None = None) -> ExportView:
    """With a page of files and their signed URLs once it is completed. Raises Unavailable."""
    query = query or ExportQuery()
    files = chore.files if chore.status == "completed" else ()
    first = 1 + next((n for n, file in enumerate(files) if file.name == query.after), -1)
    page = files[first : first + query.limit]
    return ExportView(
        id=chore.id,
        status=chore.status,
        created_at=chore.created_at,
        completed_at=chore.completed_at,
        expires_at=chore.expires_at,
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


async def step(services: Services, chore: Chore) -> Chore:
    """Do what the chore's phase says; answers the chore as it is to be committed. Raises Unavailable."""
    account = await services.firestore.get(Account, chore.account)
    if account is None or account.closed_at is not None or chore.phase == EXPIRY:
        await services.objects.delete(chore.prefix)
        status: ChoreStatus = "expired" if chore.completed_at is not None else "canceled"
        return chore.changed(status=status, files=(), due_at=None)
    part = await _READERS[chore.phase](services, account, chore.cursor)
    files = chore.files
    if part.data:
        files = (*files, await _write(services, chore, part))
    if part.cursor is not None:
        return durable_tasks.forward(chore, services.clock(), status="in_progress", files=files, cursor=part.cursor)
    return _next_phase(services, chore.changed(files=files, cursor=None))


def _next_phase(services: Services, chore: Chore) -> Chore:
    now = services.clock()
    following = PHASES.index(chore.phase) + 1
    if following < len(PHASES):
        return durable_tasks.forward(chore, now, status="in_progress", phase=PHASES[following])
    end = now + KEPT_FOR
    # Its last step comes when its time is over, by the same task and the same sweep as the others.
    return durable_tasks.forward(chore, end, status="completed", phase=EXPIRY, completed_at=now, expires_at=end)


async def _write(services: Services, chore: Chore, part: _Part) -> ExportedFile:
    """A new object each time: if the step is repeated, what counts is the one that its commit names."""
    number = 1 + sum(file.name.startswith(f"{chore.phase}-") for file in chore.files)
    name = f"{chore.phase}-{number:04d}.json"
    body = {"object": f"export.{chore.phase}", "export": chore.id, "account": chore.account, "data": part.data}
    raw = json.dumps(body, ensure_ascii=False, indent=1).encode()

    def produce(destination: BinaryIO) -> None:
        destination.write(raw)

    stored = await services.objects.write(f"{chore.prefix}{services.ids()}/{name}", produce, "application/json")
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
    """Some pages of a list; `read` gives one item more than a page when there is a next one."""
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
    """Those that the user made; a project is its tenant's, and stays."""
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
