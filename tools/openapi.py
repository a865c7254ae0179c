"""The API as an OpenAPI 3.1 document, made from the route table, the models, the error catalog and api_reference.py.

It describes what clients call; routes that only the installation's own machines call aren't in it. What a row of the
table doesn't say is said here once for its kind: which codes any such operation can return, and which headers.
`python -m tools.openapi` prints the document.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from shared.api.bodies import MAX_IDEMPOTENCY_KEY_CHARS
from shared.api.errors import ErrorResponse
from shared.api.routing import PEOPLE, Route
from shared.api.videos import DeletedVideo, Video
from shared.core.documents import VIDEO_ID
from shared.core.errors import CATALOG
from shared.http.routes import ROUTES
from tools.api_reference import DESCRIPTIONS, SAMPLES, TAGS

Json = dict[str, Any]

SCHEMAS: Final = "#/components/schemas/"
JSON: Final = "application/json"
FORM: Final = "multipart/form-data"
EVENTS: Final = "text/event-stream"
MAX_ID_CHARS: Final = 128
MAX_NAMED_CODES: Final = 3
PROJECT_FILE: Final = Path(__file__).parents[1] / "pyproject.toml"
# Routes for people and their programs; the rest is called by the installation's own machines and by providers.
PUBLIC_ROUTES: Final = tuple(route for route in ROUTES if route.caller in PEOPLE)

TITLES: Final = {
    "videos": "Videos",
    "events": "Events",
    "models": "Models",
    "account": "Account",
    "idempotency-keys": "Idempotency keys",
    "api-keys": "API keys",
    "projects": "Projects",
    "agent": "Assistants",
    "webhook-endpoints": "Webhooks",
    "webhook-deliveries": "Webhooks",
    "admin": "Administration",
    "operator": "Administration",
}
SECURITY: Final[Mapping[str, Json]] = {
    "id_token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An ID token of a signed-in user.",
    },
    "api_key": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "rk_...",
        "description": "An API key of the user, perhaps for reading only. It never carries an administrator's role.",
    },
}

# --- request headers ---

_PRINTABLE: Final = "^[ -~]*$"
IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key and body give the same result again, and never do it twice. UTF-8 without control "
    "characters; no part between slashes is `.` or `..`.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY_CHARS, "pattern": "^[!-~]+$"},
}
IF_MATCH: Final = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "description": "The ETag of what is to be replaced, or * for whatever is there.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 1_000, "pattern": "^[ -~]+$"},
}
LAST_EVENT_ID: Final = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event that arrived: what is newer is sent.",
    "schema": {"type": "string", "maxLength": 100, "pattern": _PRINTABLE},
}
_RANGED: Final = [
    {"name": name, "in": "header", "description": text, "schema": {"type": "string", "pattern": _PRINTABLE}}
    for name, text in (
        ("Range", "One range of bytes, with redirect=false; an answer holds at most 16 MiB."),
        ("If-None-Match", "The ETag of what one has: 304 when it is still that."),
        ("If-Modified-Since", "304 when it has not changed since; If-None-Match goes before it."),
        ("If-Range", "The ETag or Last-Modified that the range belongs to; another one gets the whole."),
    )
]
IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of the response you have: 304 without a body while it would be the same.",
    "schema": {"type": "string", "maxLength": 1_000, "pattern": _PRINTABLE},
}
# By the names of the routes whose handlers read them.
REQUEST_HEADERS: Final[Mapping[str, list[Json]]] = {
    "create_video": [IDEMPOTENCY_KEY],
    "extend_video": [IDEMPOTENCY_KEY],
    "grant_credits": [IDEMPOTENCY_KEY],
    "grant_to_tenant": [IDEMPOTENCY_KEY],
    "put_config": [IF_MATCH],
    "video_events": [LAST_EVENT_ID],
    "account_events": [LAST_EVENT_ID],
    "video_content": _RANGED,
}

# --- response headers ---


def _header(description: str, kind: str = "string", **more: Any) -> Json:
    return {"description": description, "schema": {"type": kind, **more}}


HEADERS: Final[Mapping[str, Json]] = {
    "X-Request-Id": _header("Identifies this request in the logs."),
    "RateLimit": _header(
        "Remaining requests, and seconds until the limit is fully replenished or the next request is allowed."
    ),
    "RateLimit-Policy": _header("Requests per window of seconds."),
    "Retry-After": _header("Seconds to wait.", "integer", minimum=1),
    "Location": _header("Path of the created item."),
    "Idempotent-Replayed": _header("The request was already processed; this is its result.", enum=["true"]),
    "WWW-Authenticate": _header("How to authenticate."),
    "Accept-Ranges": _header("Ranges are supported.", enum=["bytes"]),
    "Content-Range": _header("The range and the total size."),
    "ETag": _header("Identifies the content, for If-None-Match."),
    "Last-Modified": _header("When the video was completed, for If-Modified-Since."),
    "Link": _header('With rel="next": the path of the next page, if there is one.'),
}

NOT_MODIFIED: Final[Json] = {
    "description": "The content is the one named by If-None-Match.",
    "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", "ETag")},
}

# --- examples ---

EXAMPLES: Final[Mapping[str, Json]] = {
    "create_video": {
        "a film of eight seconds": {"prompt": "a paper boat in the rain", "seconds": 8},
        "upright, in the best quality that the model has": {
            "prompt": "a red fox runs through fresh snow",
            "model": "veo-3.1",
            "seconds": 8,
            "size": "1080x1920",
            "negative_prompt": "people",
            "labels": {"campaign": "winter"},
        },
    },
    "extend_video": {
        "seven more seconds": {"prompt": "the rain stops", "seconds": 7, "video": {"id": SAMPLES["id"]}},
    },
    "estimate_video": {"what it would cost": {"prompt": "a paper boat in the rain", "seconds": 8, "count": 2}},
}
EVENT_EXAMPLES: Final[Json] = {
    "a video got on": {
        "event": "video",
        "id": "4",
        "data": '{"id":"video_...","object":"video","status":"in_progress","progress":41,"version":4,...}',
    },
    "a video is gone": {
        "event": "deleted",
        "id": "9",
        "data": '{"id":"video_...","object":"video.deleted","deleted":true}',
    },
}


def document() -> Json:
    """The whole document, as a JSON value."""
    paths: dict[str, Json] = {}
    for route in PUBLIC_ROUTES:
        path = paths.setdefault(route.path, {})
        path[route.method.lower()] = _operation(route)
        if route.name == "video_content":
            path["head"] = _head_of(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Rushes",
            "version": version(),
            "summary": "Turns prompts into videos, sells them for credits, and never loses a job, a credit or a video.",
            "description": "JSON over HTTPS; times are Unix seconds. Every error has the same shape, with a `code` to "
            "act on, a message for people, and `suggested_action`. See docs/api.md for a guide.",
            "contact": {"name": "The operator of this installation"},
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": TAGS[name]} for name in sorted(set(TITLES.values()))],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "responses": dict(sorted({"304-NotModified": NOT_MODIFIED, **_all_failures()}.items())),
            "headers": HEADERS,
            "securitySchemes": SECURITY,
        },
    }


def version() -> str:
    """The package's version, which is the API's too."""
    return str(tomllib.loads(PROJECT_FILE.read_text())["project"]["version"])


def errors_of(route: Route) -> tuple[str, ...]:
    """Every code that the operation may answer: those of its row, and those of its kind."""
    codes = [*route.errors, "INTERNAL", "UNAVAILABLE", "INVALID_REQUEST"]
    codes += ["UNAUTHENTICATED", "ACCOUNT_DISABLED", "ACCOUNT_CLOSED", "FORBIDDEN", "RATE_LIMITED"]
    if route.recent_sign_in:
        codes += ["REAUTHENTICATION_REQUIRED"]
    if route.body is not None:
        codes += ["INVALID_JSON", "UNSUPPORTED_MEDIA_TYPE", "BODY_TIMEOUT"]
    if route.method != "GET":
        codes += ["BODY_TOO_LARGE"]
    if "{" in route.path:
        codes += ["NOT_FOUND"]
    return tuple(code for code in CATALOG if code in codes)


# --- operations ---


def _operation(route: Route) -> Json:
    operation: Json = {
        "operationId": route.name,
        "summary": route.summary,
        "description": DESCRIPTIONS[route.name],
        "tags": [_tag(route)],
        "security": _security(route),
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_request_headers(route)],
    }
    if route.body is not None:
        operation["requestBody"] = _request_body(route)
    operation["responses"] = {**_successes(route), **_failures(route)}
    return operation


def _head_of(route: Route) -> Json:
    """The same without a body."""
    operation = _operation(route)
    operation["operationId"] = f"head_{route.name}"
    operation["summary"] = "Length, type and ETag of the video, or of its poster frame"
    operation["description"] = DESCRIPTIONS["head_video_content"]
    operation["responses"] = {
        status: {key: value for key, value in response.items() if key != "content"}
        for status, response in operation["responses"].items()
    }
    return operation


def _tag(route: Route) -> str:
    parts = route.path.strip("/").split("/")
    key = parts[1] if parts[0] == "v1" else parts[0]
    return TITLES.get(key, key.replace("-", " ").capitalize())


def _security(route: Route) -> list[dict[str, list[str]]]:
    keys: list[dict[str, list[str]]] = [{"api_key": []}] if route.caller == "user" and route.keys else []
    return [{"id_token": []}, *keys]


def _path_parameters(route: Route) -> list[Json]:
    schema = {"type": "string", "minLength": 1, "maxLength": MAX_ID_CHARS, "pattern": "^[!-~]+$"}
    video = {"type": "string", "pattern": VIDEO_ID}
    key = {"type": "string", "minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY_CHARS, "pattern": "^[!-~]+$"}
    is_video = re.match(r"/v1/(admin/)?videos/\{id\}", route.path)
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": video if is_video else key if name == "key" else schema,
        }
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]


def _query_parameters(route: Route) -> list[Json]:
    if route.query is None:
        return []
    schema = _schema_of(route.query, "validation")
    required = set(schema.get("required", ()))
    return [_parameter(name, described, name in required) for name, described in schema["properties"].items()]


def _parameter(name: str, schema: Json, required: bool) -> Json:
    """A parameter is left out rather than null."""
    choices = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    kept = {key: value for key, value in schema.items() if key not in ("anyOf", "title", "description")}
    if kept.get("default", ...) is None:
        del kept["default"]
    if choices:
        kept |= choices[0] if len(choices) == 1 else {"anyOf": choices}
    parameter: Json = {"name": name, "in": "query", "required": required, "schema": kept}
    if "description" in schema:
        parameter["description"] = schema["description"]
    return parameter


def _request_headers(route: Route) -> list[Json]:
    return [*REQUEST_HEADERS.get(route.name, []), *([IF_NONE_MATCH] if _is_tagged(route) else [])]


def _is_tagged(route: Route) -> bool:
    """Whether its answer is JSON with an ETag."""
    return route.method == "GET" and route.response is not None and route.name != "video_content"


def _request_body(route: Route) -> Json:
    assert route.body is not None, "only of a route with a body"
    name = _name(route.body, "validation")
    content: Json = {JSON: {"schema": {"$ref": SCHEMAS + name}, "examples": _request_examples(route)}}
    if route.form:
        content[FORM] = {"schema": {"$ref": SCHEMAS + _form_name(name)}}
    limits = route.limits
    size = f"{limits.max_bytes // 2**20} MiB" if limits.max_bytes >= 2**20 else f"{limits.max_bytes // 1024} KiB"
    said = f"At most {size}, with at most {limits.max_values:,} values in JSON, within {limits.max_s:g} seconds."
    return {"description": said, "required": True, "content": content}


# --- responses ---


def _successes(route: Route) -> dict[str, Json]:
    if route.name == "video_content":
        return _content_responses(route)
    if route.media_type == EVENTS:
        return _event_responses(route)
    answer = _answer(route, "Done" if route.status == 204 else route.summary, _content(route))
    if route.status in (201, 202):
        answer["headers"] |= _headers("Location")
    if route.name in ("get_config", "put_config"):
        answer["headers"] |= _headers("ETag")
    answers = {str(route.status): answer}
    if _is_tagged(route):
        assert route.response is not None, "only of a route with a response"
        answer["headers"] |= _headers("ETag", *(["Link"] if "last_id" in route.response.model_fields else []))
        answers["304"] = {"$ref": "#/components/responses/304-NotModified"}
    if IDEMPOTENCY_KEY in REQUEST_HEADERS.get(route.name, []):
        replayed = _answer(route, "What the same key and body gave before", _content(route))
        replayed["headers"] |= _headers("Idempotent-Replayed", "Location")
        answers["200"] = replayed
    return dict(sorted(answers.items()))


def _content(route: Route) -> Json:
    if route.status == 204:
        return {}
    assert route.response is not None, f"{route.name} has no response"
    name = _name(route.response, "serialization")
    return {JSON: {"schema": {"$ref": SCHEMAS + name}, "example": example_of(name)}}


def _content_responses(route: Route) -> dict[str, Json]:
    # 3.1 has no type for bytes; generators know this one from 3.0.
    films: Json = {type_: {"schema": {"type": "string", "format": "binary"}} for type_ in ("video/mp4", "image/jpeg")}
    tagged = _headers("Accept-Ranges", "ETag", "Last-Modified")
    whole = _answer(route, "With redirect=json a signed URL, with redirect=false the bytes", _content(route) | films)
    whole["headers"] |= tagged
    part = _answer(route, "The part that Range asked for", films)
    part["headers"] |= tagged | _headers("Content-Range")
    moved = _answer(route, "The bytes are at a signed URL for the next minutes", {})
    moved["headers"] |= _headers("Location")
    same = _answer(route, "If-None-Match names what is still there", {})
    same["headers"] |= tagged
    return {"200": whole, "206": part, "302": moved, "304": same}


def _event_responses(route: Route) -> dict[str, Json]:
    examples = {text: {"value": value} for text, value in EVENT_EXAMPLES.items()}
    content = {EVENTS: {"schema": _event_schema(), "examples": examples}}
    answers = {"200": _answer(route, "Events until the stream ends, after ten minutes at the latest", content)}
    if "{id}" in route.path:
        answers["204"] = _answer(route, "The video has ended, and Last-Event-ID is its last change", {})
    return answers


def _event_schema() -> Json:
    """One event of a stream, as its parser gives it."""
    video, deleted = (SCHEMAS + _name(model, "serialization") for model in (Video, DeletedVideo))
    ready = {"type": "object", "properties": {"object": {"const": "events"}}, "required": ["object"]}
    data: Json = {
        "type": "string",
        "description": "JSON: the video as it now is, or that it is gone, or that the stream has begun.",
        "contentMediaType": JSON,
        "contentSchema": {"oneOf": [{"$ref": video}, {"$ref": deleted}, ready]},
    }
    id_ = {"type": "string", "description": "To come back with, as Last-Event-ID."}
    return {
        "type": "object",
        "properties": {"event": {"enum": ["video", "deleted", "ready"]}, "id": id_, "data": data},
        "required": ["event", "data"],
    }


def _answer(route: Route, description: str, content: Json) -> Json:
    names = ["X-Request-Id", "RateLimit", "RateLimit-Policy"]
    answer: Json = {"description": description, "headers": _headers(*names)}
    return answer | ({"content": content} if content else {})


def _failures(route: Route) -> dict[str, Json]:
    return {
        str(status): {"$ref": f"#/components/responses/{_failure_name(route, status, codes)}"}
        for status, codes in _codes_by_status(route).items()
    }


def _all_failures() -> Json:
    """The errors of all operations by HTTP status: which codes, what they mean, and what to do."""
    return {
        _failure_name(route, status, codes): _failure(status, codes)
        for route in PUBLIC_ROUTES
        for status, codes in _codes_by_status(route).items()
    }


def _codes_by_status(route: Route) -> dict[int, list[str]]:
    by_status: dict[int, list[str]] = {}
    for code in errors_of(route):
        by_status.setdefault(CATALOG[code].status, []).append(code)
    return dict(sorted(by_status.items()))


def _failure_name(route: Route, status: int, codes: list[str]) -> str:
    """The same for all operations with the same few codes."""
    return f"{status}-{'-'.join(codes)}" if len(codes) <= MAX_NAMED_CODES else f"{status}-{route.name}"


def _failure(status: int, codes: Iterable[str]) -> Json:
    entries = [(code, CATALOG[code]) for code in codes]
    names = ["X-Request-Id"]
    names += ["WWW-Authenticate"] if status == 401 else []
    names += ["Retry-After"] if status in (429, 503) else []
    names += ["Content-Range"] if status == 416 else []
    return {
        "description": "\n".join(f"- `{code}`: {entry.message} {entry.suggested_action}" for code, entry in entries),
        "x-error-codes": [code for code, _ in entries],
        "headers": _headers(*names),
        "content": {JSON: {"schema": {"$ref": SCHEMAS + _name(ErrorResponse, "serialization")}}},
    }


def _headers(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


# --- schemas ---

Mode = Literal["validation", "serialization"]


class _Schema(GenerateJsonSchema):
    """Answers hold every field, also one that has a default."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        return self.mode == "serialization" or super().field_is_required(field, total)


@cache
def _generated() -> tuple[Mapping[tuple[type[BaseModel], Mode], Json], Json]:
    """Every model that a route names, by what it is used for; and all definitions."""
    used: dict[tuple[type[BaseModel], Mode], None] = {(ErrorResponse, "serialization"): None}
    for route in PUBLIC_ROUTES:
        for model in (route.body, route.query):
            if model is not None:
                used[model, "validation"] = None
        if route.response is not None:
            used[route.response, "serialization"] = None
    references, definitions = models_json_schema(list(used), ref_template=SCHEMAS + "{model}", schema_generator=_Schema)
    return cast(Mapping[tuple[type[BaseModel], Mode], Json], references), definitions["$defs"]


def _name(model: type[BaseModel], mode: Mode) -> str:
    references, _ = _generated()
    return str(references[model, mode]["$ref"]).removeprefix(SCHEMAS)


def _schema_of(model: type[BaseModel], mode: Mode) -> Json:
    _, definitions = _generated()
    return cast(Json, definitions[_name(model, mode)])


def _form_name(name: str) -> str:
    return f"{name}Form"


def _schemas() -> Json:
    """All schemas that are named: queries are spelled out as parameters."""
    _, definitions = _generated()
    queries = {_name(route.query, "validation") for route in PUBLIC_ROUTES if route.query is not None}
    schemas = {name: _tidied(schema) for name, schema in definitions.items() if name not in queries}
    forms = {_name(route.body, "validation") for route in PUBLIC_ROUTES if route.form and route.body is not None}
    schemas |= {_form_name(name): _form(schemas[name]) for name in forms}
    return dict(sorted(schemas.items()))


def _tidied(schema: Any) -> Any:
    """Without the titles that pydantic makes of the names, and with defaults in words.

    Generated TypeScript demands every field that has a `default`, though a client may leave it out.
    """
    if isinstance(schema, list):
        return [_tidied(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    tidied = {key: _tidied(value) for key, value in schema.items() if not _is_noise(key, value)}
    default = schema.get("default")
    if isinstance(default, str | int | float) and default != "" and "const" not in schema:
        said = tidied.get("description", "")
        tidied["description"] = f"{said} Default: {json.dumps(default)}.".strip()
    return tidied


def _is_noise(key: str, value: Any) -> bool:
    # A property may bear the name "title" or "default"; then its value is a schema.
    return (key == "title" and isinstance(value, str)) or (key == "default" and not _is_schema(value))


def _is_schema(value: Any) -> bool:
    return isinstance(value, dict) and bool(value.keys() & {"type", "anyOf", "$ref", "const", "enum"})


def _form(schema: Json) -> Json:
    """The same fields as parts of a form: images are files."""
    return {**schema, "properties": {name: _part(field) for name, field in schema["properties"].items()}}


def _part(field: Json) -> Json:
    said = {"description": field["description"]} if "description" in field else {}
    if SCHEMAS + "ImageInput" not in json.dumps(field):
        return field
    file: Json = {"type": "string", "contentMediaType": "application/octet-stream"}
    if field.get("type") == "array":
        return {"type": "array", "items": file, "maxItems": field.get("maxItems", 1), **said}
    return {**file, **said}


# --- examples ---


def _request_examples(route: Route) -> Json:
    assert route.body is not None, "only of a route with a body"
    given = EXAMPLES.get(route.name) or {"example": example_of(_name(route.body, "validation"))}
    return {text: {"value": value} for text, value in given.items()}


def example_of(name: str) -> Any:
    """A plausible value of the schema of that name: the samples of api_reference.py, and for the rest its type's."""
    _, definitions = _generated()
    return _example({"$ref": SCHEMAS + name}, name, "", definitions)


def _example(schema: Json, owner: str, field: str, definitions: Json) -> Any:
    for sample in (SAMPLES[key] for key in (f"{owner}.{field}", field) if key in SAMPLES):
        if _fits(sample, schema, definitions):
            return sample
    if "$ref" in schema:
        name = str(schema["$ref"]).removeprefix(SCHEMAS)
        return _example(definitions[name], name, "", definitions)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return _example(schema["anyOf"][0], owner, field, definitions)
    match schema.get("type"):
        case "object" if "properties" in schema:
            fields = schema["properties"].items()
            return {name: _example(one, owner, name, definitions) for name, one in fields}
        case "object":
            return {}
        case "array":
            return [_example(schema["items"], owner, "", definitions)]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "null":
            return None
    return "text"


def _fits(sample: Any, schema: Json, definitions: Json) -> bool:
    """Whether the sample is of the schema's type: fields of one name aren't always alike."""
    if "$ref" in schema:
        return _fits(sample, definitions[str(schema["$ref"]).removeprefix(SCHEMAS)], definitions)
    if "anyOf" in schema:
        return any(_fits(sample, one, definitions) for one in schema["anyOf"])
    return _JSON_TYPES.get(str(schema.get("type"))) is type(sample) and not ("properties" in schema and sample == {})


_JSON_TYPES: Final[Mapping[str, type]] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}


def rendered() -> str:
    """The document as the text of openapi.json."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(rendered(), end="")
