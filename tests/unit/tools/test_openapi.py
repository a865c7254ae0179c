"""openapi.json is what the code answers: complete, valid, and current."""

from __future__ import annotations

import ast
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import openapi_spec_validator
import pytest

import rushes
from shared.api.routing import FUNCTIONS, Route
from shared.core.errors import CATALOG
from tools import openapi

ROOT = Path(__file__).parents[3]
DOCUMENT = openapi.document()
ROUTES = openapi.PUBLIC_ROUTES
# Where a handler reads a header of the request: how it is written there, and the header.
READ_HEADERS = {
    "idempotency_key": "Idempotency-Key",
    "idempotency-key": "Idempotency-Key",
    "last-event-id": "Last-Event-ID",
    "if-match": "If-Match",
}


def operation(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][route.path][route.method.lower()]
    return found


def test_committed_document_is_current() -> None:
    assert (ROOT / "openapi.json").read_text() == openapi.rendered(), "run `make openapi`"


def test_api_and_cli_have_one_version() -> None:
    assert DOCUMENT["info"]["version"] == rushes.__version__


def test_document_is_valid_openapi() -> None:
    openapi_spec_validator.validate(DOCUMENT)


def test_document_has_exactly_the_client_routes() -> None:
    named = {one["operationId"] for path in DOCUMENT["paths"].values() for one in path.values()}
    assert named == {route.name for route in ROUTES} | {"head_video_content"}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_operation_says_who_may_call_and_its_input(route: Route) -> None:
    said = operation(route)
    assert said["summary"] == route.summary
    by_key = route.caller == "user" and route.keys
    assert {name for one in said["security"] for name in one} == ({"id_token", "api_key"} if by_key else {"id_token"})
    assert ("requestBody" in said) == (route.body is not None)
    queried = {one["name"] for one in said["parameters"] if one["in"] == "query"}
    assert queried == (set(route.query.model_fields) if route.query else set())
    assert all("{" + one["name"] + "}" in route.path for one in said["parameters"] if one["in"] == "path")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_operation_names_every_error_code(route: Route) -> None:
    named: dict[str, set[str]] = {}
    for status, answer in operation(route)["responses"].items():
        if "$ref" in answer and status != "304":
            failure = DOCUMENT["components"]["responses"][answer["$ref"].rpartition("/")[2]]
            assert failure["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ErrorResponse"}
            named[status] = set(failure["x-error-codes"])
            assert all(f"`{code}`" in failure["description"] for code in named[status])
    assert set().union(*named.values()) >= set(route.errors)
    assert all(CATALOG[code].status == int(status) for status, codes in named.items() for code in codes)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_headers_read_by_a_handler_are_parameters(function: str) -> None:
    tree = ast.parse((ROOT / "functions" / function / "main.py").read_text())
    for handler in (node for node in tree.body if isinstance(node, ast.AsyncFunctionDef)):
        words = {node.attr for node in ast.walk(handler) if isinstance(node, ast.Attribute)}
        words |= {str(node.value).lower() for node in ast.walk(handler) if isinstance(node, ast.Constant)}
        read = {header for word, header in READ_HEADERS.items() if word in words}
        said = {one["name"] for one in openapi.REQUEST_HEADERS.get(handler.name, [])}
        assert read == said - {"Range", "If-None-Match", "If-Modified-Since", "If-Range"}, handler.name


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_operation_has_a_description_and_valid_examples(route: Route) -> None:
    said = operation(route)
    assert said["description"]
    if route.body is not None:
        content = said["requestBody"]["content"]["application/json"]
        for example in content["examples"].values():
            validate(content["schema"], example["value"])
            route.body.model_validate_json(json.dumps(example["value"]))
    for answer in said["responses"].values():
        content = answer.get("content", {}).get("application/json")
        if content is not None:
            validate(content["schema"], content["example"])


def validate(schema: dict[str, Any], value: Any) -> None:
    jsonschema.Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(value)


def test_defaulted_fields_are_optional_in_generated_types() -> None:
    def fields(node: Any) -> Iterator[dict[str, Any]]:
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from fields(child)
        if isinstance(node, dict):
            yield from (one for one in node.get("properties", {}).values() if isinstance(one, dict))

    assert all("default" not in field for field in fields(DOCUMENT["components"]["schemas"]))
    body = DOCUMENT["components"]["schemas"]["CreateVideo"]
    assert body["required"] == ["prompt"]
    assert body["properties"]["count"]["description"].endswith("Default: 1.")


def test_version_is_the_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert DOCUMENT["info"]["version"] == project["version"]


@pytest.mark.parametrize(
    ("schema", "field", "name"),
    [
        ("CreateVideo", "aspect_ratio", "AspectRatio"),
        ("CreateVideo", "resolution", "Resolution"),
        ("CreateVideo", "person_generation", "PersonGeneration"),
        ("Video", "status", "Status"),
        ("Video", "resolution", "Resolution"),
        ("TransactionView", "type", "TransactionType"),
        ("InputView", "role", "InputRole"),
        ("NewApiKey", "scope", "Scope"),
        ("DeliveryView", "status", "DeliveryStatus"),
        ("UserView", "role", "Role"),
    ],
)
def test_choices_are_named(schema: str, field: str, name: str) -> None:
    """Unnamed ones become a type of their own at every place in generated clients."""
    assert f"#/components/schemas/{name}" in json.dumps(DOCUMENT["components"]["schemas"][schema]["properties"][field])


def test_references_resolve_and_every_schema_is_used() -> None:
    text = json.dumps(DOCUMENT)
    for kind in ("schemas", "headers", "responses"):
        for name in DOCUMENT["components"][kind]:
            assert f'"#/components/{kind}/{name}"' in text, name


def test_responses_require_every_field() -> None:
    video = DOCUMENT["components"]["schemas"]["Video"]
    assert set(video["required"]) == set(video["properties"])
    assert video["additionalProperties"] is False


def test_form_takes_images_as_files() -> None:
    form = DOCUMENT["components"]["schemas"]["CreateVideoForm"]["properties"]
    assert form["input_reference"]["contentMediaType"] == "application/octet-stream"
    assert form["reference_images"]["items"]["contentMediaType"] == "application/octet-stream"
    assert form["prompt"] == DOCUMENT["components"]["schemas"]["CreateVideo"]["properties"]["prompt"]
