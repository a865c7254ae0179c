"""An administrator edits the live settings while jobs run, rightly and wrongly: nothing breaks, prices are right."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from google.cloud import firestore

from shared.core import pricing
from shared.core.documents import Job, Stage
from shared.core.errors import ApiError
from shared.core.live_config import KEPT_FOR
from shared.gateways.firestore import GoogleFirestore
from shared.gateways.live_settings import StoredLiveSettings
from shared.platform.identity import Caller
from shared.platform.provider import Failed, Throttled
from shared.platform.settings import Settings
from testing import invariants
from testing.cloud import Cloud, User
from testing.console import Console
from testing.processes import Processes
from tests.reliability.conftest import WIDEST, SettingsEdits
from tests.unit.conftest import House

SEEDS = range(20)
EDITS = 60
OMNI = {"model": "omni-flash", "seconds": 3, "resolution": "360p"}

# What the Firestore console lets one type, and no setting takes.
WRONG: tuple[Any, ...] = (
    None,
    "much",
    "",
    -1,
    2**63 - 1,
    1e308,
    float("nan"),
    float("inf"),
    b"\x00\xff",
    datetime(2026, 1, 1, tzinfo=UTC),
    [1, 2],
    {"nested": {"deeply": {"nested": [1, {"a": None}]}}},
)
# The memory store has no such type.
WRONG_IN_FIRESTORE = (*WRONG, firestore.GeoPoint(1, 2))
RIGHT: dict[str, tuple[Any, ...]] = {
    "credits_per_second": (0, 1, 7, 10, 500),
    "credits_per_second_by_model": ({}, {"omni-flash": 3}, {"veo-3.1": 0, "unheard-of": 9}),
    "active_jobs_limit": (0, 1, 3, 500),
    "generation_timeout_s": (60, 900, 86_400),
    "storing_timeout_s": (60, 3_600),
    "queue_timeout_s": (60, 21_600),
    "uncertain_policy": ("at_most_once", "restart_once"),
    "cancel_refund": ("by_model", "full", "none"),
    "retention_days": (1, 365),
    "enabled": (True, False),
    "message": ("", "back at noon"),
    "rollout_percent": (0, 50, 100),
    "signup_credits": (0, 500),
}


class Administrator:
    """Edits the document at random; what was right stays until it is edited again."""

    def __init__(self, house: House, randomness: random.Random) -> None:
        self._house = house
        self._random = randomness
        self._document: dict[str, Any] = {}

    def edit(self) -> None:
        name = self._random.choice([*RIGHT, "no_such_setting"])
        match self._random.randrange(5):
            case 0:
                self._document.pop(name, None)
            case 1 | 2:
                self._document[name] = self._random.choice(WRONG)
            case 3 | 4:
                self._document[name] = self._random.choice(RIGHT.get(name, WRONG))
        if self._random.random() < 0.05:
            self._document = {}
        self._house.store.edit_config("video", dict(self._document))
        times = {"omni-flash": self._random.choice((2.0, 60.0, *WRONG))}
        self._house.store.edit_config("expected_times", times)


@pytest.mark.parametrize("seed", SEEDS)
async def test_jobs_run_through_random_edits_at_their_submission_price(
    house: House, small_video: bytes, seed: int
) -> None:
    randomness = random.Random(seed)
    house.omni.video = small_video
    house.script(creates=(Throttled("full"),), looks=(Failed("PROVIDER_ERROR", "for a short life"),))
    house.with_stored_config()
    # Where no valid values were ever read, nothing would be accepted after the first invalid edit.
    await house.services.live_settings.get()
    administrator = Administrator(house, randomness)
    caller = await house.sign_up()
    await _give(house, caller)
    for _ in range(EDITS):
        administrator.edit()
        house.clock.advance(randomness.choice((1, 20, 61)))
        await _try_to_submit(house, caller)
        for _ in range(randomness.randrange(4)):
            await house.deliver_next()
        _check(house)
    house.store.edit_config("video", {})
    house.clock.advance(KEPT_FOR.total_seconds())
    while await house.deliver_next():
        pass
    assert {job.stage for job in house.store.documents(Job)} <= {Stage.FAILED, Stage.COMPLETED}
    _check(house)


async def _try_to_submit(house: House, caller: Caller) -> None:
    config = await house.services.live_settings.get()
    try:
        job = await house.submit(caller)
    except ApiError as refusal:
        assert refusal.code in ("GENERATION_DISABLED", "TOO_MANY_ACTIVE_JOBS", "INSUFFICIENT_CREDITS")
        return
    assert job.cost == pricing.cost(job.request, config)


async def _give(house: House, caller: Caller) -> None:
    await house.give(caller.account, 1_000_000)


def _check(house: House) -> None:
    invariants.check(house.records(), WIDEST, house.read)


@pytest.mark.parametrize("wrong", [value for value in WRONG if value is not None], ids=repr)
async def test_wrong_value_is_one_error_however_often_it_is_read(house: House, capsys: Any, wrong: Any) -> None:
    house.with_stored_config()
    house.store.edit_config("video", {"credits_per_second": 7})
    await house.services.live_settings.get()
    house.store.edit_config("video", {"credits_per_second": wrong})
    capsys.readouterr()
    for _ in range(10):
        house.clock.advance(KEPT_FOR.total_seconds())
        assert (await house.services.live_settings.get()).credits_per_second == 7
    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (error,) = [entry for entry in logged if entry["message"] == "config_not_valid"]
    assert error["severity"] == "ERROR"
    assert "credits_per_second" in error["error"]


# --- the real Firestore's types, and the real functions ---


@pytest.fixture
def defaults_afterwards(console: Console, live: SettingsEdits) -> Iterator[None]:
    yield
    console.remove_config()
    live.forget()


@pytest.mark.usefixtures("defaults_afterwards")
def test_any_firestore_value_falls_back_to_the_last_good_one(
    cloud: Cloud, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", cloud.session["firestore"])
    settings = Settings(google_cloud_project=cloud.session["project"], bucket="any")
    now = datetime.now(UTC)

    async def read_all() -> None:
        nonlocal now
        config = StoredLiveSettings(settings, GoogleFirestore(settings), lambda: now)
        for value in WRONG_IN_FIRESTORE:
            for good in (5, 6):
                console.edit_config({"retention_days": good, "credits_per_second_by_model": {"veo-3.1": good}})
                now += KEPT_FOR
                assert (await config.get()).retention_days == good
            console.edit_config({"retention_days": value, "credits_per_second_by_model": {"veo-3.1": value}})
            now += KEPT_FOR
            read = await config.get()
            assert (read.retention_days, read.credits_per_second_by_model) == (6, {"veo-3.1": 6})

    asyncio.run(read_all())


@pytest.mark.usefixtures("defaults_afterwards", "every_promise_holds")
def test_functions_starting_with_invalid_settings_use_the_defaults(
    cloud: Cloud, console: Console, processes: Processes
) -> None:
    users: list[User] = [cloud.user() for _ in range(2)]
    running = [(user, user.create("a boat [slow 7s]", **OMNI)["id"]) for user in users]
    for user, job in running:
        # A death in the middle of a start would be another story, and a long one.
        user.wait(job, lambda found: found["stage"] == "generating")
    # Frozen, so that the replaced processes don't read and report the invalid settings themselves.
    with processes.frozen("submit"), processes.frozen("poll"):
        before = {name: len(processes.logged(name, "config_not_valid")) for name in ("submit", "poll")}
        console.edit_config({"credits_per_second": {"a": ["much"]}, "generation_timeout_s": "soon", "enabled": 2**62})
        victims = processes.kill(before)
    for name, victim in victims.items():
        processes.wait_for_successor(name, victim)
    made = users[0].create("another boat", **OMNI)
    assert made["cost"] == 30
    for user, job in [*running, (users[0], made["id"])]:
        assert user.wait(job)["status"] == "completed"
    for name, count in before.items():
        assert len(processes.logged(name, "config_not_valid")) == count + 1
