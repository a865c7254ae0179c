"""docs/privacy.md says of every field of every document what deleting does to it, and deleting does just that."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import shared
from shared.accounts import api_keys, deletion, exports, verification
from shared.accounts.chores import Chore
from shared.accounts.verification import SignupMarker
from shared.admin import users
from shared.api.api_keys import NewApiKey
from shared.api.projects import NewProject
from shared.api.users import GrantCredits
from shared.api.webhooks import NewWebhookEndpoint
from shared.core.documents import Document, Extends, Input, Job, JobError, VideoRequest, Warned
from shared.gateways import firestore_documents
from shared.jobs import queries
from shared.maintenance import sweeper
from shared.platform import durable_tasks
from shared.platform.identity import Caller
from shared.platform.provider import Rejected
from shared.webhooks import endpoints
from shared.webhooks.deliveries import Delivery
from shared.workspace import projects
from tests.unit.conftest import House

PAGE = Path(__file__).parents[3] / "docs" / "privacy.md"
ACCOUNT = "a" * 22
# Stands in every text that is the user's; nothing of it may be left.
MARK = "zanzibar"
TREATMENTS = {"removed", "kept", "hashed", "engine"}
# Of the installation as a whole: each of its fields is a live setting, or learned about models.
WHOLE = {"config"}

for module in pkgutil.walk_packages(shared.__path__, "shared."):
    importlib.import_module(module.name)


def kinds(base: type[Document] = Document) -> Iterator[type[Document]]:
    for kind in base.__subclasses__():
        if hasattr(kind, "collection"):
            yield kind
        yield from kinds(kind)


def paths(kind: type[Document]) -> set[str]:
    """The kind's fields; of a job's request each by itself."""
    names = set(kind.model_fields) - {"revision"}
    if kind is Job:
        names = names - {"request"} | {f"request.{name}" for name in VideoRequest.model_fields}
    return names


def cells(heading: str) -> Iterator[list[str]]:
    section = PAGE.read_text().split(f"\n### {heading}", 1)[1].split("\n### ", 1)[0]
    for line in section.splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in line.strip().strip("|").split("|")]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def table() -> dict[str, dict[str, str]]:
    """collection -> field -> what deleting the account does to it."""
    found: dict[str, dict[str, str]] = {"jobs": {f: row[2] for row in cells("Videos") for f in named(row[0])}}
    for document, fields, treatment, _ in cells("Everything else"):
        found.setdefault(named(document)[0], {}).update(dict.fromkeys(named(fields) or [fields], treatment))
    return found


def of_video() -> dict[str, str]:
    """field -> what deleting the video does to it."""
    return {field: row[1] for row in cells("Videos") for field in named(row[0])}


TABLE = table()


@pytest.mark.parametrize("kind", [kind for kind in kinds() if kind.collection not in WHOLE], ids=lambda k: k.__name__)
def test_table_has_every_field_of_every_document(kind: type[Document]) -> None:
    listed = TABLE.get(kind.collection, {})
    assert set(listed) == paths(kind), f"docs/privacy.md says what deleting an account does to each of {kind.__name__}"


def test_table_has_no_unknown_documents_or_terms() -> None:
    assert set(TABLE) == {kind.collection for kind in kinds()}
    said = {
        part.rpartition(": ")[2] for fields in TABLE.values() for cell in fields.values() for part in cell.split(";")
    }
    assert said | set(of_video().values()) <= TREATMENTS


# --- a full database ---


def filled(job: Job) -> Job:
    """The job with something of its user's in every field that can hold it."""
    picture = Input(
        role="first_frame",
        object=f"inputs/2026-11-20/default/{ACCOUNT}/{job.id}/{MARK}/0.png",
        content_type="image/png",
        size_bytes=1,
        crc32c="AAAAAA==",
        width_px=1,
        height_px=1,
    )
    request = job.request.model_copy(
        update={
            "prompt": MARK,
            "negative_prompt": MARK,
            "seed": 42,
            "inputs": (picture,),
            "extends": Extends(job="video_x", object=MARK, size_bytes=1, seconds=1.0),
        }
    )
    return job.changed(
        request=request,
        fingerprint=f"fingerprint of {MARK}",
        operation=f"operations/{MARK}",
        hinted_operation=f"operations/{MARK}",
        filter_reason=MARK,
        error=JobError(code="PROVIDER_ERROR", message="m", reason=MARK),
        project=MARK,
        labels={MARK: MARK},
        warnings=(Warned(code="SIZE_CHANGED", message=MARK),),
        idempotency_key=MARK,
        webhook_url=f"https://{MARK}.example.com/",
        last_viewed_at=job.created_at,
    )


async def populate(house: House) -> Caller:
    """An account with something in every field of every document that it can have."""
    caller = await house.sign_up(
        ACCOUNT,
        sub=f"sub-{MARK}",
        email=f"{MARK}@example.com",
        email_as_of=house.clock(),
        valid_since=house.clock(),
        display_name=MARK,
        locale="de",
        refunded_starts_day="2026-11-20",
        refunded_starts=1,
    )
    marker = verification.marker_id("default", f"{MARK}@example.com")
    await house.store.commit([SignupMarker(id=marker, tenant="default", created_at=house.clock())])
    admin = await house.sign_up("admin", role="admin")
    await house.fund()
    await users.grant(house.services, admin, ACCOUNT, GrantCredits(amount=500, description=f"for {MARK}"), "key")
    await house.store.commit([(await house.account(ACCOUNT)).changed(role="admin")])
    await projects.make(house.services, replace(caller, role="admin"), NewProject(id="p", title="The tenant's project"))
    for _ in range(2):
        done = await house.run(await house.submit(caller, prompt=MARK))
        await house.store.commit([filled(await house.job(done.id))])
    deleted, *_ = house.store.documents(Job)
    await queries.delete(house.services, caller, deleted.id)
    await drain(house)
    await api_keys.make(house.services, caller, NewApiKey(name=MARK, scope="write"))
    endpoint = await endpoints.make(
        house.services, caller, NewWebhookEndpoint(url=f"https://{MARK}.example.com/", description=MARK)
    )
    await endpoints.secret_of(house.services, caller.tenant, caller.account)
    house.internet.answers.extend([500] * 100)
    await house.until(await house.submit(caller, prompt=MARK), "completed")
    await exports.start(house.services, caller)
    for _ in range(12):
        await house.deliver_next()
    await endpoints.disable(house.services, endpoint, "its server answered 410 Gone")
    house.script(creates=[Rejected("PROMPT_REJECTED", f"The provider will not make {MARK}")])
    await house.until(await house.submit(caller, prompt=MARK), "failed")
    house.script()
    await house.until(await house.submit(caller, prompt=MARK, webhook_url=f"https://{MARK}.example.com/"), "generating")
    await house.submit(caller, prompt=MARK)
    return caller


async def drain(house: House, hours: int = 1) -> None:
    """Deliver all that is due within so many hours, with a sweep at the end."""
    until = house.clock() + timedelta(hours=hours)
    while (at := house.queue.next_at()) is not None and at <= until:
        await house.deliver_next()
    house.clock.advance(122)
    await sweeper.sweep(house.services)
    await durable_tasks.sweep(house.services, Chore, Delivery)


def flat(document: Document) -> dict[str, Any]:
    values = {name: getattr(document, name) for name in type(document).model_fields if name != "revision"}
    if isinstance(document, Job):
        request = values.pop("request")
        values |= {f"request.{name}": getattr(request, name) for name in VideoRequest.model_fields}
    return values


def database(house: House) -> dict[str, dict[str, dict[str, Any]]]:
    return {
        kind.collection: {document.id: flat(document) for document in house.store.documents(kind)}
        for kind in kinds()
        if kind.collection not in WHOLE
    }


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any] | None, treatments: Mapping[str, str]
) -> Iterator[str]:
    """Where a document is not what the table says."""
    for name, treatment in treatments.items():
        value = after[name] if after is not None else None
        if treatment == "removed" and value not in (None, "", (), {}, 0, False):
            yield f"{name} is still {value!r}"
        elif treatment == "kept" and (after is None or value != before[name]):
            yield f"{name} was {before[name]!r} and is {value!r}"
        elif treatment == "hashed" and not str(value).startswith("sha256:"):
            yield f"{name} is {value!r}"
        elif treatment == "engine" and after is None:
            yield f"{name} is gone"


def treatments_of(collection: str, document: Mapping[str, Any]) -> dict[str, str]:
    """What the table says of one document, where it distinguishes between them; another account's is kept."""
    owner = document["id"] if collection == "accounts" else document.get("account", ACCOUNT)
    if owner != ACCOUNT:
        return dict.fromkeys(TABLE[collection], "kept")
    cases = {"grant": "grants", "export": "exports", "erasure": "the deletion"}
    case = cases.get(str(document.get("kind") or document.get("type")), "others")
    found = {}
    for field, cell in TABLE[collection].items():
        options = dict(part.strip().split(": ") for part in cell.split(";")) if ": " in cell else {case: cell}
        found[field] = options[case]
    return found


async def test_account_deletion_matches_the_table(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    caller = await populate(house)
    started = await deletion.start(house.services, caller)
    before = database(house)
    unfinished = {id_ for id_, job in before["jobs"].items() if job["completed_at"] is None}
    for _ in range(30):
        await drain(house)
    after = database(house)
    assert after["chores"][started.id]["status"] == "completed"
    found = [
        f"{collection}: {said}"
        for collection, documents in before.items()
        for id_, document in documents.items()
        # Work in progress ended by itself.
        for said in differences(document, after[collection].get(id_), treatments_of(collection, document))
        if not (id_ in unfinished and said.split()[0] in ENDED)
    ]
    assert found == []
    assert MARK not in json.dumps(house.store.snapshot())
    assert await house.files() == []
    assert set(after["jobs"]) == set(before["jobs"])
    # The logs of all that time name no person either.
    assert MARK not in capsys.readouterr().out
    house.check()


ENDED = {"status", "stage", "refunded", "completed_at", "started_at", "attempt", "attempt_started_at"}


async def test_fixture_fills_every_field_that_is_removed(house: House) -> None:
    await populate(house)
    stored = database(house)
    empty = {
        f"{collection}.{field}"
        for collection, fields in TABLE.items()
        for field, treatment in fields.items()
        if "removed" in treatment and not any(document[field] for document in stored.get(collection, {}).values())
    }
    assert empty <= NEVER_FULL


# Times of an end that these never had: a key that expires, an endpoint that is paused, a delivered message.
NEVER_FULL = {
    "api_keys.expires_at",
    "api_keys.revoked_at",
    "api_keys.last_used_at",
    "webhook_endpoints.failing_since",
    "webhook_endpoints.paused_until",
    "webhook_endpoints.pauses",
    "webhook_endpoints.pinged_at",
    "deliveries.delivered_at",
    "deliveries.last_error",
    "deliveries.last_status",
    "deliveries.redelivered_at",
    "chores.cursor",
}


async def test_video_deletion_matches_the_table(house: House) -> None:
    caller = await house.sign_up(ACCOUNT)
    done = await house.run(await house.submit(caller, prompt=MARK))
    await house.store.commit([filled(await house.job(done.id))])
    before = flat(await house.job(done.id))
    await queries.delete(house.services, caller, done.id)
    for _ in range(30):
        await drain(house)
    tombstone = flat(await house.job(done.id))
    assert list(differences(before, tombstone, of_video())) == []
    left = {name: value for name, value in tombstone.items() if name != "fingerprint"}
    assert MARK not in str(left)
    assert not any(done.id in name for name in await house.files())


def test_invalid_document_is_logged_without_its_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        firestore_documents.readable(Job, "video_a", {"tenant": {"of": MARK}, "request": {"prompt": MARK}}, None)
        is None
    )
    logged = capsys.readouterr().out
    assert "tenant: " in logged
    assert MARK not in logged
