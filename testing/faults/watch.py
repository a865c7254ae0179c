"""Looks at every single commit and create: the rules that must hold at each moment, not only at the end."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.core import lifecycle
from shared.core.documents import Account, Document, Job, Stage, TenantDay, TenantDayShard, Transaction
from shared.core.lifecycle import Task
from shared.webhooks.deliveries import Delivery
from testing import invariants


class Broken(AssertionError):  # noqa: N818
    """A rule was broken at one commit or create."""


# Which stage may follow which. Stated here again, so that the core is not its own judge.
FOLLOWS: dict[Stage, frozenset[Stage]] = {
    Stage.WAITING: frozenset({Stage.QUEUED, Stage.FAILED, Stage.CANCELED}),
    Stage.QUEUED: frozenset({Stage.STARTING, Stage.GENERATING, Stage.FAILED, Stage.CANCELED}),
    Stage.STARTING: frozenset({Stage.QUEUED, Stage.UNCERTAIN, Stage.GENERATING, Stage.FAILED, Stage.CANCELED}),
    Stage.UNCERTAIN: frozenset({Stage.QUEUED, Stage.GENERATING, Stage.STORING, Stage.FAILED, Stage.CANCELED}),
    Stage.GENERATING: frozenset({Stage.STORING, Stage.FAILED, Stage.CANCELED}),
    Stage.STORING: frozenset({Stage.COMPLETED, Stage.FAILED, Stage.CANCELED}),
    Stage.COMPLETED: frozenset(),
    Stage.FAILED: frozenset(),
    Stage.CANCELED: frozenset(),
}


@dataclass(frozen=True)
class Create:
    """A call of a provider's create, under the lease that was in force."""

    job: str
    attempt: int
    holder: str


@dataclass
class Watch:
    """What was committed, by document; raises Broken, and keeps what it raised, for a handler may swallow it."""

    jobs: dict[str, Job] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    entries: dict[str, list[Transaction]] = field(default_factory=lambda: defaultdict(list))
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    days: dict[str, TenantDay] = field(default_factory=dict)
    shards: dict[str, TenantDayShard] = field(default_factory=dict)
    tasks: dict[str, object] = field(default_factory=dict)
    creates: list[Create] = field(default_factory=list)
    # Which process creates under a lease, by its holder.
    creators: dict[str, object] = field(default_factory=dict)
    attempts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    # What may have something left to do, by its id.
    due: dict[str, Job | Delivery] = field(default_factory=dict)
    commits: int = 0
    # A job that continues from a recorded document begins in the middle.
    resumed: bool = False

    def committed(self, documents: Sequence[Document]) -> None:
        self.commits += 1
        try:
            self._committed(documents)
        except AssertionError as error:
            self.broken.append(str(error))

    def _committed(self, documents: Sequence[Document]) -> None:
        touched: set[str] = set()
        for document in documents:
            if isinstance(document, Transaction):
                self.entries[document.account].append(document)
                touched.add(document.account)
            elif isinstance(document, Delivery):
                self._note_due(document)
                self._delivery(self.deliveries.get(document.id), document)
                self.deliveries[document.id] = document
            elif isinstance(document, Account):
                self.accounts[document.id] = document
                touched.add(document.id)
            elif isinstance(document, Job):
                self._note_due(document)
                before = self.jobs.get(document.id)
                self.jobs[document.id] = document
                if before is None or before.holds_slot != document.holds_slot:
                    touched.add(document.account)
                self._job(before, document)
            elif isinstance(document, TenantDay):
                self.days[document.id] = document
            elif isinstance(document, TenantDayShard):
                self.shards[document.id] = document
        for id_ in touched:
            self._account(id_)
        if any(isinstance(document, (TenantDay, TenantDayShard)) for document in documents):
            self._tenant_days()

    def _note_due(self, document: Job | Delivery) -> None:
        if document.due_at is None:
            self.due.pop(document.id, None)
        else:
            self.due[document.id] = document

    def _account(self, id_: str) -> None:
        account = self.accounts[id_]
        invariants.check_ledger(account, self.entries[id_])
        active = {job.id for job in self.jobs.values() if job.account == id_ and job.holds_slot}
        if sorted(account.active_jobs) != sorted(active):
            raise Broken(f"{id_}: active jobs {account.active_jobs} are not {sorted(active)}")

    def _tenant_days(self) -> None:
        """What is reserved of a cap is what the shards were given, and none spends more than that."""
        for day in self.days.values():
            shards = [shard for shard in self.shards.values() if (shard.tenant, shard.day) == (day.tenant, day.day)]
            given = sum(shard.reserved for shard in shards)
            if given != day.reserved or any(not 0 <= shard.spent <= shard.reserved for shard in shards):
                raise Broken(f"{day.id} reserved {day.reserved}, its shards are {shards}")

    def _job(self, before: Job | None, after: Job) -> None:
        if not after.final:
            _must(after.due_at is not None, after, "is unfinished and never due")
            if after.due_at is not None and after.lease is not None and after.lease.until > after.updated_at:
                _must(after.due_at <= after.lease.until, after, "is held, and due only after its lease ends")
        if before is None:
            _must(self.resumed or after.stage in (Stage.QUEUED, Stage.WAITING), after, "begins in the middle")
            return
        _must(after.version == before.version + 1, after, f"went from version {before.version} to {after.version}")
        _must(before.step <= after.step <= before.step + 1, after, f"went from step {before.step} to {after.step}")
        if after.stage is not before.stage:
            _must(after.stage in FOLLOWS[before.stage], after, f"went from {before.stage} to {after.stage}")
        if before.task.name == after.task.name:
            _must(before.step == after.step, after, "went to another step under the same task")
        held = before.lease is not None and before.lease.until > after.updated_at
        if held and before.lease is not None and after.lease is not None:
            _must(after.lease.holder == before.lease.holder, after, "was taken from one who held it")
        if after.stage is Stage.STARTING and before.stage is Stage.QUEUED:
            self.attempts[after.id] += 1

    def _delivery(self, before: Delivery | None, after: Delivery) -> None:
        if (after.status == "pending") != (after.due_at is not None):
            raise Broken(f"{after.id} is {after.status} and due at {after.due_at}")
        if before is not None and before.status != "pending":
            raise Broken(f"{after.id} was {before.status} and became {after.status}")

    def task(self, task: Task) -> None:
        """A task of that name was created: a name always means one body."""
        known = self.tasks.setdefault(task.ref.name, dict(task.body))
        if known != dict(task.body):
            self.broken.append(f"the task name {task.ref.name} was used for {known} and for {dict(task.body)}")

    def gives_up_start(self, job: Job, now: datetime, process: object) -> None:
        """A start is about to be held to be uncertain: by its own holder, or after the holder's lease."""
        there = self.jobs.get(job.id)
        if there is not None and there.revision != job.revision:
            return  # decided on what others have changed meanwhile: this commit will be refused
        held = there is not None and there.lease is not None and there.lease.until > now
        if held and there is not None and there.lease is not None and self.creators.get(there.lease.holder) != process:
            self.broken.append(f"{job.id}: a start was given up by another while {there.lease.holder} held the lease")

    def create(self, job: Job, now: datetime, process: object) -> None:
        """A provider's create is called: only under a committed lease of that attempt, and once under each."""
        there = self.jobs.get(job.id)
        try:
            assert there is not None
            lease = there.lease
            _must(there.stage is Stage.STARTING, there, "was created outside of a lease")
            _must(there.attempt == job.attempt, there, f"was created for attempt {job.attempt}")
            assert lease is not None
            _must(job.lease is not None and lease.holder == job.lease.holder, there, "was created by another holder")
            left_s = (lease.until - now).total_seconds()
            _must(left_s >= lifecycle.CREATE_TIMEOUT_S, there, f"was created {left_s} s before its lease ends")
            self.creators[lease.holder] = process
            create = Create(job.id, job.attempt, lease.holder)
            _must(create not in self.creates, there, "was created twice under one lease")
            self.creates.append(create)
            calls = sum(each.job == job.id for each in self.creates)
            _must(calls <= self.attempts[job.id], there, "was created more often than it was claimed")
        except AssertionError as error:
            self.broken.append(str(error) or f"{job.id} was created and is not there")


def _must(holds: bool, job: Job, what: str) -> None:
    if not holds:
        raise Broken(f"{job.id} ({job.stage}, step {job.step}) {what}")
