"""A command that is given again because it broke off pays once; one that ended well may be given again."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.cloud import Cloud, User
from tests.cli.conftest import Shell
from tests.cli.shaky import First, Shaky, shaky

ENDLESS = "a boat [never finishes]"
WISH = ("create", ENDLESS, "--seconds", "4", "--json")


def charges(user: User) -> int:
    return sum(1 for amount in user.ledger if amount < 0)


def left(shell: Shell) -> list[Path]:
    """What the command line still remembers of commands."""
    return list((shell.home / "pending").iterdir())


@pytest.fixture
def network(user: User) -> Iterator[Shaky]:
    with shaky(user.cloud.url) as between:
        yield between


def test_lost_answer_is_retried_with_the_same_key(shell: Shell, user: User, network: Shaky) -> None:
    network.loses = First("POST", "/v1/videos")
    made = shell.having(RUSHES_URL=network.url).call(*WISH).ok().json
    assert network.seen["POST", "/v1/videos"] == 2
    assert len(set(network.keys)) == 1
    assert charges(user) == 1
    assert user.get(made["id"])["cost"] == 40


def test_repeated_command_after_a_lost_answer_is_the_same_video(shell: Shell, user: User, network: Shaky) -> None:
    network.loses = First("POST", "/v1/videos")
    impatient = shell.having(RUSHES_URL=network.url, RUSHES_RETRY_FOR="0")
    assert impatient.call(*WISH).code == 10
    assert charges(user) == 1
    made = impatient.call(*WISH).ok()
    assert f"Continuing with {made.json['id']}" in made.err
    assert charges(user) == 1
    assert left(shell) == []


def test_ctrl_c_keeps_the_video_and_the_repeated_command_resumes(shell: Shell, user: User) -> None:
    waiting = shell.started(*WISH, "--wait")
    assert waiting.stderr is not None
    line = waiting.stderr.readline()
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    (video,) = user.call("GET", "/v1/videos").json()["data"]
    assert video["id"] in line
    assert video["status"] in ("queued", "in_progress")
    assert f'"id": "{video["id"]}"' in out
    assert f"rushes wait {video['id']}" in err
    again = shell.call(*WISH).ok()
    assert again.json["id"] == video["id"]
    assert charges(user) == 1


def test_killed_command_is_resumed(shell: Shell, user: User) -> None:
    waiting = shell.started(*WISH, "--wait")
    assert waiting.stderr is not None
    waiting.stderr.readline()
    waiting.kill()
    waiting.communicate(timeout=60)
    shell.call(*WISH, "--timeout", "0", "--wait")
    assert charges(user) == 1


def test_new_always_creates_another(shell: Shell, user: User) -> None:
    assert shell.call(*WISH, "--wait", "--timeout", "0").code == 11
    shell.call(*WISH, "--new").ok()
    assert charges(user) == 2


def test_repeated_command_after_success_is_another_video(shell: Shell, user: User) -> None:
    first, second = shell.call(*WISH).ok().json, shell.call(*WISH).ok().json
    assert first["id"] != second["id"]
    assert charges(user) == 2


def test_same_command_twice_at_once_is_two_videos(shell: Shell, user: User) -> None:
    both = [shell.started(*WISH, "--wait") for _ in range(2)]
    for one in both:
        assert one.stderr is not None
        one.stderr.readline()
    assert charges(user) == 2
    for one in both:
        one.send_signal(signal.SIGINT)
        one.communicate(timeout=60)


def test_meanwhile_canceled_video_is_not_resumed(shell: Shell, user: User) -> None:
    given_up = shell.call(*WISH, "--wait", "--timeout", "0")
    assert given_up.code == 11
    shell.call("cancel", given_up.json["id"]).ok()
    assert shell.call(*WISH).ok().json["id"] != given_up.json["id"]


def test_other_request_is_another_video(shell: Shell, user: User) -> None:
    assert shell.call(*WISH, "--wait", "--timeout", "0").code == 11
    other = shell.call(*WISH, "--seed", "3").ok()
    assert "Continuing" not in other.err
    assert charges(user) == 2


@pytest.mark.usefixtures("price_rise")
def test_price_increase_since_the_estimate_creates_nothing(shell: Shell, user: User) -> None:
    refused = shell.call(*WISH)
    assert (refused.code, refused.json["error"]["code"]) == (7, "PRICE_CHANGED")
    assert (charges(user), left(shell)) == (0, [])


def test_resumed_command_keeps_its_first_price(shell: Shell, user: User, network: Shaky) -> None:
    network.refuses = First("POST", "/v1/videos")
    impatient = shell.having(RUSHES_URL=network.url, RUSHES_RETRY_FOR="0")
    assert impatient.call(*WISH).code == 10
    impatient.call(*WISH).ok()
    assert network.seen["POST", "/v1/videos/estimate"] == 1


def test_max_cost_is_respected(shell: Shell, user: User) -> None:
    refused = shell.call(*WISH, "--max-cost", "39")
    assert (refused.code, refused.json["error"]["details"]["cost"]) == (7, 40)
    shell.call(*WISH, "--max-cost", "40").ok()
    assert charges(user) == 1


def test_given_key_is_used(shell: Shell, user: User) -> None:
    made = [shell.call(*WISH, "--idempotency-key", "mine").ok().json["id"] for _ in range(2)]
    assert made[0] == made[1]
    assert user.call("GET", "/v1/idempotency-keys/mine").json()["video"] == made[0]


def test_refused_command_leaves_nothing(shell: Shell) -> None:
    assert shell.call("create", "a boat", "--seconds", "5").code == 2
    assert left(shell) == []


def test_grant_with_a_lost_answer_is_given_once(nobody: Shell, embedded_cloud: Cloud, user: User) -> None:
    with shaky(embedded_cloud.url) as network:
        network.loses = First("POST", f"/v1/admin/users/{user.account['id']}/grants")
        token = embedded_cloud.session["admin_token"]
        admin = nobody.having(RUSHES_URL=network.url, RUSHES_API_KEY=token, RUSHES_RETRY_FOR="0")
        grant = ("admin", "grant", user.account["id"], "70", "--description", "For the lost answer")
        assert admin.call(*grant).code == 10
        admin.call(*grant).ok()
    assert user.ledger == [500, 70]
