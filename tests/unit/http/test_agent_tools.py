"""The tools of assistants: made from the models of the API, and in the form that Gemini takes."""

from __future__ import annotations

import jsonschema
import pytest
from google.genai import types

from shared.api.videos import CreateVideo, Video, VideoPage
from shared.http import agent_tools
from shared.http.agent_tools import TOOLS, Tool

MAKING = [tool for tool in TOOLS if tool.model is CreateVideo]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_declaration_is_valid_for_gemini(tool: Tool) -> None:
    declared = types.FunctionDeclaration.model_validate(tool.declaration())
    assert declared.parameters is not None
    assert declared.parameters.type is types.Type.OBJECT
    assert set(declared.parameters.properties or {}) == set(tool.schema()["properties"])
    assert all(one.description and one.type for one in (declared.parameters.properties or {}).values())
    assert declared.parameters.required == list(tool.required)


def test_route_returns_a_ready_to_use_tool() -> None:
    answer = agent_tools.declarations().model_dump()
    tool = types.Tool(function_declarations=answer["function_declarations"])
    assert [one.name for one in tool.function_declarations or []] == [one.name for one in TOOLS]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_schema_is_valid_and_omits_nulls(tool: Tool) -> None:
    schema = tool.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert "null" not in str(schema)
    assert "$ref" not in str(schema)
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("tool", MAKING, ids=lambda tool: tool.name)
def test_schema_and_api_accept_the_same_but_images_and_quotes(tool: Tool) -> None:
    request = {
        "prompt": "a kite",
        "model": "veo-3.1",
        "seconds": 8,
        "size": "1080x1920",
        "aspect_ratio": "9:16",
        "resolution": "1080p",
        "negative_prompt": "people",
        "seed": 7,
        "generate_audio": False,
        "person_generation": "dont_allow",
        "count": 2,
        "extends": "video_" + "x" * 22,
        "project": "winter",
    }
    assert set(request) == set(tool.fields)
    jsonschema.validate(request, tool.schema())
    CreateVideo.model_validate(request)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**request, "count": 5}, tool.schema())


def test_only_read_only_tools_say_so() -> None:
    assert {tool.name for tool in TOOLS if tool.destroys} == {"create_video", "cancel_video", "delete_video"}
    assert all(tool.reads != tool.destroys for tool in TOOLS)


def test_changing_tools_ask_for_confirmation() -> None:
    for tool in TOOLS:
        assert tool.destroys == ("offer" in tool.more) == (agent_tools.Offer in tool.results)
        assert tool.destroys == ("Never accept an offer on the user's behalf." in tool.description)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_output_schema_is_an_extensible_object(tool: Tool) -> None:
    schema = tool.output_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    assert "'additionalProperties': False" not in str(schema)


def test_output_schema_matches_the_api_models() -> None:
    """A field that the API adds, drops or retypes is in the schema with no other change."""
    (list_videos,) = [tool for tool in TOOLS if tool.name == "list_videos"]
    schema = list_videos.output_schema()
    assert set(schema["properties"]) == set(VideoPage.model_fields)
    assert set(schema["$defs"]["Video"]["required"]) >= {"id", "status", "files", "labels"}
    assert set(schema["$defs"]["Video"]["properties"]) == set(Video.model_fields)
    assert schema["$defs"]["Video"]["properties"]["labels"]["additionalProperties"] == {"type": "string"}
    page = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    jsonschema.validate({**page, "more_to_come": 1}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**page, "has_more": "no"}, schema)


def test_image_list_is_an_array_for_gemini_too() -> None:
    (create,) = [tool for tool in TOOLS if tool.name == "create_video"]
    declared = types.FunctionDeclaration.model_validate(create.declaration()).parameters
    assert declared is not None
    assert declared.properties is not None
    images = declared.properties["reference_images"]
    assert images.type is types.Type.ARRAY
    assert images.items is not None
    assert images.items.type is types.Type.STRING
    assert images.max_items == 3
