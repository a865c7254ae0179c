"""Gemini Omni on the wire: the Interactions API, in the Gemini form (API key) and the Vertex form (bearer token)."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.providers.buckets import BucketError, split_uri
from local.providers.engine import (
    AnswerLostError,
    Engine,
    Generation,
    RefusedError,
    Request,
    UnknownGenerationError,
)
from local.providers.files import FileService, download_uri
from local.providers.render import UnreadableMediaError, check_image, facts
from local.providers.webhooks import Webhooks
from local.providers.wire import (
    VERSIONS,
    BadRequestError,
    decoded,
    has_token,
    iso,
    json_body,
    labels_of,
    lost_answer,
    mapping,
    no_such_model,
    one_of,
    only,
    pixels,
    retry_after,
    whole,
)


@dataclass(frozen=True)
class Limits:
    """Seconds of one call and of an extended film in all, and how many images. Google's Omni model cards."""

    longest_s: int
    longest_extended_s: int
    images: int


_OMNI_1_1 = Limits(longest_s=10, longest_extended_s=40, images=3)
_OMNI_1_2 = Limits(longest_s=15, longest_extended_s=30, images=6)
GEMINI_MODELS = {"gemini-omni-1.2-flash": _OMNI_1_2, "gemini-omni-1.1-flash": _OMNI_1_1}
VERTEX_MODELS = {"gemini-omni-1.2-flash": _OMNI_1_2, "gemini-omni-1.1-flash-preview": _OMNI_1_1}
_SHORTEST_S = 3
_LONGEST_EXTENSION_S = 10
_LONGEST_WITH_LAST_FRAME_S = 10
_DEFAULT_S = 8
_LARGEST_INLINE_BYTES = 4 * 1024 * 1024
_TOKENS_PER_SECOND = 5792
_DURATION = re.compile(r"(\d{1,3})s")
_TAG = re.compile(r"<(?:FIRST_FRAME|LAST_FRAME|IMAGE_REF_\d+|VIDEO_REF_\d+)>")
_TASKS = ("text_to_video", "image_to_video", "reference_to_video", "edit", "extend", "upscale")
_BODY = (
    "model",
    "input",
    "background",
    "store",
    "stream",
    "generation_config",
    "response_format",
    "labels",
    "webhook_config",
    "previous_interaction_id",
)
# Whether Vertex AI takes a request's own webhooks is nowhere said.
_VERTEX_BODY = tuple(name for name in _BODY if name != "webhook_config")
_CODES = {
    400: "invalid_request",
    401: "unauthenticated",
    403: "permission_denied",
    404: "not_found",
    413: "invalid_request",
    429: "resource_exhausted",
    500: "internal_error",
    502: "unavailable",
    503: "unavailable",
    504: "deadline_exceeded",
}
_RPC_CODES = {
    3: "invalid_request",
    4: "deadline_exceeded",
    7: "permission_denied",
    8: "resource_exhausted",
    14: "unavailable",
}
_STATUSES = {"running": "in_progress", "succeeded": "completed", "failed": "failed", "cancelled": "cancelled"}
_REFUSAL = "I can't generate this video because it may violate usage guidelines. Try rephrasing the prompt."


@dataclass
class Inputs:
    """What the steps of an input say: text, images and videos in their order."""

    texts: list[str] = field(default_factory=list)
    images: list[bytes] = field(default_factory=list)
    videos: list[bytes] = field(default_factory=list)
    content: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Terms:
    """What of a create concerns the protocol alone: whose it is (a project of Vertex AI, or None: the Gemini API's),
    its texts, and how the outcome is delivered and announced."""

    project: str | None
    content: list[dict[str, Any]]
    background: bool
    delivery: str | None
    uris: list[str]
    metadata: dict[str, Any]


class InteractionService:
    """The HTTP skin of an engine, in the words of the Interactions API."""

    def __init__(self, engine: Engine, files: FileService, webhooks: Webhooks) -> None:
        self._engine = engine
        self._files = files
        self._webhooks = webhooks
        self.routes = [
            route
            for prefix in ("/{version}", "/{version}/projects/{project}/locations/{location}")
            for route in (
                Route(f"{prefix}/interactions", self._guarded(self._create), methods=["POST"]),
                Route(f"{prefix}/interactions/{{id}}", self._guarded(self._look), methods=["GET"]),
                Route(f"{prefix}/interactions/{{id}}", self._guarded(self._delete), methods=["DELETE"]),
                Route(f"{prefix}/interactions/{{id}}/cancel", self._guarded(self._cancel), methods=["POST"]),
            )
        ]

    def _guarded(self, call: Any) -> Any:
        async def guarded(request: HttpRequest) -> Response:
            try:
                _authenticate(request)
                answer: Response = await call(request)
            except RefusedError as error:
                code = "content_blocked" if error.reason == "content_blocked" else _CODES[error.status]
                return _error(error.status, code, str(error), error.retry_after_s)
            except BadRequestError as error:
                return _error(error.status, _CODES[error.status], str(error))
            except UnknownGenerationError:
                return _error(400, "invalid_request", "Invalid interaction name.")
            except AnswerLostError as lost:
                if lost.refusal is None:
                    return lost_answer()
                return _error(lost.refusal.status, _CODES[lost.refusal.status], str(lost.refusal))
            return answer

        return guarded

    async def _create(self, request: HttpRequest) -> Response:
        wanted, terms = await self._read(await json_body(request), request.path_params.get("project"))
        try:
            generation = await self._engine.create(wanted)
        except RefusedError as error:
            # Only Vertex AI has denials that mean a retired model.
            if error.reason == "retired" and not (terms.project and error.status == 403):
                raise _gone(wanted.model, terms.project) from error
            raise
        except AnswerLostError as lost:
            self._adopt(lost.generation, terms)
            raise
        self._adopt(generation, terms)
        if not terms.background:
            await self._engine.wait(generation.id)
        return JSONResponse(self._interaction(generation))

    def _adopt(self, generation: Generation, terms: Terms) -> None:
        generation.context = terms
        if terms.project is None and terms.background:
            self._webhooks.watch(generation, _name(generation), terms.uris, terms.metadata)

    async def _look(self, request: HttpRequest) -> Response:
        if request.query_params.get("stream", "false").lower() != "false":
            raise BadRequestError("Streaming is not supported for video generation.")
        generation = await self._engine.poll(self._own(request).id)
        return JSONResponse(self._interaction(generation))

    async def _cancel(self, request: HttpRequest) -> Response:
        generation = self._own(request)
        if generation.state not in ("running", "cancelled"):
            raise BadRequestError("Only an interaction in progress can be cancelled.")
        return JSONResponse(self._interaction(self._engine.cancel(generation.id)))

    async def _delete(self, request: HttpRequest) -> Response:
        self._engine.delete(self._own(request).id)
        return JSONResponse({})

    def _own(self, request: HttpRequest) -> Generation:
        """The interaction that is asked for, as far as this API and project made it. Raises UnknownGenerationError."""
        return self._made_by(request.path_params.get("project"), request.path_params["id"])

    def _made_by(self, project: str | None, name: str) -> Generation:
        generation = self._engine.get(name.removeprefix("v1_"))
        if not isinstance(generation.context, Terms) or generation.context.project != project:
            raise UnknownGenerationError(name)
        return generation

    async def _read(self, body: Mapping[str, Any], project: str | None) -> tuple[Request, Terms]:
        only(body, _VERTEX_BODY if project else _BODY, "body")
        model = str(body.get("model", ""))
        models = VERTEX_MODELS if project else GEMINI_MODELS
        if model not in models:
            raise _gone(model, project)
        background = _flag(body, "background", otherwise=False)
        if _flag(body, "stream", otherwise=False):
            raise BadRequestError("Streaming is not supported for video generation.")
        if background and not _flag(body, "store", otherwise=True):
            raise BadRequestError("background needs store.")
        config = mapping(body.get("generation_config") or {}, "generation_config")
        task, seed = _task_and_seed(config)
        output = _format_of(body)
        inputs = await self._inputs(body, models[model], project)
        uris, metadata = _hooks(body, background=background)
        prompt = " ".join(inputs.texts)
        first, last = _frames(prompt, inputs.images, task)
        seconds = _seconds(output, _longest_s(models[model], task, last))
        video = await self._extended(inputs, body, project) if task == "extend" else None
        width, height = await _size(models[model], output, seconds, video)
        if not prompt.strip() and not inputs.images and video is None:
            raise BadRequestError("input needs a text, an image or a video.")
        request = Request(
            model=model,
            prompt=" ".join(_TAG.sub(" ", prompt).split()),
            seconds=seconds,
            width=width,
            height=height,
            seed=seed,
            first_frame=first,
            last_frame=last,
            extends=video,
            storage_uri=_storage_uri(output, vertex=project is not None),
            labels=labels_of(body),
        )
        return request, Terms(project, inputs.content, background, output.get("delivery"), uris, metadata)

    async def _inputs(self, body: Mapping[str, Any], limits: Limits, project: str | None) -> Inputs:
        inputs = Inputs()
        for part in _parts(body.get("input")):
            kind = part.get("type")
            if kind == "text":
                only(part, ("type", "text"), "input")
                inputs.texts.append(str(part.get("text", "")))
                inputs.content.append(part)
            elif kind in ("image", "video"):
                only(part, ("type", "data", "uri", "mime_type"), "input")
                (inputs.images if kind == "image" else inputs.videos).append(await self._media(part, project))
            else:
                raise BadRequestError(f"Unsupported input content: {kind!r}.")
        if len(inputs.images) > limits.images:
            raise BadRequestError(f"At most {limits.images} images are supported.")
        for image in inputs.images:
            try:
                await asyncio.to_thread(check_image, image)
            except UnreadableMediaError as error:
                raise BadRequestError(f"Unable to process an input image: {error}") from error
        return inputs

    async def _media(self, part: Mapping[str, Any], project: str | None) -> bytes:
        """What a part has inside or names: a file of the Gemini API there, an object of Cloud Storage on Vertex AI."""
        if "data" in part:
            return decoded(part["data"], "input data")
        uri = str(part.get("uri", ""))
        if project is not None:
            return await self._object(uri)
        data = None if uri.startswith("gs://") else self._files.read(uri)
        if data is None:
            raise BadRequestError(f"The file {uri!r} cannot be read.")
        return data

    async def _object(self, uri: str) -> bytes:
        if self._engine.buckets is None:
            raise BadRequestError("No storage service is configured.")
        try:
            return await self._engine.buckets.read(uri)
        except BucketError as error:
            raise BadRequestError(str(error)) from error

    async def _extended(self, inputs: Inputs, body: Mapping[str, Any], project: str | None) -> bytes:
        if inputs.videos:
            return inputs.videos[0]
        previous = str(body.get("previous_interaction_id", ""))
        outputs = self._made_by(project, previous).outputs if previous else []
        if not outputs:
            raise BadRequestError("extend needs a video, or a previous interaction that made one.")
        if outputs[0].data is not None:
            return outputs[0].data
        return await self._object(str(outputs[0].uri))

    def _interaction(self, generation: Generation) -> dict[str, Any]:
        interaction: dict[str, Any] = {
            "id": _name(generation),
            "object": "interaction",
            "model": generation.request.model,
            "status": _STATUSES[generation.state],
            "created": iso(generation.created_at),
            "updated": iso(generation.updated_at),
        }
        if generation.request.labels:
            interaction["labels"] = dict(generation.request.labels)
        if generation.error is not None:
            code, message = generation.error
            interaction["errors"] = [{"code": _RPC_CODES.get(code, "internal_error"), "message": message}]
        if generation.state == "succeeded":
            interaction["steps"] = self._steps(generation)
            tokens = round(generation.request.seconds * _TOKENS_PER_SECOND) if generation.outputs else 0
            interaction["usage"] = {"output_tokens_by_modality": [{"modality": "video", "tokens": tokens}]}
        return interaction

    def _steps(self, generation: Generation) -> list[dict[str, Any]]:
        terms: Terms = generation.context
        steps: list[dict[str, Any]] = [
            {"type": "user_input", "content": terms.content},
            {"type": "thought", "signature": base64.b64encode(generation.id.encode()).decode()},
        ]
        if generation.filtered:
            steps.append({"type": "model_output", "content": [{"type": "text", "text": _REFUSAL}]})
        for output in [] if generation.faults.unnamed else generation.outputs:
            part = {"type": "video", "mime_type": "video/mp4"}
            if output.uri is not None:
                part["uri"] = output.uri
            elif terms.project is None and (terms.delivery == "uri" or output.size > _LARGEST_INLINE_BYTES):
                part["uri"] = download_uri(output.id)
            else:
                part["data"] = base64.b64encode(output.data or b"").decode()
            steps.append({"type": "model_output", "content": [part]})
        return steps


def _is_vertex(request: HttpRequest) -> bool:
    return "project" in request.path_params


def _authenticate(request: HttpRequest) -> None:
    if request.path_params["version"] not in VERSIONS:
        raise BadRequestError("The requested URL was not found.", 404)
    if not _is_vertex(request):
        if not request.headers.get("x-goog-api-key"):
            raise BadRequestError("Method doesn't allow unregistered callers. Please use an API key.", 403)
        return
    if not has_token(request):
        raise BadRequestError("Request is missing required authentication credential.", 401)
    if request.path_params["location"] != "global":
        raise BadRequestError("Video generation is available in the location global only.", 404)


def _gone(model: str, project: str | None) -> RefusedError:
    """The refusal of a model that is unknown or retired, in the words of the API."""
    if project is None:
        return RefusedError(404, f"This model models/{model} is not found or no longer available.", "retired")
    parent = f"projects/{project}/locations/global/publishers/google/models/{model}"
    return RefusedError(404, no_such_model(parent), "retired")


def _error(status: int, code: str, message: str, retry_after_s: float | None = None) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status, retry_after(retry_after_s))


def _name(generation: Generation) -> str:
    return f"v1_{generation.id}"


def _flag(body: Mapping[str, Any], name: str, *, otherwise: bool) -> bool:
    value = body.get(name, otherwise)
    one_of(value, (True, False), name)
    return bool(value)


def _parts(value: object) -> list[dict[str, Any]]:
    """The content of an input: a text, a list of content, or a list of user_input steps."""
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    if not isinstance(value, list):
        raise BadRequestError("Invalid value at 'input': a text or a list is expected.")
    parts: list[dict[str, Any]] = []
    for each in (mapping(item, "input") for item in value):
        if each.get("type") == "user_input":
            parts.extend(_parts(each.get("content")))
        else:
            parts.append(each)
    return parts


def _task_and_seed(config: Mapping[str, Any]) -> tuple[str | None, int | None]:
    only(config, ("seed", "video_config"), "generation_config")
    video = mapping(config.get("video_config") or {}, "generation_config.video_config")
    only(video, ("task",), "generation_config.video_config")
    if "task" in video:
        one_of(video["task"], _TASKS, "task")
    seed = whole(config["seed"], 0, 2**32 - 1, "seed") if "seed" in config else None
    return video.get("task"), seed


def _format_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    value = body.get("response_format") or {"type": "video"}
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    output = mapping(value, "response_format")
    known = ("type", "aspect_ratio", "duration", "resolution", "delivery", "gcs_uri")
    only(output, known, "response_format")
    one_of(output.get("type"), ("video",), "response_format.type")
    one_of(output.get("aspect_ratio", "16:9"), ("16:9", "9:16"), "aspect_ratio")
    one_of(output.get("resolution", "720p"), ("360p", "720p", "1080p", "4k"), "resolution")
    one_of(output.get("delivery", "inline"), ("uri", "inline"), "delivery")
    return output


def _seconds(output: Mapping[str, Any], longest_s: int) -> int:
    if "duration" not in output:
        return min(_DEFAULT_S, longest_s)
    found = _DURATION.fullmatch(str(output["duration"]))
    if not isinstance(output["duration"], str) or not found or not _SHORTEST_S <= int(found[1]) <= longest_s:
        raise BadRequestError(
            f'Unsupported duration: {output["duration"]!r}. It must be a text from "{_SHORTEST_S}s" to "{longest_s}s".'
        )
    return int(found[1])


def _longest_s(limits: Limits, task: str | None, last_frame: bytes | None) -> int:
    if task == "extend":
        return _LONGEST_EXTENSION_S
    return limits.longest_s if last_frame is None else min(limits.longest_s, _LONGEST_WITH_LAST_FRAME_S)


async def _size(limits: Limits, output: Mapping[str, Any], seconds: int, video: bytes | None) -> tuple[int, int]:
    """Width and height to render; those of the film that is extended, if one is."""
    if video is None:
        return pixels(output.get("aspect_ratio", "16:9"), output.get("resolution", "720p"))
    try:
        known = await asyncio.to_thread(facts, video)
    except UnreadableMediaError as error:
        raise BadRequestError(f"Unable to process the input video: {error}") from error
    if known.seconds + seconds > limits.longest_extended_s + 0.05:
        raise BadRequestError(f"The extended video would be longer than {limits.longest_extended_s} seconds.")
    return known.width, known.height


def _storage_uri(output: Mapping[str, Any], *, vertex: bool) -> str | None:
    if not vertex:
        if "gcs_uri" in output:
            raise BadRequestError("gcs_uri is not supported here.")
        return None
    uri = output.get("gcs_uri")
    if uri is None:
        if output.get("delivery") == "uri":
            raise BadRequestError('delivery "uri" needs gcs_uri.')
        return None
    try:
        split_uri(str(uri))
    except BucketError as error:
        raise BadRequestError(f"Invalid gcs_uri: {error}") from error
    return str(uri)


def _hooks(body: Mapping[str, Any], *, background: bool) -> tuple[list[str], dict[str, Any]]:
    config = mapping(body.get("webhook_config") or {}, "webhook_config")
    only(config, ("uris", "user_metadata"), "webhook_config")
    if config and not background:
        raise BadRequestError("webhook_config needs background.")
    uris = config.get("uris") or []
    if not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris):
        raise BadRequestError("Invalid value at 'webhook_config.uris': a list of texts is expected.")
    return uris, mapping(config.get("user_metadata") or {}, "webhook_config.user_metadata")


def _frames(prompt: str, images: list[bytes], task: str | None) -> tuple[bytes | None, bytes | None]:
    """The first and the last frame among the images: bound by tags in the prompt, or by the task."""
    first = bool(images) and ("<FIRST_FRAME>" in prompt or task == "image_to_video")
    last = "<LAST_FRAME>" in prompt and len(images) > int(first)
    return images[0] if first else None, images[-1] if last else None
