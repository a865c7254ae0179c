"""The deletion of an account at its user's request: everything goes but the ledger, which keeps no name.

From the first commit on the account is closed: nobody gets in, and nothing new is submitted. It stays closed for good:
who signs in again with the same identity is told so. A new sign-in with the same address opens a new account without
sign-up credits, since the hash that marks the address stays (verification.SignupMarker).

What happens to each field of each document is the table of docs/privacy.md, which the tests compare with a database
before and after. The last phase begins when whatever ran while the account was closed must have ended, removes what
that may have written, and waits until nothing is left to watch: a provider's generation that goes on, an export that is
being written. Only then is the deletion completed.
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
# A step cancels and deletes so many jobs: each is two commits and a task.
JOBS_A_STEP = 20
# And removes so many pages of other documents, a commit each.
PAGES_A_STEP = 10
# No function runs for longer, so what was under way when the account was closed has ended by then.
SETTLED_AFTER = timedelta(seconds=FUNCTION_TIMEOUT_S)
# A generation that goes on is watched for up to a day, at the end once an hour.
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=1)


async def start(services: Services, caller: Caller) -> Chore:
    """Close the account and begin its deletion, in one commit; a second call gives the same deletion."""
    id_ = chores.erasure_id(caller.account)

    async def started(there: Chore | None) -> Batch[Chore] | None:
        account = await services.firestore.get(Account, caller.account)
        if account is None:
            raise ApiError("UNAUTHENTICATED", "This user's account no longer exists.")
        if there is not None:
            return None
        closed = account.changed(closed_at=services.clock(), change_id=services.ids())
        owner = (account.tenant, account.id)
        chore = durable_tasks.new(services, Chore, id_, *owner, kind="erasure", phase=PHASES[0])
        return Batch(chore, [closed])

    async with commits.account_lock(caller.account):
        edited = await commits.edit(services, Chore, id_, started)
    if edited.written:
        audit.record("account_deleted", caller, deletion=id_)
    chore = edited.document
    if chore.due_at is not None:
        await durable_tasks.enqueue(services, chore)
    return chore


def view(chore: Chore) -> ErasureView:
    return ErasureView(id=chore.id, status=chore.status, created_at=chore.created_at)


async def step(services: Services, chore: Chore) -> Chore:
    """Do some of what the chore's phase says; returns the chore as it is to be committed. Raises Unavailable."""
    unfinished = await _PHASES[chore.phase](services, chore)
    if unfinished is not None:
        return unfinished
    now = services.clock()
    following = PHASES.index(chore.phase) + 1
    if following < len(PHASES):
        return durable_tasks.forward(chore, now, status="in_progress", phase=PHASES[following], cursor=None)
    log.info("account_erased", account=chore.account, deletion=chore.id)
    return chore.changed(status="completed", completed_at=now, due_at=None)


# Each phase returns the chore at its next step in the same phase, or None when nothing is left to do.


def _again(chore: Chore, at: datetime, cursor: str | None = None) -> Chore:
    return durable_tasks.forward(chore, at, status="in_progress", cursor=cursor)


async def _account(services: Services, chore: Chore) -> Chore | None:
    await accounts.edit(services, chore.account, anonymous)
    return None


def anonymous(account: Account) -> Account:
    """Without what names a person. The id stays, by which the same person is recognized, and so does the ledger."""
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


async def _projects(services: Services, chore: Chore) -> Chore | None:
    """A project is its tenant's, and stays; it no longer says who made it."""
    found = await services.firestore.newest(Project, {"tenant": chore.tenant}, None, projects.MAX_PROJECTS)
    for project in found:
        if project.created_by == chore.account:
            await _commit(services, project.changed(created_by="", change_id=services.ids()))
    return None


async def _ledger(services: Services, chore: Chore) -> Chore | None:
    """Entries stay, without what an administrator may have written about the user."""
    page = await services.firestore.list_transactions(chore.tenant, chore.account, chore.cursor, MAX_PAGE)
    for entry in page[:MAX_PAGE]:
        if entry.type == "grant" and entry.description:
            await _commit(services, entry.changed(description=""))
    return _again(chore, services.clock(), page[MAX_PAGE - 1].id) if len(page) > MAX_PAGE else None


async def _webhooks(services: Services, chore: Chore) -> Chore | None:
    account = await services.firestore.get(Account, chore.account)
    assert account is not None, f"{chore.account} is not there"
    endpoints = [await services.firestore.get(WebhookEndpoint, id_) for id_ in account.webhook_endpoints]
    secret = await services.firestore.get(WebhookSecret, chore.account)
    await _remove(services, [document for document in (*endpoints, secret) if document is not None])
    await accounts.edit(services, chore.account, lambda account: account.changed(webhook_endpoints=()))
    return None


async def _api_keys(services: Services, chore: Chore) -> Chore | None:
    return await _remove_all(services, chore, ApiKey, {"account": chore.account})


async def _videos(services: Services, chore: Chore) -> Chore | None:
    """Cancel what is under way and erase what has ended; the jobs' own last steps remove the files."""
    where = {"tenant": chore.tenant, "account": chore.account, "erasure": None}
    page = await services.firestore.newest(Job, where, None, JOBS_A_STEP)
    for job in page:
        if not job.final:
            job = await _advance(services, job, events.CancelRequested())
        await _advance(services, job, events.ErasureRequested())
    # What was erased is not listed again.
    return _again(chore, services.clock()) if len(page) == JOBS_A_STEP else None


async def _advance(services: Services, job: Job, event: events.Event) -> Job:
    try:
        outcome = await transitions.apply(services, job.id, event, job)
    except transitions.TaskNotCreated as late:
        # Committed: the sweeper creates the task.
        return late.outcome.job
    await transitions.forget_task(services, outcome)
    return outcome.job


async def _exports(services: Services, chore: Chore) -> Chore | None:
    """Remove the files, and once more when a step that is writing now must have ended."""
    later = services.clock() + SETTLED_AFTER
    async for page in Pages(lambda last: services.firestore.newest(Chore, _exports_of(chore), last, MAX_PAGE)):
        for export in page:
            if export.due_at is not None:
                again = durable_tasks.stamped(durable_tasks.forward(export, later, files=()), services.ids())
                await _commit(services, again)
                await services.tasks.create(durable_tasks.task(again))
    await services.objects.delete(chores.exports_prefix(chore.tenant, chore.account))
    return None


def _exports_of(chore: Chore) -> Mapping[str, str]:
    return {"tenant": chore.tenant, "account": chore.account, "kind": "export"}


async def _deliveries(services: Services, chore: Chore) -> Chore | None:
    return await _remove_all(services, chore, Delivery, {"tenant": chore.tenant, "account": chore.account})


async def _remains(services: Services, chore: Chore) -> Chore | None:
    """See that nothing is left, and nothing will come: only this makes the deletion complete."""
    now, settled_at = services.clock(), chore.created_at + SETTLED_AFTER
    if now < settled_at:
        return _again(chore, settled_at)
    for phase in (_account, _webhooks, _api_keys, _videos, _deliveries):
        if (unfinished := await phase(services, chore)) is not None:
            return unfinished
    where = {"tenant": chore.tenant, "account": chore.account, "erasure": "requested"}
    watched = await services.firestore.newest(Job, where, None, 1)
    exports = await services.firestore.newest(Chore, _exports_of(chore), None, MAX_PAGE)
    if watched or any(export.due_at is not None for export in exports):
        elapsed = now - chore.created_at
        return _again(chore, now + min(max(elapsed / 4, FIRST_WAIT), LONGEST_WAIT))
    if (unfinished := await _remove_all(services, chore, Chore, _exports_of(chore))) is not None:
        return unfinished
    for prefix in (*_prefixes(chore), *inputs.recent_prefixes(now, chore.tenant, chore.account)):
        await services.objects.delete(prefix)
    return None


def _prefixes(chore: Chore) -> tuple[str, ...]:
    """Where in the bucket anything of the account's may be, besides the images of requests."""
    own = f"{chore.tenant}/{chore.account}/"
    return own, f"posters/{own}", chores.exports_prefix(chore.tenant, chore.account)


async def _remove_all(services: Services, chore: Chore, kind: type[Document], where: Mapping[str, str]) -> Chore | None:
    """Remove the documents of a kind, page by page; what was removed is not listed again."""
    for _ in range(PAGES_A_STEP):
        page = await services.firestore.newest(kind, where, None, MAX_PAGE)
        await _remove(services, page)
        if len(page) < MAX_PAGE:
            return None
    return _again(chore, services.clock())


async def _remove(services: Services, documents: Sequence[Document]) -> None:
    if documents:
        await _commit(services, removed=documents)


async def _commit(services: Services, *documents: Document, removed: Sequence[Document] = ()) -> None:
    try:
        await services.firestore.commit(documents, removed)
    except Conflict as error:
        # Somebody else wrote it: the step is done again, and reads it again.
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
