"""Account deletion at the user's request: deletes everything except the ledger, which keeps no name.

The first commit closes the account: nobody can sign in or submit anything. It stays closed for good, and signing in
again with the same identity fails with that reason. Signing up again with the same address creates a new account
without sign-up credits, because the hash that marks the address is kept (verification.SignupMarker).

The table in docs/privacy.md defines what happens to each field of each document; tests compare it with a database
before and after. The last phase starts when all work that was running as the account was closed must have ended. It
removes what that work may have written, and waits until no provider's generation and no export is still running. Only
then is the deletion completed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

from shared.accounts import chores
from shared.accounts.api_keys import ApiKey
from shared.accounts.chores import Chore
from shared.api.account_data import ErasureView
from shared.api.bodies import MAX_PAGE
from shared.core import events
from shared.core.documents import Account, Document, Job
from shared.core.errors import ApiError, Conflict, Unavailable
from shared.core.lifecycle import FUNCTION_TIMEOUT_S
from shared.jobs import inputs, transitions
from shared.platform import accounts, audit, commits, durable_tasks, log
from shared.platform.commits import Batch
from shared.platform.identity import Caller
from shared.platform.passes import Pages
from shared.platform.ports import Services
from shared.webhooks.deliveries import Delivery
from shared.webhooks.endpoints import WebhookEndpoint, WebhookSecret
from shared.workspace import projects
from shared.workspace.projects import Project

HASHED = "sha256:"
# Jobs that one step cancels and deletes; each takes two commits and a task.
JOBS_A_STEP = 20
# Pages of other documents that one step removes, one commit each.
PAGES_A_STEP = 10
# The longest a function can run, so everything that was running when the account was closed has ended.
SETTLED_AFTER = timedelta(seconds=FUNCTION_TIMEOUT_S)
# A generation that is still running is checked for up to a day, in the end once an hour.
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=1)


async def start(services: Services, caller: Caller) -> Chore:
    """Close the account and start its deletion, in one commit; a second call returns the same deletion."""
    id_ = chores.erasure_id(caller.account)

    async def started(there: Chore | None) -> Batch[Chore] | None:
        account = await services.firestore.get(Account, caller.account)
        if account is None:
            raise ApiError("UNAUTHENTICATED", "This user's account no longer exists.")
        if there is not None:
            return None
        closed = account.changed(closed_at=services.clock(), change_id=services.ids())
        owner = (account.tenant, account.id)
        deletion = durable_tasks.new(services, Chore, id_, *owner, kind="erasure", phase=PHASES[0])
        return Batch(deletion, [closed])

    async with commits.account_lock(caller.account):
        edited = await commits.edit(services, Chore, id_, started)
    if edited.written:
        audit.record("account_deleted", caller, deletion=id_)
    deletion = edited.document
    if deletion.due_at is not None:
        await durable_tasks.enqueue(services, deletion)
    return deletion


def view(deletion: Chore) -> ErasureView:
    return ErasureView(id=deletion.id, status=deletion.status, created_at=deletion.created_at)


async def step(services: Services, deletion: Chore) -> Chore:
    """Run one step of the deletion's phase; returns the deletion to commit. Raises Unavailable."""
    unfinished = await _PHASES[deletion.phase](services, deletion)
    if unfinished is not None:
        return unfinished
    now = services.clock()
    following = PHASES.index(deletion.phase) + 1
    if following < len(PHASES):
        return durable_tasks.forward(deletion, now, status="in_progress", phase=PHASES[following], cursor=None)
    log.info("account_erased", account=deletion.account, deletion=deletion.id)
    return deletion.changed(status="completed", completed_at=now, due_at=None)


# Each phase returns the deletion at its next step in the same phase, or None when the phase is finished.


def _again(deletion: Chore, at: datetime, cursor: str | None = None) -> Chore:
    return durable_tasks.forward(deletion, at, status="in_progress", cursor=cursor)


async def _account(services: Services, deletion: Chore) -> Chore | None:
    await accounts.edit(services, deletion.account, anonymous)
    return None


def anonymous(account: Account) -> Account:
    """Remove personal data from the account. Its id stays, to recognize the same person, and so does its ledger."""
    hashed = account.sub.startswith(HASHED)
    return account.changed(
        sub=account.sub if hashed else HASHED + hashlib.sha256(account.sub.encode()).hexdigest(),
        email=None,
        email_verified=False,
        email_as_of=None,
        verified_at=None,
        valid_since=None,
        display_name=None,
        locale=None,
        spending_day=None,
        spent_on_day=0,
        refunded_starts_day=None,
        refunded_starts=0,
    )


async def _projects(services: Services, deletion: Chore) -> Chore | None:
    """Projects belong to the tenant and stay, without their creator."""
    found = await services.firestore.newest(Project, {"tenant": deletion.tenant}, None, projects.MAX_PROJECTS)
    for project in found:
        if project.created_by == deletion.account:
            await _commit(services, project.changed(created_by="", change_id=services.ids()))
    return None


async def _ledger(services: Services, deletion: Chore) -> Chore | None:
    """Entries stay, without the descriptions in which an administrator may have written about the user."""
    page = await services.firestore.list_transactions(deletion.tenant, deletion.account, deletion.cursor, MAX_PAGE)
    for entry in page[:MAX_PAGE]:
        if entry.type == "grant" and entry.description:
            await _commit(services, entry.changed(description=""))
    return _again(deletion, services.clock(), page[MAX_PAGE - 1].id) if len(page) > MAX_PAGE else None


async def _webhooks(services: Services, deletion: Chore) -> Chore | None:
    account = await services.firestore.get(Account, deletion.account)
    assert account is not None, f"{deletion.account} is not there"
    endpoints = [await services.firestore.get(WebhookEndpoint, id_) for id_ in account.webhook_endpoints]
    secret = await services.firestore.get(WebhookSecret, deletion.account)
    await _remove(services, [document for document in (*endpoints, secret) if document is not None])
    await accounts.edit(services, deletion.account, lambda account: account.changed(webhook_endpoints=()))
    return None


async def _api_keys(services: Services, deletion: Chore) -> Chore | None:
    return await _remove_all(services, deletion, ApiKey, {"account": deletion.account})


async def _videos(services: Services, deletion: Chore) -> Chore | None:
    """Cancel unfinished jobs and delete all; the jobs' own last steps remove their files."""
    where = {"tenant": deletion.tenant, "account": deletion.account, "erasure": None}
    page = await services.firestore.newest(Job, where, None, JOBS_A_STEP)
    for job in page:
        if not job.final:
            job = await _advance(services, job, events.CancelRequested())
        await _advance(services, job, events.ErasureRequested())
    # Erased jobs aren't listed again.
    return _again(deletion, services.clock()) if len(page) == JOBS_A_STEP else None


async def _advance(services: Services, job: Job, event: events.Event) -> Job:
    try:
        outcome = await transitions.apply(services, job.id, event, job)
    except transitions.TaskNotCreated as late:
        # The change is committed; the sweeper will create the task.
        return late.outcome.job
    await transitions.forget_task(services, outcome)
    return outcome.job


async def _exports(services: Services, deletion: Chore) -> Chore | None:
    """Remove the files now, and again once any step that is still writing must have ended."""
    later = services.clock() + SETTLED_AFTER
    async for page in Pages(lambda last: services.firestore.newest(Chore, _exports_of(deletion), last, MAX_PAGE)):
        for export in page:
            if export.due_at is not None:
                again = durable_tasks.stamped(durable_tasks.forward(export, later, files=()), services.ids())
                await _commit(services, again)
                await services.tasks.create(durable_tasks.task(again))
    await services.objects.delete(chores.exports_prefix(deletion.tenant, deletion.account))
    return None


def _exports_of(deletion: Chore) -> Mapping[str, str]:
    return {"tenant": deletion.tenant, "account": deletion.account, "kind": "export"}


async def _deliveries(services: Services, deletion: Chore) -> Chore | None:
    return await _remove_all(services, deletion, Delivery, {"tenant": deletion.tenant, "account": deletion.account})


async def _remains(services: Services, deletion: Chore) -> Chore | None:
    """Complete the deletion only once nothing is left and nothing can be added."""
    now, settled_at = services.clock(), deletion.created_at + SETTLED_AFTER
    if now < settled_at:
        return _again(deletion, settled_at)
    for phase in (_account, _webhooks, _api_keys, _videos, _deliveries):
        if (unfinished := await phase(services, deletion)) is not None:
            return unfinished
    where = {"tenant": deletion.tenant, "account": deletion.account, "erasure": "requested"}
    watched = await services.firestore.newest(Job, where, None, 1)
    exports = await services.firestore.newest(Chore, _exports_of(deletion), None, MAX_PAGE)
    if watched or any(export.due_at is not None for export in exports):
        elapsed = now - deletion.created_at
        return _again(deletion, now + min(max(elapsed / 4, FIRST_WAIT), LONGEST_WAIT))
    if (unfinished := await _remove_all(services, deletion, Chore, _exports_of(deletion))) is not None:
        return unfinished
    for prefix in (*_prefixes(deletion), *inputs.recent_prefixes(now, deletion.tenant, deletion.account)):
        await services.objects.delete(prefix)
    return None


def _prefixes(deletion: Chore) -> tuple[str, ...]:
    """Prefixes in the bucket that may contain the account's objects, other than input images."""
    own = f"{deletion.tenant}/{deletion.account}/"
    return own, f"posters/{own}", chores.exports_prefix(deletion.tenant, deletion.account)


async def _remove_all(
    services: Services, deletion: Chore, kind: type[Document], where: Mapping[str, str]
) -> Chore | None:
    """Remove all documents of a kind, page by page; returns the next step, or None when finished."""
    for _ in range(PAGES_A_STEP):
        page = await services.firestore.newest(kind, where, None, MAX_PAGE)
        await _remove(services, page)
        if len(page) < MAX_PAGE:
            return None
    return _again(deletion, services.clock())


async def _remove(services: Services, documents: Sequence[Document]) -> None:
    if documents:
        await _commit(services, removed=documents)


async def _commit(services: Services, *documents: Document, removed: Sequence[Document] = ()) -> None:
    try:
        await services.firestore.commit(documents, removed)
    except Conflict as error:
        # Changed concurrently: the step is retried and reads the document again.
        raise Unavailable(f"a document changed: {error}") from error


_PHASES: Mapping[str, Callable[[Services, Chore], Awaitable[Chore | None]]] = {
    "account": _account,
    "projects": _projects,
    "ledger": _ledger,
    "webhooks": _webhooks,
    "api_keys": _api_keys,
    "videos": _videos,
    "exports": _exports,
    "deliveries": _deliveries,
    "remains": _remains,
}
PHASES = tuple(_PHASES)
