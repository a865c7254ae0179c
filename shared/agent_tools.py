"""The tools that an assistant is given: what it may do for a user, in words that a model understands. Pure.

One definition, made from the models of the API, in three forms: the function declarations of Gemini, which
GET /v1/agent/tools answers; the JSON that the command line's MCP server brings along (`python -m shared.agent_tools`
prints it); and the text of docs/agents.md, which a test compares. An assistant offers, and acts only on a yes: a tool
that spends says so, and is asked twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field

from shared.generators.catalog import MODELS
from shared.models import VIDEO_ID, CreateVideo, ListVideosQuery, Response

Json = dict[str, Any]

MAX_WAIT_S: Final = 50
# What a model reads of JSON Schema in Gemini's form, besides type and description.
_GEMINI_KEYS: Final[tuple[str, ...]] = ("enum", "minimum", "maximum", "pattern")
_WISHES: Final = (
    "prompt",
    "model",
    "seconds",
    "aspect_ratio",
    "resolution",
    "negative_prompt",
    "seed",
    "generate_audio",
    "count",
    "extends",
    "project",
)
# Where a model needs more, or other, words than the reference of the API has.
_SAID: Final[Mapping[str, str]] = {
    "prompt": "What the video shows, in one paragraph: subject, action, place, mood, light, camera; to 4,096 bytes.",
    "model": f"Leave out unless the user names one. One of {', '.join(MODELS)}.",
    "seconds": "Length. Leave out unless the user names one; an error names what the model allows.",
    "aspect_ratio": "16:9 for screens, 9:16 for phones.",
    "resolution": "Leave out unless the user asks for another than 720p.",
    "negative_prompt": "What the video must not show.",
    "seed": "The same seed and prompt give a similar video again.",
    "generate_audio": "False for a silent video.",
    "project": "The id of a project, if the user names one.",
    "status": "Only videos of this status.",
    "limit": "How many, the newest first.",
}
_VIDEO: Final[Json] = {"type": "string", "pattern": VIDEO_ID, "description": "The id of the video: video_..."}


@dataclass(frozen=True)
class Tool:
    """One tool. `fields` of `model` are its parameters, with `more` that only assistants know.

    `reads`: it changes nothing; `destroys`: what it does cannot be undone.
    """

    name: str
    title: str
    description: str
    model: type[BaseModel] | None = None
    fields: tuple[str, ...] = ()
    more: Mapping[str, Json] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    reads: bool = False
    destroys: bool = False

    def schema(self) -> Json:
        """The parameters as JSON Schema. Optional ones are left out rather than null."""
        properties = {name: _described(name, self._properties()[name]) for name in self.fields}
        return {
            "type": "object",
            "properties": properties | {name: dict(schema) for name, schema in self.more.items()},
            "required": list(self.required),
            "additionalProperties": False,
        }

    def declaration(self) -> Json:
        """The tool as a Gemini function declaration."""
        properties = {name: _gemini(schema) for name, schema in self.schema()["properties"].items()}
        parameters = {"type": "OBJECT", "properties": properties, "required": list(self.required)}
        return {"name": self.name, "description": self.description, "parameters": parameters}

    def document(self) -> Json:
        """The tool as the Model Context Protocol has it."""
        hints = {"readOnlyHint": self.reads, "destructiveHint": self.destroys, "openWorldHint": False}
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": self.schema(),
            "annotations": {"title": self.title, **hints},
        }

    def _properties(self) -> Json:
        schema = self.model.model_json_schema() if self.model else {}
        definitions = schema.get("$defs", {})
        return {name: _resolved(one, definitions) for name, one in schema.get("properties", {}).items()}


TOOLS: Final[tuple[Tool, ...]] = (
    Tool(
        "estimate_video",
        "Estimate a video",
        "What a video would cost in credits and how long it usually takes, and whether it would be accepted now. "
        "Free, and nothing happens. Use it when the user wonders what something would cost.",
        CreateVideo,
        _WISHES,
        required=("prompt",),
        reads=True,
    ),
    Tool(
        "create_video",
        "Make a video",
        "Make a video from a prompt. It costs the user's credits, so it goes in two steps. First call it without "
        "confirmed_credits: nothing is made, and the answer is an offer with the cost and the usual time. Tell the "
        "user both and ask. Only after a clear yes call it again with the very same arguments and confirmed_credits "
        "set to the cost of the offer. Never confirm on the user's behalf. Then watch it with video_status.",
        CreateVideo,
        _WISHES,
        {
            "confirmed_credits": {
                "type": "integer",
                "minimum": 0,
                "description": "The cost that the offer named, once the user has said yes to it. Else leave it out.",
            }
        },
        required=("prompt",),
        destroys=True,
    ),
    Tool(
        "video_status",
        "See how a video gets on",
        "How far a video is. When it is completed the answer has a link to show the user, which works for some "
        "minutes, and its poster frame; when it failed, the reason, what to do, and the credits that came back.",
        more={
            "video": _VIDEO,
            "wait_seconds": {
                "type": "integer",
                "minimum": 0,
                "maximum": MAX_WAIT_S,
                "description": "Wait up to so long for it to end before answering, instead of asking again and again.",
            },
        },
        required=("video",),
        reads=True,
    ),
    Tool(
        "list_videos",
        "List videos",
        "The user's own videos, the newest first, each with its status, prompt and id.",
        ListVideosQuery,
        ("status", "limit"),
        reads=True,
    ),
    Tool(
        "cancel_video",
        "Cancel a video",
        "Stop a video that has not ended, when the user asks for that. It goes in two steps. First call it without "
        "accepted_refund: nothing is canceled, and the answer says how many credits would come back; often none once "
        "the generation has begun. Tell the user and ask. Only after a clear yes call it again with accepted_refund.",
        more={
            "video": _VIDEO,
            "accepted_refund": {
                "type": "integer",
                "minimum": 0,
                "description": "The credits that would come back, once the user has said yes to it. Else leave it out.",
            },
        },
        required=("video",),
        destroys=True,
    ),
)


class FunctionDeclaration(Response):
    """One tool, in the form that Gemini's generateContent takes."""

    name: str
    description: str
    parameters: Annotated[Json, Field(description="A Schema of the Gemini API.")]


class AgentTools(Response):
    """GET /v1/agent/tools."""

    object: Literal["agent_tools"] = "agent_tools"
    function_declarations: list[FunctionDeclaration]


@cache
def declarations() -> AgentTools:
    """All tools as function declarations."""
    return AgentTools(function_declarations=[FunctionDeclaration(**tool.declaration()) for tool in TOOLS])


def document() -> list[Json]:
    """All tools as the MCP server lists them."""
    return [tool.document() for tool in TOOLS]


def rendered() -> str:
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def _resolved(schema: Json, definitions: Json) -> Json:
    """Without references and without null."""
    choices = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    kept = {key: value for key, value in schema.items() if key not in ("anyOf", "title", "default", "$ref")}
    for one in (*choices, *([schema] if "$ref" in schema else [])):
        target = definitions[one["$ref"].rpartition("/")[2]] if "$ref" in one else one
        kept = {key: value for key, value in target.items() if key not in ("title", "description")} | kept
    return kept


def _described(name: str, schema: Json) -> Json:
    return {**schema, "description": _SAID[name]} if name in _SAID else schema


def _gemini(schema: Json) -> Json:
    kept = {key: schema[key] for key in _GEMINI_KEYS if key in schema}
    return {"type": schema["type"].upper(), "description": schema["description"], **kept}


if __name__ == "__main__":
    print(rendered(), end="")
