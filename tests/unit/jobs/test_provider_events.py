"""External events that make a job poll sooner."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest
from starlette.datastructures import Headers

from shared.core.documents import Job, Stage
from shared.core.errors import ApiError
from shared.jobs import provider_events
from shared.platform.provider import Running
from shared.webhooks import signing
from tests.unit.conftest import NOW, SETTINGS, House

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


def signature(raw: bytes, at_s: float, message_id: str = "msg_1", key: bytes = KEY) -> str:
    signed = f"{message_id}.{int(at_s)}.".encode() + raw
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def signed(raw: bytes, at_s: float = NOW.timestamp(), message_id: str = "msg_1", **changes: str) -> Headers:
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at_s)),
        "webhook-signature": signature(raw, at_s, message_id),
    }
    return Headers(headers | {name.replace("_", "-"): value for name, value in changes.items()})


def verified(headers: Headers, raw: bytes = b"{}", secret: str = SECRET, now_s: float = NOW.timestamp()) -> bool:
    try:
        signing.verify(secret, headers, raw, now_s)
    except ApiError as error:
        assert error.code == "UNAUTHENTICATED"
        return False
    return True


# --- the signature ---


def test_signed_event_is_accepted() -> None:
    assert verified(signed(b"{}"))


def test_secret_prefix_is_optional() -> None:
    assert verified(signed(b"{}"), secret=SECRET.removeprefix("whsec_"))


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook_signature": ""},
        {"webhook_signature": "v1,"},
        {"webhook_signature": "v1,AAAA"},
        {"webhook_signature": signature(b"{}", NOW.timestamp(), key=b"other")},
        {"webhook_signature": signature(b"{}", NOW.timestamp()).replace("v1,", "v2,")},
        {"webhook_signature": signature(b"{}", NOW.timestamp()).removeprefix("v1,")},
        {"webhook_signature": "v1,\xe9"},
        {"webhook_id": "msg_2"},
        {"webhook_id": ""},
        {"webhook_timestamp": ""},
        {"webhook_timestamp": "soon"},
        {"webhook_timestamp": "-5"},
        {"webhook_timestamp": "1e9"},
        {"webhook_timestamp": "²"},
        {"webhook_timestamp": str(int(NOW.timestamp()) + 1)},
    ],
)
def test_wrong_signature_is_rejected(changes: dict[str, str]) -> None:
    assert not verified(signed(b"{}", **changes))


# shared/webhooks/signing.py, check_headers: int() refuses numbers of more than 4,300 digits, which becomes a 500.
def test_huge_timestamp_is_rejected() -> None:
    assert not verified(signed(b"{}", webhook_timestamp="1" * 5_000))


def test_tampered_body_is_rejected() -> None:
    assert not verified(signed(b"{}"), raw=b"{ }")


@pytest.mark.parametrize(("age_s", "believed"), [(0, True), (300, True), (301, False), (-300, True), (-301, False)])
def test_event_is_valid_for_5_minutes(age_s: int, believed: bool) -> None:
    assert verified(signed(b"{}"), now_s=NOW.timestamp() + age_s) is believed


def test_one_valid_signature_of_several_suffices_for_rotation() -> None:
    good = signature(b"{}", NOW.timestamp())
    other = signature(b"{}", NOW.timestamp(), key=b"other")
    assert verified(signed(b"{}", webhook_signature=f"{other} {good}"))
    assert verified(signed(b"{}", webhook_signature=f"{good} {other}"))
    assert not verified(signed(b"{}", webhook_signature=f"{other} {other}"))


def test_without_a_secret_every_event_is_rejected() -> None:
    headers = signed(b"{}", webhook_signature=signature(b"{}", NOW.timestamp(), key=b""))
    assert not verified(headers, secret="")


# --- what an event does ---


async def event(house: House, body: Any, message_id: str = "msg_1") -> None:
    services = replace(house.services, settings=SETTINGS.model_copy(update={"gemini_webhook_secret": SECRET}))
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def read() -> bytes:
        return raw

    await provider_events.gemini_event(services, signed(raw, house.clock().timestamp(), message_id), read)


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook_signature": ""},
        {"webhook_signature": "v1,AAAA"},
        {"webhook_signature": "v2," + "A" * 43 + "="},
        {"webhook_id": ""},
        {"webhook_id": "x" * 257},
        {"webhook_timestamp": "soon"},
        {"webhook_timestamp": "1"},
    ],
)
async def test_headers_are_checked_before_the_body_is_read(house: House, changes: dict[str, str]) -> None:
    services = replace(house.services, settings=SETTINGS.model_copy(update={"gemini_webhook_secret": SECRET}))

    async def read() -> bytes:
        pytest.fail("the body was read")

    with pytest.raises(ApiError) as error:
        await provider_events.gemini_event(services, signed(b"{}", house.clock().timestamp(), **changes), read)
    assert error.value.code == "UNAUTHENTICATED"


async def generating(house: House) -> Job:
    house.script(looks=[Running()] * 50)
    return await house.until(await house.submit(await house.sign_up()), "generating")


def hinted(house: House) -> list[str]:
    return [entry.ref.name for entry in house.queue.entries() if "-h" in entry.ref.name]


async def test_event_triggers_a_poll(house: House) -> None:
    job = await generating(house)
    await event(house, {"type": "done", "data": {"id": job.operation}})
    (entry,) = house.queue.due()
    assert (entry.ref.queue, entry.task.body) == ("poll", {"job": job.id, "step": job.step})
    assert entry.ref.name.startswith(f"{job.task.name}-h")


async def test_repeated_event_creates_no_second_task(house: House) -> None:
    job = await generating(house)
    for _ in range(3):
        await event(house, {"data": {"id": job.operation}})
    assert len(hinted(house)) == 1


async def test_another_event_is_another_task(house: House) -> None:
    job = await generating(house)
    for number in range(3):
        await event(house, {"data": {"id": job.operation}}, f"msg_{number}")
    assert len(set(hinted(house))) == 3


async def test_event_content_is_not_trusted(house: House) -> None:
    job = await generating(house)
    await event(house, {"type": "video.completed", "data": {"id": job.operation, "uri": "https://evil"}})
    assert await house.job(job.id) == job


async def test_concurrent_poll_and_event_advance_the_step_once(house: House) -> None:
    job = await generating(house)
    await event(house, {"data": {"id": job.operation}})
    await house.deliver_next()
    assert (await house.job(job.id)).step == job.step + 1
    await house.deliver(job, job.step)
    assert (await house.job(job.id)).step == job.step + 1


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"id": "operations/unknown"}},
        {"data": {"id": ""}},
        {"data": {"id": 7}},
        {"data": {"id": "x" * 513}},
        {"data": {"id": "ä" * 512 + "\U0001f600" * 200}},
        {"data": {"id": "\U0001f600" * 512}},
        {"data": {"id": "half \ud83d"}},
        {"data": {}},
        {"data": []},
        {"data": None},
        {},
        {"type": {"a": "b"}},
    ],
)
async def test_event_of_unknown_job_changes_nothing(house: House, body: Any) -> None:
    await generating(house)
    before = len(house.queue.entries())
    await event(house, body)
    assert len(house.queue.entries()) == before


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "INVALID_JSON"),
        (b"{", "INVALID_JSON"),
        (b"\xff", "INVALID_JSON"),
        (b"[" * 9_000, "INVALID_JSON"),
        (b"[" * 100_000, "INVALID_REQUEST"),
        (b"[]", "INVALID_REQUEST"),
        (b"7", "INVALID_REQUEST"),
    ],
)
async def test_non_object_event_is_rejected(house: House, raw: bytes, code: str) -> None:
    with pytest.raises(ApiError) as error:
        await event(house, raw)
    assert error.value.code == code


async def test_event_after_the_end_creates_no_task(house: House) -> None:
    job = await house.run(await house.submit(await house.sign_up()))
    await event(house, {"data": {"id": job.operation}})
    assert not house.queue.entries()


@pytest.mark.parametrize("stage", list(Stage))
async def test_only_a_polling_job_reacts_to_events(house: House, stage: Stage) -> None:
    job = await generating(house)
    await provider_events.hint(house.services, job.changed(stage=stage), "e")
    assert bool(hinted(house)) == (stage in (Stage.UNCERTAIN, Stage.GENERATING))


# --- the bucket ---


async def finalized(house: House, name: str, generation: str = "1") -> None:
    attributes = {"eventType": "OBJECT_FINALIZE", "objectId": name, "objectGeneration": generation}
    await provider_events.object_finalized(house.services, attributes)


async def test_new_object_triggers_a_poll(house: House) -> None:
    job = await generating(house)
    await finalized(house, f"{job.prefix}sample_0.mp4")
    await finalized(house, f"{job.prefix}sample_0.mp4")
    assert len(hinted(house)) == 1


async def test_new_generation_of_an_object_is_another_event(house: House) -> None:
    job = await generating(house)
    await finalized(house, f"{job.prefix}sample_0.mp4", "1")
    await finalized(house, f"{job.prefix}sample_0.mp4", "2")
    assert len(hinted(house)) == 2


@pytest.mark.parametrize(
    "name",
    [
        "",
        "posters/default/alice/{job}/1/0.jpg",
        "default/alice/{job}",
        "default/bob/{job}/1/0.mp4",
        "other/alice/{job}/1/0.mp4",
        "default/alice/video_unknown/1/0.mp4",
        "default/alice/other/1/0.mp4",
        "default/alice/video_" + "x" * 2_000 + "/1/0.mp4",
        "default/alice/video_\ud83d/1/0.mp4",
    ],
)
async def test_unrelated_object_changes_nothing(house: House, name: str) -> None:
    job = await generating(house)
    await finalized(house, name.format(job=job.id))
    assert hinted(house) == []


async def test_notification_without_a_name_changes_nothing(house: House) -> None:
    await provider_events.object_finalized(house.services, {})
    assert not house.queue.entries()
