"""The stand-in for Google's video models, spoken to by the official SDK over real sockets."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import io
import itertools
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.providers.buckets import MemoryBuckets
from local.providers.durations import Durations
from local.providers.engine import Engine, RefusedError
from local.providers.engine import Request as EngineRequest
from local.providers.faults import _WORDS, faults_in
from local.providers.render import Film, UnreadableMediaError, facts

ROOT = Path(__file__).parents[2]
VEO = "veo-3.1-generate-001"
OMNI = "gemini-omni-1.2-flash"
GLOBAL = "/v1beta1/projects/p1/locations/global/interactions"
SECRET = "whsec_" + base64.b64encode(b"a secret of tests").decode()
DEADLINE_S = 60
_numbers = itertools.count()


class Recorder:
    """Cloud Storage's uploads and downloads, and a receiver of webhooks that refuses the first delivery of each."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.types: dict[str, str] = {}
        self.deliveries: list[tuple[dict[str, str], bytes]] = []
        self.app = Starlette(
            routes=[
                Route("/upload/storage/v1/b/{bucket}/o", self._upload, methods=["POST"]),
                Route("/download/storage/v1/b/{bucket}/o/{name:path}", self._download),
                Route("/hook/{which}", self._hook, methods=["POST"]),
            ]
        )

    async def _upload(self, request: Request) -> Response:
        boundary = re.search(r'boundary="?([^";]+)', request.headers["content-type"])[1].encode()  # type: ignore[index]
        _, head, media, _ = (await request.body()).split(b"--" + boundary)
        resource = json.loads(head.partition(b"\r\n\r\n")[2])
        headers, _, data = media.partition(b"\r\n\r\n")
        uri = f"gs://{request.path_params['bucket']}/{resource['name']}"
        self.objects[uri] = data.removesuffix(b"\r\n")
        self.types[uri] = re.search(rb"content-type: *(\S+)", headers, re.IGNORECASE)[1].decode()  # type: ignore[index]
        return JSONResponse({"name": resource["name"], "bucket": request.path_params["bucket"]})

    async def _download(self, request: Request) -> Response:
        uri = f"gs://{request.path_params['bucket']}/{request.path_params['name']}"
        if uri not in self.objects:
            return JSONResponse({"error": {"code": 404, "message": "not found"}}, 404)
        return Response(self.objects[uri], media_type="video/mp4")

    async def _hook(self, request: Request) -> Response:
        body = await request.body()
        first = all(body != earlier for _, earlier in self.deliveries)
        self.deliveries.append((dict(request.headers), body))
        return Response(status_code=500 if first else 200)

    def events_of(self, name: str) -> list[tuple[dict[str, str], bytes]]:
        return [delivery for delivery in self.deliveries if name.encode() in delivery[1]]

    def under(self, prefix: str) -> dict[str, bytes]:
        return {uri: data for uri, data in self.objects.items() if uri.startswith(prefix)}


@pytest.fixture(scope="module")
def recorder() -> Iterator[tuple[Recorder, str]]:
    recorder = Recorder()
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(recorder.app, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield recorder, f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()


def started(*arguments: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "local.providers", "--port", "0", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("PROVIDERS_")},
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    return process, line.split()[-1]


def stopped(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    code = process.wait(DEADLINE_S)
    assert process.stdout is not None
    process.stdout.close()
    return code


@pytest.fixture(scope="module")
def base_url(recorder: tuple[Recorder, str]) -> Iterator[str]:
    process, url = started(
        *("--storage-url", recorder[1], "--min-seconds", "0.02", "--processing-seconds", "0.3"),
        *("--webhook-url", f"{recorder[1]}/hook/static", "--webhook-secret", SECRET, "--renderers", "2"),
    )
    yield url
    assert stopped(process) == 0


@pytest.fixture
def storage(recorder: tuple[Recorder, str]) -> Recorder:
    return recorder[0]


def vertex(base_url: str, location: str = "us-central1") -> Any:
    return genai.Client(
        enterprise=True,
        project="p1",
        location=location,
        credentials=Credentials(token="t"),  # type: ignore[no-untyped-call]
        http_options=types.HttpOptions(base_url=base_url),
    ).aio


def gemini(base_url: str) -> Any:
    options = types.HttpOptions(base_url=base_url, retry_options=types.HttpRetryOptions(attempts=1))
    return genai.Client(api_key="k", http_options=options).aio


@pytest.fixture
async def veo(base_url: str) -> Any:
    client = vertex(base_url)
    yield client
    await client.aclose()


@pytest.fixture
async def omni(base_url: str) -> Any:
    client = gemini(base_url)
    yield client
    await client.aclose()


@pytest.fixture
async def http(base_url: str) -> Any:
    async with httpx2.AsyncClient(base_url=base_url, timeout=DEADLINE_S, trust_env=False) as client:
        yield client


async def until(look: Callable[[], Awaitable[Any]], good: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + DEADLINE_S
    while not good(seen := await look()):
        assert time.monotonic() < deadline, seen
        await asyncio.sleep(0.02)
    return seen


def unique(name: str) -> str:
    return f"{name}-{next(_numbers)}"


async def create(veo: Any, prompt: str, **config: Any) -> Any:
    settings = {"duration_seconds": 4, "number_of_videos": 1} | config
    source = types.GenerateVideosSource(
        **{name: settings.pop(name) for name in ("image", "video") if name in settings}, prompt=prompt
    )
    return await veo.models.generate_videos(
        model=settings.pop("model", VEO), source=source, config=types.GenerateVideosConfig(**settings)
    )


async def finished(veo: Any, operation: Any) -> Any:
    return await until(lambda: veo.operations.get(operation), lambda seen: bool(seen.done))


async def made(veo: Any, prompt: str, **config: Any) -> Any:
    return await finished(veo, await create(veo, prompt, **config))


def omni_body(prompt: str | list[Any], **changes: Any) -> dict[str, Any]:
    output = {"type": "video", "duration": "3s", "resolution": "360p", "aspect_ratio": "9:16"}
    body = {"model": OMNI, "input": prompt, "background": True, "response_format": output}
    return body | changes


def as_uri(**changes: Any) -> dict[str, Any]:
    return {"response_format": omni_body("")["response_format"] | {"delivery": "uri"} | changes}


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 36), "teal").save(buffer, "PNG")
    return buffer.getvalue()


def with_last_frame() -> dict[str, Any]:
    """What makes a body ask for 11 s, one more than Omni makes with a last frame."""
    frames = [{"type": "image", "mime_type": "image/png", "data": base64.b64encode(picture()).decode()}] * 2
    return {"input": [*frames, {"type": "text", "text": "<FIRST_FRAME> <LAST_FRAME> x"}], **as_uri(duration="11s")}


async def interacted(omni: Any, prompt: str | list[Any], **changes: Any) -> Any:
    first = await omni.interactions.create(**omni_body(prompt, **changes))
    return await until(lambda: omni.interactions.get(first.id), lambda seen: seen.status != "in_progress")


async def active_file(omni: Any, uri: str) -> Any:
    name = re.search(r"files/[a-z0-9]+", uri)[0]  # type: ignore[index]
    return await until(lambda: omni.files.get(name=name), lambda file: file.state == types.FileState.ACTIVE)


# --- Veo: the shapes of an answer


async def test_finished_video_is_below_the_given_prefix(veo: Any, storage: Recorder) -> None:
    prefix = f"gs://films/{unique('a')}"
    operation = await create(veo, "a heron at dusk", output_gcs_uri=prefix, labels={"job": "video_1"}, seed=7)
    assert re.fullmatch(
        rf"projects/p1/locations/us-central1/publishers/google/models/{VEO}/operations/\w+", operation.name
    )
    assert not operation.done
    operation = await finished(veo, types.GenerateVideosOperation(name=operation.name))
    (video,) = operation.response.generated_videos
    assert re.fullmatch(rf"{prefix}/\d+/sample_0\.mp4", video.video.uri)
    assert (video.video.mime_type, storage.types[video.video.uri]) == ("video/mp4", "video/mp4")
    known = facts(storage.objects[video.video.uri])
    assert (known.width, known.height, known.audio) == (1280, 720, True)
    assert known.seconds == pytest.approx(4, abs=1 / 24)


async def test_several_videos_share_a_folder_and_differ(veo: Any, storage: Recorder) -> None:
    prefix = f"gs://films/{unique('a')}/"
    operation = await made(veo, "gulls", number_of_videos=2, output_gcs_uri=prefix, generate_audio=False)
    uris = [video.video.uri for video in operation.response.generated_videos]
    assert [uri.rpartition("/")[2] for uri in uris] == ["sample_0.mp4", "sample_1.mp4"]
    assert len({uri.rpartition("/")[0] for uri in uris}) == 1
    one, other = (storage.objects[uri] for uri in uris)
    assert one != other
    assert not facts(one).audio


async def test_without_a_bucket_the_bytes_are_in_the_response(veo: Any) -> None:
    operation = await made(veo, "a kite", aspect_ratio="9:16")
    known = facts(operation.response.generated_videos[0].video.video_bytes)
    assert (known.width, known.height) == (720, 1280)


async def test_running_operation_has_only_a_name(veo: Any) -> None:
    operation = await create(veo, "fog [never finishes]")
    await made(veo, "[empty]")
    operation = await veo.operations.get(operation)
    assert (operation.done, operation.error, operation.response) == (None, None, None)


async def test_blocked_prompt_is_done_without_videos_and_says_why(veo: Any) -> None:
    operation = await made(veo, "[blocked 58061214] something", number_of_videos=2)
    assert (operation.done, operation.error) == (True, None)
    assert operation.response.generated_videos is None
    assert operation.response.rai_media_filtered_count == 2
    assert "Support codes: 58061214" in operation.response.rai_media_filtered_reasons[0]


async def test_partly_blocked_prompt_gives_one_video_fewer(veo: Any) -> None:
    operation = await made(veo, "[Partly Blocked]", number_of_videos=2)
    assert len(operation.response.generated_videos) == 1
    assert operation.response.rai_media_filtered_count == 1


@pytest.mark.parametrize(("word", "code"), [("[operation error]", 13), ("[operation error 3]", 3)])
async def test_failed_operation_has_a_google_rpc_code(veo: Any, word: str, code: int) -> None:
    operation = await made(veo, word)
    assert operation.error["code"] == code
    assert operation.response is None


async def test_empty_operation_is_done_without_a_result(veo: Any) -> None:
    operation = await made(veo, "[empty]")
    assert (operation.done, operation.error) == (True, None)
    assert operation.response.generated_videos is None
    assert operation.response.rai_media_filtered_count is None


# --- Veo: refusals and accidents


@pytest.mark.parametrize("status", [429, 503])
async def test_first_creates_of_a_prompt_are_rejected_as_scripted(veo: Any, status: int) -> None:
    prompt = f"{unique('crowd')} [{status} x2] [empty]"
    for _ in range(2):
        with pytest.raises(errors.APIError) as refusal:
            await create(veo, prompt)
        assert refusal.value.code == status
    assert (await made(veo, prompt)).done


@pytest.mark.parametrize(
    ("word", "code", "status"),
    [
        ("[create 400]", 400, "INVALID_ARGUMENT"),
        ("[create 500]", 500, "INTERNAL"),
        ("[create 403]", 403, "PERMISSION_DENIED"),
        ("[retired]", 404, "NOT_FOUND"),
        ("[retired 403]", 403, "PERMISSION_DENIED"),
    ],
)
async def test_create_can_be_rejected_permanently(veo: Any, word: str, code: int, status: str) -> None:
    for _ in range(2):
        with pytest.raises(errors.APIError) as refusal:
            await create(veo, word)
        assert (refusal.value.code, refusal.value.status) == (code, status)
    assert ("was not found" in str(refusal.value)) == (word == "[retired]")
    assert ("aiplatform.endpoints.predict" in str(refusal.value)) == (word == "[retired 403]")


async def test_lost_answer_leaves_a_running_generation(veo: Any, storage: Recorder, http: Any) -> None:
    prefix, job = f"gs://films/{unique('lost')}/", unique("job")
    with pytest.raises(httpx2.TransportError):
        await create(veo, "[lost answer]", output_gcs_uri=prefix, labels={"job": job})

    async def look() -> dict[str, bytes]:
        return storage.under(prefix)

    await until(look, bool)
    stats = (await http.get("/_stats")).json()
    assert stats["jobs"][job] == {"creates": 1, "accepted": 1, "succeeded": 1}


async def test_503_may_follow_a_started_generation(veo: Any, storage: Recorder, http: Any) -> None:
    prefix, job = f"gs://films/{unique('begun')}/", unique("job")
    with pytest.raises(errors.ServerError) as answer:
        await create(veo, "[accepted 503]", output_gcs_uri=prefix, labels={"job": job})
    assert (answer.value.code, answer.value.status) == (503, "UNAVAILABLE")

    async def look() -> dict[str, bytes]:
        return storage.under(prefix)

    await until(look, bool)
    stats = (await http.get("/_stats")).json()
    assert stats["jobs"][job] == {"creates": 1, "accepted": 1, "succeeded": 1}


async def test_429_may_have_retry_after(veo: Any, omni: Any) -> None:
    for call in (
        create(veo, f"{unique('n')} [429] [retry after 600s]"),
        omni.interactions.create(**omni_body(f"{unique('n')} [429] [retry after 600s]")),
    ):
        with pytest.raises(Exception) as refusal:
            await call
        response = refusal.value.response  # type: ignore[attr-defined]
        assert response.headers["retry-after"] == "600"


async def test_model_and_endpoint_may_be_retired_mid_generation(veo: Any, storage: Recorder) -> None:
    prefix = f"gs://films/{unique('retired')}/"
    operation = await create(veo, "[retired midway]", output_gcs_uri=prefix)

    async def look() -> dict[str, bytes]:
        return storage.under(prefix)

    await until(look, bool)
    with pytest.raises(errors.ClientError) as refusal:
        await veo.operations.get(operation)
    assert refusal.value.code == 404


@pytest.mark.parametrize("word", ["[corrupt file]", "[tiny file]", "[truncated download]", "[wrong length]"])
async def test_finished_file_can_be_unusable(veo: Any, storage: Recorder, word: str) -> None:
    operation = await made(veo, word, output_gcs_uri="gs://films/unfit")
    data = storage.objects[operation.response.generated_videos[0].video.uri]
    assert data[4:8] == b"ftyp"
    if word == "[wrong length]":
        assert facts(data).seconds == pytest.approx(2, abs=1 / 24)
    elif word == "[truncated download]":
        whole = int.from_bytes(data[data.find(b"mdat") - 4 :][:4]) + data.find(b"mdat") - 4
        assert len(data) < whole
    else:
        assert (len(data) < 1000) == (word == "[tiny file]")
        with pytest.raises(UnreadableMediaError):
            facts(data)


async def test_polls_can_be_rejected(veo: Any) -> None:
    operation = await create(veo, "[look 503] [empty]")
    with pytest.raises(errors.ServerError):
        await veo.operations.get(operation)
    await finished(veo, operation)


async def test_repeated_prompt_has_the_same_faults_in_another_job(veo: Any) -> None:
    for job in (unique("job"), unique("job")):
        with pytest.raises(errors.ClientError):
            await create(veo, "[429] [empty]", labels={"job": job})
        await create(veo, "[429] [empty]", labels={"job": job})


async def test_unwritable_bucket_fails_the_operation(veo: Any) -> None:
    # The recorder has no bucket route for a name with a slash: the upload meets 404.
    operation = await made(veo, "[slow 0.01s] a leaf", output_gcs_uri="gs://no%2Fbucket/x")
    assert operation.error["code"] == 7


# --- Veo: what is accepted


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"duration_seconds": 5}, "durationSeconds"),
        ({"aspect_ratio": "1:1"}, "aspectRatio"),
        ({"resolution": "480p"}, "resolution"),
        ({"resolution": "1080p", "duration_seconds": 4}, "durationSeconds"),
        ({"number_of_videos": 5}, "sampleCount"),
        ({"seed": -1}, "seed"),
        ({"fps": 30}, "fps"),
        ({"person_generation": "everybody"}, "personGeneration"),
        ({"output_gcs_uri": "films/x"}, "storageUri"),
        ({"resolution": "4k", "duration_seconds": 8, "model": "veo-3.1-fast-generate-001"}, "resolution"),
        ({"image": types.Image(image_bytes=b"nothing", mime_type="image/png")}, "input image"),
        ({"last_frame": types.Image(gcs_uri="gs://b/l.png", mime_type="image/png")}, "lastFrame"),
        ({"video": types.Video(uri="gs://films/nowhere.mp4", mime_type="video/mp4"), "duration_seconds": 7}, "video"),
        ({"http_options": {"extra_body": {"parameters": {"mood": "sad"}}}}, "mood"),
    ],
)
async def test_unsupported_option_is_an_invalid_argument(veo: Any, config: Any, named: str) -> None:
    with pytest.raises(errors.ClientError) as refusal:
        await create(veo, "a stone", **config)
    assert (refusal.value.code, refusal.value.status) == (400, "INVALID_ARGUMENT")
    assert named in str(refusal.value)


async def test_every_supported_option_is_accepted(veo: Any) -> None:
    image = types.Image(image_bytes=picture(), mime_type="image/png")
    await create(
        veo,
        "[empty] everything",
        image=image,
        last_frame=image,
        number_of_videos=4,
        duration_seconds=8,
        resolution="1080p",
        fps=24,
        seed=4294967295,
        person_generation="allow_adult",
        negative_prompt="rain",
        enhance_prompt=True,
        generate_audio=True,
        compression_quality="OPTIMIZED",
        aspect_ratio="16:9",
    )


async def test_extension_adds_7s_to_a_video_in_the_bucket(veo: Any, storage: Recorder) -> None:
    first = await made(veo, "a train", output_gcs_uri="gs://films/first")
    video = types.Video(uri=first.response.generated_videos[0].video.uri, mime_type="video/mp4")
    longer = await made(veo, "a tunnel", output_gcs_uri="gs://films/longer", video=video, duration_seconds=None)
    known = facts(storage.objects[longer.response.generated_videos[0].video.uri])
    assert known.seconds == pytest.approx(11, abs=1 / 24)


async def test_unknown_models_operations_and_callers_are_rejected(veo: Any, http: Any) -> None:
    with pytest.raises(errors.ClientError, match="404"):
        await create(veo, "x", model="veo-9")
    operation = await create(veo, "[empty]")
    with pytest.raises(errors.ClientError, match="404"):
        await veo.operations.get(types.GenerateVideosOperation(name=operation.name + "x"))
    assert (await http.get(f"/v1/{operation.name}")).status_code == 404
    path = operation.name.partition("/operations/")[0]
    for version in ("v1", "v1beta", "v1beta1"):
        answer = await http.post(f"/{version}/{path}:predictLongRunning", json={"instances": [{"prompt": "x"}]})
        assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")


# --- Omni


async def test_interaction_ends_with_a_small_inline_video(omni: Any) -> None:
    interaction = await interacted(omni, "a snail [slow 0.1s]", labels={"job": "video_2"})
    assert interaction.status == "completed"
    known = facts(base64.b64decode(interaction.output_video.data))
    assert (known.width, known.height) == (360, 640)
    assert known.seconds == pytest.approx(3, abs=1 / 24)


async def test_delivered_file_is_processing_then_active_then_downloaded(omni: Any, http: Any) -> None:
    expected_s = (await http.get("/_stats")).json()["config"]["processing_seconds"]
    # As long as it takes to be asked.
    await http.post("/_config", json={"processing_seconds": 3_600})
    try:
        interaction = await interacted(omni, "an owl", **as_uri())
        video = interaction.output_video
        assert (video.data, video.mime_type) == (None, "video/mp4")
        with pytest.raises(errors.ClientError, match="ACTIVE"):
            await omni.files.download(file=video.uri)
    finally:
        await http.post("/_config", json={"processing_seconds": expected_s})
    file = await active_file(omni, video.uri)
    assert file.source == types.FileSource.GENERATED
    data = await omni.files.download(file=file.name)
    assert len(data) == file.size_bytes
    assert facts(data).seconds == pytest.approx(3, abs=1 / 24)
    await omni.files.delete(name=file.name)
    with pytest.raises(errors.ClientError, match="403"):
        await omni.files.get(name=file.name)


async def test_first_download_can_be_cut(omni: Any) -> None:
    interaction = await interacted(omni, "a moth [truncated download]", **as_uri())
    file = await active_file(omni, interaction.output_video.uri)
    with pytest.raises(httpx2.TransportError):
        await omni.files.download(file=file.name)
    assert len(await omni.files.download(file=file.name)) == file.size_bytes


async def test_blocked_interaction_is_completed_with_text_only(omni: Any) -> None:
    interaction = await interacted(omni, "[blocked]")
    assert (interaction.status, interaction.output_video) == ("completed", None)
    assert "usage guidelines" in interaction.output_text


async def test_failed_interaction_lists_its_errors(omni: Any) -> None:
    interaction = await interacted(omni, "[operation error 8]")
    assert interaction.status == "failed"
    assert interaction.errors[0].code == "resource_exhausted"


async def test_empty_interaction_is_completed_without_output(omni: Any) -> None:
    interaction = await interacted(omni, "[empty]")
    assert (interaction.status, interaction.output_video, interaction.output_text or "") == ("completed", None, "")


@pytest.mark.parametrize(
    ("word", "status", "code"),
    [
        ("[429]", 429, "resource_exhausted"),
        ("[503]", 503, "unavailable"),
        ("[create 400]", 400, "invalid_request"),
        ("[create 500]", 500, "internal_error"),
        ("[content blocked]", 400, "content_blocked"),
        ("[retired]", 404, "not_found"),
        ("[retired 403]", 404, "not_found"),
        ("[accepted 503]", 503, "unavailable"),
    ],
)
async def test_interaction_can_be_rejected(omni: Any, word: str, status: int, code: str) -> None:
    with pytest.raises(Exception, match=code) as refusal:
        await omni.interactions.create(**omni_body(f"{unique('n')} {word}"))
    assert refusal.value.status_code == status  # type: ignore[attr-defined]


async def test_foreground_wait_returns_the_finished_interaction(omni: Any) -> None:
    interaction = await omni.interactions.create(**omni_body("a bell [slow 0.2s]", background=False))
    assert interaction.status == "completed"


async def test_running_interaction_can_be_canceled_and_deleted(omni: Any) -> None:
    running = await omni.interactions.create(**omni_body("[never finishes]"))
    assert running.status == "in_progress"
    assert (await omni.interactions.cancel(running.id)).status == "cancelled"
    assert (await omni.interactions.get(running.id)).status == "cancelled"
    await omni.interactions.delete(running.id)
    with pytest.raises(Exception, match="Invalid interaction name") as unknown:
        await omni.interactions.get(running.id)
    assert unknown.value.status_code == 400  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (with_last_frame(), "duration"),
        ({"input": [{"type": "image", "uri": "gs://b/o.png"}]}, "gs://b/o.png"),
        ({"negative_prompt": "rain"}, "negative_prompt"),
        ({"generation_config": {"temperature": 1}}, "temperature"),
        ({"system_instruction": "be kind"}, "system_instruction"),
        (as_uri(duration="16s"), "duration"),
        (as_uri(duration=8), "duration"),
        (as_uri(resolution="480p"), "resolution"),
        (as_uri(gcs_uri="gs://b/o"), "gcs_uri"),
        ({"generation_config": {"video_config": {"task": "extend"}}}, "extend needs a video"),
        ({"input": []}, "input"),
    ],
)
async def test_unsupported_omni_option_is_an_invalid_request(http: Any, changes: Any, named: str) -> None:
    answer = await http.post("/v1/interactions", json=omni_body("x", **changes), headers={"x-goog-api-key": "k"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    assert named in answer.json()["error"]["message"]


async def test_gemini_api_needs_an_api_key_and_a_known_model(http: Any) -> None:
    assert (await http.post("/v1/interactions", json=omni_body("x"))).status_code == 403
    for model in ("gemini-omni-0", "gemini-omni-flash-preview"):
        body = omni_body("x", model=model)
        answer = await http.post("/v1beta/interactions", json=body, headers={"x-goog-api-key": "k"})
        assert answer.status_code == 404


async def test_uploaded_video_and_earlier_result_can_be_extended(omni: Any) -> None:
    first = await interacted(omni, "a door", **as_uri())
    file = await active_file(omni, first.output_video.uri)
    data = await omni.files.download(file=file.name)
    upload = await omni.files.upload(file=io.BytesIO(data), config={"mime_type": "video/mp4"})
    task = {"generation_config": {"seed": 7, "video_config": {"task": "extend"}}}
    for uri in (first.output_video.uri, upload.uri):
        video = {"type": "video", "mime_type": "video/mp4", "uri": uri}
        longer = await interacted(omni, [video, {"type": "text", "text": "it opens"}], **task)
        assert facts(base64.b64decode(longer.output_video.data)).seconds == pytest.approx(6, abs=1 / 24)


# --- Omni on Vertex AI


@pytest.fixture
async def vertex_omni(base_url: str) -> Any:
    client = vertex(base_url, "global")
    yield client
    await client.aclose()


async def test_vertex_reads_from_the_bucket_and_writes_below_the_prefix(vertex_omni: Any, storage: Recorder) -> None:
    """And sends no events: the webhooks are the Gemini API's."""
    prefix = f"gs://films/{unique('omni')}/"
    storage.objects["gs://films/first.png"] = picture()
    image = {"type": "image", "mime_type": "image/png", "uri": "gs://films/first.png"}
    prompt = [image, {"type": "text", "text": "<FIRST_FRAME> a bridge"}]
    interaction = await interacted(vertex_omni, prompt, **as_uri(gcs_uri=prefix))
    assert interaction.output_video.uri.startswith(prefix)
    assert facts(storage.objects[interaction.output_video.uri]).height == 640
    assert storage.events_of(interaction.id) == []


async def test_video_may_be_in_the_bucket_and_in_no_answer(vertex_omni: Any, storage: Recorder) -> None:
    prefix = f"gs://films/{unique('unnamed')}/"
    interaction = await interacted(vertex_omni, "[unnamed]", **as_uri(gcs_uri=prefix))
    assert (interaction.status, interaction.output_video) == ("completed", None)
    assert len(storage.under(prefix)) == 1


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (as_uri(), "gcs_uri"),
        (as_uri(gcs_uri="films/o"), "gcs_uri"),
        (with_last_frame(), "duration"),
        ({"input": [{"type": "video", "uri": "files/abc"}]}, "files/abc"),
        ({"input": [{"type": "image", "uri": "gs://films/none.png"}]}, "gs://films/none.png"),
        ({"webhook_config": {"uris": ["http://127.0.0.1:1"]}}, "webhook_config"),
    ],
)
async def test_unsupported_vertex_option_is_an_invalid_request(http: Any, changes: Any, named: str) -> None:
    answer = await http.post(GLOBAL, json=omni_body("x", **changes), headers={"authorization": "Bearer t"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    assert named in answer.json()["error"]["message"]


async def test_vertex_needs_a_bearer_token_the_global_location_and_a_known_model(http: Any) -> None:
    bearer = {"authorization": "Bearer t"}
    for wrong in ({}, {"x-goog-api-key": "k"}, {"authorization": "Basic t"}, {"authorization": "Bearer"}):
        assert (await http.post(GLOBAL, json=omni_body("x"), headers=wrong)).status_code == 401
    elsewhere = GLOBAL.replace("global", "us-central1")
    assert (await http.post(elsewhere, json=omni_body("x"), headers=bearer)).status_code == 404
    for body in (omni_body("x", model="gemini-omni-1.1-flash"), omni_body("[retired]")):
        answer = await http.post(GLOBAL, json=body, headers=bearer)
        assert answer.status_code == 404
        name = f"Publisher Model projects/p1/locations/global/publishers/google/models/{body['model']}"
        assert answer.json()["error"]["message"].startswith(f"{name} was not found")
    denied = await http.post(GLOBAL, json=omni_body("[retired 403]"), headers=bearer)
    assert denied.status_code == 403
    assert "aiplatform.endpoints.predict" in denied.json()["error"]["message"]
    assert (await http.get("/v1beta1/projects/p1/locations/global/files/x", headers=bearer)).status_code == 404


async def test_interaction_is_visible_only_to_its_creator(omni: Any, vertex_omni: Any) -> None:
    """Not to the other API, which would say that it never was."""
    made = await vertex_omni.interactions.create(**omni_body("[never finishes]"))
    for call in (omni.interactions.get, omni.interactions.cancel):
        with pytest.raises(Exception, match="Invalid interaction name"):
            await call(made.id)
    assert (await vertex_omni.interactions.cancel(made.id)).status == "cancelled"


# --- Webhooks


async def test_static_webhook_is_signed_and_repeated_until_accepted(omni: Any, storage: Recorder) -> None:
    interaction = await interacted(omni, "[operation error]")

    async def look() -> list[tuple[dict[str, str], bytes]]:
        return storage.events_of(interaction.id)

    deliveries = await until(look, lambda seen: len(seen) == 2)
    assert len({headers["webhook-id"] for headers, _ in deliveries}) == 1
    for headers, body in deliveries:
        event = json.loads(body)
        assert (event["type"], event["version"]) == ("interaction.failed", "v1")
        assert event["data"]["error_message"]
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = hmac.new(b"a secret of tests", signed, hashlib.sha256).digest()
        assert headers["webhook-signature"] == "v1," + base64.b64encode(expected).decode()


async def test_request_may_bring_its_own_webhook(
    omni: Any, http: Any, recorder: tuple[Recorder, str], storage: Recorder
) -> None:
    """It replaces the static one, is signed with the published key, returns the metadata, and finds lost answers."""
    mark = unique("mark")
    config = {"uris": [f"{recorder[1]}/hook/own"], "user_metadata": {"job_id": mark}}
    with pytest.raises(Exception, match=r"(?i)connection|incomplete|peer closed"):
        await omni.interactions.create(**omni_body("[lost answer] [empty]", webhook_config=config))

    async def look() -> list[tuple[dict[str, str], bytes]]:
        return storage.events_of(mark)

    headers, body = (await until(look, lambda seen: len(seen) == 2))[0]
    (key,) = (await http.get("/.well-known/jwks.json")).json()["keys"]
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
    scheme, _, signature = headers["webhook-signature"].partition(",")
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    public.verify(base64.b64decode(signature), signed)
    assert scheme == "v1a"
    adopted = await omni.interactions.get(json.loads(body)["data"]["id"])
    assert adopted.status == "completed"


@pytest.mark.parametrize(("word", "deliveries", "ids"), [("duplicate", 3, 1), ("early", 4, 2)])
async def test_events_can_come_twice_and_early(
    omni: Any, storage: Recorder, word: str, deliveries: int, ids: int
) -> None:
    """The first delivery of each event is refused by the receiver, hence one more per event."""
    interaction = await interacted(omni, f"[empty] [{word} webhook]")

    async def look() -> list[tuple[dict[str, str], bytes]]:
        return storage.events_of(interaction.id)

    seen = await until(look, lambda seen: len(seen) == deliveries)
    assert len({headers["webhook-id"] for headers, _ in seen}) == ids


# --- The process


async def test_durations_can_be_changed_at_runtime(http: Any) -> None:
    before = (await http.get("/_stats")).json()["config"]
    changed = {"min_seconds": 11, "max_seconds": 360, "distribution": "lognormal"}
    try:
        assert (await http.post("/_config", json=changed)).json() == before | changed
        assert (await http.post("/_config", json={"min_seconds": 400})).status_code == 400
        assert (await http.post("/_config", json={"speed": 1})).status_code == 400
    finally:
        assert (await http.post("/_config", json=before)).json() == before


async def test_server_stops_at_once_during_generations(recorder: tuple[Recorder, str]) -> None:
    process, url = started("--storage-url", recorder[1], "--cache")
    client = gemini(url)
    try:
        await client.interactions.create(**omni_body("[never finishes]"))
        await client.interactions.create(**omni_body("x", **as_uri(resolution="4k", duration="15s")))
    finally:
        code = stopped(process)
        await client.aclose()
    assert code == 0


# --- The engine without a wire


async def test_engine_runs_in_memory_with_its_own_clock() -> None:
    now = 1000.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        await asyncio.sleep(0)

    async def render(film: Film) -> bytes:
        return f"{film.prompt} {film.seconds}".encode()

    buckets = MemoryBuckets()
    engine = Engine(render, buckets, durations=Durations(40, 40), clock=lambda: now, sleep=sleep)
    request = EngineRequest(VEO, "a moor [503]", 8, 1280, 720, count=2, storage_uri="gs://b/p/")
    with pytest.raises(RefusedError) as refusal:
        await engine.create(request)
    assert refusal.value.status == 503
    generation = await engine.create(request)
    assert (generation.state, now) == ("running", 1000)
    generation = await engine.wait(generation.id)
    assert (generation.state, now) == ("succeeded", 1040)
    assert [output.uri for output in generation.outputs] == list(buckets.objects)
    assert set(buckets.objects.values()) == {b"a moor 8"}
    await engine.close()


def test_lognormal_durations_stay_within_bounds_around_the_geometric_mean() -> None:
    durations, chance = Durations(11, 360, "lognormal"), random.Random(1)
    drawn = sorted(durations.draw(chance) for _ in range(2000))
    assert 11 <= drawn[0] <= drawn[-1] <= 360
    assert drawn[1000] == pytest.approx((11 * 360) ** 0.5, rel=0.1)


def test_unknown_brackets_are_part_of_the_prompt() -> None:
    faults = faults_in("a [red] fox [SLOW 20s]  runs [503 x2]")
    assert faults.title == "a [red] fox runs"
    assert (faults.slow_s, faults.create_refusals[0].status, faults.create_refusals[0].times) == (20, 503, 2)


def test_manual_lists_exactly_the_fault_words() -> None:
    manual = (ROOT / "docs" / "local-providers.md").read_text()
    words = re.findall(r"`\[([^\]]+)\]`", manual)
    assert [word for word in words if faults_in(f"[{word}]").title] == []
    assert [each.pattern for each in _WORDS if not any(each.fullmatch(word) for word in words)] == []
