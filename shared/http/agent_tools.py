"""The tools that an assistant is given: what it may do for a user, in words that a model understands. Pure.

One definition, made from the models of the API, in three forms: the function declarations of Gemini, which GET
/v1/agent/tools returns; the JSON that the command line's MCP server brings along (`python -m shared.http.agent_tools`
prints it), with the shapes of the results; and the table of docs/agents.md, which a test compares. An assistant makes
offers, and a tool that changes something acts only on an offer that the user has accepted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from shared.api.accounts import AccountView, ListTransactionsQuery, TransactionPage
from shared.api.bodies import Response
from shared.api.routing import Route
from shared.api.videos import (
    MAX_REFERENCE_IMAGES,
    Canceled,
    Cancellation,
    CreateVideo,
    DeletedVideo,
    Estimate,
    ListVideosQuery,
    Video,
    VideoPage,
)
from shared.core.catalog import MODELS
from shared.core.documents import VIDEO_ID

Json = dict[str, Any]

MAX_WAIT_S: Final = 50
OFFER_ID: Final = r"^offer-[A-Za-z0-9_-]{22}$"
MAX_IMAGE_NAME_CHARS: Final = 2_048
# What a model reads of JSON Schema in Gemini's form, besides type and description.
_GEMINI_KEYS: Final[tuple[str, ...]] = ("enum", "minimum", "maximum", "pattern", "maxItems")
_REQUEST: Final = (
    "prompt",
    "model",
    "seconds",
    "size",
    "aspect_ratio",
    "resolution",
    "negative_prompt",
    "seed",
    "generate_audio",
    "person_generation",
    "count",
    "extends",
    "project",
)
# Where a model needs more, or other, words than the reference of the API has.
_DESCRIPTIONS: Final[Mapping[str, str]] = {
    "prompt": "What the video shows, in one paragraph: subject, action, place, mood, light, camera; to 4,096 bytes.",
    "model": f"Leave out unless the user names one. One of {', '.join(MODELS)}.",
    "seconds": "Length. Leave out unless the user names one; an error names what the model allows.",
    "size": "Width x height in pixels, like 1280x720, instead of aspect_ratio and resolution.",
    "aspect_ratio": "16:9 for screens, 9:16 for phones.",
    "resolution": "Leave out unless the user asks for another than 720p.",
    "negative_prompt": "What the video must not show.",
    "seed": "The same seed and prompt give a similar video again.",
    "generate_audio": "False for a silent video.",
    "person_generation": "Who may be seen. Leave out unless the user asks for it.",
    "project": "The id of a project, if the user names one.",
    "status": "Only videos of this status. At most one of status, model and project.",
    "created_after": "Only videos created at this time or later, in Unix seconds.",
    "created_before": "Only videos created before this time, in Unix seconds.",
    "order": "desc for the newest first, asc for the oldest.",
    "limit": "How many at most.",
    "after": "The last_id of the previous page, to get the next one.",
}
_VIDEO: Final[Json] = {"type": "string", "pattern": VIDEO_ID, "description": "The id of the video: video_..."}
_OFFER: Final[Json] = {
    "type": "string",
    "pattern": OFFER_ID,
    "description": "The id of the offer, once the user has said yes to it. Otherwise leave it out.",
}


def _image(description: str) -> Json:
    said = f"{description} An https URL, or the absolute path of a file on the user's machine; PNG, JPEG or WebP."
    return {"type": "string", "minLength": 1, "maxLength": MAX_IMAGE_NAME_CHARS, "description": said}


_IMAGES: Final[Mapping[str, Json]] = {
    "first_frame": _image("The image that the video begins with."),
    "last_frame": _image("The image that the video ends with; needs first_frame."),
    "reference_images": {
        "type": "array",
        "items": _image("What a person, a thing or a place looks like."),
        "maxItems": MAX_REFERENCE_IMAGES,
        "description": "Images of what people, things or places in the video look like.",
    },
}
_TWO_CALLS: Final = (
    "Tell the user and ask. Only after a clear yes call it again with the very same arguments and `offer` set to the "
    "id of the offer, within ten minutes. Never accept an offer on the user's behalf."
)


class Offer(Response):
    """What is proposed to the user. Nothing has happened yet; a second call with its id accepts it."""

    id: str
    object: Literal["offer"] = "offer"
    tool: Annotated[str, Field(description="The tool to call again.")]
    question: Annotated[str, Field(description="What to ask the user.")]
    request: Annotated[Json, Field(description="What would be done, with every default filled in.")]
    cost: Annotated[int, Field(description="Credits that it costs.")]
    expected_seconds: Annotated[float | None, Field(description="How long it usually takes.")]
    expires_at: Annotated[int, Field(description="Until when it can be accepted, in Unix seconds.")]
    estimate: Annotated[Estimate | None, Field(description="Of create_video.")]
    cancellation: Annotated[Cancellation | None, Field(description="Of cancel_video: what would come back, and why.")]


class Declined(Response):
    """The user was asked and did not say yes. Nothing happened."""

    object: Literal["declined"] = "declined"


class VideoLink(Response):
    """Where one file of a finished video can be fetched without signing in, for some minutes."""

    index: int
    url: str
    expires_at: int


class LinkedVideo(Video):
    """A video with links to its files, once it is completed."""

    links: list[VideoLink]


@dataclass(frozen=True)
class Tool:
    """One tool. `fields` of `model` are its parameters, with `more` that only assistants know.

    `results`: the shapes that a result can have. `reads`: it changes nothing. `destroys`: what it does can't be undone.
    """

    name: str
    title: str
    description: str
    results: tuple[type[BaseModel], ...]
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

    def output_schema(self) -> Json:
        """What a result that is no error looks like, as JSON Schema: an object, as the protocol demands.

        More fields than these are allowed, so that a newer server can serve an older command line.
        """
        references, schemas = models_json_schema([(model, "serialization") for model in self.results])
        definitions = schemas["$defs"]
        shapes = [references[model, "serialization"] for model in self.results]
        # Some clients look for `properties` at the root.
        chosen = definitions.pop(self.results[0].__name__) if len(shapes) == 1 else {"anyOf": shapes}
        schema: Json = _open({"type": "object", **chosen, "$defs": definitions})
        return schema

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
            "outputSchema": self.output_schema(),
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
        (Estimate,),
        CreateVideo,
        _REQUEST,
        _IMAGES,
        required=("prompt",),
        reads=True,
    ),
    Tool(
        "create_video",
        "Make a video",
        "Make a video from a prompt, and from images if the user has some. It costs the user's credits, so it takes "
        "two calls. The first one, without `offer`, makes nothing and returns an offer with the cost and the usual "
        f"time. {_TWO_CALLS} Then watch it with video_status.",
        (Offer, Declined, Video),
        CreateVideo,
        _REQUEST,
        {**_IMAGES, "offer": _OFFER},
        required=("prompt",),
        destroys=True,
    ),
    Tool(
        "video_status",
        "See how a video is doing",
        "How far a video is. When it is completed, the result has a link to show the user, which works for some "
        "minutes, and its poster frame; when it failed, the reason, what to do, and the credits that came back.",
        (LinkedVideo,),
        more={
            "video": _VIDEO,
            "wait_seconds": {
                "type": "integer",
                "minimum": 0,
                "maximum": MAX_WAIT_S,
                "description": "Wait up to this long for it to end before answering, instead of asking repeatedly.",
            },
        },
        required=("video",),
        reads=True,
    ),
    Tool(
        "list_videos",
        "List videos",
        "The user's own videos, each with its status, prompt and id, a page at a time.",
        (VideoPage,),
        ListVideosQuery,
        ("status", "model", "project", "created_after", "created_before", "order", "limit", "after"),
        reads=True,
    ),
    Tool(
        "cancel_video",
        "Cancel a video",
        "Stop a video that has not ended, when the user asks for that. It takes two calls. The first one, without "
        "`offer`, cancels nothing and returns an offer that says how many credits would come back; often none once "
        f"the generation has begun. {_TWO_CALLS}",
        (Offer, Declined, Canceled),
        more={"video": _VIDEO, "offer": _OFFER},
        required=("video",),
        destroys=True,
    ),
    Tool(
        "delete_video",
        "Delete a video",
        "Remove a video that has ended and its files, for good, when the user asks for that. It gives no credits back. "
        f"It takes two calls. The first one, without `offer`, deletes nothing and returns an offer. {_TWO_CALLS}",
        (Offer, Declined, DeletedVideo),
        more={"video": _VIDEO, "offer": _OFFER},
        required=("video",),
        destroys=True,
    ),
    Tool(
        "get_account",
        "See the account",
        "The user's balance in credits, email address, plan, and how many videos may be made at the same time.",
        (AccountView,),
        reads=True,
    ),
    Tool(
        "list_transactions",
        "List credits",
        "Where the user's credits came from and went to, the newest first, a page at a time.",
        (TransactionPage,),
        ListTransactionsQuery,
        ("limit", "after"),
        reads=True,
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
    return {**schema, "description": _DESCRIPTIONS[name]} if name in _DESCRIPTIONS else schema


def _gemini(schema: Json) -> Json:
    kept = {key: schema[key] for key in _GEMINI_KEYS if key in schema}
    items = {"items": _gemini(schema["items"])} if "items" in schema else {}
    return {"type": schema["type"].upper(), "description": schema["description"], **kept, **items}


def _open(schema: Any) -> Any:
    """The schema without what forbids further fields, and without the titles that pydantic makes of names."""
    if isinstance(schema, list):
        return [_open(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _open(value)
        for key, value in schema.items()
        if not (key == "additionalProperties" and value is False) and not (key == "title" and isinstance(value, str))
    }


ROUTES: tuple[Route, ...] = (
    Route(
        "list_agent_tools",
        "GET",
        "/v1/agent/tools",
        "history",
        "What an assistant may do for one, as Gemini function declarations",
        response=AgentTools,
    ),
)


if __name__ == "__main__":
    print(rendered(), end="")
