"""Lost tasks are re-enqueued and late ones left alone, on the real servers and on 1,000 jobs in memory."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest

from shared.core import lifecycle
from shared.core.catalog import MODELS
from shared.core.documents import Job, LiveSettings, Stage
from shared.jobs import worker
from shared.maintenance import sweeper
from shared.platform.provider import Failed
from testing import invariants
from testing.cloud import Cloud
from testing.console import Console
from tests.reliability import fall
from tests.reliability.conftest import SettingsEdits, Stranded
from tests.unit.conftest import House

# docs/operations.md: a step whose task is lost is back two minutes after it was due at the latest, with a sweep each
# minute; here the sweep comes every two seconds. Fifty jobs then go through paced queues to their ends.
STEP_DUE_WITHIN_S = 30.0
PUT_BACK_WITHIN_S = lifecycle.SWEEP_AFTER_S + fall.SWEEP_EVERY_S
# Restarting five functions, and starting, rendering and storing 50 videos on a busy machine.
REST_OF_LIFE_S = 120.0
MINUTES = 5
STARTS_PER_MINUTE = MODELS["omni-flash"].quota_per_minute


def test_fifty_jobs_survive_purged_queues_and_killed_functions(fallen: fall.Fall) -> None:
    jobs = fallen.jobs(fallen.generating + fallen.queued)
    assert len(jobs) == fall.GENERATING + fall.QUEUED == 50
    assert {job.stage for job in jobs} == {Stage.COMPLETED}, [(job.id, job.error) for job in jobs if job.error]
    invariants.check(fallen.records, LiveSettings(), fallen.read.get)


def test_recovery_meets_the_promised_bound(fallen: fall.Fall) -> None:
    bound = timedelta(seconds=STEP_DUE_WITHIN_S + PUT_BACK_WITHIN_S + REST_OF_LIFE_S)
    ends = [job.completed_at for job in fallen.jobs(fallen.generating + fallen.queued)]
    assert max(end for end in ends if end) - fallen.at <= bound


def test_no_lost_job_is_started_twice(fallen: fall.Fall) -> None:
    assert {job.attempt for job in fallen.jobs(fallen.generating + fallen.queued)} == {1}


def test_sweeps_leave_late_tasks_alone(fallen: fall.Fall) -> None:
    late = fallen.jobs(fallen.late)
    assert sorted(fallen.late_tasks) == sorted(job.task.name for job in late)
    assert {(job.stage, job.step, job.version) for job in late} == {(Stage.QUEUED, 0, 1)}
    # And they were checked repeatedly, late enough.
    seen = [json.loads(line.partition("200 ")[2])["seen"] for line in fallen.sweeps.splitlines() if "200 " in line]
    assert sum(count >= len(late) for count in seen) >= 2


async def test_thousand_jobs_on_paced_queues_get_no_extra_task(house: House) -> None:
    """Some minutes of fifty starts each, and a sweep after each: a step's task is created once, by its own step."""
    house.configure(active_jobs_limit=100)
    house.script(looks=(Failed("PROVIDER_ERROR", "for a short life"),))
    callers = [await house.sign_up(f"user{number}", balance=1_000_000) for number in range(10)]
    for number in range(1_000):
        await house.submit(callers[number % 10])
    seen = 0
    for _ in range(MINUTES):
        for _ in range(STARTS_PER_MINUTE):
            house.clock.advance(60 / STARTS_PER_MINUTE)
            for entry in house.queue.take():
                body = entry.task.body
                result = await worker.deliver(house.services, body["job"], body["step"])
                house.queue.finish(entry, result.value)
        swept = await sweeper.sweep(house.services)
        seen = max(seen, swept["seen"])
        assert (swept["restored"], swept["failed"]) == (0, 0)
    jobs = house.store.documents(Job)
    assert seen > 800
    assert {job.stage for job in jobs} >= {Stage.QUEUED, Stage.GENERATING, Stage.FAILED}
    assert house.queue.calls["create"] == sum(job.step + 1 for job in jobs)


# The shortest deadline that can be set is a minute; in memory it is in tests/unit/maintenance/test_sweeper.py.
@pytest.mark.long
@pytest.mark.timeout(900)
def test_queue_paused_beyond_the_deadline_refunds_the_credits(
    cloud: Cloud, console: Console, live: SettingsEdits, stranded: Stranded
) -> None:
    """Nothing is delivered from it, so only the sweep can notice that the deadline has passed."""
    # Another test's job waits longer than the deadline that is set here.
    stranded.user.wait(stranded.answer.json()["id"])
    queue = MODELS["veo-3.1-fast"].queue
    user = cloud.user()
    balance = user.account["balance"]
    live.apply(queue_timeout_s=60)
    console.pause([queue])
    try:
        body = {"prompt": "a boat", "seconds": 4, "model": "veo-3.1-fast"}
        video = user.call("POST", "/v1/videos", json=body).raise_for_status().json()
        assert user.account["balance"] < balance
        until = time.monotonic() + 600
        while user.get(video["id"])["status"] == "queued":
            assert time.monotonic() < until, "its charge and its place are held forever"
            time.sleep(1)
        assert user.get(video["id"])["error"]["code"] == "QUEUE_TIMEOUT"
        assert (user.account["balance"], user.account["active_jobs"]) == (balance, [])
        job = console.job(video["id"])
        assert not [name for name in console.tasks(queue) if name.startswith(job.id.removeprefix("video_"))]
    finally:
        console.resume([queue])
        live.apply()
