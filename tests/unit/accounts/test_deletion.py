"""Account deletion: everything but the ledger is removed, despite failures."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from local.memory.queue import Entry
from shared.accounts import api_keys, data_rights, deletion, exports, profile
from shared.accounts.api_keys import ApiKey
from shared.accounts.auth import Accounts
from shared.accounts.chores import Chore
from shared.api.accounts import UpdateAccount
from shared.api.api_keys import NewApiKey
from shared.api.videos import CreateVideo
from shared.api.webhooks import NewWebhookEndpoint
from shared.core.documents import Account, Job, Stage, Status, Transaction
from shared.core.errors import ApiError
from shared.core.lifecycle import Task
from shared.core.task_result import TaskResult
from shared.jobs import provider_events, submission
from shared.platform import durable_tasks
from shared.platform.identity import Caller
from shared.webhooks import deliveries, endpoints
from shared.webhooks.deliveries import Delivery
from shared.webhooks.endpoints import WebhookEndpoint, WebhookSecret
from tests.unit.conftest import House

PERSONAL = ("alice", "kite", "laptop", "hooks.example.com", "own.example.com", "whsec_")


async def user(house: House) -> Caller:
    """A user with one of everything: a finished video, one in progress, one queued, a key, endpoints, an export."""
    caller = await house.sign_up(
        "alice-account", email="alice@example.com", sub="alice", display_name="Alice", locale="de", balance=500
    )
    await endpoints.make(
        house.services, caller, NewWebhookEndpoint(url="https://hooks.example.com/", description="kites")
    )
    await endpoints.secret_of(house.services, caller.tenant, caller.account)
    done = await house.submit(caller, prompt="a red kite", labels={"kite": "red"})
    await house.run(done)
    await api_keys.make(house.services, caller, NewApiKey(name="laptop", scope="write"))
    under_way = await house.submit(caller, prompt="a blue kite", webhook_url="https://own.example.com/hook")
    await house.until(under_way, "generating")
    await house.submit(caller, prompt="a green kite")
    await exports.start(house.services, caller)
    return caller


async def settle(house: House, hours: int = 30) -> None:
    """Deliver all that is due within a day and more, with sweeps."""
    end = house.clock() + timedelta(hours=hours)
    for _ in range(4):
        while (at := house.queue.next_at()) is not None and at <= end:
            await house.deliver_next()
        house.clock.advance(122)
        await durable_tasks.sweep(house.services, Chore, Delivery)
        await sweep_jobs(house)


async def sweep_jobs(house: House) -> None:
    from shared.maintenance import sweeper

    await sweeper.sweep(house.services)


def check_erased(house: House) -> None:
    (account,) = house.store.documents(Account)
    assert account.closed_at is not None
    assert account.sub.startswith("sha256:")
    assert (account.webhook_endpoints, account.active_jobs) == ((), ())
    assert all(job.final and job.erasure == "done" for job in house.store.documents(Job))
    assert all(job.due_at is None for job in house.store.documents(Job))
    for kind in (ApiKey, Delivery, WebhookEndpoint, WebhookSecret):
        assert house.store.documents(kind) == [], kind
    (chore,) = house.store.documents(Chore)
    assert (chore.kind, chore.status, chore.due_at) == ("erasure", "completed", None)
    # The account's id is a hash in real life.
    stored = json.dumps(house.store.snapshot()).replace("alice-account", "")
    assert [word for word in PERSONAL if word in stored] == []
    house.check()


async def no_files(house: House) -> None:
    assert await house.files() == []


async def test_deletion_removes_everything_but_the_ledger(house: House) -> None:
    caller = await user(house)
    before = house.store.documents(Transaction)
    started = await deletion.start(house.services, caller)
    assert deletion.view(started).status == "queued"
    await settle(house)
    check_erased(house)
    await no_files(house)
    after = {entry.id: entry for entry in house.store.documents(Transaction)}
    assert {entry.id for entry in before} <= set(after)
    assert sum(entry.amount for entry in after.values()) == house.store.documents(Account)[0].balance


async def test_deletion_blocks_submissions_at_once(house: House) -> None:
    caller = await user(house)
    await deletion.start(house.services, caller)
    for call in (
        submission.submit(house.services, caller, CreateVideo(prompt="x", model="omni-flash", seconds=3), None),
        endpoints.make(house.services, caller, NewWebhookEndpoint(url="https://hooks.example.com/")),
        api_keys.make(house.services, caller, NewApiKey(name="new", scope="read")),
        profile.update(house.services, caller, UpdateAccount(display_name="Alice")),
    ):
        with pytest.raises(ApiError) as caught:
            await call
        assert caught.value.code == "ACCOUNT_CLOSED"


async def test_returning_user_gets_account_closed_and_no_second_grant(house: House) -> None:
    accounts = Accounts()
    caller = await accounts.caller(house.services, "Bearer alice")
    assert (await house.account(caller.account)).balance == 500
    key = await api_keys.make(house.services, caller, NewApiKey(name="laptop", scope="write"))
    await deletion.start(house.services, caller)
    await settle(house)
    for token in ("alice", key.key):
        with pytest.raises(ApiError) as caught:
            await Accounts().caller(house.services, f"Bearer {token}")
        assert caught.value.code in ("ACCOUNT_CLOSED", "UNAUTHENTICATED")
    with pytest.raises(ApiError) as caught:
        await Accounts().caller(house.services, "Bearer alice")
    assert caught.value.code == "ACCOUNT_CLOSED"
    assert len(house.store.documents(Account)) == 1
    assert [entry.type for entry in house.store.documents(Transaction)] == ["signup"]


async def test_closed_account_is_rejected_before_it_is_erased(house: House) -> None:
    accounts = Accounts()
    caller = await accounts.caller(house.services, "Bearer alice")
    await deletion.start(house.services, caller)
    accounts.forget(caller.account)
    with pytest.raises(ApiError) as caught:
        await accounts.caller(house.services, "Bearer alice")
    assert caught.value.code == "ACCOUNT_CLOSED"


async def test_repeated_request_is_one_deletion(house: House) -> None:
    caller = await house.sign_up()
    house.store.lose("commit")
    first = await deletion.start(house.services, caller)
    again = await deletion.start(house.services, caller)
    assert first.id == again.id
    await settle(house)
    assert (await deletion.start(house.services, caller)).status == "completed"


async def test_jobs_canceled_by_a_deletion_send_no_webhooks(house: House) -> None:
    caller = await user(house)
    await house.submit(caller, webhook_url="https://own.example.com/hook")
    house.internet.posts.clear()
    await deletion.start(house.services, caller)
    await settle(house)
    assert house.internet.posts == []


async def test_other_accounts_are_untouched(house: House) -> None:
    bob = await house.sign_up("bob")
    kept = await house.run(await house.submit(bob, prompt="bob's own"))
    caller = await user(house)
    await deletion.start(house.services, caller)
    await settle(house)
    assert (await house.job(kept.id)).outputs
    assert (await house.account("bob")).closed_at is None
    assert any(kept.id in name for name in await house.files())


async def test_export_in_progress_is_stopped_and_removed(house: House) -> None:
    caller = await user(house)
    await house.deliver_next()
    await deletion.start(house.services, caller)
    await settle(house)
    assert [chore.kind for chore in house.store.documents(Chore)] == ["erasure"]
    await no_files(house)


async def test_export_written_during_deletion_is_removed(house: House) -> None:
    """A step of the export has read that the account is open, and writes after its files were removed."""
    caller = await house.sign_up()
    await exports.start(house.services, caller)

    async def gone() -> None:
        await deletion.start(house.services, caller)
        for _ in range(12):
            entries = [one for one in house.queue.entries() if one.task.body["id"].startswith("erasure")]
            if not entries:
                break
            house.queue.begin(entries[0])
            result = await data_rights.deliver(house.services, entries[0].task.body["id"], entries[0].task.body["step"])
            house.queue.finish(entries[0], result.value)

    house.media.before("write", gone)
    await house.deliver_next()
    assert len(await house.files()) == 1
    await settle(house)
    await no_files(house)


async def test_account_with_many_videos_is_erased_in_many_steps(house: House) -> None:
    house.configure(active_jobs_limit=500)
    caller = await house.sign_up(balance=1_000_000)
    template = await house.submit(caller)
    await house.store.commit(
        [
            template.changed(
                id=f"video_{number:022d}", revision=None, stage=Stage.CANCELED, status=Status.CANCELED, due_at=None
            )
            for number in range(50)
        ]
    )
    await deletion.start(house.services, caller)
    while await house.deliver_next() is not None:
        pass
    assert all(job.erasure == "done" for job in house.store.documents(Job))
    (chore,) = house.store.documents(Chore)
    assert (chore.status, chore.step >= 6) == ("completed", True)


FAULTS = [
    (effect, kind, passed)
    for effect, calls in (
        ("store.get", 26),
        ("store.commit", 30),
        ("store.get_all", 3),
        ("queue.create", 16),
        ("media.delete", 12),
        ("store.newest", 14),
        ("store.list_transactions", 1),
    )
    for kind in ("fail", "lose")
    for passed in range(0, calls, 1 if calls < 10 else 2)
]


@pytest.mark.parametrize(("effect", "kind", "passed"), FAULTS)
async def test_deletion_completes_despite_any_single_failure(house: House, effect: str, kind: str, passed: int) -> None:
    caller = await user(house)
    await deletion.start(house.services, caller)
    gateway, method = effect.split(".")
    getattr(house, gateway).let_pass(method, passed)
    getattr(getattr(house, gateway), kind)(method)
    await settle(house)
    getattr(house, gateway).calm()
    await settle(house)
    check_erased(house)
    await no_files(house)


async def test_crash_before_the_first_task_is_recovered_by_the_sweep(house: House) -> None:
    caller = await user(house)
    house.queue.fail("create")
    await deletion.start(house.services, caller)
    await settle(house)
    check_erased(house)


async def test_late_deliveries_recreate_nothing(house: House) -> None:
    """Every task that there ever was once more, a provider's event, the bucket's notifications, another request."""
    caller = await user(house)
    tasks: list[Task] = []
    create = house.queue.create

    async def noted(task: Task) -> None:
        tasks.append(task)
        await create(task)

    house.services = replace(house.services, tasks=Noting(house.queue, noted))
    done, *_ = house.store.documents(Job)
    operations = [job.operation for job in house.store.documents(Job) if job.operation]
    objects = await house.files()
    await deletion.start(house.services, caller)
    await settle(house)
    check_erased(house)
    erased = house.store.snapshot()
    for task in [*tasks, *(Task(one.ref, None, one.task.body, one.task.path) for one in house.queue.entries())]:
        await house._handle(Entry(task, house.clock(), 0))
    assert operations
    assert tasks
    for name in objects:
        await provider_events.object_finalized(house.services, {"objectId": name, "objectGeneration": "1"})
    for operation in operations:
        assert await house.store.job_of_operation(operation) is None
    await deliveries.announce(house.services, await house.job(done.id))
    for call in (
        deletion.start(house.services, caller),
        profile.update(house.services, caller, UpdateAccount(display_name="Alice")),
        house.submit(caller),
    ):
        with suppress(ApiError):
            await call
    assert house.store.snapshot() == erased
    assert await house.files() == []


@dataclass(frozen=True)
class Noting:
    """The queue, with every task that is created noted."""

    queue: Any
    create: Callable[[Task], Awaitable[None]]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.queue, name)


async def test_task_of_unknown_deletion_is_acknowledged(house: House) -> None:
    assert await data_rights.deliver(house.services, "erasure_none", 3) is TaskResult.ACK


def test_person_is_anonymized_once(house: House) -> None:
    account = Account(id="a", issuer="i", sub="alice", email="a@b", tenant="t", created_at=house.clock())
    once = deletion.anonymous(account)
    assert deletion.anonymous(once) == once
    assert "alice" not in str(once)
