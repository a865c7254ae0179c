"""Veo on Vertex AI, spoken to by the official SDK over a real socket: what is sent, and what the answers mean."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import google.auth
import httpx2
import pytest
from google import genai
from google.auth.credentials import Credentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from google.genai import errors

from shared.core.documents import Extends, Input, InputRole, VideoRequest
from shared.core.lifecycle import CREATE_TIMEOUT_S
from shared.platform.provider import Failed, Finished, PollResult, Provider, Rejected, Running, Throttled
from shared.platform.settings import Settings
from shared.providers import errors as faults
from shared.providers.veo import Veo
from shared.providers.vertex import TOKEN_TIMEOUT_S, label
from tests.unit.wire import Answer, Cut, Recorder, Silence, a_job, refused_url, started

MODEL = "projects/p1/locations/us-central1/publishers/google/models/veo-3.1-generate-001"
OPERATION = f"{MODEL}/operations/0a1b"
PREFIX = "t/a/video_x/1/"
MINIMAL = VideoRequest(
    prompt="a cat", model="veo-3.1", seconds=4, aspect_ratio="9:16", resolution="720p", generate_audio=False
)
FULL = VideoRequest(
    prompt="a dög",
    model="veo-3.1",
    seconds=8,
    aspect_ratio="16:9",
    resolution="1080p",
    generate_audio=True,
    person_generation="dont_allow",
    negative_prompt="rain",
    seed=0,
    count=3,
)
RAI_VIOLENCE = (
    "Veo could not generate videos because the input violates usage guidelines. If you think this was an error, send "
    "feedback. Support codes: 61493863"
)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder() as recorder:
        recorder.answers(Answer(body={"name": OPERATION}))
        yield recorder


@pytest.fixture
async def veo(recorder: Recorder) -> AsyncIterator[Veo]:
    veo = Veo(settings(recorder.url))
    yield veo
    await veo.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "LOOK_FIRST_WAIT_S", 0.01)


def settings(url: str, token: str = "TOKEN") -> Settings:
    return Settings(google_cloud_project="p0", bucket="videos", vertex_project="p1", vertex_url=url, vertex_token=token)


def rpc(status: int, message: str, **more: Any) -> Answer:
    return Answer(status, {"error": {"code": status, "message": message, "status": "SOME_STATUS", **more}})


def done(**response: Any) -> Answer:
    return Answer(body={"name": OPERATION, "done": True, "response": response})


def failed(code: int, message: str) -> Answer:
    return Answer(body={"name": OPERATION, "done": True, "error": {"code": code, "message": message}})


def test_veo_is_a_provider() -> None:
    """Veo has every call of the protocol, as the type checker proves from this line."""
    generator: Provider = Veo(settings("http://127.0.0.1:1"))
    assert generator


# --- create ---


async def test_create_sends_exactly_the_request(veo: Veo, recorder: Recorder) -> None:
    """Every setting of a full request is sent, and nothing besides, not even a seed of 0 is left out."""
    await started(veo, a_job(FULL), PREFIX)
    (request,) = recorder.requests
    assert (request.method, request.path) == ("POST", f"/v1beta1/{MODEL}:predictLongRunning")
    assert request.body == {
        "instances": [{"prompt": "a dög"}],
        "parameters": {
            "sampleCount": 3,
            "storageUri": "gs://videos/t/a/video_x/1/",
            "durationSeconds": 8,
            "seed": 0,
            "aspectRatio": "16:9",
            "resolution": "1080p",
            "personGeneration": "dont_allow",
            "negativePrompt": "rain",
            "generateAudio": True,
        },
        "labels": {"job": label("video_AbCdEfGhIjKlMnOpQr-_12")},
    }


def image(role: InputRole, name: str) -> Input:
    return Input(
        role=role, object=name, content_type="image/webp", size_bytes=1, crc32c="", width_px=640, height_px=360
    )


async def test_frames_are_named_by_their_objects_in_our_bucket(veo: Veo, recorder: Recorder) -> None:
    """Vertex AI reads images from the bucket itself."""
    inputs = (image("first_frame", "inputs/1.webp"), image("last_frame", "inputs/2.webp"))
    await started(veo, a_job(MINIMAL.model_copy(update={"inputs": inputs})), PREFIX)
    assert recorder.requests[0].body["instances"] == [
        {
            "prompt": "a cat",
            "image": {"gcsUri": "gs://videos/inputs/1.webp", "mimeType": "image/webp"},
            "lastFrame": {"gcsUri": "gs://videos/inputs/2.webp", "mimeType": "image/webp"},
        }
    ]


async def test_reference_images_are_assets(veo: Veo, recorder: Recorder) -> None:
    """Each is named by its object, in order."""
    inputs = tuple(image("reference", f"inputs/{number}.webp") for number in range(2))
    await started(veo, a_job(MINIMAL.model_copy(update={"inputs": inputs})), PREFIX)
    assert recorder.requests[0].body["instances"][0]["referenceImages"] == [
        {"image": {"gcsUri": f"gs://videos/inputs/{number}.webp", "mimeType": "image/webp"}, "referenceType": "ASSET"}
        for number in range(2)
    ]


async def test_extension_names_its_video_and_omits_what_that_decides(veo: Veo, recorder: Recorder) -> None:
    """The length of a step is fixed and the shape is the video's."""
    extends = Extends(job="video_x", object="t/a/video_x/1/0.mp4", size_bytes=9, seconds=8.0)
    await started(veo, a_job(MINIMAL.model_copy(update={"extends": extends, "seconds": 7})), PREFIX)
    body = recorder.requests[0].body
    assert body["instances"] == [
        {"prompt": "a cat", "video": {"gcsUri": "gs://videos/t/a/video_x/1/0.mp4", "mimeType": "video/mp4"}}
    ]
    assert not {"durationSeconds", "aspectRatio"} & set(body["parameters"])
    assert body["parameters"]["resolution"] == "720p"


async def test_create_omits_what_was_not_requested(veo: Veo, recorder: Recorder) -> None:
    """A minimal request has neither a seed nor a negative prompt, and says that it wants no sound."""
    await started(veo, a_job(MINIMAL), PREFIX)
    assert recorder.requests[0].body["parameters"] == {
        "sampleCount": 1,
        "storageUri": "gs://videos/t/a/video_x/1/",
        "durationSeconds": 4,
        "aspectRatio": "9:16",
        "resolution": "720p",
        "personGeneration": "allow_adult",
        "generateAudio": False,
    }


async def test_create_returns_the_operation_name(veo: Veo) -> None:
    """The create returns the resource name that a poll needs."""
    assert await started(veo, a_job(FULL), PREFIX) == OPERATION


async def test_fixed_token_is_sent_to_a_custom_server(veo: Veo, recorder: Recorder) -> None:
    """With vertex_url the token of the settings is the bearer token."""
    await started(veo, a_job(FULL), PREFIX)
    assert recorder.requests[0].headers["authorization"] == "Bearer TOKEN"


async def test_client_is_created_once(veo: Veo) -> None:
    """Calls after the first one use the first one's client: a temporary one could be closed under its own call."""
    await started(veo, a_job(FULL), PREFIX)
    first = veo._client
    await started(veo, a_job(FULL), PREFIX)
    assert veo._client is first


def test_create_times_out_before_the_step_does() -> None:
    """The token and the create together take less than the 45 s after which the step calls the outcome unknown."""
    assert TOKEN_TIMEOUT_S + faults.CREATE_TIMEOUT_S + 1 < CREATE_TIMEOUT_S


@pytest.mark.parametrize(
    "id_", ["video_AAAAAAAAAAAAAAAAAAAAAA", "video_aaaaaaaaaaaaaaaaaaaaaa", "video_-_-_0123456789zzZZ99"]
)
def test_label_is_valid_and_reversible(id_: str) -> None:
    """A job's label has only characters that labels may have, at most 63, and contains the job's id."""
    value = label(id_)
    assert len(value) <= 63
    assert set(value) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_")
    assert base64.b32decode(value.upper() + "=" * (-len(value) % 8)).decode() == id_


REFUSALS = {
    "a bad request": (rpc(400, "Unsupported output video duration 5 seconds."), "PROMPT_REJECTED"),
    "a prompt too long": (
        rpc(400, "The input token count (2000) exceeds the maximum number of tokens allowed (1024)."),
        "PROMPT_TOO_LONG",
    ),
    "a prompt longer than allowed": (rpc(400, "The prompt is longer than 1024 tokens."), "PROMPT_TOO_LONG"),
    "an unsafe prompt": (
        rpc(
            400, "The prompt could not be submitted. It contains sensitive words that violate Responsible AI practices."
        ),
        "SAFETY_BLOCKED",
    ),
    "support codes": (rpc(400, RAI_VIOLENCE), "SAFETY_BLOCKED"),
    "an unknown safety setting": (rpc(400, "Unknown name safety_settings: no such field."), "PROMPT_REJECTED"),
    "a bucket that may not be written": (
        rpc(400, "The service account has no permission to write to the bucket."),
        "PROVIDER_DENIED",
    ),
    "a list of one error": (Answer(400, [{"error": {"code": 400, "message": "bad"}}]), "PROMPT_REJECTED"),
    "a page": (
        Answer(400, b"<html><title>400</title><p>That\xe2\x80\x99s an error.", {"content-type": "text/html"}),
        "PROMPT_REJECTED",
    ),
    "no body": (Answer(400, b""), "PROMPT_REJECTED"),
    "no valid token": (rpc(401, "Request had invalid authentication credentials."), "PROVIDER_DENIED"),
    "no permission": (rpc(403, "Permission denied on resource."), "PROVIDER_DENIED"),
    "a retired model": (rpc(404, "Publisher Model was not found."), "MODEL_RETIRED"),
    "a retired model, as a denial": (
        rpc(
            403, f"Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/{MODEL}'."
        ),
        "MODEL_RETIRED",
    ),
    "no role, in words of an endpoint": (rpc(401, "aiplatform.endpoints.predict needs a token."), "PROVIDER_DENIED"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_create_is_rejected_permanently(veo: Veo, recorder: Recorder, case: str) -> None:
    """An answer that will not change is Refused with the catalog's code, after exactly one request."""
    answer, code = REFUSALS[case]
    recorder.answers(answer)
    with pytest.raises(Rejected) as refusal:
        await started(veo, a_job(FULL), PREFIX)
    assert refusal.value.code == code
    assert len(recorder.requests) == 1


BUSY = {
    "a quota": (rpc(429, "Resource has been exhausted (e.g. check quota)."), None),
    "a quota of a proxy's": (
        Answer(429, {"error": {"message": "litellm.RateLimitError", "type": "throttling_error", "code": "429"}}),
        None,
    ),
    "a quota under another status": (
        Answer(503, {"error": {"code": 503, "message": "slow", "status": "RESOURCE_EXHAUSTED"}}),
        None,
    ),
    "a proxy's words for a quota": (Answer(500, {"error": {"message": "litellm.RateLimitError", "code": "429"}}), None),
    "seconds": (Answer(429, {"error": {"message": "slow"}}, {"Retry-After": "37"}), 37.0),
    "a wish for years": (Answer(429, {"error": {"message": "slow"}}, {"Retry-After": "999999999"}), 3600.0),
    "a moment that is over": (Answer(429, b"", {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), 0.0),
    "nonsense": (Answer(429, b"", {"Retry-After": "soon"}), None),
    "a detail": (
        rpc(429, "slow", details=[{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "12.5s"}]),
        12.5,
    ),
    "a page": (Answer(429, b"<html>Too many requests</html>", {"content-type": "text/html"}), None),
    "a list of errors": (Answer(429, [{"error": {"code": 429, "message": "slow"}}]), None),
}


@pytest.mark.parametrize("case", BUSY)
async def test_create_is_throttled(veo: Veo, recorder: Recorder, case: str) -> None:
    """Only an exhausted quota is Busy, with the server's Retry-After, after exactly one request."""
    answer, retry_after_s = BUSY[case]
    recorder.answers(answer)
    with pytest.raises(Throttled) as busy:
        await started(veo, a_job(FULL), PREFIX)
    assert busy.value.retry_after_s == retry_after_s
    assert len(recorder.requests) == 1


async def test_retry_after_may_be_a_date(veo: Veo, recorder: Recorder) -> None:
    """A date in Retry-After becomes the seconds until then."""
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=1800), usegmt=True)
    recorder.answers(Answer(429, b"", {"Retry-After": moment}))
    with pytest.raises(Throttled) as busy:
        await started(veo, a_job(FULL), PREFIX)
    assert busy.value.retry_after_s is not None
    assert 0 < busy.value.retry_after_s <= 1800


async def test_refused_connection_is_throttled() -> None:
    """Nothing was sent, so the create may be repeated."""
    with refused_url() as url:
        veo = Veo(settings(url))
        with pytest.raises(Throttled):
            await started(veo, a_job(FULL), PREFIX)
        await veo.close()


@pytest.mark.parametrize("status", [408, 409, 500, 501, 502, 503, 504])
async def test_ambiguous_answer_is_unknown(veo: Veo, recorder: Recorder, status: int) -> None:
    """Other errors say nothing about the generation: the exception propagates, after exactly one request."""
    recorder.answers(rpc(status, "something"))
    with pytest.raises(errors.APIError) as error:
        await started(veo, a_job(FULL), PREFIX)
    assert error.value.code == status
    assert len(recorder.requests) == 1


async def test_gateway_error_page_is_unknown(veo: Veo, recorder: Recorder) -> None:
    """A 502 with a page from the front end is an unknown outcome like any other 502."""
    recorder.answers(Answer(502, b"<html><p>Bad gateway", {"content-type": "text/html"}))
    with pytest.raises(errors.ServerError):
        await started(veo, a_job(FULL), PREFIX)
    assert len(recorder.requests) == 1


async def test_cut_connection_is_unknown(veo: Veo, recorder: Recorder) -> None:
    """A connection that closes after the request was read may have started a generation."""
    recorder.answers(Cut())
    with pytest.raises(httpx2.RemoteProtocolError):
        await started(veo, a_job(FULL), PREFIX)
    assert len(recorder.requests) == 1


async def test_truncated_answer_is_unknown(veo: Veo, recorder: Recorder) -> None:
    """An answer of which only the beginning arrives has started a generation whose name is lost."""
    recorder.answers(Answer(body={"name": OPERATION}, missing_bytes=10))
    with pytest.raises(httpx2.RemoteProtocolError):
        await started(veo, a_job(FULL), PREFIX)
    assert len(recorder.requests) == 1


async def test_timeout_is_unknown(veo: Veo, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes the request and does not answer in time may have started a generation."""
    monkeypatch.setattr(faults, "CREATE_TIMEOUT_S", 1.0)
    recorder.answers(Silence())
    with pytest.raises((httpx2.ReadTimeout, TimeoutError)):
        await started(veo, a_job(FULL), PREFIX)
    assert len(recorder.requests) == 1


@pytest.mark.parametrize("answer", [Answer(body={}), Answer(body=b"all is well")])
async def test_answer_without_a_name_is_unknown(veo: Veo, recorder: Recorder, answer: Answer) -> None:
    """A success that names no operation is neither Refused nor Busy: something may have started."""
    recorder.answers(answer)
    with pytest.raises((RuntimeError, ValueError)):
        await started(veo, a_job(FULL), PREFIX)
    assert len(recorder.requests) == 1


# --- the function's own identity ---


class Identity(Credentials):
    """Credentials whose refresh gives a token, or raises."""

    def __init__(self, outcome: Exception | str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.outcome = outcome

    def refresh(self, request: object) -> None:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        self.token = self.outcome


async def test_without_a_fixed_token_own_identity_is_used(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Application default credentials are refreshed, and their token is sent."""
    monkeypatch.setattr(google.auth, "default", lambda scopes: (Identity("OWN"), "p0"))
    veo = Veo(settings(recorder.url, token=""))
    await started(veo, a_job(FULL), PREFIX)
    await veo.close()
    assert recorder.requests[0].headers["authorization"] == "Bearer OWN"


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (TransportError("the metadata server does not answer"), Throttled),  # type: ignore[no-untyped-call]
        (GoogleAuthError("try again", retryable=True), Throttled),  # type: ignore[no-untyped-call]
        (DefaultCredentialsError("no credentials"), DefaultCredentialsError),  # type: ignore[no-untyped-call]
    ],
)
async def test_without_a_token_nothing_is_sent(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, failure: Exception, outcome: type[Exception]
) -> None:
    """A token that cannot be had ends the preparation: Busy where it may come, an error for operators where not."""
    monkeypatch.setattr(google.auth, "default", lambda scopes: (Identity(failure), "p0"))
    veo = Veo(settings(recorder.url, token=""))
    with pytest.raises(outcome):
        await veo.prepare(a_job(FULL))
    assert recorder.requests == []


async def test_prepared_create_needs_no_new_token(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the claim and the create nothing is loaded or fetched any more: one request is all there is."""
    recorder.answers(Answer(body={"name": OPERATION}))
    identity = Identity("OWN")
    monkeypatch.setattr(google.auth, "default", lambda scopes: (identity, "p0"))
    veo = Veo(settings(recorder.url, token=""))
    start = await veo.prepare(a_job(FULL))
    identity.outcome = TransportError("the metadata server is asked again")  # type: ignore[no-untyped-call]
    monkeypatch.setattr(google.auth, "default", None)
    monkeypatch.setattr(genai, "Client", None)
    assert recorder.requests == []
    assert await start(a_job(FULL), PREFIX) == OPERATION
    assert len(recorder.requests) == 1
    await veo.close()


# --- poll ---


async def test_poll_requests_the_operation_by_name(veo: Veo, recorder: Recorder) -> None:
    """A poll needs only the stored name, so that any process can do it."""
    await veo.poll(OPERATION)
    (request,) = recorder.requests
    assert (request.method, request.path) == ("POST", f"/v1beta1/{MODEL}:fetchPredictOperation")
    assert request.body == {"operationName": OPERATION}


LOOKS: dict[str, tuple[Answer, PollResult]] = {
    "running": (Answer(body={"name": OPERATION}), Running()),
    "not done, in other words": (Answer(body={"name": OPERATION, "done": False, "metadata": {"new": 1}}), Running()),
    "done": (
        done(raiMediaFilteredCount=0, videos=[{"gcsUri": "gs://videos/o/1/sample_0.mp4", "mimeType": "video/mp4"}]),
        Finished(("gs://videos/o/1/sample_0.mp4",)),
    ),
    "two": (
        done(videos=[{"gcsUri": "gs://videos/o/1/sample_0.mp4"}, {"gcsUri": "gs://videos/o/1/sample_1.mp4"}]),
        Finished(("gs://videos/o/1/sample_0.mp4", "gs://videos/o/1/sample_1.mp4")),
    ),
    "some filtered": (
        done(
            raiMediaFilteredCount=1,
            raiMediaFilteredReasons=["Support codes: 61493863"],
            videos=[{"gcsUri": "gs://videos/o/1/sample_0.mp4"}],
        ),
        Finished(("gs://videos/o/1/sample_0.mp4",), 1, "violence (support code 61493863)"),
    ),
    "all filtered": (
        done(raiMediaFilteredCount=2, raiMediaFilteredReasons=["Support codes: 15236754", "Support codes: 61493863"]),
        Finished((), 2, "celebrity (support code 15236754); violence (support code 61493863)"),
    ),
    "filtered without a reason": (done(raiMediaFilteredCount=1), Finished((), 1, None)),
    "inline": (
        done(videos=[{"bytesBase64Encoded": "AAAA", "mimeType": "video/mp4"}]),
        Failed("PROVIDER_ERROR", "the operation ended without a video in the bucket"),
    ),
    "empty": (done(), Failed("PROVIDER_ERROR", "the operation ended without a video in the bucket")),
    "done without a response": (
        Answer(body={"name": OPERATION, "done": True}),
        Failed("PROVIDER_ERROR", "the operation ended without a video in the bucket"),
    ),
    "invalid": (failed(3, "Unsupported aspect ratio."), Failed("PROMPT_REJECTED", "Unsupported aspect ratio.")),
    "invalid for safety": (
        failed(3, "Your prompt violates our usage guidelines. Support codes: 58061214"),
        Failed("SAFETY_BLOCKED", "child (support code 58061214): Your prompt violates our usage guidelines."),
    ),
    "deadline": (failed(4, "deadline"), Failed("PROVIDER_ERROR", "deadline")),
    "denied": (failed(7, "no access to the bucket"), Failed("PROVIDER_DENIED", "no access to the bucket")),
    "exhausted": (failed(8, "no capacity"), Failed("PROVIDER_ERROR", "no capacity")),
    "internal": (failed(13, "Internal error."), Failed("PROVIDER_ERROR", "Internal error.")),
    "unavailable": (failed(14, "try again"), Failed("PROVIDER_ERROR", "try again")),
    "unauthenticated": (failed(16, "who?"), Failed("PROVIDER_DENIED", "who?")),
    "an error without a code": (
        Answer(body={"name": OPERATION, "done": True, "error": {"message": "broke"}}),
        Failed("PROVIDER_ERROR", "broke"),
    ),
}


@pytest.mark.parametrize("case", LOOKS)
async def test_operation_results(veo: Veo, recorder: Recorder, case: str) -> None:
    """Every shape of an operation means one thing to a job; without a video nothing is a success."""
    answer, expected = LOOKS[case]
    recorder.answers(answer)
    assert await veo.poll(OPERATION) == expected


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_poll_is_retried_on_temporary_errors(veo: Veo, recorder: Recorder, status: int) -> None:
    """Looking twice costs nothing, so errors that pass are tried again at once."""
    recorder.answers(rpc(status, "for a moment"), rpc(status, "for a moment"), Answer(body={"name": OPERATION}))
    assert await veo.poll(OPERATION) == Running()
    assert len(recorder.requests) == 3


async def test_poll_gives_up_after_a_few_retries(veo: Veo, recorder: Recorder) -> None:
    """A lasting outage ends the poll with its error, so that the queue retries."""
    recorder.answers(rpc(503, "gone"))
    with pytest.raises(errors.ServerError):
        await veo.poll(OPERATION)
    assert len(recorder.requests) == faults.LOOK_ATTEMPTS


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_rejected_poll_says_nothing_about_the_generation(veo: Veo, recorder: Recorder, status: int) -> None:
    """A rejected poll raises at once: the caller decides whether to repeat it."""
    recorder.answers(rpc(status, "not now"))
    with pytest.raises(errors.ClientError):
        await veo.poll(OPERATION)
    assert len(recorder.requests) == 1


async def test_poll_is_bounded_in_time(veo: Veo, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """All attempts of a poll together are bounded in time."""
    monkeypatch.setattr(faults, "LOOK_LIMIT_S", 0.3)
    recorder.answers(Silence())
    with pytest.raises(TimeoutError):
        await veo.poll(OPERATION)


# --- fetch and cancel ---


def test_there_is_nothing_to_download() -> None:
    """Vertex AI's videos are in the bucket: a URI that is not there is an error, and nothing is written."""
    destination = io.BytesIO()
    with pytest.raises(ValueError, match="not in the bucket"):
        Veo(settings("http://127.0.0.1:1")).download("gs://elsewhere/x.mp4", destination)
    assert destination.getvalue() == b""


async def test_cancel_sends_nothing(veo: Veo, recorder: Recorder) -> None:
    """Veo cannot be stopped, so nothing is sent."""
    await veo.cancel(OPERATION)
    assert recorder.requests == []


# --- reasons ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Support codes: 61493863", "violence (support code 61493863)"),
        ("61493863", "violence (support code 61493863)"),
        (
            "Support codes: 61493863, 90789179",
            "violence (support code 61493863), sexual content (support code 90789179)",
        ),
        ("Support codes: 12345678", "support code 12345678"),
        ("Order 12345678 was not found.", "Order 12345678 was not found."),
        (
            RAI_VIOLENCE,
            "violence (support code 61493863): Veo could not generate videos because the input violates usage "
            "guidelines. If you think this was an error, send feedback.",
        ),
        (
            "We encountered an issue with the audio for your prompt. You have not been charged for this attempt.",
            "We encountered an issue with the audio for your prompt. You have not been charged for this attempt.",
        ),
        ("<html><title>502</title>\n<p>Bad   gateway</p></html>", "Bad gateway"),
        ("3 < 4 and 5 > 4", "3 < 4 and 5 > 4"),
        ("half \ud83d, \x1b[31mred\x00", "half �, [31mred"),
    ],
)
def test_reason_is_readable(text: str, expected: str) -> None:
    """Support codes become words, known or not; the rest of the provider's text is kept as one plain line."""
    assert faults.readable(text) == expected


def test_reason_is_short() -> None:
    """However much a provider writes, a reason has at most 500 characters."""
    assert len(faults.readable("words " * 1000)) == 500
