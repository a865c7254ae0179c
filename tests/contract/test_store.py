"""What the code relies on of Firestore, and finds in memory too."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

import pytest
from google.api_core.exceptions import GoogleAPICallError

from shared.accounts.chores import Chore
from shared.api.videos import ListVideosQuery
from shared.core import storable
from shared.core.documents import (
    STATUS_OF,
    Account,
    Document,
    Job,
    Lease,
    Output,
    Stage,
    Status,
    TaskRef,
    Transaction,
    VideoRequest,
)
from shared.core.errors import Conflict, NotStorable
from shared.platform.ports import Firestore, Place
from tests.contract.conftest import Database

NOON = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)
OTHERS = "somebody-else"


def a_job(id_: str = "video_a", **changes: Any) -> Job:
    model = changes.pop("model", "veo-3.1-fast")
    request = VideoRequest(
        prompt="a red fox", model=model, seconds=8, aspect_ratio="16:9", resolution="720p", generate_audio=True
    )
    stage = changes.get("stage", Stage.QUEUED)
    job = Job(
        id=id_,
        tenant="default",
        account="ann",
        request=request,
        provider="gemini" if request.model == "omni-flash" else "vertex",
        fingerprint="f",
        status=STATUS_OF[stage],
        stage=stage,
        task=TaskRef(name=f"{id_}-0", queue="poll"),
        due_at=NOON,
        expected_s=60.0,
        cost=80,
        created_at=NOON,
        updated_at=NOON,
        change_id="1",
    )
    return job.changed(**{key: value for key, value in changes.items() if key != "stage"}, stage=stage)


def an_account(**changes: Any) -> Account:
    return Account(id="ann", issuer="i", sub="s", tenant="default", created_at=NOON).changed(**changes)


def an_entry(sequence: int, **changes: Any) -> Transaction:
    return Transaction(
        id=f"t{sequence}",
        account="ann",
        tenant="default",
        type="grant",
        amount=1,
        balance_after=sequence,
        sequence=sequence,
        description="d",
        created_at=NOON,
    ).changed(**changes)


async def saved(store: Firestore, *documents: Document) -> list[Any]:
    return await store.commit(cast(Sequence[Any], documents))


def ids(documents: Sequence[Document]) -> list[str]:
    return [document.id for document in documents]


# --- documents ---


async def test_missing_document_is_none(database: Database) -> None:
    assert await database.store.get(Job, "video_none") is None


async def test_document_round_trips(database: Database) -> None:
    job = a_job(
        stage=Stage.STORING,
        lease=Lease(holder="h", until=NOON + timedelta(seconds=1)),
        outputs=(Output(uri="gs://b/o", size_bytes=7, seconds=8.0),),
        labels={"a.b": "with a dot", "$time": "dollar", "`": "quoted"},
        attempt_started_at=NOON.astimezone(timezone(timedelta(hours=5))),
    )
    [written] = await saved(database.store, job)
    read = await database.store.get(Job, job.id)
    assert read == written
    assert read is not None
    assert read.changed(revision=None) == job
    assert isinstance(read.outputs, tuple)
    assert read.created_at.microsecond == 123456


async def test_document_reads_the_same_in_the_console(database: Database) -> None:
    job = a_job(stage=Stage.STORING, outputs=(Output(uri="gs://b/o", seconds=8.0),), labels={"a.b": "c"})
    await saved(database.store, job)
    fields = await database.console.fields("jobs", job.id)
    expected = _listed(job.model_dump(mode="python", exclude={"id"}))
    assert fields == {name: value for name, value in expected.items() if name in fields}
    assert {name for name in expected if name not in fields} <= Job.absent_when_none
    assert type(fields["stage"]) is str
    assert fields["created_at"].tzinfo is not None


def _listed(value: Any) -> Any:
    """As the console has it: what is a tuple here is a list there."""
    if isinstance(value, dict):
        return {name: _listed(inner) for name, inner in value.items()}
    return [_listed(inner) for inner in value] if isinstance(value, tuple) else value


async def test_revision_is_never_a_field(database: Database) -> None:
    await saved(database.store, an_account())
    first = await database.store.get(Account, "ann")
    assert first is not None
    [second] = await saved(database.store, first.changed(balance=1))
    read = await database.store.get(Account, "ann")
    assert read is not None
    assert read.revision == second.revision != first.revision


async def test_mixed_kinds_are_read_in_order_and_may_be_missing(
    database: Database,
) -> None:
    assert await database.store.get_all([(Job, "video_a"), (Account, "ann")]) == [None, None]
    [job] = await saved(database.store, a_job())
    assert await database.store.get_all([(Job, "video_a"), (Account, "ann")]) == [job, None]
    [account] = await saved(database.store, an_account())
    assert await database.store.get_all([(Account, "ann"), (Job, "video_b"), (Job, "video_a")]) == [account, None, job]


async def test_fields_added_in_the_console_survive_a_write(database: Database) -> None:
    [account] = await saved(database.store, an_account())
    await database.console.edit("accounts", "ann", {"note": "a friend"})
    with pytest.raises(Conflict):
        await saved(database.store, account.changed(balance=1))
    read = await database.store.get(Account, "ann")
    assert read is not None
    [after] = await saved(database.store, read.changed(balance=1))
    await database.console.edit("accounts", "ann", {"note": "a friend"})
    assert (await database.store.get(Account, "ann")) == after, "the note was still there, so nothing changed"


async def test_labels_are_replaced_not_merged(database: Database) -> None:
    [job] = await saved(database.store, a_job(labels={"a": "1", "b": "2"}))
    await saved(database.store, job.changed(labels={"b": "3"}))
    read = await database.store.get(Job, job.id)
    assert read is not None
    assert read.labels == {"b": "3"}


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt_text": "\ud800"},
        {"cost": 2**63},
        {"labels": {"": "x"}},
        {"labels": {"__a__": "x"}},
        {"id": "__a__"},
        {"operation": "x" * storable.MAX_VALUE_BYTES + "x"},
    ],
    ids=["surrogate", "65 bits", "nameless", "reserved", "reserved id", "too long"],
)
async def test_unstorable_document_is_rejected_without_effect(database: Database, changes: dict[str, Any]) -> None:
    job = a_job()
    changes = dict(changes)
    if text := changes.pop("prompt_text", None):
        changes["request"] = job.request.model_copy(update={"prompt": text})
    with pytest.raises(NotStorable):
        await saved(database.store, an_account(), job.changed(**changes))
    assert await database.store.get_all([(Job, job.id), (Account, "ann")]) == [None, None]


def nested(depth: int, lists: bool = False) -> Any:
    """So many maps, or maps and lists by turns, one in another."""
    value: Any = 1
    for level in range(depth):
        value = [value] if lists and level % 2 == 0 else {"a": value}
    return value


# Just inside and just outside of each limit. A document of the database under test is "things/0" to "things/99".
STORED: tuple[Any, ...] = (
    {"\0": "\0\uffff"},
    {"__a": 1, "a__": 1, "___": 1},
    {"k" * 1_498: 1},
    {"k" * 700: {"l" * 797: 1}},
    {"l": "x" * (storable.MAX_VALUE_BYTES - 200)},
    {"m": [1, {"a": [float("nan")]}]},
    {"ints": [2**63 - 1, -(2**63)]},
    nested(19),
    nested(19, lists=True),
    # Names and overheads around it come to 65 bytes, and to one more from "things/10" on.
    {"a": "x" * 500_000, "b": "x" * (storable.MAX_DOCUMENT_BYTES - 500_000 - 65)},
)
REJECTED: tuple[Any, ...] = (
    {"": 1},
    {"__a__": 1},
    {"____": 1, "__a\nb__": 1},
    {"k" * 1_499: 1},
    {"k" * 700: {"l" * 798: 1}},
    {"l": "x" * (storable.MAX_VALUE_BYTES + 1)},
    {"l": b"x" * (storable.MAX_VALUE_BYTES + 1)},
    [[1]],
    [2**63],
    "\ud83d",
    {"\ud83d": 1},
    nested(21),
    nested(21, lists=True),
    {"a": "x" * 500_000, "b": "x" * (storable.MAX_DOCUMENT_BYTES - 500_000 - 65)},
)


async def test_own_storability_check_agrees_with_firestore(database: Database) -> None:
    """The console sends what it is given; the stores ask storable.check() first, so they must agree."""
    for number, value in enumerate(STORED):
        storable.check(f"things/{number}", {"v": value})
        await database.console.edit("things", str(number), {"v": value})
    for number, value in enumerate(REJECTED):
        with pytest.raises(NotStorable):
            storable.check(f"things/{number}", {"v": value})
        try:
            await database.console.edit("things", str(number), {"v": value})
        except (ValueError, GoogleAPICallError):
            continue
        pytest.fail(f"number {number} was stored")


async def test_impossible_id_is_not_found(database: Database) -> None:
    for id_ in ("__a__", "a/b", ".", "..", "", "x" * 1_501, "\ud83d"):
        assert await database.store.get(Job, id_) is None
        assert await database.store.get_all([(Job, id_), (Account, "ann")]) == [None, None]
        assert await database.store.get_many(Job, [id_, "video_a"]) == {}


async def test_no_query_exceeds_an_index(database: Database) -> None:
    assert await database.store.job_of_operation("ä" * 749) is None
    for value in ("x" * 1_500, "\ud83d"):
        with pytest.raises(NotStorable):
            await database.store.job_of_operation(value)


# --- preconditions ---


async def test_new_document_must_not_exist(database: Database) -> None:
    await saved(database.store, an_account(balance=5))
    with pytest.raises(Conflict):
        await saved(database.store, an_account(balance=6))
    read = await database.store.get(Account, "ann")
    assert read is not None
    assert read.balance == 5


async def test_read_document_must_be_unchanged(database: Database) -> None:
    [first] = await saved(database.store, an_account())
    await saved(database.store, first.changed(balance=1))
    with pytest.raises(Conflict):
        await saved(database.store, first.changed(balance=2))
    read = await database.store.get(Account, "ann")
    assert read is not None
    assert read.balance == 1


async def test_read_document_must_still_exist(database: Database) -> None:
    [account] = await saved(database.store, an_account())
    with pytest.raises(Conflict):
        await saved(database.store, account.changed(id="bob", balance=1))
    assert await database.store.get(Account, "bob") is None


@pytest.mark.parametrize("stale_first", [True, False])
async def test_batch_is_all_or_nothing(database: Database, stale_first: bool) -> None:
    [account] = await saved(database.store, an_account())
    await saved(database.store, account.changed(balance=1))
    batch: list[Document] = [account.changed(balance=2), a_job(), an_entry(1)]
    with pytest.raises(Conflict):
        await saved(database.store, *(batch if stale_first else reversed(batch)))
    assert await database.store.get(Job, "video_a") is None
    assert await database.store.get(Transaction, "t1") is None


async def test_new_revisions_are_the_next_preconditions(database: Database) -> None:
    written = await saved(database.store, a_job(), an_account(), an_entry(1))
    assert ids(written) == ["video_a", "ann", "t1"]
    for _ in range(3):
        written = await saved(database.store, written[0].changed(step=written[0].step + 1), written[1])
    assert await database.store.get_all([(Job, "video_a"), (Account, "ann")]) == written[:2]
    job = await database.store.get(Job, "video_a")
    assert job is not None
    assert job.step == 3


async def test_unchanged_write_keeps_the_revision_and_admits_a_second_writer(
    database: Database,
) -> None:
    [first] = await saved(database.store, an_account())
    [again] = await saved(database.store, first)
    assert again.revision == first.revision
    await saved(database.store, first.changed(balance=1))


async def test_only_changed_documents_of_a_batch_get_a_new_revision(database: Database) -> None:
    job, account = await saved(database.store, a_job(), an_account())
    new_job, same_account = await saved(database.store, job.changed(step=1), account)
    assert new_job.revision != job.revision
    assert same_account.revision == account.revision


async def test_integer_and_float_are_different_writes(database: Database) -> None:
    await database.console.edit("accounts", "ann", an_account(balance=1).model_dump(exclude={"id"}))
    first = await database.store.get(Account, "ann")
    await database.console.edit("accounts", "ann", {"balance": 1.0})
    second = await database.store.get(Account, "ann")
    assert first is not None
    assert second is not None
    assert first.revision != second.revision


async def test_empty_batch_succeeds(database: Database) -> None:
    assert await database.store.commit([]) == []


async def test_unchanged_document_can_be_deleted(database: Database) -> None:
    [first] = await saved(database.store, an_account())
    [second] = await saved(database.store, first.changed(balance=1))
    with pytest.raises(Conflict):
        await database.store.commit([a_job()], removed=[first])
    assert await database.store.get(Job, "video_a") is None
    assert len(await database.store.commit([a_job()], removed=[second])) == 1
    assert await database.store.get(Account, "ann") is None
    assert await database.store.get(Job, "video_a") is not None
    with pytest.raises(Conflict):
        await database.store.commit([], removed=[second])
    await saved(database.store, an_account(balance=2))


async def test_one_of_many_writers_of_a_revision_wins(database: Database) -> None:
    [account] = await saved(database.store, an_account())
    tries = [saved(database.store, account.changed(balance=n + 1)) for n in range(8)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    won = [result[0] for result in results if not isinstance(result, BaseException)]
    assert len(won) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 7
    assert await database.store.get(Account, "ann") == won[0]


# --- jobs that are due ---


async def test_due_jobs_are_ordered_by_due_time_then_id(database: Database) -> None:
    jobs = [
        a_job(f"video_{name}", due_at=NOON + timedelta(seconds=at))
        for name, at in zip("dbac", [2, 1, 1, 9], strict=True)
    ]
    await saved(database.store, *jobs)
    due = await database.store.due(Job, NOON + timedelta(seconds=9), None, 10)
    assert ids(due) == ["video_a", "video_b", "video_d"], "a job due at the very moment is not before it"


async def test_due_jobs_are_paged(database: Database) -> None:
    await saved(database.store, *(a_job(f"video_{n}", due_at=NOON + timedelta(seconds=n // 3)) for n in range(7)))
    before, last, seen = NOON + timedelta(days=1), None, []
    while page := await database.store.due(Job, before, last, 2):
        assert len(page) <= 2
        seen += ids(page)
        last = Place.of(page[-1], "due_at")
    assert seen == [f"video_{n}" for n in range(7)]


async def test_job_without_due_at_is_never_due(database: Database) -> None:
    [job] = await saved(database.store, a_job())
    await saved(database.store, a_job("video_b", due_at=None), job.changed(due_at=None))
    assert await database.store.due(Job, NOON + timedelta(days=1), None, 10) == []
    read = await database.store.get(Job, job.id)
    assert read is not None
    assert read.due_at is None


async def test_due_at_is_absent_rather_than_null_in_its_index(database: Database) -> None:
    new, changed = await saved(database.store, a_job(due_at=None), a_job("video_b"))
    await saved(database.store, changed.changed(due_at=None))
    for job in (new, changed):
        fields = await database.console.fields("jobs", job.id)
        assert "due_at" not in fields
        assert fields["deleted_at"] is None, "what is asked for by equality with null must be there"


async def test_due_at_can_return(database: Database) -> None:
    [job] = await saved(database.store, a_job(due_at=None))
    await saved(database.store, job.changed(due_at=NOON))
    assert ids(await database.store.due(Job, NOON + timedelta(days=1), None, 10)) == [job.id]


@pytest.mark.parametrize("value", [None, "2020-01-01", 0, True], ids=repr)
async def test_due_at_of_another_type_is_ignored(database: Database, value: object) -> None:
    await saved(database.store, a_job())
    await database.console.edit("jobs", "video_a", {"due_at": value})
    assert await database.store.due(Job, NOON + timedelta(days=1), None, 10) == []


async def test_due_documents_of_any_kind_are_listed_like_jobs(database: Database) -> None:
    def a_chore(number: int, at: int | None) -> Chore:
        due_at = NOON + timedelta(seconds=at) if at is not None else None
        task = TaskRef(name=f"{number}-0", queue="poll")
        return Chore(
            id=f"export_{number}",
            tenant="default",
            account="ann",
            task=task,
            due_at=due_at,
            kind="export",
            phase="account",
            created_at=NOON,
        )

    await saved(database.store, a_job(), *(a_chore(n, at) for n, at in enumerate([2, 1, 1, 9, None])))
    before, last, seen = NOON + timedelta(seconds=9), None, []
    while page := await database.store.due(Chore, before, last, 2):
        seen += ids(page)
        last = Place.of(page[-1], "due_at")
    assert seen == ["export_1", "export_2", "export_0"]


async def test_expired_jobs_are_ordered_by_expiry(database: Database) -> None:
    hours = {"a": 2, "b": 1, "c": 9, "d": None}
    jobs = [
        a_job(f"video_{name}", expires_at=None if hour is None else NOON + timedelta(hours=hour))
        for name, hour in hours.items()
    ]
    await saved(database.store, *jobs)
    expired = await database.store.expired_jobs(NOON + timedelta(hours=9), None, 10)
    assert ids(expired) == ["video_b", "video_a"]
    assert ids(await database.store.expired_jobs(NOON + timedelta(days=1), None, 2)) == ["video_b", "video_a"]
    last = Place.of(expired[-1], "expires_at")
    assert ids(await database.store.expired_jobs(NOON + timedelta(days=1), last, 2)) == ["video_c"]


async def test_batch_read_omits_missing_and_invalid_documents(
    database: Database,
) -> None:
    await saved(database.store, a_job(), a_job("video_b"), a_job("video_c"))
    await database.console.edit("jobs", "video_c", {"step": "seven"})
    found = await database.store.get_many(Job, ["video_b", "video_none", "video_a", "video_c", "video_b"])
    assert {id_: job.id for id_, job in found.items()} == {"video_a": "video_a", "video_b": "video_b"}
    assert (await database.store.commit([found["video_a"].changed(version=7)]))[0].version == 7
    assert await database.store.get_many(Job, []) == {}


async def test_expired_documents_of_any_kind_are_listed_like_jobs(database: Database) -> None:
    chores = [
        Chore(
            id=f"export_{name}",
            tenant="t",
            account="ann",
            task=TaskRef(name=name, queue="poll"),
            due_at=None,
            kind="export",
            phase="account",
            created_at=NOON,
            expires_at=None if hour is None else NOON + timedelta(hours=hour),
        )
        for name, hour in {"a": 2, "b": 1, "c": 9, "d": None}.items()
    ]
    await saved(database.store, *chores)
    found = await database.store.expired(Chore, NOON + timedelta(hours=9), 10)
    assert ids(found) == ["export_b", "export_a"]
    await database.store.commit([], removed=found)
    assert await database.store.expired(Chore, NOON + timedelta(hours=9), 10) == []


# --- history ---


async def history(database: Database, **query: Any) -> list[str]:
    after = query.pop("after", None)
    # The form of the cursor is the API's to check; the store takes any id.
    asked = ListVideosQuery(**query).model_copy(update={"after": after})
    return ids(await database.store.list_jobs("default", "ann", asked))


async def test_history_is_newest_first_then_by_id(database: Database) -> None:
    ages = {"c": 0, "a": 1, "d": 0, "b": 1}
    await saved(
        database.store, *(a_job(f"video_{name}", created_at=NOON - timedelta(days=age)) for name, age in ages.items())
    )
    assert await history(database) == ["video_d", "video_c", "video_b", "video_a"]
    assert await history(database, order="asc") == ["video_a", "video_b", "video_c", "video_d"]


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_history_pages_neither_repeat_nor_miss(database: Database, order: str) -> None:
    await saved(database.store, *(a_job(f"video_{n}", created_at=NOON + timedelta(seconds=n // 3)) for n in range(7)))
    seen: list[str] = []
    while page := await history(database, order=order, limit=2, **({"after": seen[-1]} if seen else {})):
        assert len(page) <= 3, "one more than the limit tells that there is more"
        seen += page[:2]
    expected = [f"video_{n}" for n in range(7)]
    assert seen == (expected if order == "asc" else expected[::-1])


async def test_history_holds_only_the_accounts_own_jobs(database: Database) -> None:
    await saved(
        database.store,
        a_job(),
        a_job("video_b", account=OTHERS),
        a_job("video_c", tenant="another"),
        a_job("video_d", deleted_at=NOON),
    )
    assert await history(database) == ["video_a"]


async def test_history_after_another_accounts_job_is_empty(database: Database) -> None:
    await saved(database.store, a_job(), a_job("video_b", account=OTHERS, created_at=NOON + timedelta(days=1)))
    assert await history(database, after="video_b") == []
    assert await history(database, after="video_none") == []


async def test_history_continues_after_a_deleted_job(database: Database) -> None:
    first, second = await saved(database.store, a_job(), a_job("video_b", created_at=NOON - timedelta(days=1)))
    await saved(database.store, first.changed(deleted_at=NOON))
    assert await history(database, after=first.id) == [second.id]


async def test_history_can_be_filtered(database: Database) -> None:
    await saved(
        database.store,
        a_job("video_a", stage=Stage.COMPLETED, project="p"),
        a_job("video_b", model="omni-flash"),
        a_job("video_c", project="q"),
    )
    assert await history(database, status=Status.COMPLETED) == ["video_a"]
    assert await history(database, model="omni-flash") == ["video_b"]
    assert await history(database, project="q") == ["video_c"]


async def test_history_can_be_filtered_by_half_open_date_range(database: Database) -> None:
    start = int(NOON.timestamp()) + 10
    moments = [datetime.fromtimestamp(start + n, UTC) for n in range(4)]
    await saved(database.store, *(a_job(f"video_{n}", created_at=moment) for n, moment in enumerate(moments)))
    narrowed = await history(database, created_after=start + 1, created_before=start + 3, order="asc")
    assert narrowed == ["video_1", "video_2"]
    assert await history(database, created_after=start + 1, after="video_3") == ["video_2", "video_1"]


async def test_job_without_the_filtered_field_is_omitted(database: Database) -> None:
    await saved(database.store, a_job(), a_job("video_b"))
    await database.console.drop_field("jobs", "video_b", "deleted_at")
    assert await history(database) == ["video_a"]


# --- ledger, operations, settings ---


async def test_ledger_is_newest_first_in_pages(database: Database) -> None:
    await saved(database.store, *(an_entry(n) for n in range(1, 6)), an_entry(9, account=OTHERS))
    first = await database.store.list_transactions("default", "ann", None, 2)
    assert ids(first) == ["t5", "t4", "t3"]
    assert ids(await database.store.list_transactions("default", "ann", "t4", 2)) == ["t3", "t2", "t1"]
    assert ids(await database.store.list_transactions("default", "ann", "t1", 2)) == []
    assert ids(await database.store.list_transactions("default", "ann", "t9", 2)) == []
    assert ids(await database.store.list_transactions("another", "ann", None, 2)) == []


async def test_entry_without_a_sequence_is_not_in_the_ledger(database: Database) -> None:
    await saved(database.store, an_entry(1), an_entry(2))
    await database.console.drop_field("credit_transactions", "t2", "sequence")
    assert ids(await database.store.list_transactions("default", "ann", None, 2)) == ["t1"]


async def test_ledger_is_counted_and_summed(database: Database) -> None:
    assert await database.store.ledger_totals("ann") == (0, 0)
    amounts = {1: 500, 2: -80, 3: 80}
    await saved(database.store, *(an_entry(n, amount=amount) for n, amount in amounts.items()))
    await saved(database.store, an_entry(9, account=OTHERS))
    assert await database.store.ledger_totals("ann") == (3, 500)
    await database.console.edit("credit_transactions", "t3", {"amount": "eighty"})
    assert await database.store.ledger_totals("ann") == (3, 420), "only numbers are added up"
    await database.console.drop_field("credit_transactions", "t2", "amount")
    assert await database.store.ledger_totals("ann") == (2, 500), "without the field it is not even counted"


async def test_ended_jobs_are_ordered_by_end_within_their_range(database: Database) -> None:
    ends = {"a": 0, "b": 2, "c": 1, "d": 1, "e": 3}
    jobs = [
        a_job(f"video_{name}", completed_at=NOON + timedelta(hours=at), account=f"of-{name}", tenant=f"of-{name}")
        for name, at in ends.items()
    ]
    await saved(database.store, *jobs, a_job("video_unfinished"))
    last, seen = None, []
    while page := await database.store.ended_jobs(NOON, NOON + timedelta(hours=3), last, 2):
        assert len(page) <= 2
        seen += ids(page)
        last = page[-1]
    assert seen == ["video_a", "video_c", "video_d", "video_b"], "from the first moment to before the last"


async def test_jobs_are_counted_by_status(database: Database) -> None:
    assert await database.store.count_jobs(Status.QUEUED) == 0
    stages = (Stage.WAITING, Stage.STARTING, Stage.STORING, Stage.FAILED)
    await saved(database.store, *(a_job(f"video_{stage}", stage=stage, tenant=stage) for stage in stages))
    assert await database.store.count_jobs(Status.QUEUED) == 2
    assert await database.store.count_jobs(Status.IN_PROGRESS) == 1


async def test_accounts_are_paged_by_id(database: Database) -> None:
    await saved(database.store, *(an_account(id=id_) for id_ in ("b", "_", "A", "a", "-")))
    last, seen = None, []
    while page := await database.store.accounts(last, 2):
        assert len(page) <= 2
        seen += ids(page)
        last = page[-1].id
    assert seen == ["-", "A", "_", "a", "b"]


async def test_job_is_found_by_its_operation(database: Database) -> None:
    await saved(database.store, a_job(operation="op/1"), a_job("video_b", operation="op/2"), a_job("video_c"))
    found = await database.store.job_of_operation("op/2")
    assert found is not None
    assert found.id == "video_b"
    assert await database.store.job_of_operation("op/3") is None


async def test_settings_are_read_unchanged(database: Database) -> None:
    assert await database.store.read_config("video") == {}
    values = {"signup_credits": 7, "enabled": False, "message": "back soon", "models": {"omni-flash": 2.5}, "l": [1]}
    await database.console.edit("config", "video", values)
    read = await database.store.read_config("video")
    assert read == values
    read["models"]["omni-flash"] = 0
    assert await database.store.read_config("video") == values, "what a caller does with them changes nothing"


async def test_newest_of_a_kind_are_listed_by_equality_in_pages(database: Database) -> None:
    minutes = {"a": 0, "b": 2, "c": 2, "d": 1}
    await saved(
        database.store,
        *(an_account(id=name, created_at=NOON + timedelta(minutes=minute)) for name, minute in minutes.items()),
        an_account(id="e", tenant="other"),
    )
    first = await database.store.newest(Account, {"tenant": "default"}, None, 2)
    assert ids(first) == ["c", "b"]
    assert ids(await database.store.newest(Account, {"tenant": "default"}, first[-1], 9)) == ["d", "a"]
