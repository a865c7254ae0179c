"""Videos from images, and extensions: the input is visible in the video."""

from __future__ import annotations

import base64
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from shared.core.documents import Job
from testing.cloud import JOB_TIMEOUT_S, Cloud, User

RED, BLUE = (220, 30, 30), (30, 30, 220)


@pytest.fixture
def user(cloud: Cloud) -> User:
    return cloud.user()


def picture(color: tuple[int, int, int], format: str = "PNG") -> bytes:  # noqa: A002
    file = io.BytesIO()
    Image.new("RGB", (640, 360), color).save(file, format)
    return file.getvalue()


def film_of(user: User, job: dict[str, Any]) -> bytes:
    answer = user.call("GET", f"/v1/videos/{job['id']}/content?redirect=false")
    assert answer.status_code == 200
    return answer.content


def colors(film: bytes) -> list[tuple[int, int, int]]:
    """The mean color of each frame."""
    with av.open(io.BytesIO(film)) as container:
        frames = [np.asarray(frame.to_image().resize((16, 9))) for frame in container.decode(video=0)]
    return [tuple(int(value) for value in frame.mean((0, 1))) for frame in frames]  # type: ignore[misc]


def alike(seen: tuple[int, int, int], meant: tuple[int, int, int]) -> bool:
    return all(abs(one - other) < 25 for one, other in zip(seen, meant, strict=True))


def job_of(cloud: Cloud, job_id: str) -> Job:
    return next(job for job in cloud.inside.records().jobs if job.id == job_id)


@contextmanager
def website(page: bytes) -> Iterator[str]:
    """The URL of a page on this machine, which may be fetched locally."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *args: object) -> None:
            """Tests speak through their assertions."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/picture"
    finally:
        server.shutdown()
        server.server_close()


def test_first_and_last_frame_of_a_form_frame_the_video_until_deleted(cloud: Cloud, user: User) -> None:
    files = {
        "prompt": (None, "from red to blue"),
        "seconds": (None, "4"),
        "input_reference": ("first.png", picture(RED)),
        "last_frame": ("last.webp", picture(BLUE, "WEBP")),
    }
    answer = user.call("POST", "/v1/videos", files=files)
    assert answer.status_code == 202, answer.text
    job = user.wait(answer.json()["id"])
    assert job["status"] == "completed", job["error"]
    assert [each["role"] for each in job["inputs"]] == ["first_frame", "last_frame"]
    seen = colors(film_of(user, job))
    assert alike(seen[0], RED)
    assert alike(seen[-1], BLUE)
    names = [each.object for each in job_of(cloud, job["id"]).request.inputs]
    assert cloud.inside.read(names[0]) == picture(RED)
    assert user.call("DELETE", f"/v1/videos/{job['id']}").status_code == 200
    # A job whose files are gone has forgotten its images.
    deadline = time.monotonic() + JOB_TIMEOUT_S
    while job_of(cloud, job["id"]).request.inputs:
        assert time.monotonic() < deadline, "the images are not removed"
        time.sleep(0.2)
    assert [cloud.inside.read(name) for name in names] == [None, None]


def test_omni_starts_from_a_data_url_image(user: User) -> None:
    url = "data:image/jpeg;base64," + base64.b64encode(picture(RED, "JPEG")).decode()
    job = user.finish("red", model="omni-flash", seconds=3, resolution="360p", input_reference={"image_url": url})
    assert job["status"] == "completed", job["error"]
    assert alike(colors(film_of(user, job))[0], RED)


@pytest.mark.parametrize("model", ["veo-3.1-fast", "omni-flash"])
def test_reference_images_come_from_files_fields_and_urls(user: User, model: str) -> None:
    with website(picture(BLUE)) as url:
        body = {
            "prompt": "two friends",
            "model": model,
            "reference_images": [{"data": base64.b64encode(picture(RED)).decode()}, {"image_url": url}],
        }
        job = user.finish(**body)
    assert job["status"] == "completed", job["error"]
    assert (job["seconds"], len(job["inputs"])) == ("8", 2)


def test_extension_uses_the_videos_model_and_charges_the_new_part(user: User) -> None:
    first = user.finish("a train leaves", seconds=4)
    body = {"prompt": "and arrives", "extends": first["id"]}
    estimate = user.call("POST", "/v1/videos/estimate", json=body).json()
    assert (estimate["cost"], estimate["seconds"], estimate["model"]) == (70, "11", "veo-3.1-fast")
    job = user.finish(**body)
    assert job["status"] == "completed", job["error"]
    assert (job["seconds"], job["added_seconds"], job["extends"]) == ("11", 7, first["id"])
    assert abs(job["files"][0]["seconds"] - 11) < 0.1
    assert user.ledger == [500, -40, -70]
    # The longer video begins with the shorter one.
    assert all(map(alike, colors(film_of(user, first))[:48], colors(film_of(user, job))[:48]))


def test_omni_extends_by_the_requested_seconds(user: User) -> None:
    first = user.finish("a river", model="omni-flash", seconds=3, resolution="360p", aspect_ratio="9:16")
    job = user.finish("to the sea", extends=first["id"], seconds=4)
    assert job["status"] == "completed", job["error"]
    assert (job["seconds"], job["size"], job["model"]) == ("7", "360x640", "omni-flash")
    assert user.ledger == [500, -30, -40]


def test_only_your_own_finished_videos_can_be_extended(cloud: Cloud, user: User) -> None:
    job = user.create("not yet [never finishes]", seconds=4)["id"]
    answer = user.call("POST", "/v1/videos", json={"prompt": "on", "extends": job})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "JOB_NOT_FINISHED")
    answer = cloud.user().call("POST", "/v1/videos", json={"prompt": "on", "extends": job})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
    user.call("POST", f"/v1/videos/{job}/cancel")


@pytest.mark.parametrize(
    ("image", "code"),
    [
        ({"data": base64.b64encode(b"GIF89a").decode()}, "INVALID_IMAGE"),
        ({"image_url": "https://127.0.0.1:9/picture.png"}, "IMAGE_NOT_FETCHED"),
        ({"image_url": "file:///etc/passwd"}, "IMAGE_NOT_FETCHED"),
        ({"image_url": "https://169.254.169.254/computeMetadata/v1/"}, "IMAGE_NOT_FETCHED"),
    ],
)
def test_unusable_image_is_named_and_costs_nothing(user: User, image: dict[str, str], code: str) -> None:
    answer = user.call("POST", "/v1/videos", json={"prompt": "x", "input_reference": image})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert answer.json()["error"]["details"]["field"] == "input_reference"
    assert user.ledger == [500]


def bomb() -> bytes:
    """A JPEG of 6,000 scans: 40 s of a decoder's work in 0.4 MB."""
    file = io.BytesIO()
    Image.new("L", (2_048, 2_048)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 6_000 + b"\xff\xd9"


def test_malicious_file_is_rejected_without_cost_or_delay(cloud: Cloud, user: User) -> None:
    balance = user.account["balance"]
    body = {"prompt": "a kite", "model": "omni-flash", "seconds": 3, "resolution": "360p"}
    harmful = {**body, "input_reference": {"data": base64.b64encode(bomb()).decode()}}
    answers: list[Any] = []
    storm = [
        threading.Thread(target=lambda: answers.append(user.call("POST", "/v1/videos", json=harmful))) for _ in range(8)
    ]
    for thread in storm:
        thread.start()
    other = cloud.user()
    sound = {**body, "input_reference": {"data": base64.b64encode(picture(RED)).decode()}}
    assert other.call("POST", "/v1/videos", json=sound).status_code == 202
    for thread in storm:
        thread.join(60)
    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in answers] == [(400, "INVALID_IMAGE")] * 8
    estimate = user.call("POST", "/v1/videos/estimate", json=harmful)
    assert estimate.json()["error"]["message"] == answers[0].json()["error"]["message"]
    assert user.account["balance"] == balance
