"""Gemini Omni, spoken to by the official SDK over a real socket: what is sent, and what the answers mean."""

from __future__ import annotations

import asyncio
import base64
import io
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import uvicorn
from google import genai
from google.genai import errors

from local.memory.media import MemoryObjectStore
from local.providers.app import Providers
from local.providers.durations import Durations
from local.providers.engine import Engine
from local.providers.render import Film
from local.providers.webhooks import Webhooks
from shared.core.documents import Extends, ImageType, Input, InputRole, VideoRequest
from shared.platform.provider import Failed, Finished, PollResult, Provider, Rejected, Running, Throttled
from shared.platform.settings import Settings
from shared.providers import errors as faults
from shared.providers import omni
from shared.providers.omni import Omni
from tests.unit.conftest import Shaky
from tests.unit.wire import Answer, Cut, Recorder, Silence, a_job, refused_url, started

ID = "v1_Ab-9"
INLINE = f"interaction:{ID}"
URI = "https://generativelanguage.googleapis.com/v1beta/files/abc-123:download?alt=media"
PREFIX = "t/a/video_x/1/"
VIDEO = bytes(range(256)) * 12_288  # 3 MiB: more than one piece
MINIMAL = VideoRequest(
    prompt="a cat", model="omni-flash", seconds=3, aspect_ratio="9:16", resolution="360p", generate_audio=True
)
FULL = MINIMAL.model_copy(
    update={"prompt": "a dög", "seconds": 15, "aspect_ratio": "16:9", "resolution": "4k", "seed": 0}
)


MEDIA = MemoryObjectStore("videos")


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder() as recorder:
        recorder.answers(interaction("in_progress"))
        yield recorder


@pytest.fixture
async def generator(recorder: Recorder) -> AsyncIterator[Omni]:
    generator = Omni(settings(recorder.url), MEDIA)
    yield generator
    await generator.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "LOOK_FIRST_WAIT_S", 0.01)


def settings(url: str) -> Settings:
    return Settings(google_cloud_project="p0", bucket="videos", gemini_api_key="KEY", gemini_url=url)


def interaction(status: str, *content: dict[str, Any], **more: Any) -> Answer:
    steps = [
        {"type": "user_input", "content": [{"type": "text", "text": "go"}]},
        {"type": "thought", "signature": "c2ln"},
        {"type": "model_output", "content": list(content)},
    ]
    return Answer(body={"id": ID, "object": "interaction", "status": status, "steps": steps, **more})


def video(**where: str) -> dict[str, Any]:
    return {"type": "video", "mime_type": "video/mp4", **where}


def text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def file(state: str | None, **more: Any) -> Answer:
    told = {"state": state} if state else {}
    return Answer(body={"name": "files/abc-123", "mimeType": "video/mp4", "source": "GENERATED", **told, **more})


def refusal(status: int, code: str, message: str) -> Answer:
    return Answer(status, {"error": {"code": code, "message": message}})


def test_omni_is_a_provider() -> None:
    """Omni has every call of the protocol, as the type checker proves from this line."""
    generator: Provider = Omni(settings("http://127.0.0.1:1"), MEDIA)
    assert generator


# --- create ---


def image(role: InputRole, name: str, content_type: ImageType = "image/png") -> Input:
    return Input(
        role=role, object=name, content_type=content_type, size_bytes=1, crc32c="", width_px=640, height_px=360
    )


async def media_with(**objects: bytes) -> MemoryObjectStore:
    media = MemoryObjectStore("videos", run=asyncio.to_thread)
    for name, data in objects.items():
        await media.write(name, lambda writer, data=data: writer.write(data) and None, "image/png")
    return media


@pytest.mark.parametrize(
    ("inputs", "prompt", "task", "text"),
    [
        ((image("first_frame", "a"),), "go", "image_to_video", "<FIRST_FRAME> go"),
        (
            (image("first_frame", "a"), image("last_frame", "b", "image/webp")),
            "go",
            "image_to_video",
            "<FIRST_FRAME> <LAST_FRAME> go",
        ),
        (
            (image("reference", "a"), image("reference", "b", "image/jpeg")),
            "go",
            "reference_to_video",
            "<IMAGE_REF_0> <IMAGE_REF_1> go",
        ),
        (
            (image("reference", "a"), image("reference", "b")),
            "<IMAGE_REF_1> meets <IMAGE_REF_0>",
            "reference_to_video",
            "<IMAGE_REF_1> meets <IMAGE_REF_0>",
        ),
    ],
)
async def test_images_go_inline_with_purpose_tags(
    recorder: Recorder, inputs: tuple[Input, ...], prompt: str, task: str, text: str
) -> None:
    """Each image is in the request, in order and before the prompt; the prompt's own tags are left as they are."""
    generator = Omni(settings(recorder.url), await media_with(a=b"AAA", b=b"BBB"))
    await started(generator, a_job(MINIMAL.model_copy(update={"inputs": inputs, "prompt": prompt})), PREFIX)
    await generator.close()
    body = recorder.requests[0].body
    (step,) = body["input"]
    data = {"a": b"AAA", "b": b"BBB"}
    assert step["content"] == [
        *(
            {"type": "image", "mime_type": each.content_type, "data": base64.b64encode(data[each.object]).decode()}
            for each in inputs
        ),
        {"type": "text", "text": text},
    ]
    assert body["generation_config"] == {"video_config": {"task": task}}


def extending(name: str, size_bytes: int = 3) -> VideoRequest:
    extends = Extends(job="video_x", object=name, size_bytes=size_bytes, seconds=8.0)
    return MINIMAL.model_copy(update={"extends": extends})


async def test_extension_sends_the_video_and_the_added_seconds(recorder: Recorder) -> None:
    """A small video goes with the request itself."""
    generator = Omni(settings(recorder.url), await media_with(film=b"MP4"))
    await started(generator, a_job(extending("film")), PREFIX)
    await generator.close()
    body = recorder.requests[0].body
    assert body["input"][0]["content"] == [
        {"type": "video", "mime_type": "video/mp4", "data": base64.b64encode(b"MP4").decode()},
        {"type": "text", "text": "a cat"},
    ]
    assert body["generation_config"] == {"video_config": {"task": "extend"}}
    assert body["response_format"]["duration"] == "3s"


async def test_large_video_is_uploaded_first(monkeypatch: pytest.MonkeyPatch, small_video: bytes) -> None:
    """What is too large for a request is made a file of the Gemini API, and waited for until that can be read."""
    monkeypatch.setattr(omni, "UPLOAD_LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(omni, "LARGEST_INLINE_BYTES", 10)
    async with stand_in() as (url, extended):
        generator = Omni(settings(url), await media_with(film=small_video))
        await started(generator, a_job(extending("film", len(small_video))), PREFIX)
        await generator.close()
    assert extended == [small_video]


@asynccontextmanager
async def stand_in() -> AsyncIterator[tuple[str, list[bytes | None]]]:
    """The URL of the local Gemini API, and the videos that it was asked to go on from."""
    extended: list[bytes | None] = []

    async def render(film: Film) -> bytes:
        extended.append(film.extends)
        return b"film"

    engine = Engine(render, durations=Durations(0, 0))
    webhooks = Webhooks(engine, None, None)
    app = Providers(engine, webhooks, processing_seconds=0.05).app
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="error"))
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", extended
        while not extended:
            await asyncio.sleep(0.01)
    finally:
        server.should_exit = True
        await serving
        await engine.close()
        await webhooks.close()


async def test_missing_input_is_rejected(generator: Omni, recorder: Recorder) -> None:
    """Nothing was sent, and nothing ever will be: its charge is refunded."""
    with pytest.raises(Rejected) as refused:
        await generator.prepare(a_job(extending("nothing")))
    assert refused.value.code == "INPUT_GONE"
    assert not recorder.requests


async def test_prepared_create_reads_and_loads_nothing_more(recorder: Recorder, small_video: bytes) -> None:
    """Between the claim and the create there is one request: client and inputs are there already."""
    media = Shaky(MemoryObjectStore("videos"))
    await media.write("film", lambda file: file.write(small_video) and None, "video/mp4")
    generator = Omni(settings(recorder.url), media)
    start = await generator.prepare(a_job(extending("film", len(small_video))))
    assert recorder.requests == []
    media.fail("use")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(genai, "Client", None)
        assert await start(a_job(extending("film", len(small_video))), PREFIX) == ID
    assert len(recorder.requests) == 1
    await generator.close()


async def test_bucket_outage_is_throttled(recorder: Recorder) -> None:
    """Nothing was sent, so the create may be repeated."""
    media = Shaky(MemoryObjectStore("videos"))
    media.fail("use")
    generator = Omni(settings(recorder.url), media)
    with pytest.raises(Throttled):
        await generator.prepare(a_job(extending("film")))
    await generator.close()
    assert not recorder.requests


async def test_create_sends_exactly_the_request(generator: Omni, recorder: Recorder) -> None:
    """Every setting of a full request is sent, and nothing besides, not even a seed of 0 is left out."""
    await started(generator, a_job(FULL), PREFIX)
    (request,) = recorder.requests
    assert (request.method, request.path) == ("POST", "/v1/interactions")
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
        },
    }


async def test_create_omits_what_was_not_requested(generator: Omni, recorder: Recorder) -> None:
    """A minimal request has no generation_config."""
    await started(generator, a_job(MINIMAL), PREFIX)
    assert recorder.requests[0].body == {
        "model": "gemini-omni-1.2-flash",
        "background": True,
        "input": "a cat",
        "response_format": {
            "type": "video",
            "aspect_ratio": "9:16",
            "duration": "3s",
            "resolution": "360p",
            "delivery": "uri",
        },
    }


async def test_create_returns_the_interaction_id(generator: Omni) -> None:
    """The create returns the id that a poll needs."""
    assert await started(generator, a_job(FULL), PREFIX) == ID


async def test_key_is_sent_and_the_environment_is_ignored(
    generator: Omni, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables that turn the SDK to Vertex AI do not turn us: the Gemini API is asked, with the settings' key."""
    monkeypatch.setenv("GOOGLE_GENAI_USE_ENTERPRISE", "true")
    monkeypatch.setenv("GOOGLE_API_KEY", "ANOTHER")
    await started(generator, a_job(FULL), PREFIX)
    assert recorder.requests[0].path == "/v1/interactions"
    assert recorder.requests[0].headers["x-goog-api-key"] == "KEY"


REFUSALS = {
    "a bad request": (refusal(400, "invalid_request", "Unsupported duration."), "PROMPT_REJECTED"),
    "an unprocessable request": (refusal(422, "invalid_request", "Unsupported duration."), "PROMPT_REJECTED"),
    "a prompt too long": (refusal(400, "invalid_request", "The prompt is too long."), "PROMPT_TOO_LONG"),
    "a blocked prompt, by its code": (refusal(400, "content_blocked", "Try another prompt."), "SAFETY_BLOCKED"),
    "a blocked prompt, by its words": (
        refusal(400, "invalid_request", "The prompt violates our content policy."),
        "SAFETY_BLOCKED",
    ),
    "a wrong key": (refusal(400, "invalid_request", "API key not valid. Please pass a valid one."), "PROVIDER_DENIED"),
    "a list of one error": (Answer(400, [{"error": {"code": 400, "message": "bad"}}]), "PROMPT_REJECTED"),
    "a page": (Answer(400, b"<html><p>an error", {"content-type": "text/html"}), "PROMPT_REJECTED"),
    "no body": (Answer(400, b""), "PROMPT_REJECTED"),
    "no key": (refusal(401, "unauthenticated", "Who are you?"), "PROVIDER_DENIED"),
    "no permission": (refusal(403, "permission_denied", "Not yours."), "PROVIDER_DENIED"),
    "a retired model": (refusal(404, "not_found", "The model is no longer available."), "MODEL_RETIRED"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_create_is_rejected_permanently(generator: Omni, recorder: Recorder, case: str) -> None:
    """An answer that will not change is Refused with the catalog's code, after exactly one request."""
    answer, code = REFUSALS[case]
    recorder.answers(answer)
    with pytest.raises(Rejected) as refused:
        await started(generator, a_job(FULL), PREFIX)
    assert refused.value.code == code
    assert len(recorder.requests) == 1


async def test_rejection_shows_the_providers_words(generator: Omni, recorder: Recorder) -> None:
    """The reason is the message of the error, without its wrapping."""
    recorder.answers(refusal(400, "invalid_request", "Unsupported duration."))
    with pytest.raises(Rejected) as refused:
        await started(generator, a_job(FULL), PREFIX)
    assert refused.value.reason == "Unsupported duration."


BUSY = {
    "a quota": (refusal(429, "resource_exhausted", "slow down"), None),
    "a quota under another status": (refusal(503, "resource_exhausted", "slow down"), None),
    "seconds": (Answer(429, {"error": {"message": "slow"}}, {"Retry-After": "37"}), 37.0),
    "a page": (Answer(429, b"<html>Too many requests</html>", {"content-type": "text/html"}), None),
    "a list of errors": (Answer(429, [{"error": {"code": 429, "message": "slow"}}]), None),
}


@pytest.mark.parametrize("case", BUSY)
async def test_create_is_throttled(generator: Omni, recorder: Recorder, case: str) -> None:
    """Only an exhausted quota is Busy, with the server's Retry-After; the SDK's five tries are one request here."""
    answer, retry_after_s = BUSY[case]
    recorder.answers(answer)
    with pytest.raises(Throttled) as busy:
        await started(generator, a_job(FULL), PREFIX)
    assert busy.value.retry_after_s == retry_after_s
    assert len(recorder.requests) == 1


async def test_refused_connection_is_throttled() -> None:
    """Nothing was sent, so the create may be repeated."""
    with refused_url() as url:
        generator = Omni(settings(url), MEDIA)
        with pytest.raises(Throttled):
            await started(generator, a_job(FULL), PREFIX)
        await generator.close()


@pytest.mark.parametrize(
    "answer",
    [
        refusal(408, "timeout", "x"),
        refusal(409, "aborted", "x"),
        refusal(500, "internal_error", "x"),
        refusal(502, "unavailable", "x"),
        refusal(503, "unavailable", "x"),
        refusal(504, "deadline_exceeded", "x"),
        Answer(502, b"<html><p>Bad gateway", {"content-type": "text/html"}),
        Cut(),
        Answer(body={"id": ID}, missing_bytes=10),
        Answer(body={}),
        Answer(body={"id": "", "status": "in_progress"}),
        Answer(body=b"all is well"),
    ],
    ids=["408", "409", "500", "502", "503", "504", "page", "cut", "cut answer", "nothing", "no id", "no JSON"],
)
async def test_ambiguous_error_is_unknown(generator: Omni, recorder: Recorder, answer: Answer | Cut) -> None:
    """After anything else a generation may have started: neither Refused nor Busy, and exactly one request."""
    recorder.answers(answer)
    with pytest.raises(Exception) as error:
        await started(generator, a_job(FULL), PREFIX)
    assert not isinstance(error.value, Rejected | Throttled)
    assert len(recorder.requests) == 1


async def test_timeout_is_unknown(generator: Omni, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read and connect timeouts are distinguished, although the SDK wraps both in the same exception."""
    monkeypatch.setattr(faults, "CREATE_TIMEOUT_S", 1.0)
    recorder.answers(Silence())
    with pytest.raises(Exception) as error:
        await started(generator, a_job(FULL), PREFIX)
    assert not isinstance(error.value, Rejected | Throttled)
    assert len(recorder.requests) == 1


# --- poll ---


async def test_poll_requests_the_interaction_by_id(generator: Omni, recorder: Recorder) -> None:
    """A poll needs only the stored id, so that any process can do it."""
    await generator.poll(ID)
    (request,) = recorder.requests
    assert (request.method, request.path) == ("GET", f"/v1/interactions/{ID}?stream=false")


LOOKS: dict[str, tuple[Answer, PollResult]] = {
    "queued": (interaction("queued"), Running()),
    "in progress": (interaction("in_progress"), Running()),
    "in progress, with a draft": (interaction("in_progress", video(uri=URI)), Running()),
    "to be continued by the service": (interaction("requires_continuation"), Running()),
    "a state of tomorrow": (interaction("sparkling"), Running()),
    "inline": (interaction("completed", video(data="AAAA")), Finished((INLINE,))),
    "inline, after a few words": (interaction("completed", text("Here:"), video(data="AAAA")), Finished((INLINE,))),
    "incomplete, with a video": (interaction("incomplete", video(data="AAAA")), Finished((INLINE,))),
    "elsewhere": (
        interaction("completed", video(uri="gs://videos/o/sample_0.mp4")),
        Finished(("gs://videos/o/sample_0.mp4",)),
    ),
    "words instead of a video": (
        interaction("completed", text("I can't make a video of a real person.")),
        Failed("SAFETY_BLOCKED", "I can't make a video of a real person."),
    ),
    "nothing": (interaction("completed"), Failed("PROVIDER_ERROR", "the interaction completed without a video")),
    "a video of nothing": (
        interaction("completed", video()),
        Failed("PROVIDER_ERROR", "the interaction completed without a video"),
    ),
    "a step of tomorrow": (
        interaction("completed", steps=[{"type": "hologram", "content": [video(data="AAAA")]}]),
        Failed("PROVIDER_ERROR", "the interaction completed without a video"),
    ),
    "no steps": (
        Answer(body={"id": ID, "status": "completed"}),
        Failed("PROVIDER_ERROR", "the interaction completed without a video"),
    ),
    "failed": (interaction("failed"), Failed("PROVIDER_ERROR", "the interaction failed")),
    "failed, with a video": (
        interaction("failed", video(data="AAAA")),
        Failed("PROVIDER_ERROR", "the interaction failed"),
    ),
    "failed, inside": (
        interaction("failed", errors=[{"code": "internal_error", "message": "Internal error."}]),
        Failed("PROVIDER_ERROR", "Internal error."),
    ),
    "failed for safety": (
        interaction("failed", errors=[{"code": "content_blocked", "message": "Support codes: 61493863"}]),
        Failed("SAFETY_BLOCKED", "violence (support code 61493863)"),
    ),
    "failed, invalid": (
        interaction("failed", errors=[{"code": "https://errors/invalid_request", "message": "Bad image."}]),
        Failed("PROMPT_REJECTED", "Bad image."),
    ),
    "failed, denied": (
        interaction("failed", errors=[{"code": "permission_denied", "message": "Not yours."}]),
        Failed("PROVIDER_DENIED", "Not yours."),
    ),
    "failed in a step": (
        interaction("failed", steps=[{"type": "model_output", "error": {"code": 3, "message": "Bad image."}}]),
        Failed("PROMPT_REJECTED", "Bad image."),
    ),
    "completed with an error": (
        interaction("completed", text("Sorry."), errors=[{"code": "internal_error", "message": "Out of order."}]),
        Failed("PROVIDER_ERROR", "Out of order."),
    ),
    "cancelled": (interaction("cancelled"), Failed("PROVIDER_ERROR", "the interaction was cancelled")),
    "incomplete": (
        interaction("incomplete", text("And then")),
        Failed("PROVIDER_ERROR", "the model stopped before the video was done"),
    ),
    "in want of a tool": (
        interaction("requires_action"),
        Failed("PROVIDER_ERROR", "the model asked for a tool instead of making a video"),
    ),
    "over budget": (interaction("budget_exceeded"), Failed("PROVIDER_DENIED", "the budget for the model is used up")),
}


@pytest.mark.parametrize("case", LOOKS)
async def test_interaction_results(generator: Omni, recorder: Recorder, case: str) -> None:
    """Every shape of an interaction means one thing to a job; success is a video, never a state alone."""
    answer, expected = LOOKS[case]
    recorder.answers(answer)
    assert await generator.poll(ID) == expected


FILES: dict[str, tuple[Answer, PollResult]] = {
    "active": (file("ACTIVE"), Finished((URI,))),
    "processing": (file("PROCESSING"), Running()),
    "failed": (
        file("FAILED", error={"code": 13, "message": "Could not be encoded."}),
        Failed("PROVIDER_ERROR", "Could not be encoded."),
    ),
    "failed without a reason": (file("FAILED"), Failed("PROVIDER_ERROR", "the video could not be processed")),
    "of no state": (file(None), Finished((URI,))),
}


@pytest.mark.parametrize("case", FILES)
async def test_video_is_finished_when_its_file_is(generator: Omni, recorder: Recorder, case: str) -> None:
    """A completed interaction whose file is still being processed is running."""
    answer, expected = FILES[case]
    recorder.answers(interaction("completed", video(uri=URI)), answer)
    assert await generator.poll(ID) == expected


@pytest.mark.parametrize("uri", [URI, "http://127.0.0.1:1/v1/files/abc-123:download?alt=media", "files/abc-123"])
async def test_file_is_requested_by_its_full_name(generator: Omni, recorder: Recorder, uri: str) -> None:
    """A name is not cut at its hyphen, whatever form the URI has; the host in it is never asked."""
    recorder.answers(interaction("completed", video(uri=uri)), file("ACTIVE"))
    await generator.poll(ID)
    assert recorder.requests[1].path == "/v1/files/abc-123"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_poll_is_retried_on_temporary_errors(generator: Omni, recorder: Recorder, status: int) -> None:
    """Looking twice costs nothing, so errors that pass are tried again at once, for the interaction and its file."""
    stumble = refusal(status, "later", "for a moment")
    recorder.answers(stumble, stumble, interaction("completed", video(uri=URI)), stumble, stumble, file("ACTIVE"))
    assert await generator.poll(ID) == Finished((URI,))
    assert len(recorder.requests) == 6


async def test_poll_gives_up_after_a_few_retries(generator: Omni, recorder: Recorder) -> None:
    """A lasting outage ends the poll with its error, so that the queue retries."""
    recorder.answers(refusal(503, "unavailable", "gone"))
    with pytest.raises(Exception) as error:
        await generator.poll(ID)
    assert faults.status_of(error.value) == 503
    assert len(recorder.requests) == faults.LOOK_ATTEMPTS


async def test_long_retry_after_does_not_hold_a_poll(
    generator: Omni, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK sleeps for as long as the server says; the poll does not."""
    monkeypatch.setattr(faults, "LOOK_LIMIT_S", 0.3)
    recorder.answers(Answer(503, b"", {"Retry-After": "3600"}))
    with pytest.raises(TimeoutError):
        await generator.poll(ID)


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_rejected_poll_says_nothing_about_the_generation(
    generator: Omni, recorder: Recorder, status: int
) -> None:
    """A rejected poll raises at once: the caller decides whether to repeat it."""
    recorder.answers(refusal(status, "invalid_request", "Invalid interaction name."))
    with pytest.raises(Exception) as error:
        await generator.poll(ID)
    assert faults.status_of(error.value) == status
    assert len(recorder.requests) == 1


# --- fetch ---


class Pieces(io.BytesIO):
    """A destination that knows how it was written to."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def write(self, data: Any) -> int:
        self.sizes.append(len(data))
        return super().write(data)


async def fetched(generator: Omni, uri: str) -> Pieces:
    pieces = Pieces()
    await asyncio.to_thread(generator.download, uri, pieces)
    return pieces


async def test_file_is_downloaded_in_chunks(generator: Omni, recorder: Recorder) -> None:
    """Every byte arrives, in pieces of at most 1 MiB."""
    recorder.answers(Answer(body=VIDEO, headers={"content-type": "video/mp4"}))
    pieces = await fetched(generator, URI)
    assert pieces.getvalue() == VIDEO
    assert max(pieces.sizes) <= 1024 * 1024


async def test_file_is_downloaded_by_its_full_name(generator: Omni, recorder: Recorder) -> None:
    """The download is asked for with the key, under the name with its hyphen."""
    recorder.answers(Answer(body=VIDEO))
    await fetched(generator, URI)
    (request,) = recorder.requests
    assert (request.method, request.path) == ("GET", "/v1/files/abc-123:download?alt=media")
    assert request.headers["x-goog-api-key"] == "KEY"


async def test_the_server_is_not_told_to_hurry(generator: Omni, recorder: Recorder) -> None:
    """The longest silence is not sent as the time that the whole download may take."""
    recorder.answers(Answer(body=VIDEO))
    await fetched(generator, URI)
    assert recorder.requests[0].headers["x-server-timeout"] == "600"


async def test_truncated_body_raises(generator: Omni, recorder: Recorder) -> None:
    """A file of which only a part arrives is an error, so that no half video is stored."""
    recorder.answers(Answer(body=VIDEO, missing_bytes=1))
    with pytest.raises(httpx2.RemoteProtocolError):
        await fetched(generator, URI)


async def test_missing_file_writes_nothing(generator: Omni, recorder: Recorder) -> None:
    """The page of an error is never taken for the video."""
    recorder.answers(refusal(404, "not_found", "File not found."))
    pieces = Pieces()
    with pytest.raises(errors.ClientError):
        await asyncio.to_thread(generator.download, URI, pieces)
    assert pieces.sizes == []


async def test_silent_file_raises(generator: Omni, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that sends nothing for too long ends the fetch."""
    monkeypatch.setattr(omni, "FETCH_SILENCE_S", 0.3)
    recorder.answers(Silence())
    with pytest.raises(httpx2.TimeoutException):
        await fetched(generator, URI)


async def test_download_is_bounded_in_time(
    generator: Omni, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However steadily the bytes drip, a fetch ends before the function does."""
    monkeypatch.setattr(omni, "FETCH_LIMIT_S", -1.0)
    recorder.answers(Answer(body=VIDEO))
    with pytest.raises(TimeoutError):
        await fetched(generator, URI)


async def test_inline_video_is_read_from_its_interaction(generator: Omni, recorder: Recorder) -> None:
    """A video inside the interaction needs no state of ours: the interaction is read again, and decoded in pieces."""
    recorder.answers(interaction("completed", video(data=base64.b64encode(VIDEO).decode())))
    pieces = await fetched(generator, INLINE)
    assert recorder.requests[0].path == f"/v1/interactions/{ID}?stream=false"
    assert pieces.getvalue() == VIDEO
    assert max(pieces.sizes) <= 1024 * 1024


async def test_missing_inline_video_raises(generator: Omni, recorder: Recorder) -> None:
    """An interaction without its video any more is an error, not an empty file."""
    recorder.answers(interaction("completed"))
    with pytest.raises(FileNotFoundError):
        await fetched(generator, INLINE)


async def test_foreign_address_is_not_fetched(generator: Omni, recorder: Recorder) -> None:
    """The key is never sent to an address that is no file of the Gemini API."""
    with pytest.raises(ValueError, match="no file"):
        await fetched(generator, "https://elsewhere.example/video.mp4")
    assert recorder.requests == []


# --- cancel ---


async def test_cancel_is_sent(generator: Omni, recorder: Recorder) -> None:
    """Omni can stop an interaction."""
    recorder.answers(interaction("cancelled"))
    await generator.cancel(ID)
    (request,) = recorder.requests
    assert (request.method, request.path) == ("POST", f"/v1/interactions/{ID}/cancel")


@pytest.mark.parametrize("status", [400, 404])
async def test_rejected_cancel_is_ignored(generator: Omni, recorder: Recorder, status: int) -> None:
    """What has ended, or was never there, need not be stopped."""
    recorder.answers(refusal(status, "invalid_request", "Only an interaction in progress can be cancelled."))
    await generator.cancel(ID)
    assert len(recorder.requests) == 1


async def test_undelivered_cancel_is_reported(generator: Omni, recorder: Recorder) -> None:
    """A service that does not answer leaves a generation that still runs: the caller tries again later."""
    recorder.answers(refusal(503, "unavailable", "gone"))
    with pytest.raises(Exception) as error:
        await generator.cancel(ID)
    assert faults.status_of(error.value) == 503
