"""Grouped commits: changes waiting for one account in one process are decided in order and committed in one batch.

An account's document takes one commit at a time, and each is a round trip to Firestore: 70 ms within a region. So a
commit carries everything that has arrived in the meantime. Each proposal is decided on the account as the previous ones
leave it, and gets its own result: a rejection, or a document that can't be stored, doesn't affect the others.

The proposal that has waited longest leads: it reads the account and all jobs at once, decides, and commits. Nothing
runs in the background, so a leader that crashes or is canceled only takes its own proposal with it, and the next one
leads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

from shared.core.documents import Account, Document, Job
from shared.core.errors import ApiError, Conflict, Unavailable
from shared.core.lifecycle import Change
from shared.core.tenant_days import TenantBudget, View, allot, day_of
from shared.platform import log
from shared.platform.commits import CommitAttempts, Turn, in_turn, turn_of
from shared.platform.ports import Services

R = TypeVar("R")

# Firestore takes 500 documents and 10 MiB per commit. A submission is two documents, plus the account and at most
# seventeen documents of the tenant's day per commit.
MOST_PROPOSALS = 20
MOST_BYTES = 9 * 1024 * 1024


@dataclass(frozen=True)
class Answer(Generic[R]):
    """A proposal's result, if there is nothing left to write for it."""

    value: R


@dataclass(frozen=True)
class Spending:
    """Credits that a proposal takes from its tenant's daily cap."""

    tenant: str
    cap: int
    cost: int


class Proposal(ABC, Generic[R]):
    """A change of one job and its account that a caller is waiting for.

    `tried` has the changes sent to Firestore, by change_id: a job with one of these was changed by us, even if the
    response was lost. `alone`: it gets its own commit.
    """

    def __init__(self, job_id: str, spending: Spending | None = None, alone: bool = False) -> None:
        self.job_id = job_id
        self.spending = spending
        self.alone = alone
        self.tried: dict[str, Change] = {}
        # Whether a round is working on it, possibly led by another proposal.
        self.taken = False
        self.answer: Answer[R] | None = None
        self.error: Exception | None = None

    @property
    def done(self) -> bool:
        return self.answer is not None or self.error is not None

    def result(self) -> R:
        error, self.error = self.error, None
        if error is not None:
            try:
                raise error
            finally:
                # The traceback references this frame: breaking the cycle frees everything when the caller is done.
                del error
        assert self.answer is not None
        return self.answer.value

    async def prepare(self, job: Job | None) -> Answer[R] | None:
        """Look for a result elsewhere, after the account was read. Only called on a proposal that is alone."""
        return None

    @abstractmethod
    def decide(
        self, job: Job | None, account: Account | None, budget: TenantBudget | None, now: datetime
    ) -> Change | Answer[R]:
        """The change to commit, or the result if there is nothing to commit. Raises ApiError to reject."""

    @abstractmethod
    def committed(self, job: Job, change: Change) -> R:
        """The result once the change is committed; `job` has its new revision."""

    def unknown(self, change: Change) -> None:
        """Called when it is unknown whether the change was committed."""


async def propose(services: Services, account_id: str, proposal: Proposal[R]) -> R:
    """Decide and commit the proposal, with others of the account or by itself.

    Raises what `decide` raises, and Unavailable if the outcome is unknown or others kept writing for 10 s.
    """
    turn = turn_of(account_id)
    turn.waiting.append(proposal)
    try:
        async with in_turn(turn) as held:
            if not held:
                # From here on nobody else decides on it. A commit in progress can't be awaited or rejected any more.
                turn.waiting.remove(proposal)
                if proposal.taken and not proposal.done:
                    raise Unavailable(f"a commit for account {account_id} has no outcome yet")
            # Waiting for the turn isn't a conflict: the attempts start afterwards.
            if not proposal.done:
                await _lead(services, account_id, proposal, turn if held else None)
    finally:
        if proposal in turn.waiting:
            turn.waiting.remove(proposal)
    return proposal.result()


async def _lead(services: Services, account_id: str, proposal: Proposal[Any], turn: Turn | None) -> None:
    async for _ in CommitAttempts(services):
        group = _group(proposal, turn.waiting if turn is not None else ())
        await _Round(services, account_id, group).run()
        if proposal.done:
            return
    proposal.error = Unavailable(f"others kept writing to account {account_id}")


def _group(leader: Proposal[Any], waiting: Sequence[Proposal[Any]]) -> list[Proposal[Any]]:
    """The leader and those waiting behind it, in order."""
    if leader.alone:
        return [leader]
    others = [each for each in waiting if each is not leader and not each.done and not each.alone]
    return [leader, *others[: MOST_PROPOSALS - 1]]


class _Round:
    """One read, a decision for each proposal, one commit. A proposal without a result is in the next round."""

    def __init__(self, services: Services, account_id: str, group: Sequence[Proposal[Any]]) -> None:
        self._services = services
        self._account_id = account_id
        self._group = group

    async def run(self) -> None:
        for each in self._group:
            each.taken = True
        try:
            await self._run()
        except Conflict:
            return
        except Unavailable as error:
            for each in self._group:
                each.error = None if each.done else Unavailable(str(error))
        except Exception as error:
            if len(self._group) == 1:
                raise
            # One of the documents is at fault. From now on each is committed alone, so only its caller sees the error.
            log.error("group_commit_failed", account=self._account_id, error=repr(error))
            for each in self._group:
                each.alone = True
        finally:
            for each in self._group:
                each.taken = False

    async def _run(self) -> None:
        """Decide and commit; if the tenant has a budget, on the account's shard or, if that isn't enough, on all."""
        spendings = [each.spending for each in self._group if each.spending is not None]
        if not spendings:
            await self._commit(await self._read(None, ()))
            return
        # Proposals may have read the settings at different times: the lowest cap applies.
        tenant, cap = spendings[0].tenant, min(each.cap for each in spendings)
        view = View(tenant, cap, self._account_id, self._services.clock())
        async with in_turn(turn_of(view.shard_id)):
            draft = await self._read(view, view.own)
            if draft.suffices():
                await self._commit(draft)
                return
            async with in_turn(turn_of(view.day_id)):
                draft = await self._read(view, view.all)
                draft.allot()
                await self._commit(draft)

    async def _read(self, view: View | None, numbers: Sequence[int]) -> _Draft:
        job_ids = list(dict.fromkeys(each.job_id for each in self._group))
        references: list[tuple[type[Document], str]] = [(Account, self._account_id)]
        references += [(Job, job_id) for job_id in job_ids]
        references += view.references(numbers) if view is not None else []
        account, *others = await self._services.firestore.get_all(references)
        jobs = {each.id: each for each in others[: len(job_ids)] if isinstance(each, Job)}
        budget = view.budget(numbers, others[len(job_ids) :]) if view is not None else None
        return _Draft(self._group, cast("Account | None", account), jobs, budget)

    async def _commit(self, draft: _Draft) -> None:
        leader = self._group[0]
        if leader.alone:
            leader.answer = await leader.prepare(draft.jobs.get(leader.job_id))
        now = self._services.clock()
        if draft.budget is not None and draft.budget.day.day != day_of(now):
            raise Conflict("the day is over")
        refused = draft.decide(now)
        if draft.changes and not await self._write(draft):
            return
        for proposal, refusal in refused.items():
            proposal.error = refusal

    async def _write(self, draft: _Draft) -> bool:
        """Commit the draft; returns whether it is known to be committed. Raises Conflict."""
        change_id = self._services.ids()
        draft.stamp(change_id)
        for proposal, change in draft.changes.items():
            proposal.tried[change_id] = change
        try:
            written = await self._services.firestore.commit(draft.documents(change_id))
        except Unavailable:
            for proposal, change in draft.changes.items():
                proposal.unknown(change)
            return False
        jobs = {each.id: each for each in written if isinstance(each, Job)}
        for proposal, change in draft.changes.items():
            proposal.answer = Answer(proposal.committed(jobs[proposal.job_id], change))
        return True


@dataclass
class _Draft:
    """What was read, with the changes decided so far applied."""

    group: Sequence[Proposal[Any]]
    account: Account | None
    jobs: Mapping[str, Job]
    budget: TenantBudget | None
    changes: dict[Proposal[Any], Change] = field(default_factory=dict)
    _bytes: int = 0

    def __post_init__(self) -> None:
        self._read_budget = self.budget

    @property
    def _wanted(self) -> int:
        """Credits that the group would spend if nothing were rejected."""
        new = (each for each in self.group if each.spending is not None and each.job_id not in self.jobs)
        return sum(each.spending.cost for each in new if each.spending is not None)

    def suffices(self) -> bool:
        return self.budget is None or self.budget.suffices(self._wanted)

    def allot(self) -> None:
        assert self.budget is not None
        self.budget = allot(self.budget, self._wanted)

    def decide(self, now: datetime) -> dict[Proposal[Any], ApiError]:
        """Decide on all, each after the changes before it; returns the rejections.

        Rejected proposals are decided again after the others, until no more are accepted: a rejection describes the
        account as committed, not an intermediate state.
        """
        refused: dict[Proposal[Any], ApiError] = {}
        undecided, before = list(self.group), -1
        while len(self.changes) > before:
            before = len(self.changes)
            refused = {}
            for proposal in undecided:
                self._decide(proposal, now, refused)
            undecided = list(refused)
        return refused

    def _decide(self, proposal: Proposal[Any], now: datetime, refused: dict[Proposal[Any], ApiError]) -> None:
        # A job changes at most once per commit; another proposal for it waits for the next one.
        if proposal.done or any(change.job.id == proposal.job_id for change in self.changes.values()):
            return
        budget = self.budget if proposal.spending is not None else None
        try:
            decided = proposal.decide(self.jobs.get(proposal.job_id), self.account, budget, now)
        except ApiError as refusal:
            # Without the traceback, which would keep everything that was read in memory.
            refused[proposal] = refusal.with_traceback(None)
            return
        except Exception as error:  # noqa: BLE001 - raised to its own caller
            proposal.error = error
            return
        if isinstance(decided, Answer):
            proposal.answer = decided
        else:
            self._add(proposal, decided)

    def _add(self, proposal: Proposal[Any], change: Change) -> None:
        size = len(change.job.model_dump_json()) if len(self.group) > 1 else 0
        if self.changes and self._bytes + size > MOST_BYTES:
            return
        self._bytes += size
        self.changes[proposal] = change
        self.account = change.account or self.account
        self.budget = change.budget or self.budget

    def stamp(self, change_id: str) -> None:
        self.changes = {proposal: change.stamped(change_id) for proposal, change in self.changes.items()}

    def documents(self, change_id: str) -> list[Document]:
        """One batch: each document at most once, and recognizable as ours."""
        documents: list[Document] = [change.job for change in self.changes.values()]
        if self.account is not None and any(change.account is not None for change in self.changes.values()):
            documents.append(self.account.changed(change_id=change_id))
        if self.budget is not None and self._read_budget is not None:
            budget = self.budget.changed_since(self._read_budget)
            documents += [document.changed(change_id=change_id) for document in budget]
        return documents + [entry for change in self.changes.values() for entry in change.transactions]
