"""The ledger alone, and the job's core alone, as state machines that Hypothesis drives.

No handler, no gateway but the store in memory, no clock: only what is decided, and what may be committed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from local.memory.store import MemoryFirestore
from shared.core import events, ledger, lifecycle
from shared.core.admission import Submission
from shared.core.documents import Account, Document, Job, LiveSettings, Output, Stage, Transaction, VideoRequest, Warned
from shared.core.errors import ApiError, Conflict
from shared.core.events import Event
from testing import invariants
from testing.faults.virtual_time import EPOCH
from testing.faults.watch import Watch

REQUEST = VideoRequest(
    prompt="a paper boat", model="veo-3.1-fast", seconds=4, aspect_ratio="16:9", resolution="720p", generate_audio=True
)
CONFIGS = (
    LiveSettings(),
    LiveSettings(uncertain_policy="restart_once", cancel_refund="none"),
    LiveSettings(generation_timeout_s=60, storing_timeout_s=60, queue_timeout_s=60, active_jobs_limit=1),
)
HOLDERS = ("one", "two")


class Counted(RuleBasedStateMachine):
    """Counts examples and steps of all machines of a kind, for the scoreboard."""

    examples: ClassVar[int] = 0
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).examples += 1

    def check_invariants(self, *arguments: Any, **options: Any) -> None:
        """Hypothesis calls this after every step."""
        type(self).steps += 1
        super().check_invariants(*arguments, **options)


def now_done(coroutine: Any) -> Any:
    """The result of a coroutine of the store in memory, which never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("the store in memory waited")


class LedgerMachine(Counted):
    """Writers that read, decide and commit in any order: what is stale must not be written."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryFirestore(lambda: EPOCH)
        self.prepared: list[tuple[Document, ...]] = []
        self.charged: dict[str, int] = {}
        self.expected = 0
        self.number = 0

    @initialize(given=st.integers(0, 500))
    def open(self, given: int) -> None:
        fresh = Account(id="ann", issuer="i", sub="s", tenant="default", created_at=EPOCH)
        now_done(self.store.commit(ledger.open_account(fresh, True, LiveSettings(signup_credits=given), EPOCH)))
        self.expected = given

    @property
    def account(self) -> Account:
        account: Account = now_done(self.store.get(Account, "ann"))
        return account

    def _change_id(self) -> str:
        self.number += 1
        return str(self.number)

    @rule(amount=st.integers(1, 300), key=st.integers(0, 5))
    def prepare_grant(self, amount: int, key: int) -> None:
        self.prepared.append(ledger.grant(self.account, f"grant-key{key}", amount, "a gift", EPOCH))

    @rule(cost=st.integers(1, 200), key=st.integers(0, 30))
    def prepare_submission(self, cost: int, key: int) -> None:
        account = self.account
        submission = Submission(f"video_{key}", REQUEST, cost, 60.0, "f", "vertex")
        config = LiveSettings(active_jobs_limit=5)
        try:
            change = lifecycle.submit(submission, account, EPOCH, config)
        except ApiError as refusal:
            full = len(account.active_jobs) >= 5
            assert refusal.code == ("TOO_MANY_ACTIVE_JOBS" if full else "INSUFFICIENT_CREDITS")
            assert full or account.balance < cost
            return
        self.prepared.append(change.documents)

    @precondition(lambda self: bool(self.charged))
    @rule(data=st.data())
    def prepare_end(self, data: Any) -> None:
        job: Job = now_done(self.store.get(Job, data.draw(st.sampled_from(sorted(self.charged)))))
        change = lifecycle.decide(job, self.account, events.CancelRequested(), EPOCH, LiveSettings())
        if change is not None:
            self.prepared.append(change.documents)

    @precondition(lambda self: bool(self.prepared))
    @rule(data=st.data(), again=st.booleans())
    def commit(self, data: Any, again: bool) -> None:
        """In any order; what was committed once may be tried again, as a lost answer makes one do."""
        index = data.draw(st.integers(0, len(self.prepared) - 1))
        documents = self.prepared[index]
        if not again:
            del self.prepared[index]
        id_ = self._change_id()
        stamped = [one if isinstance(one, Transaction) else one.changed(change_id=id_) for one in documents]
        try:
            now_done(self.store.commit(stamped))
        except Conflict:
            return
        for document in documents:
            if isinstance(document, Transaction):
                self.expected += document.amount
                if document.type == "charge" and document.job:
                    self.charged[document.job] = -document.amount

    @invariant()
    def the_books_are_right(self) -> None:
        """The balance is what was committed, entry by entry, and each job is charged and given back at most once."""
        accounts = self.store.documents(Account)
        entries = self.store.documents(Transaction)
        for account in accounts:
            invariants.check_ledger(account, entries)
            assert account.balance == self.expected
        for job in self.store.documents(Job):
            invariants.check_money(job, [entry for entry in entries if entry.job == job.id])


class JobMachine(Counted):
    """One job that hears anything at any time: stale, twice, from the wrong holder, after its end."""

    def __init__(self) -> None:
        super().__init__()
        self.watch = Watch()
        self.now = EPOCH
        self.config = CONFIGS[0]
        self.claims = 0
        self.number = 0
        fresh = Account(id="ann", issuer="i", sub="s", tenant="default", created_at=EPOCH)
        self.watch.committed(ledger.open_account(fresh, True, LiveSettings(signup_credits=500), EPOCH))

    @initialize(count=st.integers(1, 3), webhook=st.sampled_from((None, "https://example.com")))
    def submit(self, count: int, webhook: str | None) -> None:
        request = REQUEST.model_copy(update={"count": count})
        submission = Submission("video_a", request, 40 * count, 60.0, "f", "vertex", webhook_url=webhook)
        change = lifecycle.submit(submission, self.watch.accounts["ann"], self.now, self.config)
        self.watch.committed(change.documents)

    @property
    def job(self) -> Job:
        return self.watch.jobs["video_a"]

    def hear(self, event: Event) -> None:
        """What the loop around every change does with an event, without its store."""
        job = self.job
        needed = lifecycle.needs_account(job, event, self.now, self.config)
        account = self.watch.accounts["ann"] if needed else None
        change = lifecycle.decide(job, account, event, self.now, self.config)
        if change is None:
            return
        if job.stage is Stage.QUEUED and change.job.stage is Stage.STARTING:
            self.claims += 1
        if job.stage is Stage.STARTING and isinstance(event, (events.Deferred, events.Switched)):
            self.claims -= 1
        self.watch.committed(change.documents)
        if change.task is not None:
            self.watch.task(change.task)
            assert change.task.ref == change.job.task
            assert change.task.body["step"] == change.job.step

    @rule(seconds=st.sampled_from((1.0, 31.0, 61.0, 130.0, 400.0, 1_000.0, 90_000.0)))
    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(config=st.sampled_from(CONFIGS))
    def edit(self, config: LiveSettings) -> None:
        self.config = config

    @rule(
        kind=st.sampled_from((events.LeaseRequested, events.LeaseRenewed, events.StartUnknown)),
        holder=st.sampled_from(HOLDERS),
        behind=st.integers(0, 2),
    )
    def lease(self, kind: type[Event], holder: str, behind: int) -> None:
        self.hear(kind(self.job.step - behind, holder))  # type: ignore[call-arg]

    @rule(
        kind=st.sampled_from(
            (events.SlotRequested, events.NotFoundYet, events.StillRunning, events.TaskLost, events.Overdue)
        ),
        behind=st.integers(0, 2),
    )
    def step(self, kind: type[Event], behind: int) -> None:
        self.hear(kind(self.job.step - behind))  # type: ignore[call-arg]

    @rule(attempt=st.integers(0, 3), operation=st.sampled_from(("op-1", "op-2")))
    def accepted(self, attempt: int, operation: str) -> None:
        self.hear(events.Accepted(attempt, operation))

    @rule(holder=st.sampled_from(HOLDERS), after_s=st.sampled_from((0.0, 30.0, 50_000.0)), behind=st.integers(0, 1))
    def deferred(self, holder: str, after_s: float, behind: int) -> None:
        self.hear(events.Deferred(self.job.step - behind, holder, after_s))

    @rule(
        holder=st.sampled_from((None, *HOLDERS)),
        model=st.sampled_from(("omni-flash", "veo-3.1")),
        behind=st.integers(0, 1),
    )
    def switched(self, holder: str | None, model: str, behind: int) -> None:
        request = self.job.request.model_copy(update={"model": model})
        warning = Warned(code="FAILED_OVER", message="another")
        self.hear(events.Switched(self.job.step - behind, holder, "gemini", request, 40.0, warning))

    @rule(holder=st.sampled_from(HOLDERS), behind=st.integers(0, 1))
    def refused(self, holder: str, behind: int) -> None:
        self.hear(events.StartRejected(self.job.step - behind, holder, "PROMPT_REJECTED", "no"))

    @rule(
        holder=st.sampled_from(HOLDERS), videos=st.integers(0, 4), filtered=st.integers(0, 2), behind=st.integers(0, 1)
    )
    def finished(self, holder: str, videos: int, filtered: int, behind: int) -> None:
        uris = tuple(f"gs://b/{index}.mp4" for index in range(videos))
        self.hear(events.GenerationFinished(self.job.step - behind, holder, uris, filtered, "why"))

    @rule(behind=st.integers(0, 1))
    def broke(self, behind: int) -> None:
        self.hear(events.GenerationFailed(self.job.step - behind, "PROVIDER_ERROR", "13"))

    @rule(holder=st.sampled_from(HOLDERS), behind=st.integers(0, 1))
    def stored(self, holder: str, behind: int) -> None:
        outputs = tuple(Output(uri=each.uri, object="x", size_bytes=2_000, crc32c="") for each in self.job.outputs)
        self.hear(events.Stored(self.job.step - behind, holder, outputs))

    @rule(holder=st.sampled_from(HOLDERS), behind=st.integers(0, 1), permanent=st.booleans())
    def not_stored(self, holder: str, behind: int, permanent: bool) -> None:
        self.hear(events.StoringFailed(self.job.step - behind, holder, "STORING_FAILED", "cut", permanent))

    @rule(
        kind=st.sampled_from(
            (events.CancelRequested, events.DeleteRequested, events.ErasureRequested, events.RetentionElapsed)
        )
    )
    def wish(self, kind: type[Event]) -> None:
        self.hear(kind())

    @rule(behind=st.integers(0, 1), again=st.booleans())
    def tidied(self, behind: int, again: bool) -> None:
        self.hear(events.CleanedUp(self.job.step - behind, again))

    @rule(behind=st.integers(0, 1))
    def announced(self, behind: int) -> None:
        self.hear(events.Announced(self.job.step - behind))

    @rule()
    def late_success(self) -> None:
        self.hear(events.LateSuccess())

    @invariant()
    def every_rule_holds(self) -> None:
        """What the watch saw at each change, and what must hold of the whole at each moment."""
        assert not self.watch.broken, self.watch.broken
        if "video_a" not in self.watch.jobs:
            return
        job, account = self.job, self.watch.accounts["ann"]
        entries = [entry for entry in self.watch.entries["ann"] if entry.job == job.id]
        invariants.check_money(job, entries)
        assert job.attempt == self.claims, f"attempt {job.attempt} after {self.claims} claims"
        assert job.attempt <= 2, "a third start"
        assert (job.id in account.active_jobs) == job.holds_slot
        if not job.final:
            assert job.due_at is not None
            assert job.due_at <= max(lifecycle.deadline(job, self.config), job.updated_at) + _slack(job)


def _slack(job: Job) -> timedelta:
    """A deadline that an edit of the settings has brought nearer is kept when the job next moves."""
    return timedelta(seconds=21_600) if job.stage in (Stage.QUEUED, Stage.GENERATING, Stage.STORING) else timedelta()
