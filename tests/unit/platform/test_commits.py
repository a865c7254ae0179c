"""Compare and set: what is committed, how often, and what the caller learns of it."""

from __future__ import annotations

import pytest

from shared.core.errors import Conflict, Unavailable
from shared.platform import commits
from shared.platform.commits import Batch
from shared.webhooks.endpoints import WebhookSecret
from shared.webhooks.signing import Secret
from tests.unit.conftest import House


class Counter:
    """A change that is not the same when it is made twice: one secret more each time."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.calls = 0

    async def __call__(self, found: WebhookSecret | None) -> Batch[WebhookSecret]:
        self.calls += 1
        found = found or document(self.house)
        return Batch(found.changed(secrets=(*found.secrets, Secret(value=str(len(found.secrets))))))


def document(house: House) -> WebhookSecret:
    return WebhookSecret(id="ann", tenant="default", secrets=(), created_at=house.clock())


async def stored(house: House) -> WebhookSecret:
    found = await house.services.firestore.get(WebhookSecret, "ann")
    assert found is not None
    return found


async def written_by_another(house: House) -> None:
    found = await house.services.firestore.get(WebhookSecret, "ann") or document(house)
    await house.services.firestore.commit([found.changed(tenant="other", change_id=house.services.ids())])


@pytest.mark.parametrize("there", [False, True])
async def test_lost_commit_answer_is_not_repeated(house: House, there: bool) -> None:
    if there:
        await house.services.firestore.commit([document(house)])
    house.store.lose("commit")
    edited = await commits.edit(house.services, WebhookSecret, "ann", change := Counter(house))
    assert (edited.written, change.calls) == (True, 1)
    assert edited.document == await stored(house)
    assert len(edited.document.secrets) == 1


@pytest.mark.parametrize("error", [Conflict, Unavailable])
async def test_failed_commit_is_decided_again_on_current_data(house: House, error: type[Exception]) -> None:
    await house.services.firestore.commit([document(house)])
    house.store.before("commit", lambda: written_by_another(house))
    house.store.let_pass("commit")
    house.store.fail("commit", error=error)
    edited = await commits.edit(house.services, WebhookSecret, "ann", change := Counter(house))
    assert (edited.document.tenant, len(edited.document.secrets), change.calls) == ("other", 1, 3)


async def test_each_write_has_its_own_change_id(house: House) -> None:
    seen = set()
    for _ in range(3):
        edited = await commits.edit(house.services, WebhookSecret, "ann", Counter(house))
        assert edited.document == await stored(house)
        seen.add(edited.document.change_id)
    assert len(seen - {""}) == 3


@pytest.mark.parametrize("same", [True, False])
async def test_unchanged_document_is_not_written(house: House, same: bool) -> None:
    await house.services.firestore.commit([document(house)])

    async def nothing(found: WebhookSecret | None) -> Batch[WebhookSecret] | None:
        return Batch(found) if same and found is not None else None

    before = house.store.calls["commit"]
    edited = await commits.edit(house.services, WebhookSecret, "ann", nothing)
    assert (edited.written, house.store.calls["commit"]) == (False, before)


async def test_known_document_is_not_read_again(house: House) -> None:
    [known] = await house.services.firestore.commit([document(house)])
    reads = house.store.calls["get"]
    await commits.edit(house.services, WebhookSecret, "ann", Counter(house), known)
    assert house.store.calls["get"] == reads


async def test_callers_error_ends_the_edit(house: House) -> None:
    async def refused(_: WebhookSecret | None) -> Batch[WebhookSecret]:
        raise PermissionError("no")

    with pytest.raises(PermissionError):
        await commits.edit(house.services, WebhookSecret, "ann", refused)
    assert house.store.calls["commit"] == 0


async def test_edit_gives_up_in_bounded_time(house: House) -> None:
    house.store.fail("commit", times=1_000)
    begun = house.clock()
    with pytest.raises(Unavailable, match="webhook_secrets/ann"):
        await commits.edit(house.services, WebhookSecret, "ann", Counter(house))
    assert house.clock() - begun < 2 * commits.TRY_FOR


async def test_document_is_created_once_despite_a_lost_answer(house: House) -> None:
    async def made() -> Batch[WebhookSecret]:
        return Batch(document(house))

    house.store.lose("commit")
    first = await commits.create(house.services, WebhookSecret, "ann", made)
    again = await commits.create(house.services, WebhookSecret, "ann", made)
    assert first == again == await stored(house)
