"""The life of a job in the pure core, as tables: what each event changes, and which events change nothing.

Whether every promise holds in any order of events is tested by the state machine in tests/simulation, and whether it
holds whatever dies by the schedules in tests/faults.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import pytest

from shared.core import events as e
from shared.core import ledger, lifecycle
from shared.core.admission import Submission
from shared.core.catalog import MODELS
from shared.core.documents import (
    FINAL,
    STATUS_OF,
    Account,
    Extends,
    Input,
    Job,
    JobError,
    Lease,
    LiveSettings,
    Output,
    Plan,
    Stage,
    Status,
    Transaction,
    Warned,
)
from shared.core.errors import CATALOG, ApiError
from shared.core.lifecycle import TRANSITIONS, Task, decide
from shared.core.schedule import next_look
from tests.unit.life import CONFIG, NOW, REQUEST, STORED, Life, account, later, submitted

DAY_S: Final = 86_400
RARELY = CONFIG.model_copy(update={"polling": "rarely"})
RESTART = CONFIG.model_copy(update={"uncertain_policy": "restart_once"})
IMAGE = Input(
    role="first_frame",
    object="inputs/1.png",
    content_type="image/png",
    size_bytes=9,
    crc32c="A",
    width_px=9,
    height_px=9,
)
HOOK = "https://example.com/hook"
MOVED = Warned(code="FAILED_OVER", message="another")
EXTENDS = Extends(job="video_before", object="before.mp4", size_bytes=9, seconds=8.0)
PARTS = ("gs://b/0.mp4", "gs://b/1.mp4", "gs://b/2.mp4")


# --- the table: one event, and exactly these fields, that task, those signals and amounts ---


def lease(holder: str, until_s: float) -> Lease:
    return Lease(holder=holder, until=later(until_s))


def first_look(named_s: float, expected_s: float = 60, rarely: bool = False) -> datetime:
    return next_look(later(named_s), expected_s, later(named_s), rarely=rarely)


def failed(code: str, at_s: float, reason: str | None = None, **more: Any) -> dict[str, Any]:
    """What every end without a video changes."""
    error = JobError(code=code, message=CATALOG[code].message, reason=reason)
    return {"stage": Stage.FAILED, "error": error, "refunded": 80, "completed_at": later(at_s), "due_at": None, **more}


def abandoned(code: str, at_s: float, reason: str | None = None, **more: Any) -> dict[str, Any]:
    """The same, where a generation may still run: what it leaves is removed at once."""
    return failed(code, at_s, reason, due_at=later(at_s), to_tidy=True, **more)


def canceled(at_s: float, **more: Any) -> dict[str, Any]:
    """What a cancel with a full refund changes."""
    return {"stage": Stage.CANCELED, "refunded": 80, "completed_at": later(at_s), "due_at": None, **more}


def generating(operation: str, at_s: float, due_at: datetime, **more: Any) -> dict[str, Any]:
    """What the operation's name changes."""
    named = {"operation": operation, "started_at": later(at_s)}
    return {"stage": Stage.GENERATING, **named, "due_at": due_at, **more}


def storing(at_s: float, uris: tuple[str, ...], **more: Any) -> dict[str, Any]:
    """What a finished generation changes."""
    until = at_s + lifecycle.LEASE_S
    leased = {"step": 2, "lease": lease("h2", until), "due_at": later(until)}
    outputs = tuple(Output(uri=uri) for uri in uris)
    return {"stage": Stage.STORING, **leased, "outputs": outputs, "storing_started_at": later(at_s), **more}


def completed(at_s: float, outputs: tuple[Output, ...] = (STORED,), **more: Any) -> dict[str, Any]:
    """What a stored video changes."""
    times = {"due_at": None, "completed_at": later(at_s), "expires_at": later(at_s + 365 * DAY_S)}
    return {"stage": Stage.COMPLETED, "lease": None, "outputs": outputs, **times, **more}


@dataclass(frozen=True)
class Row:
    """`life` is how the job got there; `task_at` is when the next task comes, NOTHING if there is none.

    `amounts` is the whole ledger of the job.
    """

    life: Callable[[], Life]
    event: e.Event
    at_s: float
    changes: dict[str, Any]
    task_at: datetime | object | None
    signals: tuple[str, ...]
    amounts: tuple[int, ...]


NOTHING = object()
# What every change brings with it; the test of the table looks at these by itself.
ALWAYS = {"version", "updated_at", "status", "task"}


def row(
    name: str,
    life: Callable[[], Life],
    event: e.Event,
    at_s: float,
    changes: dict[str, Any],
    *,
    task_at: Any = NOTHING,
    signals: tuple[str, ...] = (),
    amounts: tuple[int, ...] = (-80,),
) -> Any:
    return pytest.param(Row(life, event, at_s, changes, task_at, signals, amounts), id=name)


def life(config: LiveSettings = CONFIG, **request: Any) -> Callable[[], Life]:
    return lambda: Life(config, **request)


def begun(until: str) -> Callable[[], Life]:
    """A life that has come to that method of Life."""
    return lambda: getattr(Life(), until)()  # type: ignore[no-any-return]


def changed(before: Callable[[], Life], **changes: Any) -> Callable[[], Life]:
    """The same life with other fields of its job."""

    def made() -> Life:
        it = before()
        it.job = it.job.changed(**changes)
        return it

    return made


def then(before: Callable[[], Life], event: e.Event, at_s: float = 0) -> Callable[[], Life]:
    """The same life after one more event."""

    def made() -> Life:
        it = before()
        assert it.hear(event, later(at_s)) is not None
        return it

    return made


def owning(before: Callable[[], Life], **changes: Any) -> Callable[[], Life]:
    """The same life with other fields of its account."""

    def made() -> Life:
        it = before()
        it.account = it.account.changed(**changes)
        return it

    return made


def with_config(before: Callable[[], Life], config: LiveSettings) -> Callable[[], Life]:
    """The same life from now on under other settings."""

    def made() -> Life:
        it = before()
        it.config = config
        return it

    return made


WAITING = changed(life(), stage=Stage.WAITING)
CLAIMED = begun("claimed")
GENERATING = begun("generating")
UNCERTAIN = begun("uncertain")
STORING = begun("storing")
COMPLETED = begun("completed")
CANCELED = then(GENERATING, e.CancelRequested())
LAST_TRY = then(STORING, e.LeaseRequested(2, "other"), 3_700)
REFUNDED = (-80, 80)

WAY_TO_A_VIDEO = [
    row(
        "a claim takes the lease and counts the attempt",
        life(),
        e.LeaseRequested(0, "h1"),
        5,
        {
            "stage": Stage.STARTING,
            "lease": lease("h1", 125),
            "due_at": later(125),
            "attempt": 1,
            "attempt_started_at": later(5),
        },
    ),
    row(
        "the operation's name starts the polling before the expected time",
        CLAIMED,
        e.Accepted(1, "op-1"),
        5,
        generating("op-1", 5, first_look(5), step=1, lease=None),
        task_at=first_look(5),
    ),
    row(
        "polls are timed from the name and not from the attempt",
        then(UNCERTAIN, e.Accepted(1, "op-1"), 100),
        e.StillRunning(2),
        145,
        {"step": 3, "due_at": next_look(later(100), 60, later(145))},
        task_at=next_look(later(100), 60, later(145)),
    ),
    row(
        "without a start noted they are timed from the attempt",
        changed(lambda: Life().generating(later(10)), started_at=None),
        e.StillRunning(1),
        55,
        {"step": 2, "due_at": next_look(later(10), 60, later(55))},
        task_at=next_look(later(10), 60, later(55)),
    ),
    row(
        "a poll is never planned after the deadline",
        GENERATING,
        e.StillRunning(1),
        899,
        {"step": 2, "due_at": later(900)},
        task_at=later(900),
    ),
    row(
        "where the provider reports the end, the first poll is late",
        with_config(CLAIMED, RARELY),
        e.Accepted(1, "op-1"),
        5,
        generating("op-1", 5, first_look(5, rarely=True), step=1, lease=None),
        task_at=first_look(5, rarely=True),
    ),
    row(
        "and the next poll as well",
        then(with_config(CLAIMED, RARELY), e.Accepted(1, "op-1"), 5),
        e.StillRunning(1),
        (first_look(5, rarely=True) - NOW).total_seconds(),
        {"step": 2, "due_at": next_look(later(5), 60, first_look(5, rarely=True), rarely=True)},
        task_at=next_look(later(5), 60, first_look(5, rarely=True), rarely=True),
    ),
    row(
        "a finished generation is stored in the same delivery",
        lambda: Life(count=3).generating(),
        e.GenerationFinished(1, "h2", PARTS[:2], 1, "why"),
        45,
        storing(45, PARTS[:2], filtered=1, filter_reason="why"),
        amounts=(-240,),
    ),
    row(
        "more videos than were asked for are not kept",
        GENERATING,
        e.GenerationFinished(1, "h2", PARTS),
        0,
        storing(0, PARTS[:1]),
    ),
    row(
        "files that are found of an uncertain start are adopted",
        UNCERTAIN,
        e.GenerationFinished(1, "h2", PARTS[:1], found=True),
        50,
        storing(50, PARTS[:1], started_at=later(50)),
        signals=("adopted",),
    ),
    row(
        "files that are found of a generation are adopted",
        GENERATING,
        e.GenerationFinished(1, "h2", PARTS[:1], found=True),
        50,
        storing(50, PARTS[:1]),
        signals=("adopted",),
    ),
    row("a stored video ends the job and keeps its charge", STORING, e.Stored(2, "h2", (STORED,)), 60, completed(60)),
    row(
        "what the safety filter kept back is refunded in part",
        lambda: Life(count=4).storing(uris=PARTS, filtered=1),
        e.Stored(2, "h2", (STORED,) * 3),
        60,
        completed(60, outputs=(STORED,) * 3, refunded=80),
        amounts=(-320, 80),
    ),
    row(
        "images of a finished video are kept with it",
        lambda: Life(inputs=(IMAGE,)).storing(),
        e.Stored(2, "h2", (STORED,)),
        0,
        completed(0),
    ),
]

STORING_AGAIN = [
    row(
        "a failed storing comes again in a task of its own",
        STORING,
        e.StoringFailed(2, "h2", "STORING_FAILED", "cut"),
        9,
        {"step": 3, "lease": None, "storing_tries": 1, "due_at": later(14)},
        task_at=later(14),
    ),
    row(
        "later each time",
        then(then(STORING, e.StoringFailed(2, "h2", "STORING_FAILED", "cut")), e.LeaseRequested(3, "h3")),
        e.StoringFailed(3, "h3", "STORING_FAILED", "cut"),
        0,
        {"step": 4, "lease": None, "storing_tries": 2, "due_at": later(10)},
        task_at=later(10),
    ),
    row(
        "a dead lease can be claimed, and the job stays due by its deadline",
        STORING,
        e.LeaseRequested(2, "h3"),
        3_590,
        {"lease": lease("h3", 3_710), "due_at": later(3_600)},
    ),
    row(
        "a renewed lease lives on",
        STORING,
        e.LeaseRenewed(2, "h2"),
        60,
        {"lease": lease("h2", 180), "due_at": later(180)},
    ),
    row(
        "renewed after the deadline, the job is due at once",
        STORING,
        e.LeaseRenewed(2, "h2"),
        3_700,
        {"lease": lease("h2", 3_820), "due_at": later(3_700)},
    ),
    row(
        "past the deadline a paid video gets a last try",
        STORING,
        e.LeaseRequested(2, "other"),
        3_700,
        {"lease": lease("other", 3_820), "due_at": later(3_700), "last_tries": 1},
    ),
    row("the last try may still complete the job", LAST_TRY, e.Stored(2, "other", (STORED,)), 3_710, completed(3_710)),
    row(
        "a last try that fails ends the job with its refund",
        LAST_TRY,
        e.StoringFailed(2, "other", "STORAGE_REFUSED", "403"),
        3_710,
        abandoned("STORAGE_REFUSED", 3_710, "403", step=3, lease=None),
        task_at=None,
        amounts=REFUNDED,
    ),
]

WAITING_FOR_A_SLOT = [
    row(
        "without a free slot the job waits on",
        owning(WAITING, active_jobs=("a", "b", "c")),
        e.SlotRequested(0),
        10,
        {"step": 1, "due_at": later(40)},
        task_at=later(40),
    ),
    row(
        "its own plan says how many slots there are",
        owning(
            with_config(WAITING, CONFIG.model_copy(update={"plans": {"pro": Plan(active_jobs_limit=1)}})),
            plan="pro",
            active_jobs=("a",),
        ),
        e.SlotRequested(0),
        10,
        {"step": 1, "due_at": later(40)},
        task_at=later(40),
    ),
    row(
        "it enters when one is free",
        owning(WAITING, active_jobs=("a", "b")),
        e.SlotRequested(0),
        50,
        {"stage": Stage.QUEUED, "step": 1, "due_at": later(50)},
        task_at=None,
    ),
    row(
        "waiting too long ends with a refund",
        WAITING,
        e.SlotRequested(0),
        21_600,
        failed("QUEUE_TIMEOUT", 21_600),
        amounts=REFUNDED,
    ),
    row(
        "so does a queue that is too slow",
        life(),
        e.LeaseRequested(0, "h"),
        21_600,
        failed("QUEUE_TIMEOUT", 21_600),
        amounts=REFUNDED,
    ),
]

NO_ANSWER = [
    *(
        row(
            f"a busy provider at {at_s} s is asked again, by the deadline, and costs no attempt",
            CLAIMED,
            e.Deferred(0, "h1", 30.0),
            at_s,
            {
                "stage": Stage.QUEUED,
                "step": 1,
                "lease": None,
                "attempt": 0,
                "attempt_started_at": None,
                "due_at": later(due_s),
            },
            task_at=later(due_s),
        )
        for at_s, due_s in ((5, 35), (21_590, 21_600), (21_700, 21_700))
    ),
    row(
        "a lost answer makes the start uncertain and starts nothing",
        CLAIMED,
        e.StartUnknown(0, "h1"),
        5,
        {"stage": Stage.UNCERTAIN, "step": 1, "lease": None, "due_at": later(35)},
        task_at=later(35),
        signals=("uncertain_start",),
    ),
    row(
        "so does a lease that is missing",
        changed(CLAIMED, lease=None),
        e.StartUnknown(0, "h1"),
        0,
        {"stage": Stage.UNCERTAIN, "step": 1, "due_at": later(30)},
        task_at=later(30),
        signals=("uncertain_start",),
    ),
    row(
        "and a dead lease of another holder",
        CLAIMED,
        e.StartUnknown(0, "other"),
        lifecycle.LEASE_S,
        {"stage": Stage.UNCERTAIN, "step": 1, "lease": None, "due_at": later(150)},
        task_at=later(150),
        signals=("uncertain_start",),
    ),
    row(
        "an uncertain start is looked for every half minute",
        UNCERTAIN,
        e.NotFoundYet(1),
        35,
        {"step": 2, "due_at": later(65)},
        task_at=later(65),
    ),
    row(
        "the name of its attempt ends the uncertainty, whatever the step",
        UNCERTAIN,
        e.Accepted(1, "op-late"),
        35,
        generating("op-late", 35, first_look(35), step=2),
        task_at=first_look(35),
    ),
    row(
        "after the longest generation it fails with a refund",
        UNCERTAIN,
        e.NotFoundYet(1),
        360,
        abandoned("START_UNCERTAIN", 360, step=2),
        task_at=None,
        signals=("abandoned_generation",),
        amounts=REFUNDED,
    ),
    row(
        "or starts a second time, if the settings say so",
        lambda: Life(RESTART).uncertain(),
        e.NotFoundYet(1),
        360,
        {"stage": Stage.QUEUED, "step": 2, "due_at": later(360)},
        task_at=None,
        signals=("abandoned_generation",),
    ),
    row(
        "a name that comes before the restart saves it",
        then(lambda: Life(RESTART).uncertain(), e.NotFoundYet(1), 360),
        e.Accepted(1, "op-late"),
        361,
        generating("op-late", 361, first_look(361), step=3),
        task_at=first_look(361),
    ),
    row(
        "the operation that the provider reports is noted",
        CLAIMED,
        e.OperationReported("op-1"),
        1,
        {"hinted_operation": "op-1"},
    ),
]

ENDS_WITHOUT_A_VIDEO = [
    row(
        "a refused create leaves nothing to remove",
        CLAIMED,
        e.StartRejected(0, "h1", "PROMPT_REJECTED", "bad"),
        0,
        failed("PROMPT_REJECTED", 0, "bad", lease=None),
        amounts=REFUNDED,
    ),
    row(
        "a refusal before any claim counts no attempt",
        life(),
        e.StartRejected(0, None, "INPUT_GONE", "gone"),
        0,
        failed("INPUT_GONE", 0, "gone"),
        amounts=REFUNDED,
    ),
    row(
        "a refused second start leaves the files of the first to be removed",
        lambda: then(lambda: Life(RESTART).uncertain(), e.NotFoundYet(1), 360)().claimed(later(360)),
        e.StartRejected(2, "h1", "PROMPT_REJECTED", "bad"),
        361,
        abandoned("PROMPT_REJECTED", 361, "bad", step=3, lease=None),
        task_at=None,
        amounts=REFUNDED,
    ),
    row(
        "so does a refusal while the second start waits in its queue",
        then(lambda: Life(RESTART).uncertain(), e.NotFoundYet(1), 360),
        e.StartRejected(2, None, "INPUT_GONE", "gone"),
        361,
        abandoned("INPUT_GONE", 361, "gone", step=3),
        task_at=None,
        amounts=REFUNDED,
    ),
    *(
        row(
            f"and a second generation without a video: {code}",
            then(
                lambda: then(lambda: Life(RESTART).uncertain(), e.NotFoundYet(1), 360)().claimed(later(360)),
                e.Accepted(2, "op-2"),
                360,
            ),
            event,
            400,
            abandoned(code, 400, "r", step=4),
            task_at=None,
            amounts=REFUNDED,
        )
        for event, code in (
            (e.GenerationFailed(3, "PROVIDER_DENIED", "r"), "PROVIDER_DENIED"),
            (e.GenerationFinished(3, "h", (), 1, "r"), "SAFETY_BLOCKED"),
            (e.GenerationFinished(3, "h", (), 0, "r"), "PROVIDER_ERROR"),
        )
    ),
    *(
        row(
            f"a generation that ended without a video: {reason}",
            GENERATING,
            event,
            45,
            failed(code, 45, reason),
            amounts=REFUNDED,
        )
        for event, code, reason in (
            (e.GenerationFinished(1, "h", (), 1, "violence"), "SAFETY_BLOCKED", "violence"),
            (e.GenerationFinished(1, "h", (), 0, "tired"), "PROVIDER_ERROR", "tired"),
            (e.GenerationFinished(1, "h", ()), "PROVIDER_ERROR", "the generation ended without a video"),
            (e.GenerationFailed(1, "PROVIDER_ERROR", "broken"), "PROVIDER_ERROR", "broken"),
        )
    ),
    row(
        "an uncertain start that turns out filtered",
        UNCERTAIN,
        e.GenerationFinished(1, "h", (), 1, "violence"),
        50,
        failed("SAFETY_BLOCKED", 50, "violence"),
        amounts=REFUNDED,
    ),
    row(
        "an uncertain start that turns out broken",
        UNCERTAIN,
        e.GenerationFailed(1, "PROVIDER_ERROR", "r"),
        50,
        failed("PROVIDER_ERROR", 50, "r"),
        amounts=REFUNDED,
    ),
    row(
        "a generation that outlives its deadline is watched on",
        GENERATING,
        e.StillRunning(1),
        900,
        abandoned("GENERATION_TIMEOUT", 900, step=2),
        task_at=None,
        amounts=REFUNDED,
    ),
    row(
        "a video that no other try can mend",
        STORING,
        e.StoringFailed(2, "h2", "INVALID_VIDEO", "odd", permanent=True),
        9,
        abandoned("INVALID_VIDEO", 9, "odd", step=3, lease=None),
        task_at=None,
        amounts=REFUNDED,
    ),
    row(
        "storing that failed until its deadline",
        STORING,
        e.StoringFailed(2, "h2", "STORING_FAILED", "cut"),
        3_600,
        abandoned("STORING_FAILED", 3_600, "cut", step=3, lease=None),
        task_at=None,
        amounts=REFUNDED,
    ),
    row(
        "a cancel gives everything back and frees the slot",
        owning(life(), active_jobs=("a", "video_abc", "b")),
        e.CancelRequested(),
        5,
        canceled(5),
        amounts=REFUNDED,
    ),
    row(
        "images of a job without a video are removed though nothing was started",
        life(inputs=(IMAGE,)),
        e.CancelRequested(),
        5,
        canceled(5, step=1, due_at=later(5), to_tidy=True),
        task_at=None,
        amounts=REFUNDED,
    ),
]

AFTER_THE_END = [
    row(
        "a name that comes after the end is kept, to remove what it still delivers",
        then(then(CLAIMED, e.CancelRequested()), e.CleanedUp(1, again=False)),
        e.Accepted(1, "op-late"),
        5,
        {"step": 2, "operation": "op-late", "due_at": later(5), "to_tidy": True},
        task_at=None,
    ),
    row(
        "a deleted job keeps nothing of its content",
        changed(
            COMPLETED,
            request=REQUEST.model_copy(update={"negative_prompt": "rain", "seed": 7, "extends": EXTENDS}),
            labels={"k": "v"},
            project="films",
            warnings=(MOVED,),
            idempotency_key="k",
            last_viewed_at=NOW,
            error=JobError(code="STORING_FAILED", message="m"),
            filter_reason="why",
            webhook_url=HOOK,
        ),
        e.DeleteRequested(),
        5,
        {
            "step": 3,
            "due_at": later(5),
            "request": REQUEST.model_copy(update={"prompt": "", "negative_prompt": None}),
            "outputs": (),
            "labels": {},
            "project": None,
            "warnings": (),
            "idempotency_key": None,
            "last_viewed_at": None,
            "error": None,
            "filter_reason": None,
            "webhook_url": None,
            "expires_at": None,
            "deleted_at": later(5),
            "to_tidy": True,
        },
        task_at=None,
    ),
    row(
        "an expired video is removed",
        COMPLETED,
        e.RetentionElapsed(),
        365 * DAY_S,
        {"step": 3, "due_at": later(365 * DAY_S), "outputs": (), "expires_at": None, "to_tidy": True},
        task_at=None,
    ),
    row(
        "a view is noted and moves the end",
        COMPLETED,
        e.Viewed(),
        DAY_S,
        {"last_viewed_at": later(DAY_S), "expires_at": later(366 * DAY_S)},
    ),
    row(
        "a shorter retention takes back nothing that was promised",
        with_config(COMPLETED, CONFIG.model_copy(update={"retention_days": 1})),
        e.Viewed(),
        10 * DAY_S,
        {"last_viewed_at": later(10 * DAY_S)},
    ),
    row(
        "a late success is counted",
        then(UNCERTAIN, e.NotFoundYet(1), 360),
        e.LateSuccess(),
        400,
        {"late_success": True},
        signals=("late_success",),
        amounts=REFUNDED,
    ),
    *(
        row(
            f"what runs on is looked at ever more rarely: after {ended_s} s",
            CANCELED,
            e.CleanedUp(2, again=True),
            ended_s,
            {"step": 3, "due_at": later(ended_s + wait_s)},
            task_at=later(ended_s + wait_s),
        )
        for ended_s, wait_s in ((10, 300), (1_000, 1_000), (10_000, 3_600))
    ),
    row(
        "and for a day",
        CANCELED,
        e.CleanedUp(2, again=True),
        lifecycle.TIDY_FOR_S,
        {"due_at": None, "to_tidy": False, "files_removed_at": later(lifecycle.TIDY_FOR_S)},
    ),
    row(
        "nothing is waited for where nothing was storing",
        CANCELED,
        e.CleanedUp(2, again=False),
        1,
        {"due_at": None, "to_tidy": False, "files_removed_at": later(1)},
    ),
    row(
        "a delivery that may still be storing is waited for",
        then(STORING, e.CancelRequested(), 1_000),
        e.CleanedUp(3, again=False),
        1_899,
        {"step": 4, "due_at": later(1_899 + 899)},
        task_at=later(1_899 + 899),
    ),
    row(
        "until it can't be any more",
        then(STORING, e.CancelRequested(), 1_000),
        e.CleanedUp(3, again=False),
        1_900,
        {"due_at": None, "to_tidy": False, "files_removed_at": later(1_900)},
    ),
    row(
        "also where a video was deleted",
        then(COMPLETED, e.DeleteRequested(), 5),
        e.CleanedUp(3, again=False),
        5,
        {"step": 4, "due_at": later(5 + 300)},
        task_at=later(5 + 300),
    ),
    row(
        "images are forgotten once they are removed",
        then(life(inputs=(IMAGE,)), e.CancelRequested()),
        e.CleanedUp(1, again=False),
        5,
        {"due_at": None, "to_tidy": False, "files_removed_at": later(5), "request": REQUEST},
        amounts=REFUNDED,
    ),
    row(
        "also while what runs on is looked at",
        then(lambda: Life(inputs=(IMAGE,)).generating(), e.CancelRequested()),
        e.CleanedUp(2, again=True),
        10,
        {"step": 3, "due_at": later(310), "request": REQUEST},
        task_at=later(310),
    ),
    row(
        "a finished video survives the removal of its first attempt's files",
        changed(lambda: Life(inputs=(IMAGE,)).completed(), due_at=NOW, to_tidy=True, files_removed_at=NOW),
        e.CleanedUp(2, again=False),
        0,
        {"due_at": None, "to_tidy": False, "files_removed_at": None},
    ),
    row(
        "the end is announced to the job's webhook",
        changed(life(), webhook_url=HOOK),
        e.CancelRequested(),
        5,
        canceled(5, step=1, due_at=later(5), to_announce=True),
        task_at=None,
        amounts=REFUNDED,
    ),
    row(
        "and to the account's endpoints",
        owning(life(), webhook_endpoints=("we_1",)),
        e.CancelRequested(),
        5,
        canceled(5, step=1, due_at=later(5), to_announce=True),
        task_at=None,
        amounts=REFUNDED,
    ),
    row(
        "announced, with nothing to remove",
        then(changed(life(), webhook_url=HOOK), e.CancelRequested(), 5),
        e.Announced(1),
        6,
        {"to_announce": False, "due_at": None},
        amounts=REFUNDED,
    ),
    row(
        "announced, with files to remove",
        then(changed(GENERATING, webhook_url=HOOK), e.CancelRequested(), 5),
        e.Announced(2),
        6,
        {"step": 3, "to_announce": False, "due_at": later(6)},
        task_at=None,
    ),
]

OMNI = REQUEST.model_copy(update={"model": "omni-flash"})
SWITCHED = {
    "provider": "gemini",
    "request": OMNI,
    "expected_s": 40.0,
    "price": 80,
    "rejected_by": ("vertex veo-3.1-fast",),
    "warnings": (MOVED,),
    "due_at": later(3),
}
# What a deleted or erased job keeps of its request.
EMPTIED = REQUEST.model_copy(update={"prompt": ""})

MADE_ELSEWHERE = [
    row(
        "a rejected start goes to another model, and costs no attempt",
        CLAIMED,
        e.Switched(0, "h1", "gemini", OMNI, 40.0, MOVED),
        3,
        {**SWITCHED, "stage": Stage.QUEUED, "step": 1, "lease": None, "attempt": 0, "attempt_started_at": None},
        task_at=None,
    ),
    row(
        "also before any claim",
        life(),
        e.Switched(0, None, "gemini", OMNI, 40.0, MOVED),
        3,
        {**SWITCHED, "step": 1},
        task_at=None,
    ),
]

ERASED = [
    row(
        "an erased video loses its fingerprint too",
        COMPLETED,
        e.ErasureRequested(),
        5,
        {
            "step": 3,
            "request": EMPTIED,
            "outputs": (),
            "filter_reason": None,
            "expires_at": None,
            "fingerprint": "",
            "erasure": "requested",
            "deleted_at": later(5),
            "due_at": later(5),
            "to_tidy": True,
        },
        task_at=None,
    ),
    row(
        "one that is deleted, with files still to remove, waits for that",
        then(COMPLETED, e.DeleteRequested(), 5),
        e.ErasureRequested(),
        6,
        {"fingerprint": "", "erasure": "requested"},
    ),
    row(
        "one whose files are removed is erased at once",
        then(
            then(changed(COMPLETED, operation="op-1", hinted_operation="op-1"), e.DeleteRequested(), 5),
            e.CleanedUp(3, again=False),
            900,
        ),
        e.ErasureRequested(),
        901,
        {"fingerprint": "", "erasure": "done"},
    ),
    row(
        "or once they are",
        then(COMPLETED, e.ErasureRequested(), 5),
        e.CleanedUp(3, again=False),
        900,
        {"due_at": None, "to_tidy": False, "files_removed_at": later(900), "erasure": "done", "operation": None},
    ),
    row(
        "a name that comes after it has to be erased again",
        then(then(then(CLAIMED, e.CancelRequested()), e.ErasureRequested(), 5), e.CleanedUp(2, again=False), 900),
        e.Accepted(1, "op-late"),
        901,
        {"step": 3, "operation": "op-late", "due_at": later(901), "to_tidy": True, "erasure": "requested"},
        task_at=None,
    ),
    row("a repeated request is counted", life(), e.Repeated(2), 0, {"repeats_taken": 2}),
]

SWEPT = [
    row(
        "a lost task is put back at once, under a new name",
        life(),
        e.TaskLost(0),
        60,
        {"step": 1, "due_at": later(60)},
        task_at=None,
        signals=("swept",),
    ),
    row(
        "the lease is kept, so that the attempt is not forgotten",
        CLAIMED,
        e.TaskLost(0),
        lifecycle.LEASE_S + 60,
        {"step": 1, "due_at": later(lifecycle.LEASE_S + 60)},
        task_at=None,
        signals=("swept",),
    ),
    row(
        "also once the lease has ended",
        then(STORING, e.LeaseRequested(2, "h3"), 3_590),
        e.TaskLost(2),
        3_710,
        {"step": 3, "due_at": later(3_710)},
        task_at=None,
        signals=("swept",),
    ),
]

TABLE = [
    *WAY_TO_A_VIDEO,
    *STORING_AGAIN,
    *WAITING_FOR_A_SLOT,
    *NO_ANSWER,
    *ENDS_WITHOUT_A_VIDEO,
    *AFTER_THE_END,
    *MADE_ELSEWHERE,
    *ERASED,
    *SWEPT,
]


@pytest.mark.parametrize("row", TABLE)
def test_event_changes_exactly_these_fields(row: Row) -> None:
    it, at = row.life(), later(row.at_s)
    before = it.job
    change = it.hear(row.event, at)
    assert change is not None
    job = change.job
    assert (job.version, job.updated_at, job.status) == (before.version + 1, at, STATUS_OF[job.stage])
    assert job.task.name == f"abc-{job.step}"
    if row.task_at is NOTHING:
        assert change.task is None
    else:
        assert change.task == Task(job.task, row.task_at, {"job": job.id, "step": job.step}, "/tasks/step")
    assert change.signals == row.signals
    assert tuple(it.amounts) == row.amounts
    assert {
        name: getattr(job, name)
        for name in Job.model_fields
        if name not in ALWAYS and getattr(job, name) != getattr(before, name)
    } == row.changes
    # A job holds its slot from start to end, and affects no other.
    assert [each for each in it.account.active_jobs if each == job.id] == ([job.id] if job.holds_slot else [])
    if not job.final:
        assert job.due_at is not None
        assert job.due_at <= max(lifecycle.deadline(job, it.config), at, *([job.lease.until] if job.lease else []))


# --- what changes nothing ---


def unheard(name: str, before: Callable[[], Life], event: e.Event, at_s: float = 0) -> Any:
    return pytest.param(before, event, at_s, id=name)


@pytest.mark.parametrize(
    ("before", "event", "at_s"),
    [
        unheard("an older step's poll", GENERATING, e.StillRunning(0)),
        unheard("a second claim during a live lease", STORING, e.LeaseRequested(2, "other"), lifecycle.LEASE_S - 1),
        unheard("stored by who lost the lease", STORING, e.Stored(2, "zombie", (STORED,))),
        unheard("not stored by who lost the lease", STORING, e.StoringFailed(2, "zombie", "STORING_FAILED", "r")),
        unheard("renewed by who lost the lease", STORING, e.LeaseRenewed(2, "zombie")),
        unheard("refused to who lost the lease", CLAIMED, e.StartRejected(0, "zombie", "PROMPT_REJECTED", "r")),
        unheard("deferred by who lost the lease", CLAIMED, e.Deferred(0, "zombie", 1)),
        unheard("lost while another's lease lives", CLAIMED, e.StartUnknown(0, "other"), lifecycle.LEASE_S - 1),
        unheard(
            "claimed before the provider's Retry-After",
            then(CLAIMED, e.Deferred(0, "h1", 600.0)),
            e.LeaseRequested(1, "h2"),
            599,
        ),
        unheard("another attempt's name", UNCERTAIN, e.Accepted(2, "op")),
        unheard("a second name of the attempt", GENERATING, e.Accepted(1, "op-2")),
        unheard("a second name after the end", CANCELED, e.Accepted(1, "op-2")),
        unheard("a name without any claim", life(), e.Accepted(0, "op-1")),
        unheard("a second report", then(UNCERTAIN, e.OperationReported("op-1")), e.OperationReported("op-2")),
        unheard("a report where the operation is known", GENERATING, e.OperationReported("op-2")),
        unheard(
            "a report while starting, of a known operation",
            changed(GENERATING, stage=Stage.STARTING),
            e.OperationReported("op-2"),
        ),
        unheard("switched by who lost the lease", CLAIMED, e.Switched(0, "zombie", "gemini", OMNI, 40.0, MOVED)),
        unheard(
            "switched where an attempt was made",
            then(lambda: Life(RESTART).uncertain(), e.NotFoundYet(1), 360),
            e.Switched(2, None, "gemini", OMNI, 40.0, MOVED),
        ),
        unheard("erased twice", then(COMPLETED, e.ErasureRequested()), e.ErasureRequested()),
        unheard("repeated as often as was counted", then(life(), e.Repeated(2)), e.Repeated(2)),
        unheard("claimed after the end", COMPLETED, e.LeaseRequested(2, "h")),
        unheard("running after the end", COMPLETED, e.StillRunning(2)),
        unheard("finished after the end", COMPLETED, e.GenerationFinished(2, "h", PARTS[:1])),
        unheard("stored after the end", COMPLETED, e.Stored(2, "h2", (STORED,))),
        unheard("not stored after the end", COMPLETED, e.StoringFailed(2, "h2", "STORING_FAILED", "r")),
        unheard("canceled after the end", COMPLETED, e.CancelRequested()),
        unheard("deleted twice", then(COMPLETED, e.DeleteRequested()), e.DeleteRequested()),
        unheard("expired before its time", COMPLETED, e.RetentionElapsed(), 364 * DAY_S),
        unheard("expired twice", then(COMPLETED, e.RetentionElapsed(), 365 * DAY_S), e.RetentionElapsed(), 365 * DAY_S),
        unheard("viewed within the first day", COMPLETED, e.Viewed(), DAY_S - 1),
        unheard("viewed twice a day", then(COMPLETED, e.Viewed(), DAY_S), e.Viewed(), DAY_S + 60),
        unheard("viewed when it is deleted", then(COMPLETED, e.DeleteRequested(), 10), e.Viewed(), 5 * DAY_S),
        unheard(
            "a late success twice",
            then(then(UNCERTAIN, e.NotFoundYet(1), 360), e.LateSuccess(), 400),
            e.LateSuccess(),
            401,
        ),
        unheard("files removed that nobody was to remove", COMPLETED, e.CleanedUp(2, again=False)),
        unheard(
            "announced twice",
            then(then(changed(life(), webhook_url=HOOK), e.CancelRequested(), 5), e.Announced(1), 6),
            e.Announced(1),
            7,
        ),
        unheard("a late task of an older step", GENERATING, e.TaskLost(0), 890),
        unheard("a task that is not late yet", life(), e.TaskLost(0), 59),
        unheard("a task whose lease lives", STORING, e.TaskLost(2), 100),
        unheard(
            "a task whose lease outlives the deadline",
            then(STORING, e.LeaseRequested(2, "h3"), 3_590),
            e.TaskLost(2),
            3_709,
        ),
        *(
            unheard(f"overdue, but paid for: {name}", before, e.Overdue(step), 1_000_000)
            for name, before, step in (
                ("generating", GENERATING, 1),
                ("storing", STORING, 2),
                ("completed", COMPLETED, 2),
            )
        ),
    ],
)
def test_inapplicable_event_changes_nothing(before: Callable[[], Life], event: e.Event, at_s: float) -> None:
    it = before()
    entries = list(it.entries)
    assert it.hear(event, later(at_s)) is None
    assert it.entries == entries


def test_every_event_has_transitions_and_a_decision() -> None:
    kinds = {kind for kind in vars(e).values() if isinstance(kind, type) and issubclass(kind, e.Event)}
    assert set(TRANSITIONS) == kinds - {e.Event, e.StepEvent}
    assert set(lifecycle._DECISIONS) == set(TRANSITIONS)


def test_decision_outside_the_table_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lifecycle.TRANSITIONS, e.CancelRequested, {Stage.QUEUED: frozenset({Stage.FAILED})})
    with pytest.raises(AssertionError):
        Life().hear(e.CancelRequested())


# --- submitting ---


def test_submission_charges_and_queues_in_one_change() -> None:
    change = submitted()
    assert (change.job.stage, change.job.status) == (Stage.QUEUED, Status.QUEUED)
    assert change.account is not None
    assert (change.account.balance, change.account.active_jobs) == (420, ("video_abc",))
    assert [(t.id, t.amount, t.balance_after, t.sequence) for t in change.transactions] == [
        ("video_abc-charge", -80, 420, 2)
    ]
    assert [type(document) for document in change.documents] == [Job, Account, Transaction]
    assert replace(change, account=None, transactions=()).documents == (change.job,)


def test_first_task_uses_the_models_queue_and_a_random_prefix() -> None:
    task = submitted().task
    assert task is not None
    assert (task.ref.queue, task.ref.name, task.body) == (
        "generate-veo-3-1-fast",
        "abc-0",
        {"job": "video_abc", "step": 0},
    )


@pytest.mark.parametrize(
    ("changes", "code", "details"),
    [
        ({"balance": 79}, "INSUFFICIENT_CREDITS", {"required": 80, "available": 79, "deficit": 1}),
        ({"active_jobs": ("a", "b", "c")}, "TOO_MANY_ACTIVE_JOBS", {"active_jobs": ["a", "b", "c"]}),
    ],
)
def test_insufficient_credits_or_slots_are_refused_with_figures(
    changes: dict[str, Any], code: str, details: dict[str, Any]
) -> None:
    with pytest.raises(ApiError) as refused:
        lifecycle.submit(Submission("video_abc", REQUEST, 80, 60.0, "f", "vertex"), account(**changes), NOW, CONFIG)
    assert refused.value.code == code
    assert {name: refused.value.details[name] for name in details} == details


def test_exactly_enough_credits_suffice() -> None:
    change = lifecycle.submit(
        Submission("video_abc", REQUEST, 80, 60.0, "f", "vertex"), account(balance=80), NOW, CONFIG
    )
    assert change.account is not None
    assert change.account.balance == 0


# --- money ---


@pytest.mark.parametrize(
    ("policy", "stage", "amounts"),
    [
        *(("none", stage, [-80, 80]) for stage in (Stage.WAITING, Stage.QUEUED)),
        ("full", Stage.GENERATING, [-80, 80]),
        ("by_model", Stage.GENERATING, [-80]),
        ("none", Stage.GENERATING, [-80]),
    ],
)
def test_canceled_job_is_refunded_by_policy_and_always_if_never_started(
    policy: str, stage: Stage, amounts: list[int]
) -> None:
    it = Life(CONFIG.model_copy(update={"cancel_refund": policy}))
    it = it.generating() if stage is Stage.GENERATING else changed(lambda: it, stage=stage)()
    it.hear(e.CancelRequested())
    assert (it.job.stage, it.amounts, it.account.active_jobs) == (Stage.CANCELED, amounts, ())


@pytest.mark.parametrize(
    ("before", "event", "description"),
    [
        (life(), e.CancelRequested(), "Canceled"),
        (
            CLAIMED,
            e.StartRejected(0, "h1", "PROMPT_REJECTED", "bad"),
            f"PROMPT_REJECTED: {CATALOG['PROMPT_REJECTED'].message}",
        ),
        (
            lambda: Life(count=4).storing(uris=PARTS, filtered=1),
            e.Stored(2, "h2", (STORED,) * 3),
            "1 of 4 videos were kept back by the safety filter",
        ),
    ],
)
def test_refund_is_one_entry_with_its_reason(before: Callable[[], Life], event: e.Event, description: str) -> None:
    it = before()
    it.hear(event)
    entry = it.entries[-1]
    assert (entry.id, entry.amount, entry.description, entry.job) == ("video_abc-refund", 80, description, "video_abc")
    assert entry.balance_after == it.account.balance


def test_code_without_refund_refunds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CATALOG, "PROMPT_REJECTED", replace(CATALOG["PROMPT_REJECTED"], refund=False))
    it = Life().claimed()
    it.hear(e.StartRejected(0, "h1", "PROMPT_REJECTED", "bad"))
    assert (it.amounts, it.job.refunded) == ([-80], 0)


def test_only_a_verified_email_earns_signup_credits() -> None:
    fresh = Account(id="bob", issuer="i", sub="s", tenant="default", created_at=NOW)
    (unverified,) = ledger.open_account(fresh, False, CONFIG, NOW)
    assert isinstance(unverified, Account)
    assert unverified.balance == 0
    verified, entry = ledger.open_account(fresh, True, CONFIG, NOW)
    assert isinstance(verified, Account)
    assert isinstance(entry, Transaction)
    assert (verified.balance, verified.sequence, entry.id) == (500, 1, "bob-signup")


def test_grant_is_one_entry_named_by_its_key() -> None:
    after, entry = ledger.grant(account(), "grant-k", 70, "thanks", NOW)
    assert isinstance(after, Account)
    assert (after.balance, entry.id) == (570, "grant-k")


def test_balance_never_goes_below_zero() -> None:
    with pytest.raises(AssertionError):
        ledger.post(account(balance=5), "x", "charge", -6, "d", NOW)


@pytest.mark.parametrize("event", [e.SlotRequested(0), e.CancelRequested()])
def test_finishing_without_the_account_is_a_bug(event: e.Event) -> None:
    job = Life().job.changed(stage=Stage.WAITING)
    with pytest.raises(AssertionError):
        decide(job, None, event, NOW, CONFIG)


@pytest.mark.parametrize(
    ("before", "event", "at_s", "needed"),
    [
        (GENERATING, e.StillRunning(1), 0, False),
        (GENERATING, e.StillRunning(1), 900, True),
        (GENERATING, e.CancelRequested(), 0, True),
        (GENERATING, e.GenerationFinished(1, "h", ()), 0, True),
        (GENERATING, e.GenerationFinished(1, "h", PARTS[:1]), 0, False),
        (WAITING, e.SlotRequested(0), 0, True),
        *(
            (changed(COMPLETED, stage=final), event, 10**6, False)
            for final in FINAL
            for event in (e.CancelRequested(), e.DeleteRequested())
        ),
    ],
)
def test_account_is_read_whenever_an_event_may_finish_the_job(
    before: Callable[[], Life], event: e.Event, at_s: float, needed: bool
) -> None:
    assert lifecycle.needs_account(before().job, event, later(at_s), CONFIG) == needed


# --- attempts ---


def test_restart_once_starts_a_second_attempt_and_no_third() -> None:
    it = Life(RESTART).uncertain()
    it.hear(e.NotFoundYet(1), later(360))
    it.claimed(later(361)).hear(e.StartUnknown(it.job.step, "h1"), later(361))
    assert (it.job.stage, it.job.attempt) == (Stage.UNCERTAIN, 2)
    it.hear(e.NotFoundYet(it.job.step), later(361 + 360))
    assert it.job.stage is Stage.FAILED


def test_completed_second_attempt_leaves_the_first_for_removal() -> None:
    it = Life(RESTART).uncertain()
    it.hear(e.NotFoundYet(1), later(360))
    it.storing(later(361)).hear(e.Stored(it.job.step, "h2", (STORED,)), later(362))
    assert (it.job.stage, it.job.due_at) == (Stage.COMPLETED, later(362))
    it.hear(e.CleanedUp(it.job.step, again=False), later(363))
    assert (it.job.files_removed_at, it.job.due_at) == (None, None)


def test_operation_name_after_completion_keeps_the_video() -> None:
    it = Life().uncertain()
    it.hear(e.GenerationFinished(1, "h2", PARTS[:1]))
    it.hear(e.Stored(2, "h2", (STORED,)))
    it.hear(e.Accepted(1, "op-late"))
    assert (it.job.stage, it.job.outputs) == (Stage.COMPLETED, (STORED,))
    it.hear(e.CleanedUp(it.job.step, again=False))
    assert (it.job.files_removed_at, it.job.due_at) == (None, None)


def test_video_that_crashes_every_worker_fails_after_bounded_retries() -> None:
    it, at_s = Life().storing(), 3_700
    for number in range(lifecycle.LAST_TRIES):
        it.hear(e.LeaseRequested(2, f"dead {number}"), later(at_s))
        assert it.job.stage is Stage.STORING
        at_s += lifecycle.LEASE_S
    it.hear(e.LeaseRequested(2, "other"), later(at_s))
    assert it.job.error is not None
    assert it.job.error.reason
    assert (it.job.error.code, it.amounts) == ("STORING_FAILED", [-80, 80])


def test_early_event_prompted_poll_is_repeated_soon() -> None:
    it = Life().claimed()
    it.config = RARELY
    it.hear(e.Accepted(1, "op-1"), later(5))
    change = it.hear(e.StillRunning(1), later(58))
    assert change is not None
    assert change.task is not None
    assert change.task.at == it.job.due_at == next_look(later(5), 60, later(58))
    assert change.task.at < next_look(later(5), 60, later(58), rarely=True)


@pytest.mark.parametrize("at_s", [0, 2, 6, 14, 599, 600])
def test_no_lease_before_retry_after_has_passed(at_s: int) -> None:
    """However often the queue brings the task: after 2, 6, and 14 s."""
    it = then(CLAIMED, e.Deferred(0, "h1", 600.0))()
    assert (it.hear(e.LeaseRequested(1, "h2"), later(at_s)) is not None) == (at_s >= 600)


# --- due times and tasks ---


@pytest.mark.parametrize(
    ("stage", "changes", "due_s"),
    [
        (Stage.WAITING, {}, 21_600),
        (Stage.QUEUED, {"lease": None}, 21_600),
        (Stage.STARTING, {"lease": None}, 21_600),
        (Stage.STARTING, {"lease": lease("h", 130)}, 130),
        (Stage.UNCERTAIN, {}, 370),
        (Stage.UNCERTAIN, {"attempt_started_at": None}, 360),
        (Stage.GENERATING, {}, 910),
        (Stage.STORING, {}, 3_620),
        (Stage.STORING, {"storing_started_at": None}, 3_600),
    ],
)
def test_stages_have_their_own_deadlines(stage: Stage, changes: dict[str, Any], due_s: int) -> None:
    times = {"attempt_started_at": later(10), "storing_started_at": later(20)}
    job = Life().job.changed(**{"stage": stage, **times, **changes})
    assert lifecycle.deadline(job, CONFIG) == later(due_s)


@pytest.mark.parametrize("stage", list(Stage))
def test_every_stage_has_a_deadline(stage: Stage) -> None:
    assert lifecycle.deadline(Life().job.changed(stage=stage, lease=None), CONFIG) > NOW


def test_uncertain_job_waits_for_its_models_longest_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "veo-3.1-fast", replace(MODELS["veo-3.1-fast"], longest_s=500.0))
    assert lifecycle.deadline(Life().uncertain().job, CONFIG) == later(500)


def test_abandoned_generation_is_watched_for_a_day() -> None:
    assert lifecycle.watched_until(Life().claimed(later(7)).job) == later(7 + DAY_S)


def test_removed_model_still_has_a_queue_and_a_maximum() -> None:
    it = Life()
    it.job = it.job.changed(request=it.job.request.model_copy(update={"model": "veo-2"}))
    it.hear(e.TaskLost(0), later(60))
    assert it.job.task.queue == lifecycle.POLL_QUEUE
    it.claimed(later(61)).hear(e.StartUnknown(it.job.step, "h1"), later(61))
    assert lifecycle.deadline(it.job, CONFIG) == later(61 + lifecycle.DEFAULT_LONGEST_S)


def test_task_is_due_with_its_job_in_the_stages_queue() -> None:
    it = Life()
    queues = [it.job.task.queue]
    for event in (e.LeaseRequested(0, "h1"), e.Accepted(1, "op-1"), e.StillRunning(1)):
        it.hear(event)
        queues.append(it.job.task.queue)
    task = lifecycle.current_task(it.job)
    assert (task.ref, task.at, task.path) == (it.job.task, it.job.due_at, "/tasks/step")
    assert task.body == {"job": it.job.id, "step": it.job.step}
    assert queues == ["generate-veo-3-1-fast", "generate-veo-3-1-fast", "poll", "poll"]
    assert [each.ref.name for each in it.tasks if each] == ["abc-0", "abc-1", "abc-2"]


@pytest.mark.parametrize(
    ("before", "overdue_s", "stage", "code", "amounts"),
    [
        (life(), CONFIG.queue_timeout_s, Stage.FAILED, "QUEUE_TIMEOUT", [-80, 80]),
        (CLAIMED, lifecycle.LEASE_S, Stage.UNCERTAIN, None, [-80]),
        (UNCERTAIN, 360, Stage.FAILED, "START_UNCERTAIN", [-80, 80]),
    ],
    ids=["queued", "starting", "uncertain"],
)
def test_overdue_job_is_finished_without_a_delivery(
    before: Callable[[], Life], overdue_s: int, stage: Stage, code: str | None, amounts: list[int]
) -> None:
    it = before()
    job = it.job
    assert it.hear(e.Overdue(job.step), later(overdue_s - 1)) is None
    assert it.hear(e.Overdue(job.step - 1), later(overdue_s)) is None
    change = it.hear(e.Overdue(job.step), later(overdue_s))
    assert change is not None
    assert (it.job.stage, it.job.error and it.job.error.code) == (stage, code)
    assert change.obsolete == job.task
    assert it.amounts == amounts


def test_only_a_step_without_its_delivery_makes_a_task_obsolete() -> None:
    it = Life()
    task = it.job.task
    canceled = it.hear(e.CancelRequested(), later(1))
    assert canceled is not None
    assert canceled.obsolete == task
    claimed = Life().hear(e.LeaseRequested(0, "h1"))
    assert claimed is not None
    assert claimed.obsolete is None
