"""The tools of assistants: made from the models of the API, and in the form that Gemini takes."""

from __future__ import annotations

import jsonschema
import pytest
from google.genai import types

from shared import agent_tools
from shared.agent_tools import TOOLS, Tool
from shared.models import CreateVideo

WISHES = [tool for tool in TOOLS if tool.model is CreateVideo]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_declaration_is_one_that_gemini_takes(tool: Tool) -> None:
    declared = types.FunctionDeclaration.model_validate(tool.declaration())
    assert declared.parameters is not None
    assert declared.parameters.type is types.Type.OBJECT
    assert set(declared.parameters.properties or {}) == set(tool.schema()["properties"])
    assert all(one.description and one.type for one in (declared.parameters.properties or {}).values())
    assert declared.parameters.required == list(tool.required)


def test_the_answer_of_the_route_is_a_tool_as_it_stands() -> None:
    answer = agent_tools.declarations().model_dump()
    tool = types.Tool(function_declarations=answer["function_declarations"])
    assert [one.name for one in tool.function_declarations or []] == [one.name for one in TOOLS]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_schema_is_valid_and_leaves_out_rather_than_sends_null(tool: Tool) -> None:
    schema = tool.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert "null" not in str(schema)
    assert "$ref" not in str(schema)
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("tool", WISHES, ids=lambda tool: tool.name)
def test_what_a_schema_takes_the_api_takes_but_for_the_confirmation(tool: Tool) -> None:
    wish = {
        "prompt": "a kite",
        "model": "veo-3.1",
        "seconds": 8,
        "aspect_ratio": "9:16",
        "resolution": "1080p",
        "negative_prompt": "people",
        "seed": 7,
        "generate_audio": False,
        "count": 2,
        "extends": "video_" + "x" * 22,
        "project": "winter",
    }
    assert set(wish) == set(tool.fields)
    jsonschema.validate(wish, tool.schema())
    CreateVideo.model_validate(wish)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**wish, "count": 5}, tool.schema())


def test_only_what_changes_nothing_says_that_it_reads() -> None:
    assert {tool.name for tool in TOOLS if tool.reads} == {"estimate_video", "video_status", "list_videos"}
    assert {tool.name for tool in TOOLS if tool.destroys} == {"create_video", "cancel_video"}


def test_what_spends_tells_the_model_to_ask_first() -> None:
    (create,) = [tool for tool in TOOLS if "confirmed_credits" in tool.more]
    assert create.name == "create_video"
    assert "Never confirm on the user's behalf." in create.description
