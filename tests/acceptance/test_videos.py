"""What users are promised, on the real local cloud and on the embedded form: one promise a test."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from shared.core.documents import LiveSettings
from shared.media import video
from testing import invariants
from testing.cloud import Cloud, User


@pytest.fixture
def user(cloud: Cloud) -> User:
    return cloud.user()


@pytest.fixture(autouse=True, scope="module")
def every_promise_holds_at_the_end(cloud: Cloud) -> Any:
    """After all scenarios: the invariants, read straight from the store and the bucket."""
    yield
    invariants.check(cloud.inside.records(), LiveSettings(), cloud.inside.read)


def content(user: User, job_id: str, query: str = "") -> httpx2.Response:
    return user.call("GET", f"/v1/videos/{job_id}/content{query}")


# --- a video ---


def test_prompt_becomes_a_playable_video_of_the_requested_length_and_size(user: User) -> None:
    job = user.finish("a lighthouse in a storm", seconds=4, size="1280x720")
    assert (job["status"], job["progress"]) == ("completed", 100)
    signed = content(user, job["id"], "?redirect=json").json()
    answer = user.cloud.http.get(signed["url"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "video/mp4"
    facts = video.inspect(io.BytesIO(answer.content))
    video.check(facts, 4, 1280, 720)
    assert len(answer.content) == job["files"][0]["size_bytes"]


def test_portrait_and_several_videos_match_the_request(user: User) -> None:
    job = user.finish("two herons", seconds=4, aspect_ratio="9:16", count=2)
    assert job["size"] == "720x1280"
    assert [(file["width"], file["height"]) for file in job["files"]] == [(720, 1280)] * 2


def test_omni_makes_videos_with_either_provider(user: User) -> None:
    """Vertex AI unless the live settings prefer the Gemini API, as they do in the embedded form."""
    job = user.finish("a slow river", model="omni-flash", seconds=3, resolution="360p")
    assert job["status"] == "completed"
    assert (job["files"][0]["width"], job["files"][0]["height"]) == (640, 360)
    assert abs(job["files"][0]["seconds"] - 3) < 0.1
    made = {each.id: each.provider for each in user.cloud.inside.records().jobs}
    assert made[job["id"]] == ("gemini" if user.cloud.embedded else "vertex-omni")


def test_submission_returns_the_job_and_its_location(user: User) -> None:
    answer = user.call("POST", "/v1/videos", json={"prompt": "a kite", "seconds": 4})
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/v1/videos/{job['id']}"
    assert (job["status"], job["cost"], job["seconds"]) == ("queued", 40, "4")
    user.wait(job["id"])


# --- money ---


def test_new_user_has_signup_credits_and_pays_the_estimate(user: User) -> None:
    assert user.account["balance"] == 500
    body = {"prompt": "a market at dawn", "seconds": 6}
    estimate = user.call("POST", "/v1/videos/estimate", json=body).json()
    assert (estimate["cost"], estimate["balance_after"], estimate["accepted"]) == (60, 440, True)
    job = user.finish(**body)
    assert job["cost"] == 60
    assert user.ledger == [500, -60]
    assert user.account["balance"] == 440


OMNI = {"model": "omni-flash"}
FAILURES: dict[str, tuple[str, dict[str, Any]]] = {
    "[blocked]": ("SAFETY_BLOCKED", {}),
    "[operation error]": ("PROVIDER_ERROR", {}),
    "[create 400]": ("PROMPT_REJECTED", {}),
    "[retired]": ("MODEL_RETIRED", {}),
    "[empty]": ("PROVIDER_ERROR", {}),
    "[corrupt file]": ("INVALID_VIDEO", {}),
    "[wrong length]": ("INVALID_VIDEO", {}),
    "[tiny file]": ("INVALID_VIDEO", {}),
    "on Omni [blocked]": ("SAFETY_BLOCKED", OMNI),
    "on Omni [operation error]": ("PROVIDER_ERROR", OMNI),
}
# The answer is lost, or is a 503 of a generation that began, or the model's endpoint is gone by the first poll.
ADOPTED = ("[lost answer]", "[accepted 503]", "[retired midway]")
BUSY = "[429 x2] [retry after 1s]"


@dataclass(frozen=True)
class Begun:
    """The only job of a new user."""

    user: User
    id: str

    def ended(self) -> dict[str, Any]:
        return self.user.wait(self.id)


@pytest.fixture(scope="module")
def begun(cloud: Cloud) -> dict[str, Begun]:
    """Jobs that something happens to, by the words that make it happen: begun at once, as some take many seconds."""
    bodies = {
        **{words: body for words, (_, body) in FAILURES.items()},
        **{words: {} for words in (*ADOPTED, BUSY)},
    }
    found = {}
    for words, body in bodies.items():
        user = cloud.user()
        found[words] = Begun(user, user.create(f"a quiet street {words}", **{"seconds": 4, **body})["id"])
    return found


@pytest.mark.parametrize("words", FAILURES)
def test_failed_video_says_why_and_is_refunded(begun: dict[str, Begun], words: str) -> None:
    code, _ = FAILURES[words]
    job = begun[words].ended()
    assert job["status"] == "failed"
    assert job["error"]["code"] == code
    assert job["error"]["suggested_action"]
    assert begun[words].user.ledger == [500, -40, 40]


def test_partly_blocked_videos_are_partly_refunded(user: User) -> None:
    job = user.finish("four doors [partly blocked]", seconds=4, count=4)
    assert job["status"] == "completed"
    assert len(job["files"]) == 3
    assert user.ledger == [500, -160, 40]


def test_busy_provider_delays_a_job_and_charges_once(begun: dict[str, Begun]) -> None:
    assert begun[BUSY].ended()["status"] == "completed"
    assert begun[BUSY].user.ledger == [500, -40]


@pytest.mark.parametrize("words", ADOPTED)
def test_video_with_an_unreported_start_or_operation_is_adopted(begun: dict[str, Begun], words: str) -> None:
    assert begun[words].ended()["status"] == "completed"
    assert begun[words].user.ledger == [500, -40]


def test_insufficient_credits_are_refused_with_figures_and_not_charged(user: User) -> None:
    answer = user.call("POST", "/v1/videos", json={"prompt": "x", "seconds": 8, "count": 4})
    assert answer.status_code == 202
    user.wait(answer.json()["id"])
    answer = user.call("POST", "/v1/videos", json={"prompt": "x", "seconds": 8, "count": 3})
    assert answer.status_code == 402
    assert answer.json()["error"]["details"] == {"required": 240, "available": 180, "deficit": 60}
    assert answer.headers["x-should-retry"] == "false"
    assert user.ledger == [500, -320]


def test_too_many_active_jobs_are_refused_with_their_list(user: User) -> None:
    jobs = [user.create("a slow train [slow 5s]", seconds=4)["id"] for _ in range(3)]
    answer = user.call("POST", "/v1/videos", json={"prompt": "one more", "seconds": 4})
    assert answer.status_code == 429
    assert sorted(answer.json()["error"]["details"]["active_jobs"]) == sorted(jobs)
    for job in jobs:
        user.call("POST", f"/v1/videos/{job}/cancel")


# --- the same request again ---


def test_same_key_and_body_return_the_same_job(user: User) -> None:
    body, headers = {"prompt": "a bell", "seconds": 4}, {"Idempotency-Key": "once"}
    first = user.call("POST", "/v1/videos", json=body, headers=headers)
    again = user.call("POST", "/v1/videos", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json()["id"] == first.json()["id"]
    other = user.call("POST", "/v1/videos", json={**body, "seconds": 6}, headers=headers)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    user.wait(first.json()["id"])
    assert user.ledger == [500, -40]


# --- stop and delete ---


def test_cancel_refunds_what_was_announced(user: User) -> None:
    """A model that cannot be stopped for free has to be paid for: submit, wait, cancel is no way to free starts."""
    body = {"prompt": "an endless road [never finishes]", "seconds": 4}
    estimate = user.call("POST", "/v1/videos/estimate", json=body).json()
    job = user.create(**body)
    user.wait(job["id"], lambda seen: seen["status"] == "in_progress")
    path = f"/v1/videos/{job['id']}/cancel"
    stated = user.call("GET", path).json()
    assert (stated["cancel_returns"], stated["kept"], stated["reason"]) == (estimate["cancel_returns"], 40, "billed")
    less = user.call("POST", f"{path}?min_refund=40")
    assert (less.status_code, less.json()["error"]["code"]) == (409, "REFUND_CHANGED")
    answer = user.call("POST", f"{path}?min_refund=0").json()
    assert (answer["video"]["status"], answer["refunded"], answer["kept"]) == ("canceled", 0, 40)
    assert user.ledger == [500, -40]
    assert user.account["active_jobs"] == []
    again = user.call("POST", f"/v1/videos/{job['id']}/cancel")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "NOT_CANCELABLE")


def test_deleted_video_is_gone_and_the_ledger_stays(user: User) -> None:
    job = user.finish("a sandcastle", seconds=4)
    assert user.call("DELETE", f"/v1/videos/{job['id']}").json() == {
        "id": job["id"],
        "object": "video.deleted",
        "deleted": True,
    }
    assert user.call("GET", f"/v1/videos/{job['id']}").status_code == 404
    assert content(user, job["id"]).status_code == 404
    assert user.call("GET", "/v1/videos").json()["data"] == []
    assert user.ledger == [500, -40]


def test_unfinished_video_cannot_be_deleted(user: User) -> None:
    job = user.create("a long night [never finishes]", seconds=4)
    answer = user.call("DELETE", f"/v1/videos/{job['id']}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "JOB_NOT_FINISHED")
    user.call("POST", f"/v1/videos/{job['id']}/cancel")


# --- watching ---


@pytest.fixture(scope="module")
def finished(cloud: Cloud) -> tuple[User, str]:
    user = cloud.user()
    return user, user.finish("a harbour at noon", seconds=4)["id"]


def test_content_redirects_to_a_signed_url_that_serves_ranges(finished: tuple[User, str]) -> None:
    user, job = finished
    answer = content(user, job)
    assert answer.status_code == 302
    assert answer.headers["cache-control"] == "no-store"
    part = user.cloud.http.get(answer.headers["location"], headers={"Range": "bytes=0-99"})
    assert part.status_code == 206
    assert len(part.content) == 100


def test_thumbnail_is_an_image(finished: tuple[User, str]) -> None:
    user, job = finished
    answer = content(user, job, "?variant=thumbnail&redirect=false")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content.startswith(b"\xff\xd8\xff")


def test_proxy_serves_the_whole_a_range_and_the_end(finished: tuple[User, str]) -> None:
    user, job = finished
    path = f"/v1/videos/{job}/content?redirect=false"
    whole = user.call("GET", path)
    size = len(whole.content)
    assert whole.headers["accept-ranges"] == "bytes"
    middle = user.call("GET", path, headers={"Range": "bytes=100-199"})
    assert (middle.status_code, middle.headers["content-range"]) == (206, f"bytes 100-199/{size}")
    assert middle.content == whole.content[100:200]
    tail = user.call("GET", path, headers={"Range": "bytes=-50"})
    assert tail.content == whole.content[-50:]
    beyond = user.call("GET", path, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")


def test_proxy_honors_if_none_match_and_if_range(finished: tuple[User, str]) -> None:
    user, job = finished
    path = f"/v1/videos/{job}/content?redirect=false"
    etag = user.call("HEAD", path).headers["etag"]
    assert user.call("GET", path, headers={"If-None-Match": etag}).status_code == 304
    assert user.call("GET", path, headers={"Range": "bytes=0-9", "If-Range": etag}).status_code == 206
    assert user.call("GET", path, headers={"Range": "bytes=0-9", "If-Range": '"other"'}).status_code == 200


def test_head_is_answered_without_a_body(finished: tuple[User, str]) -> None:
    user, job = finished
    answer = user.call("HEAD", f"/v1/videos/{job}/content")
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) == user.get(job)["files"][0]["size_bytes"]
    assert answer.content == b""


def test_content_of_unfinished_or_failed_jobs_is_a_clear_error(user: User) -> None:
    job = user.create("not yet [never finishes]", seconds=4)
    answer = content(user, job["id"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "JOB_NOT_FINISHED")
    user.call("POST", f"/v1/videos/{job['id']}/cancel")
    answer = content(user, job["id"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "VIDEO_NOT_AVAILABLE")


# --- lists ---


def test_videos_are_listed_newest_first_in_pages(user: User) -> None:
    made = [user.finish(f"number {number}", seconds=4)["id"] for number in range(3)]
    first = user.call("GET", "/v1/videos?limit=2").json()
    assert [job["id"] for job in first["data"]] == made[:0:-1]
    assert first["has_more"] is True
    second = user.call("GET", f"/v1/videos?limit=2&after={first['last_id']}").json()
    assert [job["id"] for job in second["data"]] == made[:1]
    assert second["has_more"] is False


def test_videos_can_be_filtered_by_status_model_or_project(cloud: Cloud, user: User) -> None:
    cloud.have_project("alpha")
    kept = user.finish("kept", seconds=4, project="alpha")["id"]
    user.finish("lost [blocked]", seconds=4)
    for query in ("status=completed", "project=alpha"):
        assert [job["id"] for job in user.call("GET", f"/v1/videos?{query}").json()["data"]] == [kept]
    assert len(user.call("GET", "/v1/videos?model=veo-3.1-fast").json()["data"]) == 2
    assert user.call("GET", "/v1/videos?status=completed&project=alpha").status_code == 400


def test_models_show_capabilities_and_prices(user: User) -> None:
    models = {model["id"]: model for model in user.call("GET", "/v1/models").json()["data"]}
    assert models["veo-3.1-fast"]["default"] is True
    assert models["veo-3.1-fast"]["seconds"] == [4, 6, 8]
    assert models["omni-flash"]["negative_prompt"] is False
    assert models["omni-flash"]["credits_per_second"] == 10
