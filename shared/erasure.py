"""The deletion of an account at its user's wish: everything goes but the ledger, which keeps no name.

From the first commit on the account is closed: nobody gets in, and nothing new is submitted. It stays closed for good:
who signs in again with the same identity is told so. A new sign-in with the same address opens a new account without
sign-up credits, since the hash that marks the address stays (verification.SignupMarker).
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from shared import accounts, audit, chores, errands, events, jobs, webhooks
from shared.api_keys import ApiKey
from shared.chores import Chore, ChoreStatus
from shared.errors import ApiError, Conflict, Unavailable
from shared.lifecycle import FUNCTION_TIMEOUT_S
from shared.models import MAX_PAGE, Account, Document, Job, ListVideosQuery, Response
from shared.webhooks import WebhookEndpoint, WebhookSecret

if TYPE_CHECKING:
    from shared.auth import Caller
    from shared.services import Services

# A step cancels and deletes so many jobs: each is two commits and a task.
JOBS_A_STEP = 20


class ErasureView(Response):
    """The deletion of an account. It cannot be stopped."""

    id: str
    object: Literal["account.deletion"] = "account.deletion"
    status: ChoreStatus
    created_at: int


async def start(services: Services, caller: Caller) -> Chore:
    """Close the account and begin its deletion, in one commit; a second call gives the same deletion."""
    id_ = chores.erasure_id(caller.account)
    async with jobs.account_lock(caller.account):
        async for _ in jobs.Tries(services):
            there = await services.store.get(Chore, id_)
            account = await services.store.get(Account, caller.account)
            if account is None:
                raise ApiError("UNAUTHENTICATED", "There is no account of this user any more.")
            chore = there or chores.new(services, "erasure", id_, account.tenant, account.id, PHASES[0])
            if there is None:
                closed = account.changed(closed_at=services.clock(), change_id=services.ids())
                try:
                    await services.store.commit([chore, closed])
                except (Conflict, Unavailable):
                    continue
                audit.record("account_deleted", caller, deletion=id_)
            break
        else:
            raise Unavailable(f"others kept writing to account {caller.account}")
    if chore.due_at is not None:
        await errands.enqueue(services, chore)
    return chore


def view(chore: Chore) -> ErasureView:
    return ErasureView(id=chore.id, status=chore.status, created_at=int(chore.created_at.timestamp()))


async def step(services: Services, chore: Chore) -> Chore:
    """Do some of what the chore's phase says; answers the chore as it is to be committed. Raises Unavailable."""
    now = services.clock()
    if not await _PHASES[chore.phase](services, chore):
        return errands.forward(chore, now, status="in_progress")
    following = PHASES.index(chore.phase) + 1
    if following < len(PHASES):
        return errands.forward(chore, now, status="in_progress", phase=PHASES[following])
    return chore.changed(status="completed", completed_at=now, due_at=None)


# Each phase answers whether nothing of it is left to do.


async def _webhooks(services: Services, chore: Chore) -> bool:
    account = await services.store.get(Account, chore.account)
    assert account is not None, f"{chore.account} is not there"
    for endpoint_id in account.webhook_endpoints:
        endpoint = await services.store.get(WebhookEndpoint, endpoint_id)
        if endpoint is not None and endpoint.deleted_at is None:
            await _commit(services, webhooks.forgotten(endpoint, services.clock(), services.ids()))
    secret = await services.store.get(WebhookSecret, chore.account)
    if secret is not None and secret.secrets:
        await _commit(services, secret.changed(secrets=(), change_id=services.ids()))
    await accounts.edit(services, chore.account, lambda account: account.changed(webhook_endpoints=()))
    return True


async def _api_keys(services: Services, chore: Chore) -> bool:
    last: ApiKey | None = None
    while page := await services.store.newest(ApiKey, {"account": chore.account}, last, MAX_PAGE):
        for key in page:
            if key.revoked_at is None or key.name:
                await _commit(services, key.changed(revoked_at=key.revoked_at or services.clock(), name=""))
        last = page[-1]
    return True


async def _videos(services: Services, chore: Chore) -> bool:
    """Cancel what is under way and delete what has ended; the jobs' own last steps remove the files."""
    page = await services.store.list_jobs(chore.tenant, chore.account, ListVideosQuery(limit=JOBS_A_STEP))
    for job in page:
        if not job.final:
            job = await _advance(services, job, events.Cancel())
        await _advance(services, job, events.Delete())
    # What was deleted is not listed again.
    return len(page) <= JOBS_A_STEP


async def _advance(services: Services, job: Job, event: events.Event) -> Job:
    try:
        return (await jobs.advance(services, job.id, event, job)).job
    except jobs.TaskNotCreated as late:
        # Committed: the sweeper creates the task.
        return late.outcome.job


async def _exports(services: Services, chore: Chore) -> bool:
    """Remove the files, and once more when a step that is writing now must have ended."""
    later = services.clock() + timedelta(seconds=FUNCTION_TIMEOUT_S)
    where = {"tenant": chore.tenant, "account": chore.account, "kind": "export"}
    last: Chore | None = None
    while page := await services.store.newest(Chore, where, last, MAX_PAGE):
        for export in page:
            if export.due_at is not None:
                again = errands.stamped(errands.forward(export, later, files=()), services.ids())
                await _commit(services, again)
                await services.queue.create(errands.task(again))
        last = page[-1]
    await services.media.delete(chores.exports_prefix(chore.tenant, chore.account))
    return True


async def _account(services: Services, chore: Chore) -> bool:
    await accounts.edit(services, chore.account, anonymous)
    return True


def anonymous(account: Account) -> Account:
    """Without what names a person. The id stays, by which the same person is recognised, and so does the ledger."""
    if account.sub.startswith("sha256:"):
        return account
    hashed = f"sha256:{hashlib.sha256(account.sub.encode()).hexdigest()}"
    return account.changed(sub=hashed, email=None, email_verified=False, display_name=None, locale=None)


async def _commit(services: Services, document: Document) -> None:
    try:
        await services.store.commit([document])
    except Conflict as error:
        # Somebody else wrote it: the step is done again, and reads it again.
        raise Unavailable(f"{document.collection} changed: {error}") from error


_PHASES: Mapping[str, Callable[[Services, Chore], Awaitable[bool]]] = {
    "webhooks": _webhooks,
    "api_keys": _api_keys,
    "videos": _videos,
    "exports": _exports,
    "account": _account,
}
PHASES = tuple(_PHASES)
