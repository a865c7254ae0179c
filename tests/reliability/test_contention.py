"""Many at once on one account, over the real servers: nothing is lost, doubled, or answered with an error of ours."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import httpx2
import pytest

from shared.core.catalog import MODELS
from testing.cloud import Cloud, User
from testing.console import GENERATE_QUEUES, Console
from tests.reliability.conftest import SettingsEdits
from tests.reliability.storm import storm

AT_ONCE = 64
LIMIT = 3
# 50 credits each, so that the 500 of a sign-up pay for ten.
OMNI = {"model": "omni-flash", "seconds": 5, "resolution": "360p", "prompt": "a kite [never finishes]"}
COST = 50
# One set for all of these tests: a change replaces a function, and few deaths a minute are allowed. The limit of active
# jobs is that of everybody, but for the plan "roomy". Some jobs begin before their turn to be canceled comes.
SETTINGS = {
    "plans": {"roomy": {"active_jobs_limit": AT_ONCE}},
    "cancel_refund": "full",
    "refunded_starts_per_day": AT_ONCE,
}

pytestmark = pytest.mark.usefixtures("every_promise_holds")


@pytest.fixture
def user(cloud: Cloud, console: Console, live: SettingsEdits) -> Iterator[User]:
    live.apply(**SETTINGS)
    yield cloud.user()
    # What was canceled before its turn would take a turn all the same.
    console.purge(GENERATE_QUEUES)


@pytest.fixture
def roomy(user: User, console: Console) -> User:
    """A user with room for all of the jobs, whom the submit function does not know yet."""
    console.edit_account(user.account["id"], plan="roomy")
    return user


def submit_all(user: User, bodies: list[dict[str, Any]]) -> dict[int, list[httpx2.Response]]:
    """The answers, by status."""
    answers: dict[int, list[httpx2.Response]] = {}
    for answer in storm(user, [("/v1/videos", body) for body in bodies]):
        answers.setdefault(answer.status_code, []).append(answer)
    return answers


def cancel_all(user: User, jobs: list[str]) -> None:
    """Cancel them concurrently, retrying where the answer asks for it."""
    while jobs:
        answers = storm(user, [(f"/v1/videos/{job}/cancel", None) for job in jobs])
        # 409: an answer of 503 had taken effect.
        assert {answer.status_code for answer in answers} <= {200, 409, 503}
        jobs = [job for job, answer in zip(jobs, answers, strict=True) if answer.status_code == 503]


def test_64_concurrent_submits_are_accepted_and_canceled_with_refunds(roomy: User, console: Console) -> None:
    user = roomy
    console.grant(user.account["id"], AT_ONCE * COST)
    balance = user.account["balance"]
    models = cycle(MODELS)
    bodies = [{"model": next(models), "prompt": f"kite {number} [never finishes]"} for number in range(AT_ONCE)]
    bodies = [{**body, "seconds": 4} for body in bodies]
    answers = submit_all(user, bodies)
    assert set(answers) == {202}, {status: found[0].text for status, found in answers.items()}
    jobs = [answer.json() for answer in answers[202]]
    account = user.account
    assert len({job["id"] for job in jobs}) == AT_ONCE
    assert sorted(account["active_jobs"]) == sorted(job["id"] for job in jobs)
    assert account["balance"] == balance - sum(job["cost"] for job in jobs)
    cancel_all(user, [job["id"] for job in jobs])
    assert (user.account["balance"], user.account["active_jobs"]) == (balance, [])


def test_credits_for_10_accept_exactly_10_of_64(roomy: User) -> None:
    user = roomy
    answers = submit_all(user, [OMNI] * AT_ONCE)
    assert {status: len(found) for status, found in answers.items()} == {202: 10, 402: AT_ONCE - 10}
    errors = [answer.json()["error"] for answer in answers[402]]
    assert {error["code"] for error in errors} == {"INSUFFICIENT_CREDITS"}
    assert {error["details"]["required"] for error in errors} == {COST}
    assert user.account["balance"] == 0
    cancel_all(user, user.account["active_jobs"])


def test_limit_of_3_accepts_exactly_3_of_64_and_names_them_to_the_rest(
    user: User,
) -> None:
    answers = submit_all(user, [OMNI] * AT_ONCE)
    assert {status: len(found) for status, found in answers.items()} == {202: LIMIT, 429: AT_ONCE - LIMIT}
    accepted = sorted(answer.json()["id"] for answer in answers[202])
    for answer in answers[429]:
        error = answer.json()["error"]
        assert error["code"] == "TOO_MANY_ACTIVE_JOBS"
        assert error["details"]["limit"] == LIMIT
        assert sorted(error["details"]["active_jobs"]) == accepted
        assert int(answer.headers["retry-after"]) > 0
    cancel_all(user, accepted)


def test_never_more_than_3_jobs_are_active(user: User, console: Console) -> None:
    """A job's slot is free from the commit of its end on, so the lives of any four of an account never overlap."""
    wanted, made = 9, []
    models = cycle(MODELS)
    while len(made) < wanted:
        # Three more than there is room for, each time that there is.
        bodies = [{"model": next(models), "prompt": "a short life [operation error]", "seconds": 4} for _ in range(6)]
        made += [answer.json()["id"] for answer in submit_all(user, bodies).get(202, [])]
    for job in made:
        user.wait(job)
    lives = [(job.created_at, job.completed_at) for job in console.jobs(made)]
    for began, _ in lives:
        alive = [life for life in lives if life[0] <= began and life[1] is not None and began < life[1]]
        assert len(alive) <= LIMIT
