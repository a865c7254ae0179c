"""What must always hold, read straight from the store: the product's promise as one function.

The tests call it after every scenario, whatever form of the cloud they ran on.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from shared.admin.tenants import TenantBudget, TenantGrant
from shared.core import pricing
from shared.core.documents import Account, Job, LiveSettings, Stage, Transaction
from shared.core.lifecycle import deadline
from shared.media import video

Read = Callable[[str], bytes | None]


@dataclass(frozen=True)
class Records:
    """Every job, account, ledger entry and tenant's budget of one database at one moment."""

    jobs: list[Job]
    accounts: list[Account]
    transactions: list[Transaction]
    budgets: list[TenantBudget] = field(default_factory=list)
    tenant_grants: list[TenantGrant] = field(default_factory=list)


def check(records: Records, config: LiveSettings, read: Read | None = None) -> None:
    """Raises AssertionError naming the broken promise. `read` gives an object's bytes, None when it is not there."""
    entries: dict[str, list[Transaction]] = defaultdict(list)
    of_job: dict[str, list[Transaction]] = defaultdict(list)
    for entry in records.transactions:
        entries[entry.account].append(entry)
        if entry.job:
            of_job[entry.job].append(entry)
    accounts = {account.id: account for account in records.accounts}
    for account in records.accounts:
        check_ledger(account, entries.pop(account.id, []))
        unfinished = {job.id for job in records.jobs if job.account == account.id and job.holds_slot}
        assert sorted(account.active_jobs) == sorted(unfinished), f"{account.id}: active jobs are not the unfinished"
    assert not entries, f"entries of accounts that are not there: {sorted(entries)}"
    check_budgets(records)
    for job in records.jobs:
        assert job.account in accounts, f"{job.id} has no account"
        check_money(job, of_job[job.id])
        check_due(job, config)
        if read is not None and job.stage is Stage.COMPLETED and job.files_removed_at is None and not job.deleted_at:
            check_files(job, read)


def check_budgets(records: Records) -> None:
    """A tenant's administrators gave what its users' ledgers say, and no more than operators granted to the tenant."""
    granted: dict[str, int] = defaultdict(int)
    given: dict[str, int] = defaultdict(int)
    for grant in records.tenant_grants:
        granted[grant.tenant] += grant.amount
    for entry in records.transactions:
        if entry.type == "grant":
            given[entry.tenant] += entry.amount
    budgets = {budget.tenant: budget for budget in records.budgets}
    assert set(granted) | set(given) <= set(budgets), "a grant without the tenant's budget"
    for tenant, budget in budgets.items():
        assert budget.granted == granted[tenant], f"{tenant} was granted {granted[tenant]}, not {budget.granted}"
        assert budget.given == given[tenant], f"{tenant} gave {given[tenant]}, not {budget.given}"
        assert 0 <= budget.given <= budget.granted, f"{tenant} gave {budget.given} of {budget.granted}"


def check_ledger(account: Account, entries: Iterable[Transaction]) -> None:
    """The balance is the sum of the entries, never below zero; their numbers have no gap."""
    ordered = sorted(entries, key=lambda entry: entry.sequence)
    assert [entry.sequence for entry in ordered] == list(range(1, len(ordered) + 1)), f"{account.id}: a gap"
    assert account.sequence == len(ordered), f"{account.id}: the sequence is not the last entry's"
    balance = 0
    for entry in ordered:
        balance += entry.amount
        assert balance >= 0, f"{entry.id} left {account.id} below zero"
        assert entry.balance_after == balance, f"{entry.id} says {entry.balance_after}, the sum is {balance}"
    assert account.balance == balance, f"{account.id} has {account.balance}, its ledger sums to {balance}"


def check_money(job: Job, entries: list[Transaction]) -> None:
    """One charge; at most one refund, not above the charge, and as the final stage demands."""
    charges = [entry.amount for entry in entries if entry.type == "charge"]
    refunds = [entry.amount for entry in entries if entry.type == "refund"]
    assert charges == [-job.cost], f"{job.id}: charges {charges} for a cost of {job.cost}"
    assert len(refunds) <= 1, f"{job.id}: refunds {refunds}"
    refunded = sum(refunds)
    assert refunded == job.refunded, f"{job.id} says {job.refunded} refunded, the ledger {refunded}"
    assert refunded <= job.cost, f"{job.id}: refunded more than charged"
    if not job.final:
        assert refunded == 0, f"{job.id}: refunded before its end"
    if job.stage is Stage.FAILED:
        assert refunded == job.cost, f"{job.id}: failed without a full refund"
    if job.stage is Stage.CANCELED:
        assert refunded in (job.cost, pricing.refund_at_end(job)), f"{job.id}: canceled with a refund of {refunded}"
        assert job.attempt > 0 or refunded == job.cost, f"{job.id}: canceled before its start, and kept credits"
    if job.stage is Stage.COMPLETED:
        saved = job.price is not None and job.price < job.cost
        assert bool(refunded) == (bool(job.filtered) or saved), f"{job.id}: completed with a refund of {refunded}"


def check_due(job: Job, config: LiveSettings) -> None:
    """Every job with something left to do is due, an unfinished one by its deadline: the sweeper finds it."""
    if job.final:
        assert job.due_at is not None or not (job.to_announce or job.to_tidy), f"{job.id}: left undone for ever"
        return
    assert not (job.to_announce or job.to_tidy), f"{job.id}: unfinished, and told or tidied already"
    assert job.due_at is not None, f"{job.id}: unfinished and never due"
    # What arrived after the deadline (a late operation name) is due on arrival.
    assert job.due_at <= max(deadline(job, config), job.updated_at), f"{job.id}: due after its deadline"


def check_files(job: Job, read: Read) -> None:
    """A completed job's videos are there, are what was recorded, and are what was asked for."""
    assert len(job.outputs) == job.request.count - job.filtered, f"{job.id}: {len(job.outputs)} videos"
    for output in job.outputs:
        assert output.object, f"{job.id}: an output without an object"
        data = read(output.object)
        assert data is not None, f"{job.id}: {output.object} is not there"
        assert len(data) == output.size_bytes, f"{job.id}: {output.object} has {len(data)} bytes"
        assert _crc32c(data) == output.crc32c, f"{job.id}: {output.object} has other bytes"
        video.check(video.inspect(io.BytesIO(data)), job.request.file_seconds, *job.request.dimensions_px)
        assert output.poster, f"{job.id}: no poster"
        assert read(output.poster), f"{job.id}: the poster is not there"


def _crc32c(data: bytes) -> str:
    import base64

    import google_crc32c

    return base64.b64encode(google_crc32c.Checksum(data).digest()).decode()
