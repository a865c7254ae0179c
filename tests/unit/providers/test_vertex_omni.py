"""Gemini Omni on Vertex AI, spoken to by the official SDK over a real socket: what is sent, and what answers mean."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from typing import Any

import google.auth
import pytest
from google import genai
from google.auth.exceptions import TransportError

from shared.core.documents import Extends, Input, InputRole, VideoRequest
from shared.platform.provider import Failed, Finished, PollResult, Provider, Rejected, Running, Throttled
from shared.platform.settings import Settings
from shared.providers import errors
from shared.providers.vertex import label
from shared.providers.vertex_omni import VertexOmni
from tests.unit.providers.test_omni import FULL, ID, MINIMAL, image, interaction, refusal, text, video
from tests.unit.providers.test_veo import Identity
from tests.unit.wire import Answer, Cut, Recorder, Silence, a_job, refused_url, started

ROOT = "/v1beta1/projects/p1/locations/global/interactions"
PREFIX = "t/a/video_x/1/"
URI = "gs://videos/t/a/video_x/1/7/sample_0.mp4"
MISSING = (
    "Publisher Model projects/p1/locations/global/publishers/google/models/gemini-omni-1.2-flash was not found or your "
    "project does not have access to it."
)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder() as recorder:
        recorder.answers(interaction("in_progress"))
        yield recorder


@pytest.fixture
async def generator(recorder: Recorder) -> AsyncIterator[VertexOmni]:
    generator = VertexOmni(settings(recorder.url))
    yield generator
    await generator.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "LOOK_FIRST_WAIT_S", 0.01)


def settings(url: str, token: str = "TOKEN") -> Settings:
    return Settings(
        google_cloud_project="p0",
        bucket="videos",
        vertex_project="p1",
        vertex_location="europe-west4",
        vertex_url=url,
        vertex_token=token,
        gemini_api_key="KEY",
    )


def rpc(status: int, message: str) -> Answer:
    return Answer(status, {"error": {"code": status, "message": message, "status": "SOME_STATUS"}})


def test_omni_on_vertex_is_a_provider() -> None:
    """It has every call of the protocol, as the type checker proves from this line."""
    generator: Provider = VertexOmni(settings("http://127.0.0.1:1"))
    assert generator


# --- create ---


async def test_create_names_the_prefix_and_the_job(generator: VertexOmni, recorder: Recorder) -> None:
    """A full request, at the one location that has Omni, with the token and not the Gemini API's key."""
    assert await started(generator, a_job(FULL), PREFIX) == ID
    (request,) = recorder.requests
    assert (request.method, request.path) == ("POST", ROOT)
    assert request.headers["authorization"] == "Bearer TOKEN"
    assert "x-goog-api-key" not in request.headers
    assert request.body == {
        "model": "gemini-omni-1.2-flash",
        "background": True,
        "input": "a dög",
        "generation_config": {"seed": 0},
        "response_format": {
            "type": "video",
            "aspect_ratio": "16:9",
            "duration": "15s",
            "resolution": "4k",
            "delivery": "uri",
            "gcs_uri": "gs://videos/t/a/video_x/1/",
        },
        "labels": {"job": label("video_AbCdEfGhIjKlMnOpQr-_12")},
    }


def part(role: InputRole, name: str) -> tuple[Input, dict[str, str]]:
    return image(role, name), {"type": "image", "mime_type": "image/png", "uri": f"gs://videos/{name}"}


@pytest.mark.parametrize(
    ("roles", "task", "tags"),
    [
        (("first_frame", "last_frame"), "image_to_video", "<FIRST_FRAME> <LAST_FRAME>"),
        (("reference", "reference"), "reference_to_video", "<IMAGE_REF_0> <IMAGE_REF_1>"),
    ],
)
async def test_images_are_named_by_their_objects(
    generator: VertexOmni, recorder: Recorder, roles: tuple[InputRole, ...], task: str, tags: str
) -> None:
    """Vertex AI reads them from our bucket itself, in order and before the prompt."""
    parts = [part(role, f"inputs/{number}.png") for number, role in enumerate(roles)]
    request = MINIMAL.model_copy(update={"inputs": tuple(image for image, _ in parts)})
    await started(generator, a_job(request), PREFIX)
    body = recorder.requests[0].body
    (step,) = body["input"]
    assert step["content"] == [*(sent for _, sent in parts), {"type": "text", "text": f"{tags} a cat"}]
    assert body["generation_config"] == {"video_config": {"task": task}}


async def test_extended_video_is_named_by_its_object(generator: VertexOmni, recorder: Recorder) -> None:
    """However large it is, nothing is uploaded."""
    extends = Extends(job="video_x", object="t/a/video_x/1/0.mp4", size_bytes=1 << 30, seconds=8.0)
    request: VideoRequest = MINIMAL.model_copy(update={"extends": extends})
    await started(generator, a_job(request), PREFIX)
    (sent,) = recorder.requests
    assert sent.body["input"][0]["content"] == [
        {"type": "video", "mime_type": "video/mp4", "uri": "gs://videos/t/a/video_x/1/0.mp4"},
        {"type": "text", "text": "a cat"},
    ]
    assert sent.body["generation_config"] == {"video_config": {"task": "extend"}}


REFUSALS = {
    "a bad request": (refusal(400, "invalid_request", "Unsupported duration."), "PROMPT_REJECTED"),
    "a blocked prompt": (refusal(400, "content_blocked", "Try another prompt."), "SAFETY_BLOCKED"),
    "no valid token": (rpc(401, "Request had invalid authentication credentials."), "PROVIDER_DENIED"),
    "no permission": (rpc(403, "Permission denied on resource."), "PROVIDER_DENIED"),
    "a retired model": (rpc(404, MISSING), "MODEL_RETIRED"),
    "a retired model, in the API's words": (refusal(404, "not_found", "It is no longer available."), "MODEL_RETIRED"),
    "a retired model, as a denial": (
        rpc(403, "Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/m'."),
        "MODEL_RETIRED",
    ),
    "the denial in a list": (
        Answer(403, [{"error": {"code": 403, "message": "Permission 'aiplatform.endpoints.predict' denied"}}]),
        "MODEL_RETIRED",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_create_is_rejected_permanently(generator: VertexOmni, recorder: Recorder, case: str) -> None:
    """An answer that will not change is Refused with the catalog's code, after exactly one request."""
    answer, code = REFUSALS[case]
    recorder.answers(answer)
    with pytest.raises(Rejected) as refused:
        await started(generator, a_job(FULL), PREFIX)
    assert refused.value.code == code
    assert len(recorder.requests) == 1


async def test_only_an_exhausted_quota_is_throttled(generator: VertexOmni, recorder: Recorder) -> None:
    """It has the server's Retry-After, and the SDK's five tries are one request here."""
    recorder.answers(Answer(429, {"error": {"code": 429, "message": "slow"}}, {"Retry-After": "37"}))
    with pytest.raises(Throttled) as busy:
        await started(generator, a_job(FULL), PREFIX)
    assert busy.value.retry_after_s == 37.0
    assert len(recorder.requests) == 1


async def test_refused_connection_is_throttled() -> None:
    """Nothing was sent, so the create may be repeated."""
    with refused_url() as url:
        generator = VertexOmni(settings(url))
        with pytest.raises(Throttled):
            await started(generator, a_job(FULL), PREFIX)
        await generator.close()


@pytest.mark.parametrize(
    "answer",
    [rpc(500, "x"), rpc(503, "x"), rpc(504, "x"), Cut(), Silence(), Answer(body={})],
    ids=["500", "503", "504", "cut", "silence", "nothing"],
)
async def test_ambiguous_error_is_unknown(
    generator: VertexOmni, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, answer: Answer | Cut | Silence
) -> None:
    """After anything else a generation may have started: neither Refused nor Busy, and exactly one request."""
    monkeypatch.setattr(errors, "CREATE_TIMEOUT_S", 1.0)
    recorder.answers(answer)
    with pytest.raises(Exception) as error:
        await started(generator, a_job(FULL), PREFIX)
    assert not isinstance(error.value, Rejected | Throttled)
    assert len(recorder.requests) == 1


async def test_own_identity_is_used_and_a_prepared_create_needs_no_new_token(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a fixed token; between the claim and the create nothing is loaded or fetched any more."""
    identity = Identity("OWN")
    monkeypatch.setattr(google.auth, "default", lambda scopes: (identity, "p0"))
    generator = VertexOmni(settings(recorder.url, token=""))
    start = await generator.prepare(a_job(FULL))
    identity.outcome = TransportError("the metadata server is asked again")  # type: ignore[no-untyped-call]
    monkeypatch.setattr(google.auth, "default", None)
    monkeypatch.setattr(genai, "Client", None)
    assert recorder.requests == []
    assert await start(a_job(FULL), PREFIX) == ID
    assert [request.headers["authorization"] for request in recorder.requests] == ["Bearer OWN"]
    await generator.close()


async def test_without_a_token_nothing_is_sent(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A metadata server that doesn't answer is Busy."""
    failing = Identity(TransportError("the metadata server does not answer"))  # type: ignore[no-untyped-call]
    monkeypatch.setattr(google.auth, "default", lambda scopes: (failing, "p0"))
    with pytest.raises(Throttled):
        await VertexOmni(settings(recorder.url, token="")).prepare(a_job(FULL))
    assert recorder.requests == []


# --- poll ---

IN_THE_BUCKET: dict[str, tuple[Answer, PollResult]] = {
    "in progress": (interaction("in_progress"), Running()),
    "done": (interaction("completed", video(uri=URI)), Finished((URI,))),
    "words instead of a video": (
        interaction("completed", text("I can't make a video of a real person.")),
        Failed("SAFETY_BLOCKED", "I can't make a video of a real person."),
    ),
    "inline": (
        interaction("completed", video(data="AAAA")),
        Failed("PROVIDER_ERROR", "the interaction ended without a video in the bucket"),
    ),
    "failed": (
        interaction("failed", errors=[{"code": "permission_denied", "message": "no access to the bucket"}]),
        Failed("PROVIDER_DENIED", "no access to the bucket"),
    ),
}


@pytest.mark.parametrize("case", IN_THE_BUCKET)
async def test_interaction_results(generator: VertexOmni, recorder: Recorder, case: str) -> None:
    """Success is a video in the bucket, which is asked for by one request: Vertex AI has no files to wait for."""
    answer, expected = IN_THE_BUCKET[case]
    recorder.answers(answer)
    assert await generator.poll(ID) == expected
    assert [(each.method, each.path) for each in recorder.requests] == [("GET", f"{ROOT}/{ID}?stream=false")]


async def test_empty_completed_interaction_is_not_final(generator: VertexOmni, recorder: Recorder) -> None:
    """Its video may still be in the bucket, so the poll fails and the step searches there."""
    recorder.answers(Answer(body={"id": ID, "status": "completed", "steps": [{"type": "user_input", "content": []}]}))
    with pytest.raises(LookupError):
        await generator.poll(ID)


async def test_poll_is_retried_on_temporary_errors(generator: VertexOmni, recorder: Recorder) -> None:
    """Looking twice costs nothing, so errors that pass are tried again at once."""
    recorder.answers(rpc(503, "for a moment"), rpc(429, "for a moment"), interaction("completed", video(uri=URI)))
    assert await generator.poll(ID) == Finished((URI,))


# --- fetch and cancel ---


def test_there_is_nothing_to_download(recorder: Recorder) -> None:
    """The videos are in our bucket: a URI that is not there is an error, and nothing is written."""
    destination = io.BytesIO()
    with pytest.raises(ValueError, match="not in the bucket"):
        VertexOmni(settings(recorder.url)).download("gs://elsewhere/x.mp4", destination)
    assert (destination.getvalue(), recorder.requests) == (b"", [])


@pytest.mark.parametrize("answer", [interaction("cancelled"), refusal(400, "invalid_request", "It has ended.")])
async def test_cancel_is_sent(generator: VertexOmni, recorder: Recorder, answer: Any) -> None:
    """An interaction that has ended, or was never there, need not be stopped."""
    recorder.answers(answer)
    await generator.cancel(ID)
    (request,) = recorder.requests
    assert (request.method, request.path) == ("POST", f"{ROOT}/{ID}/cancel")
    assert request.headers["authorization"] == "Bearer TOKEN"
