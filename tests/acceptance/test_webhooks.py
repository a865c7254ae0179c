"""A user's server is notified of the end of a video, and can verify the sender."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from testing.cloud import Cloud, User
from tests.acceptance.receiver import Receiver, Silent

WAIT_S = 60.0
SMALL = {"model": "omni-flash", "seconds": 3, "resolution": "360p"}


@pytest.fixture
def user(cloud: Cloud) -> User:
    return cloud.user()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver.listening() as listening:
        yield listening


def endpoint(user: User, url: str, **body: Any) -> dict[str, Any]:
    answer = user.call("POST", "/v1/webhook-endpoints", json={"url": url, **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def deliveries(user: User, path: str, settled: int = 0, there: int = 0) -> list[dict[str, Any]]:
    """The deliveries of an endpoint or a video, once `there` exist and `settled` of them are no longer pending."""
    deadline = time.monotonic() + WAIT_S
    while True:
        data: list[dict[str, Any]] = user.call("GET", f"{path}/deliveries").json()["data"]
        if len(data) >= there and sum(one["status"] != "pending" for one in data) >= settled:
            return data
        assert time.monotonic() < deadline, data
        time.sleep(0.1)


def test_finished_video_is_sent_to_an_endpoint_and_its_own_url_signed(user: User, receiver: Receiver) -> None:
    made = endpoint(user, receiver.url("/endpoint"))
    secret = user.call("GET", "/v1/account/webhook-secret").json()["secret"]
    job = user.finish("a lighthouse", webhook_url=receiver.url("/own"), **SMALL)
    messages = {message.path: message for message in receiver.wait(lambda messages: len(messages) == 2)}
    for path, key in (("/endpoint", made["secret"]), ("/own", secret)):
        message = messages[path]
        told = Webhook(key).verify(message.body, message.headers)
        assert told["type"] == "video.completed"
        assert (told["data"]["id"], told["data"]["status"]) == (job["id"], "completed")
        assert "webhook" not in json.dumps(told["data"])
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(messages["/endpoint"].body, messages["/endpoint"].headers)
    seen = deliveries(user, f"/v1/videos/{job['id']}", settled=2)
    assert {one["webhook_endpoint"] for one in seen} == {made["id"], None}
    assert {one["id"] for one in seen} == {message.headers["webhook-id"] for message in messages.values()}
    assert all((one["status"], one["tries"]) == ("delivered", 1) for one in seen)


def test_failed_attempt_is_repeated_with_its_id_and_a_new_signature(user: User, receiver: Receiver) -> None:
    receiver.answers.append(302)
    made = endpoint(user, receiver.url("/"))
    job = user.create("an endless road [never finishes]", seconds=4)
    assert user.call("POST", f"/v1/videos/{job['id']}/cancel").status_code == 200
    messages = receiver.wait(lambda messages: len(messages) == 2)
    (seen,) = deliveries(user, f"/v1/webhook-endpoints/{made['id']}", settled=1)
    assert {message.headers["webhook-id"] for message in messages} == {seen["id"]}
    assert len({message.headers["webhook-signature"] for message in messages}) == 2
    assert all(Webhook(made["secret"]).verify(one.body, one.headers)["type"] == "video.canceled" for one in messages)
    assert (seen["status"], seen["tries"], seen["last_status"], seen["last_error"]) == ("delivered", 2, 204, None)


def test_ping_is_sent_once(user: User, receiver: Receiver) -> None:
    receiver.answers.append(500)
    made = endpoint(user, receiver.url("/"))
    answer = user.call("POST", f"/v1/webhook-endpoints/{made['id']}/test")
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    (seen,) = deliveries(user, f"/v1/webhook-endpoints/{made['id']}", settled=1)
    assert (seen["status"], seen["tries"], seen["last_status"]) == ("failed", 1, 500)
    (message,) = receiver.messages
    assert Webhook(made["secret"]).verify(message.body, message.headers)["type"] == "ping"


def test_after_rotation_both_secrets_verify(user: User, receiver: Receiver) -> None:
    made = endpoint(user, receiver.url("/"))
    rotated = user.call("POST", f"/v1/webhook-endpoints/{made['id']}/rotate").json()
    user.call("POST", f"/v1/webhook-endpoints/{made['id']}/test")
    (message,) = receiver.wait(lambda messages: len(messages) == 1)
    for secret in (made["secret"], rotated["secret"]):
        Webhook(secret).verify(message.body, message.headers)
    assert made["secret"] != rotated["secret"]


def test_endpoint_gets_subscribed_events_and_is_disabled_when_gone(user: User, receiver: Receiver) -> None:
    made = endpoint(user, receiver.url("/failed"), events=["video.failed"])
    other = endpoint(user, receiver.url("/canceled"), events=["video.canceled"])
    receiver.answers.append(410)
    job = user.create("an endless road [never finishes]", seconds=4)
    assert user.call("POST", f"/v1/videos/{job['id']}/cancel").status_code == 200
    (seen,) = deliveries(user, f"/v1/videos/{job['id']}", settled=1)
    assert (seen["event"], seen["status"], seen["last_status"]) == ("video.canceled", "failed", 410)
    assert [message.path for message in receiver.messages] == ["/canceled"]
    listed = {one["id"]: one for one in user.call("GET", "/v1/webhook-endpoints").json()["data"]}
    assert (listed[other["id"]]["disabled"], listed[made["id"]]["disabled"]) == (True, False)
    assert listed[other["id"]]["disabled_reason"]
    assert "secret" not in listed[other["id"]]
    enabled = user.call("PATCH", f"/v1/webhook-endpoints/{other['id']}", json={"disabled": False}).json()
    assert (enabled["disabled"], enabled["disabled_reason"]) == (False, None)


def test_non_public_addresses_are_rejected_or_never_reached(user: User) -> None:
    private = ("https://169.254.169.254/computeMetadata/v1/", "http://10.0.0.1/", "https://metadata.google.internal/")
    for url in ("http://example.com/", "https://user:pw@example.com/", "ftp://example.com/", *private):
        answer = user.call("POST", "/v1/videos", json={"prompt": "x", "seconds": 4, "webhook_url": url})
        # Locally http is allowed, but reaches only this machine.
        if url == "http://example.com/":
            user.call("POST", f"/v1/videos/{answer.json()['id']}/cancel")
            # Its end is announced before there is an endpoint that would be notified too.
            deliveries(user, f"/v1/videos/{answer.json()['id']}", there=1)
            continue
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST"), url
    made = endpoint(user, "http://example.com/")
    user.call("POST", f"/v1/webhook-endpoints/{made['id']}/test")
    (seen,) = deliveries(user, f"/v1/webhook-endpoints/{made['id']}", settled=1)
    assert (seen["status"], seen["last_status"]) == ("failed", None)
    assert seen["last_error"]
    assert user.call("DELETE", f"/v1/webhook-endpoints/{made['id']}").status_code == 200


def test_account_has_at_most_ten_endpoints(user: User, receiver: Receiver) -> None:
    made = [endpoint(user, receiver.url(f"/{number}"))["id"] for number in range(10)]
    answer = user.call("POST", "/v1/webhook-endpoints", json={"url": receiver.url("/more")})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "LIMIT_REACHED")
    assert user.call("DELETE", f"/v1/webhook-endpoints/{made[0]}").json()["deleted"] is True
    assert user.call("GET", f"/v1/webhook-endpoints/{made[0]}").status_code == 404
    assert endpoint(user, receiver.url("/more"))["id"] not in made


def test_silent_server_delays_neither_videos_nor_other_users_webhooks(
    cloud: Cloud, user: User, receiver: Receiver
) -> None:
    """Sixty pings to servers that accept and stay silent: four are in progress, none is sent twice."""
    with Silent.listening() as silent:
        mallory = cloud.user()
        pinged = 0
        for number in range(10):
            made = endpoint(mallory, silent.url(f"/{number}"))
            for _ in range(6):
                answer = mallory.call("POST", f"/v1/webhook-endpoints/{made['id']}/test")
                assert answer.status_code in (202, 429), answer.text
                pinged += answer.status_code == 202
        assert pinged == 50
        silent.wait(lambda taken: taken > 0)
        made = endpoint(user, receiver.url("/"))
        user.finish("a lighthouse", **SMALL)
        receiver.wait(lambda messages: len(messages) == 1)
        (seen,) = deliveries(user, f"/v1/webhook-endpoints/{made['id']}", settled=1)
        assert (seen["status"], seen["tries"]) == ("delivered", 1)
        assert silent.most_at_once <= 4
