"""Forms: the same request as in JSON, with files."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from shared.api.videos import CreateVideo
from shared.core.documents import Job, Transaction
from shared.core.errors import ApiError
from shared.http import forms, routes
from shared.http.app import application
from tests.unit.conftest import House
from tests.unit.http.test_app import client_of
from tests.unit.http.test_routes import load
from tests.unit.media.test_images import picture

ALICE = {"Authorization": "Bearer alice"}
BASE = {"prompt": "a boat", "model": "omni-flash", "resolution": "360p", "seconds": "3"}


@pytest.fixture
async def submit(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    """The real submit function on the house's services."""
    async with client_of(application(routes.of("submit"), load("submit").HANDLERS, lambda: house.services)) as client:
        yield client


def fields(*items: tuple[str, str]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, value in items:
        forms._put(read, name, value)
    result: dict[str, Any] = forms._lists(read)
    return result


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([("prompt", "x"), ("labels[a]", "1"), ("labels[b]", "2")], {"prompt": "x", "labels": {"a": "1", "b": "2"}}),
        ([("r[]", "x"), ("r[]", "y")], {"r": ["x", "y"]}),
        ([("r[1]", "y"), ("r[0]", "x")], {"r": ["x", "y"]}),
        ([("r", "x"), ("r", "y"), ("r", "z")], {"r": ["x", "y", "z"]}),
        ([("r[][u]", "x"), ("r[][u]", "y")], {"r": [{"u": "x"}, {"u": "y"}]}),
        ([("r[0][u]", "x"), ("r[0][v]", "y")], {"r": [{"u": "x", "v": "y"}]}),
        ([("r[u]", "x")], {"r": {"u": "x"}}),
        ([("a[", "x"), ("[]", "y"), ("", "z")], {"a[": "x", "[]": "y", "": "z"}),
        ([("labels[0²]", "x")], {"labels": {"0²": "x"}}),
    ],
)
def test_bracketed_names_are_nested(items: list[tuple[str, str]], expected: dict[str, Any]) -> None:
    assert fields(*items) == expected


@pytest.mark.parametrize("items", [[("a", "x"), ("a[b]", "y")], [("a[b][c][d]", "x")]])
def test_contradictory_names_are_rejected(items: list[tuple[str, str]]) -> None:
    with pytest.raises(ApiError) as error:
        fields(*items)
    assert error.value.code == "INVALID_REQUEST"


async def test_form_is_parsed_like_its_json(house: House, submit: httpx2.AsyncClient) -> None:
    """Numbers come as texts and labels with brackets; two such requests with one key are the same request."""
    form = {**BASE, "labels[team]": "blue", "generate_audio": "true", "seed": "7"}
    first = await submit.post(
        "/v1/videos",
        files={name: (None, value) for name, value in form.items()},
        headers=ALICE | {"Idempotency-Key": "k"},
    )
    assert first.status_code == 202, first.text
    assert (first.json()["seconds"], first.json()["seed"], first.json()["labels"]) == ("3", 7, {"team": "blue"})
    body = {**BASE, "seconds": 3, "labels": {"team": "blue"}, "generate_audio": True, "seed": 7}
    again = await submit.post("/v1/videos", json=body, headers=ALICE | {"Idempotency-Key": "k"})
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])


async def test_files_of_a_form_are_the_images(house: House, submit: httpx2.AsyncClient) -> None:
    files = [
        ("reference_images", ("a.png", picture("PNG"), "application/octet-stream")),
        ("reference_images", ("b", picture("WEBP", (200, 100)), "image/png")),
        ("prompt", (None, "a boat")),
        ("model", (None, "omni-flash")),
    ]
    answer = await submit.post("/v1/videos", files=files, headers=ALICE)
    assert answer.status_code == 202, answer.text
    assert [(each["content_type"], each["width"], each["height"]) for each in answer.json()["inputs"]] == [
        ("image/png", 128, 96),
        ("image/webp", 200, 100),
    ]


async def test_single_file_of_a_list_is_a_list(submit: httpx2.AsyncClient) -> None:
    files = [("reference_images", ("a.png", picture())), ("prompt", (None, "p")), ("model", (None, "omni-flash"))]
    assert (await submit.post("/v1/videos", files=files, headers=ALICE)).status_code == 202


async def test_image_in_a_text_field_is_accepted(submit: httpx2.AsyncClient) -> None:
    url = "data:image/png;base64," + base64.b64encode(picture()).decode()
    form = {**BASE, "input_reference[image_url]": url}
    answer = await submit.post("/v1/videos", files={name: (None, value) for name, value in form.items()}, headers=ALICE)
    assert answer.status_code == 202, answer.text


async def test_unchosen_file_is_ignored(submit: httpx2.AsyncClient) -> None:
    """Browsers send an empty part for it."""
    body = (
        b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\np\r\n'
        b'--x\r\nContent-Disposition: form-data; name="input_reference"; filename=""\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n\r\n--x--\r\n"
    )
    headers = ALICE | {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await submit.post("/v1/videos", content=body, headers=headers)
    assert (answer.status_code, answer.json()["inputs"]) == (202, [])


@pytest.mark.parametrize(
    ("files", "field"),
    [
        ([("prompt", (None, "a")), ("prompt", (None, "b"))], "prompt"),
        ([("prompt", ("p.txt", b"a boat"))], "prompt"),
        ([("prompt", (None, "p")), ("input_reference", (None, "not a file"))], "input_reference"),
        ([("prompt", (None, "p")), ("input_reference[file_id]", (None, "file-1"))], "input_reference.file_id"),
        ([("prompt", (None, "p")), ("image", ("a.png", b"x"))], "image"),
        ([("prompt", (None, "p")), ("seconds", (None, "long"))], "seconds"),
        ([("prompt", (None, "p")), *[("reference_images", ("a.png", b"x"))] * 4], "reference_images"),
        (
            [
                ("prompt", (None, "p")),
                ("input_reference[data]", (None, "x")),
                ("input_reference[image_url]", (None, "y")),
            ],
            "input_reference",
        ),
    ],
)
async def test_invalid_form_field_is_named(submit: httpx2.AsyncClient, files: list[Any], field: str) -> None:
    answer = await submit.post("/v1/videos", files=files, headers=ALICE)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == "INVALID_REQUEST"
    assert field in {each["field"] for each in answer.json()["error"]["details"]["fields"]}


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"not a form", "multipart/form-data; boundary=x"),
        (b"--x\r\n", "multipart/form-data"),
        (b"--x\r\nContent-Disposition: form-data\r\n\r\np\r\n--x--\r\n", "multipart/form-data; boundary=x"),
    ],
)
async def test_unreadable_form_is_a_clear_error(submit: httpx2.AsyncClient, content: bytes, content_type: str) -> None:
    answer = await submit.post("/v1/videos", content=content, headers=ALICE | {"Content-Type": content_type})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "INVALID_REQUEST"


BEGUN = b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\np\r\n'
SECONDS = b'--x\r\nContent-Disposition: form-data; name="seconds"\r\n\r\n4'
IMAGE = b'--x\r\nContent-Disposition: form-data; name="input_reference"; filename="a.png"\r\n\r\n' + b"x" * 2**21


@pytest.mark.parametrize("cut", [b"", b"\r", b"\r\n", b"\r\n-", b"\r\n--", b"\r\n--x", b"\r\n--x-", b"\r\n--x\r\n"])
@pytest.mark.parametrize("last", [SECONDS, IMAGE], ids=["a field", "a file"])
async def test_truncated_form_is_rejected_and_charges_nothing(
    house: House, submit: httpx2.AsyncClient, last: bytes, cut: bytes
) -> None:
    """What it lost would otherwise be missing from the video, at the price of the default."""
    headers = ALICE | {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await submit.post("/v1/videos", content=BEGUN + last + cut, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")
    assert "closing boundary" in answer.json()["error"]["message"]
    assert house.store.documents(Job) == []
    assert [entry.type for entry in house.store.documents(Transaction)] == ["signup"]


@pytest.mark.parametrize("end", [b"\r\n--x--", b"\r\n--x--\r\n", b"\r\n--x--\r\nan epilogue"])
async def test_complete_form_is_accepted_with_all_parts(house: House, submit: httpx2.AsyncClient, end: bytes) -> None:
    headers = ALICE | {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await submit.post("/v1/videos", content=BEGUN + SECONDS + end, headers=headers)
    assert (answer.status_code, answer.json()["seconds"]) == (202, "4"), answer.text


@pytest.mark.parametrize(
    ("content_type", "part"),
    [
        ("multipart/form-data; boundary=x; charset=utf-7", b"+2D0-"),
        ("multipart/form-data; boundary=x; charset=punycode", b"p"),
        ("multipart/form-data; boundary=x; charset=undefined", b"p"),
        ("multipart/form-data; boundary=x; charset=", b"p"),
        ("multipart/form-data; boundary=x; charset=utf-16", b"p\0"),
        ("multipart/form-data; boundary=x", b"caf\xe9"),
        ("multipart/form-data; boundary=x", b"\xed\xa0\xbd"),
    ],
)
async def test_form_text_is_utf8(submit: httpx2.AsyncClient, content_type: str, part: bytes) -> None:
    content = b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n' + part + b"\r\n--x--\r\n"
    answer = await submit.post("/v1/videos", content=content, headers=ALICE | {"Content-Type": content_type})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")
    assert "UTF-8" in answer.json()["error"]["message"]


async def test_unknown_charset_is_named(submit: httpx2.AsyncClient) -> None:
    headers = ALICE | {"Content-Type": "multipart/form-data; boundary=x; charset=undefined"}
    answer = await submit.post("/v1/videos", content=BEGUN + b"--x--\r\n", headers=headers)
    assert "charset=undefined" in answer.json()["error"]["message"]


async def test_empty_field_is_omitted(house: House, submit: httpx2.AsyncClient) -> None:
    """Tools that show a form send all of its fields."""
    await house.sign_up()
    names = [name for name in CreateVideo.model_fields if name not in BASE]
    empty = [*names, "input_reference[image_url]", "reference_images[0][data]", "labels[team]"]
    form = BASE | dict.fromkeys(empty, "")
    answer = await submit.post("/v1/videos", files={name: (None, value) for name, value in form.items()}, headers=ALICE)
    assert answer.status_code == 202, answer.text
    assert (answer.json()["inputs"], answer.json()["labels"], answer.json()["count"]) == ([], {}, 1)
    nothing = await submit.post("/v1/videos", files={"prompt": (None, "")}, headers=ALICE)
    assert nothing.json()["error"]["details"]["fields"] == [{"field": "prompt", "message": "Field required"}]


async def test_part_with_its_own_encoding_is_rejected(submit: httpx2.AsyncClient) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="prompt"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    headers = ALICE | {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await submit.post("/v1/videos", content=head + b"cA==\r\n--x--\r\n", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")


async def test_too_many_fields_or_files_are_rejected(submit: httpx2.AsyncClient) -> None:
    many = [(f"labels[{number}]", (None, "x")) for number in range(forms.MAX_FIELDS + 1)]
    answer = await submit.post("/v1/videos", files=many, headers=ALICE)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")
    files = [("reference_images", ("a.png", b"x"))] * (forms.MAX_FILES + 1)
    answer = await submit.post("/v1/videos", files=files, headers=ALICE)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")


async def test_only_form_routes_accept_forms(house: House) -> None:
    async with client_of(application(routes.of("poll"), load("poll").HANDLERS, lambda: house.services)) as poll:
        answer = await poll.post("/tasks/step", files={"job": (None, "x"), "step": (None, "0")})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_json_cannot_forge_an_upload(submit: httpx2.AsyncClient) -> None:
    """What comes in JSON is never taken for a file of a form."""
    body = json.dumps({"prompt": "p", "input_reference": {"file": "x"}})
    answer = await submit.post("/v1/videos", content=body, headers=ALICE | {"Content-Type": "application/json"})
    assert answer.json()["error"]["code"] == "INVALID_REQUEST"


async def test_rejected_form_creates_nothing(house: House, submit: httpx2.AsyncClient) -> None:
    files = [("prompt", (None, "p")), ("input_reference", ("a.png", b"no image"))]
    answer = await submit.post("/v1/videos", files=files, headers=ALICE)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_IMAGE")
    assert house.store.documents(Job) == []
    assert await house.files() == []
