"""The clients' requests and answers, checked against a small sequential model of the whole service.

Every commit, every call and every answer has a place in one order. A call is right if one state of the model between
its beginning and its answer explains the answer; a call without an answer may have happened or not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.core.documents import Account, Document, Job, LiveSettings, Stage, Transaction
from shared.core.plans import DEFAULT_PLAN, plan_of
from shared.core.tenant_days import day_of
from testing.faults.world import Answer

# Answers that leave the outcome of a call open.
UNKNOWN = frozenset({"UNAVAILABLE"})
CLOSED = frozenset({"GENERATION_DISABLED"})


class Wrong(AssertionError):  # noqa: N818
    """An answer that no state of the model explains."""


@dataclass
class Call:
    """One call of one client. `job` is its subject or its result."""

    op: str
    account: str
    began: int
    key: str | None = None
    job: str | None = None
    ended: int | None = None
    answer: Answer = field(default_factory=lambda: Answer(unknown=True))

    @property
    def code(self) -> str | None:
        return self.answer.error.code if self.answer.error else None

    @property
    def unknown(self) -> bool:
        return self.answer.unknown or self.code in UNKNOWN

    def __str__(self) -> str:
        told = "nothing" if self.answer.unknown else self.code or "ok"
        return f"{self.op} of {self.account} (key {self.key}, job {self.job}), told {told} at {self.began}-{self.ended}"


@dataclass(frozen=True)
class Money:
    """An account as the model has it."""

    balance: int
    active: frozenset[str]


class Model:
    """Accounts with a balance and active jobs; a job is charged when it begins, and ends once, perhaps refunded."""

    def __init__(self) -> None:
        self.accounts: dict[str, Money] = {}
        self.jobs: dict[str, Job] = {}
        self.canceled_begun: set[str] = set()
        # By job, as it was submitted: a deleted job forgets its key.
        self.keys: dict[str, str | None] = {}

    def open(self, account: str, balance: int) -> None:
        self.accounts[account] = Money(balance, frozenset())

    def begin(self, job: Job) -> None:
        money = self.accounts[job.account]
        _must(job.id not in self.jobs, f"{job.id} begins twice")
        _must(money.balance >= job.cost, f"{job.id} costs {job.cost}, and {job.account} has {money.balance}")
        active = money.active if job.stage is Stage.WAITING else money.active | {job.id}
        self.accounts[job.account] = Money(money.balance - job.cost, active)
        self.keys[job.id] = job.idempotency_key

    def enter(self, job: Job) -> None:
        """A job that waited, and was charged, gets a slot."""
        money = self.accounts[job.account]
        self.accounts[job.account] = Money(money.balance, money.active | {job.id})

    def end(self, before: Job, after: Job) -> None:
        money = self.accounts[after.account]
        _must(0 <= after.refunded <= after.cost, f"{after.id} gives back {after.refunded} of {after.cost}")
        _must(after.stage is not Stage.FAILED or after.refunded == after.cost, f"{after.id} failed and kept credits")
        untouched = after.stage is Stage.CANCELED and before.stage in (Stage.QUEUED, Stage.WAITING)
        if after.stage is Stage.CANCELED and not untouched:
            self.canceled_begun.add(after.id)
        _must(not untouched or after.refunded == after.cost, f"{after.id} was canceled unstarted and kept credits")
        self.accounts[after.account] = Money(money.balance + after.refunded, money.active - {after.id})

    def commit(self, documents: Sequence[Document]) -> None:
        """What a commit means; the accounts in it must then be what the model says."""
        for document in documents:
            if isinstance(document, Job):
                before = self.jobs.get(document.id)
                if before is None:
                    self.begin(document)
                elif document.final and not before.final:
                    self.end(before, document)
                elif before.stage is Stage.WAITING and document.stage is Stage.QUEUED:
                    self.enter(document)
                self.jobs[document.id] = document
            elif isinstance(document, Transaction) and document.type == "signup":
                self.open(document.account, document.amount)
        for document in documents:
            if isinstance(document, Account):
                money = Money(document.balance, frozenset(document.active_jobs))
                _must(
                    money == self.accounts[document.id], f"{document.id} is {money}, not {self.accounts[document.id]}"
                )


@dataclass
class History:
    """The order of everything: `commits` by the watch, `calls` by the clients."""

    now: int = 0
    commits: list[tuple[int, tuple[Document, ...]]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def tick(self) -> int:
        self.now += 1
        return self.now

    def committed(self, documents: Sequence[Document]) -> None:
        self.commits.append((self.tick(), tuple(documents)))

    def begin(self, op: str, account: str, key: str | None = None, job: str | None = None) -> Call:
        call = Call(op, account, self.tick(), key, job)
        self.calls.append(call)
        return call

    def end(self, call: Call, answer: Answer) -> Answer:
        call.ended, call.answer = self.tick(), answer
        return answer

    def check(self, configs: Sequence[LiveSettings]) -> None:
        """Raises Wrong. `configs` are the live settings that were in force at some time."""
        states = _States(self.commits)
        most = max(plan_of(config, DEFAULT_PLAN).active_jobs_limit for config in configs)
        _must(states.most_active <= most, f"{states.most_active} jobs of one account were active, and {most} may be")
        self._check_canceled(states, configs)
        for call in self.calls:
            try:
                _CHECKS[call.op](states, call)
            except AssertionError as error:
                raise Wrong(f"{call}: {error}") from error
        self._check_keys(states)

    def _check_canceled(self, states: _States, configs: Sequence[LiveSettings]) -> None:
        """Canceling a start gives credits back only under the policy that says so, and not more often than it says."""
        begun = [job for job in states.model.jobs.values() if job.id in states.model.canceled_begun and job.refunded]
        if all(config.cancel_refund != "full" for config in configs):
            _must(all(job.refunded < job.cost for job in begun), "a canceled start was free")
        a_day = max(config.refunded_starts_per_day for config in configs)
        by_day = Counter(
            (job.account, day_of(job.completed_at or job.updated_at)) for job in begun if job.refunded == job.cost
        )
        _must(max(by_day.values(), default=0) <= a_day, f"more than {a_day} canceled starts of an account were free")

    def _check_keys(self, states: _States) -> None:
        """One key, one job; what was refused made none, and without a key no call made two."""
        submits = [call for call in self.calls if call.op == "submit"]
        by_key: dict[tuple[str, str], list[Call]] = defaultdict(list)
        for call in submits:
            if call.key is not None:
                by_key[call.account, call.key].append(call)
        keys = states.model.keys
        for (account, key), calls in by_key.items():
            made = [job.id for job in states.model.jobs.values() if (job.account, keys[job.id]) == (account, key)]
            told = {call.job for call in calls if call.job is not None}
            _must(len(made) <= 1, f"{account}'s key {key} made {made}")
            _must(told <= set(made), f"{account}'s key {key} made {made}, and clients were told {told}")
            _must(
                bool(made) <= any(call.unknown or call.answer.ok for call in calls),
                f"{key} was refused, and made {made}",
            )
        keyless = [call for call in submits if call.key is None]
        made_without = sum(key is None for key in keys.values())
        certain = sum(call.answer.ok for call in keyless)
        possible = certain + sum(call.unknown for call in keyless)
        _must(
            certain <= made_without <= possible, f"{made_without} jobs without a key of {certain} to {possible} calls"
        )


class _States:
    """The states that the model went through, and when."""

    def __init__(self, commits: Sequence[tuple[int, tuple[Document, ...]]]) -> None:
        self.model = Model()
        self.most_active = 0
        self._money: dict[str, list[tuple[int, Money]]] = defaultdict(list)
        self._jobs: dict[str, list[tuple[int, Job]]] = defaultdict(list)
        for tick, documents in commits:
            self.model.commit(documents)
            for document in documents:
                if isinstance(document, Job):
                    self._jobs[document.id].append((tick, document))
                elif isinstance(document, Account):
                    money = self.model.accounts[document.id]
                    self.most_active = max(self.most_active, len(money.active))
                    self._money[document.id].append((tick, money))

    def money(self, call: Call) -> list[Money]:
        return _during(self._money[call.account], call)

    def job(self, call: Call) -> list[Job]:
        return _during(self._jobs.get(call.job or "", []), call)

    def began(self, job: str) -> int:
        return self._jobs[job][0][0]


def _during(states: list[tuple[int, Any]], call: Call) -> list[Any]:
    """The states between a call's beginning and its answer: the one it began in, and those that came meanwhile."""
    assert call.ended is not None
    first = max(bisect_left(states, call.began, key=lambda each: each[0]) - 1, 0)
    last = bisect_left(states, call.ended, key=lambda each: each[0])
    return [state for _, state in states[first:last]]


def _check_submit(states: _States, call: Call) -> None:
    if call.unknown or call.ended is None or call.code in CLOSED:
        return
    if call.answer.ok:
        job: Job = call.answer.value.job
        _must(job.id in states.model.jobs and states.began(job.id) < call.ended, f"{job.id} is not there")
        if not call.answer.value.replayed:
            _must(states.began(job.id) > 0, f"{job.id} never began")
        return
    assert call.answer.error is not None
    details = call.answer.error.details
    if call.code == "INSUFFICIENT_CREDITS":
        _must(details["available"] < details["required"], f"{details} is enough")
        _must(any(money.balance == details["available"] for money in states.money(call)), "never had that balance")
    elif call.code == "TOO_MANY_ACTIVE_JOBS":
        active = frozenset(details["active_jobs"])
        _must(len(active) >= details["limit"], f"{len(active)} active is below {details['limit']}")
        _must(any(money.active == active for money in states.money(call)), "never had those active jobs")
    elif call.code in ("IDEMPOTENCY_KEY_REUSED", "GONE"):
        known = states.model.jobs.get(details["video"])
        _must(known is not None and states.model.keys[known.id] == call.key, "no job has that key")
        _must(call.code != "GONE" or (known is not None and known.deleted_at is not None), "it was not deleted")
    elif call.code == "DAILY_LIMIT":
        _must(details["spent"] + details["required"] > details["daily_credits"], f"{details} is within the limit")
    elif call.code == "UNSUPPORTED_BY_MODEL":
        # Every request is one that its own model can make.
        gone = any(
            job.rejected_by or (job.error and job.error.code == "MODEL_RETIRED") for job in states.model.jobs.values()
        )
        _must(gone, "no model was retired, whose successor cannot make it")
    else:
        raise Wrong(f"{call.code} says nothing that is true")


def _check_cancel(states: _States, call: Call) -> None:
    if call.unknown or call.ended is None:
        return
    seen = states.job(call)
    if call.answer.ok:
        _must(call.answer.value.stage is Stage.CANCELED, f"was told {call.answer.value.stage}")
        _must(any(job.stage is Stage.CANCELED for job in seen), "it was not canceled by then")
    elif call.code == "NOT_CANCELABLE":
        _must(any(job.final for job in seen), "it had not ended")
    else:
        _must(call.code == "NOT_FOUND", f"{call.code} says nothing that is true")
        _must(any(job.deleted_at is not None for job in seen), "it was there")


def _check_get(states: _States, call: Call) -> None:
    if call.unknown or call.ended is None:
        return
    seen = states.job(call)
    if call.answer.ok:
        _must(any(job.version == call.answer.value.version for job in seen), "it was not so at that time")
    else:
        _must(any(job.deleted_at is not None for job in seen), "it was there")


def _check_delete(states: _States, call: Call) -> None:
    if call.unknown or call.ended is None:
        return
    seen = states.job(call)
    if call.answer.ok:
        _must(any(job.deleted_at is not None for job in seen), "it was not deleted by then")
    elif call.code == "JOB_NOT_FINISHED":
        _must(any(not job.final for job in seen), "it had ended")
    else:
        _must(call.code == "NOT_FOUND", f"{call.code} says nothing that is true")
        _must(any(job.deleted_at is not None for job in seen), "it was there")


def _check_account(states: _States, call: Call) -> None:
    if call.unknown or call.ended is None:
        return
    account: Account = call.answer.value
    told = Money(account.balance, frozenset(account.active_jobs))
    _must(told in states.money(call), f"{told} was never so at that time")


_CHECKS = {
    "submit": _check_submit,
    "cancel": _check_cancel,
    "get": _check_get,
    "delete": _check_delete,
    "account": _check_account,
}


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise Wrong(what)
