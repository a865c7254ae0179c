"""Vertex AI's Veo on the wire: predictLongRunning and fetchPredictOperation."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
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
from local.providers.render import UnreadableMediaError, check_image, facts
from local.providers.wire import (
    VERSIONS,
    BadRequestError,
    decoded,
    has_token,
    json_body,
    labels_of,
    lost_answer,
    mapping,
    no_such_model,
    one_of,
    only,
    pixels,
    rpc_error,
    whole,
)


@dataclass(frozen=True)
class Limits:
    """What a model takes beyond what all take. Google's Veo 3.1 model cards."""

    resolutions: tuple[str, ...]
    reference_images: bool = True


MODELS = {
    "veo-3.1-generate-001": Limits(("720p", "1080p", "4k")),
    "veo-3.1-fast-generate-001": Limits(("720p", "1080p")),
    "veo-3.1-lite-generate-001": Limits(("720p", "1080p"), reference_images=False),
}
LOCATIONS = ("us-central1",)
_DURATIONS_S = (4, 6, 8)
_EXTENSION_S = 7
_LONGEST_INPUT_S = 30
_LONGEST_PROMPT_TOKENS = 1024
_LARGEST_IMAGE_BYTES = 20 * 1024 * 1024
_INSTANCE = ("prompt", "image", "lastFrame", "video", "referenceImages")
_PARAMETERS = (
    "sampleCount",
    "storageUri",
    "fps",
    "durationSeconds",
    "seed",
    "aspectRatio",
    "resolution",
    "personGeneration",
    "pubsubTopic",
    "negativePrompt",
    "enhancePrompt",
    "generateAudio",
    "compressionQuality",
    "resizeMode",
)
_CHOICES: Mapping[str, tuple[Any, ...]] = {
    "fps": (24,),
    "aspectRatio": ("16:9", "9:16"),
    "personGeneration": ("allow_adult", "dont_allow", "disallow", "allow_all"),
    "enhancePrompt": (True, False),
    "generateAudio": (True, False),
    "compressionQuality": ("OPTIMIZED", "LOSSLESS"),
    "resizeMode": ("PAD", "CROP"),
}
_RESPONSE_TYPE = "type.googleapis.com/cloud.ai.large_models.vision.GenerateVideoResponse"


class VeoService:
    """The HTTP skin of an engine, in Vertex AI's words."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        path = "/{version}/projects/{project}/locations/{location}/publishers/google/models/{target}"
        self.routes = [Route(path, self._call, methods=["POST"])]

    async def _call(self, request: HttpRequest) -> Response:
        if not has_token(request):
            return rpc_error(
                401, "Request is missing required authentication credential. Expected OAuth 2 access token."
            )
        model, _, method = request.path_params["target"].partition(":")
        parent = request.url.path.lstrip("/").partition("/")[2].partition(":")[0]
        calls = {"predictLongRunning": self._create, "fetchPredictOperation": self._look}
        try:
            if request.path_params["version"] not in VERSIONS or method not in calls:
                raise BadRequestError(f"The method {method!r} was not found.", 404)
            if model not in MODELS or request.path_params["location"] not in LOCATIONS:
                raise BadRequestError(no_such_model(parent), 404)
            return await calls[method](model, parent, await json_body(request))
        except BadRequestError as error:
            return rpc_error(error.status, str(error))
        except RefusedError as error:
            said = no_such_model(parent) if (error.reason, error.status) == ("retired", 404) else str(error)
            return rpc_error(error.status, said, error.retry_after_s)
        except AnswerLostError as lost:
            return lost_answer() if lost.refusal is None else rpc_error(lost.refusal.status, str(lost.refusal))

    async def _create(self, model: str, parent: str, body: Mapping[str, Any]) -> Response:
        generation = await self._engine.create(await self._read(model, body))
        return JSONResponse({"name": f"{parent}/operations/{generation.id}"})

    async def _look(self, model: str, parent: str, body: Mapping[str, Any]) -> Response:
        only(body, ("operationName",), "fetchPredictOperation")
        name = str(body.get("operationName", ""))
        prefix = f"{parent}/operations/"
        if not name.startswith(prefix):
            raise BadRequestError(f"Invalid operation name: {name!r} is not an operation of {parent}.")
        try:
            generation = await self._engine.poll(name.removeprefix(prefix))
        except UnknownGenerationError:
            raise BadRequestError(f"Operation {name} was not found.", 404) from None
        if generation.request.model != model:
            raise BadRequestError(f"Operation {name} was not found.", 404)
        return JSONResponse(operation(name, generation))

    async def _read(self, model: str, body: Mapping[str, Any]) -> Request:
        only(body, ("instances", "parameters", "labels"), "body")
        instances = body.get("instances")
        if not isinstance(instances, list) or len(instances) != 1:
            raise BadRequestError("Invalid value at 'instances': exactly one instance is expected.")
        instance = mapping(instances[0], "instances[0]")
        parameters = mapping(body.get("parameters") or {}, "parameters")
        only(instance, _INSTANCE, "instances[0]")
        only(parameters, _PARAMETERS, "parameters")
        prompt = _prompt(instance)
        _check_parameters(model, instance, parameters)
        video = await self._media(instance.get("video"), "video", ("video/mp4",))
        width, height = pixels(parameters.get("aspectRatio", "16:9"), parameters.get("resolution", "720p").lower())
        if video is not None:
            width, height = await asyncio.to_thread(_extendable, video)
        references = instance.get("referenceImages") or []
        for number, reference in enumerate(references):
            await self._image(mapping(reference, "referenceImages").get("image"), f"referenceImages[{number}]")
        return Request(
            model=model,
            prompt=prompt,
            seconds=parameters.get("durationSeconds", 8 if video is None else _EXTENSION_S),
            width=width,
            height=height,
            count=parameters.get("sampleCount", 1),
            seed=parameters.get("seed"),
            audio=parameters.get("generateAudio", True),
            first_frame=await self._image(instance.get("image"), "image"),
            last_frame=await self._image(instance.get("lastFrame"), "lastFrame"),
            extends=video,
            storage_uri=parameters.get("storageUri"),
            labels=labels_of(body),
        )

    async def _image(self, value: object, name: str) -> bytes | None:
        image = await self._media(value, name, ("image/png", "image/jpeg", "image/webp"))
        if image is None:
            return None
        if len(image) > _LARGEST_IMAGE_BYTES:
            raise BadRequestError(f"Invalid {name}: the image is larger than 20 MB.")
        try:
            await asyncio.to_thread(check_image, image)
        except UnreadableMediaError as error:
            raise BadRequestError(f"Unable to process input image {name}: {error}") from error
        return image

    async def _media(self, value: object, name: str, types: tuple[str, ...]) -> bytes | None:
        if value is None:
            return None
        media = mapping(value, name)
        only(media, ("bytesBase64Encoded", "gcsUri", "mimeType"), name)
        one_of(media.get("mimeType"), types, f"mimeType of {name}")
        if ("bytesBase64Encoded" in media) == ("gcsUri" in media):
            raise BadRequestError(f"Invalid {name}: one of bytesBase64Encoded and gcsUri is expected.")
        if "bytesBase64Encoded" in media:
            return decoded(media["bytesBase64Encoded"], name)
        if self._engine.buckets is None:
            raise BadRequestError(f"Invalid {name}: no storage service is configured.")
        try:
            return await self._engine.buckets.read(str(media["gcsUri"]))
        except BucketError as error:
            raise BadRequestError(f"Invalid {name}: {error}") from error


def operation(name: str, generation: Generation) -> dict[str, Any]:
    """The body of an operation: running, failed, or done with videos, filter reasons, both or neither."""
    if generation.state == "running":
        return {"name": name}
    if generation.error is not None:
        code, message = generation.error
        return {"name": name, "done": True, "error": {"code": code, "message": message}}
    response: dict[str, Any] = {}
    if generation.outputs or generation.filtered:
        response = {"@type": _RESPONSE_TYPE, "raiMediaFilteredCount": len(generation.filtered)}
    if generation.filtered:
        response["raiMediaFilteredReasons"] = generation.filtered
    if generation.outputs and not generation.faults.unnamed:
        response["videos"] = [
            {"gcsUri": output.uri, "mimeType": "video/mp4"}
            if output.uri is not None
            else {"bytesBase64Encoded": base64.b64encode(output.data or b"").decode(), "mimeType": "video/mp4"}
            for output in generation.outputs
        ]
    return {"name": name, "done": True, "response": response}


def _prompt(instance: Mapping[str, Any]) -> str:
    prompt = instance.get("prompt", "")
    if not isinstance(prompt, str):
        raise BadRequestError("Invalid value at 'instances[0].prompt': a text is expected.")
    if not prompt.strip() and "image" not in instance and "video" not in instance:
        raise BadRequestError("A text prompt, an image or a video is required.")
    if -(-len(prompt.encode()) // 4) > _LONGEST_PROMPT_TOKENS:
        raise BadRequestError(f"The prompt is longer than {_LONGEST_PROMPT_TOKENS} tokens.")
    return prompt


def _check_parameters(model: str, instance: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
    for name, allowed in _CHOICES.items():
        if name in parameters:
            one_of(parameters[name], allowed, name)
    if "seed" in parameters:
        whole(parameters["seed"], 0, 2**32 - 1, "seed")
    whole(parameters.get("sampleCount", 1), 1, 4, "sampleCount")
    _check_storage(parameters)
    resolution = parameters.get("resolution", "720p")
    one_of(resolution.lower() if isinstance(resolution, str) else resolution, MODELS[model].resolutions, "resolution")
    _check_duration(instance, parameters, resolution.lower())
    _check_media(model, instance)


def _check_storage(parameters: Mapping[str, Any]) -> None:
    if "storageUri" in parameters:
        try:
            split_uri(str(parameters["storageUri"]))
        except BucketError as error:
            raise BadRequestError(f"Invalid storageUri: {error}") from error


def _check_duration(instance: Mapping[str, Any], parameters: Mapping[str, Any], resolution: str) -> None:
    if "video" in instance:
        one_of(parameters.get("durationSeconds", _EXTENSION_S), (_EXTENSION_S,), "durationSeconds for an extension")
        return
    duration = parameters.get("durationSeconds", 8)
    one_of(duration, _DURATIONS_S, "durationSeconds")
    if duration != 8 and (resolution != "720p" or instance.get("referenceImages")):
        raise BadRequestError("durationSeconds must be 8 with 1080p, 4k or reference images.")


def _check_media(model: str, instance: Mapping[str, Any]) -> None:
    if "lastFrame" in instance and "image" not in instance:
        raise BadRequestError("lastFrame needs image, the first frame.")
    if "video" in instance and ("image" in instance or "referenceImages" in instance):
        raise BadRequestError("video cannot be combined with image or referenceImages.")
    references = instance.get("referenceImages", [])
    if not isinstance(references, list) or len(references) > 3:
        raise BadRequestError("At most 3 referenceImages are supported.")
    if references and not MODELS[model].reference_images:
        raise BadRequestError(f"{model} does not support referenceImages.")
    for reference in references:
        only(mapping(reference, "referenceImages"), ("image", "referenceType"), "referenceImages")
        one_of(str(reference.get("referenceType", "")).upper(), ("ASSET", "STYLE"), "referenceType")


def _extendable(video: bytes) -> tuple[int, int]:
    """Width and height of a video that may be extended. Raises BadRequestError."""
    try:
        known = facts(video)
    except UnreadableMediaError as error:
        raise BadRequestError(f"Unable to process input video: {error}") from error
    if not 1 <= known.seconds <= _LONGEST_INPUT_S + 0.05:
        raise BadRequestError(f"The input video must be 1 to {_LONGEST_INPUT_S} seconds long, not {known.seconds:.2f}.")
    sizes = [pixels(aspect, resolution) for aspect in ("16:9", "9:16") for resolution in ("720p", "1080p", "4k")]
    if (known.width, known.height) not in sizes:
        raise BadRequestError(f"The input video must be 720p, 1080p or 4k, not {known.width} x {known.height}.")
    return known.width, known.height
