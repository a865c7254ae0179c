"""Tools for assistants: what they may do for a user, described for a language model. Pure.

One definition, made from the API's models, in three forms: Gemini function declarations, which GET /v1/agent/tools
returns; the JSON that the CLI's MCP server ships (`python -m shared.http.agent_tools` prints it), with result schemas;
and the table in docs/agents.md, which a test compares. An assistant makes offers, and a tool that changes something
acts only on an offer that the user has accepted.
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
# The JSON Schema keywords that Gemini supports, besides type and description.
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
# Where a model needs a longer or different description than the API reference has.
_DESCRIPTIONS: Final[Mapping[str, str]] = {
    "prompt": "The prompt, in one paragraph: subject, action, place, mood, light, camera; up to 4,096 bytes.",
    "model": f"Leave out unless the user names one. One of {', '.join(MODELS)}.",
    "seconds": "Length. Leave out unless the user names one; an error lists the allowed values.",
    "size": "Width x height in pixels, like 1280x720, instead of aspect_ratio and resolution.",
    "aspect_ratio": "16:9 for screens, 9:16 for phones.",
    "resolution": "Leave out unless the user asks for something other than 720p.",
    "negative_prompt": "What to avoid in the video.",
    "seed": "The same seed and prompt give a similar video.",
    "generate_audio": "False for a silent video.",
    "person_generation": "Whether people may appear. Leave out unless the user asks for it.",
    "project": "The id of a project, if the user names one.",
    "status": "Only videos of this status. At most one of status, model and project.",
    "created_after": "Only videos created at this time or later, in Unix seconds.",
    "created_before": "Only videos created before this time, in Unix seconds.",
    "order": "desc for the newest first, asc for the oldest.",
    "limit": "Maximum number of items.",
    "after": "The last_id of the previous page, to get the next one.",
}
_VIDEO: Final[Json] = {"type": "string", "pattern": VIDEO_ID, "description": "The id of the video: video_..."}
_OFFER: Final[Json] = {
    "type": "string",
    "pattern": OFFER_ID,
    "description": "The id of the offer, once the user has confirmed it. Otherwise leave it out.",
}


def _image(description: str) -> Json:
    text = f"{description} An https URL, or the absolute path of a file on the user's machine; PNG, JPEG or WebP."
    return {"type": "string", "minLength": 1, "maxLength": MAX_IMAGE_NAME_CHARS, "description": text}


_IMAGES: Final[Mapping[str, Json]] = {
    "first_frame": _image("The image that the video begins with."),
    "last_frame": _image("The image that the video ends with; requires first_frame."),
    "reference_images": {
        "type": "array",
        "items": _image("What a person, a thing or a place looks like."),
        "maxItems": MAX_REFERENCE_IMAGES,
        "description": "Images of what people, things or places in the video look like.",
    },
}
_TWO_CALLS: Final = (
    "Show it to the user and ask. Only after a clear yes, call it again with exactly the same arguments and `offer` "
    "set to the id of the offer, within ten minutes. Never accept an offer on the user's behalf."
)


class Offer(Response):
    """What is proposed to the user. Nothing has happened yet; a second call with its id accepts it."""

    id: str
    object: Literal["offer"] = "offer"
    tool: Annotated[str, Field(description="The tool to call again.")]
    question: Annotated[str, Field(description="What to ask the user.")]
    request: Annotated[Json, Field(description="What would be done, with every default filled in.")]
    cost: Annotated[int, Field(description="Cost in credits.")]
    expected_seconds: Annotated[float | None, Field(description="How long it typically takes.")]
    expires_at: Annotated[int, Field(description="When the offer expires, in Unix seconds.")]
    estimate: Annotated[Estimate | None, Field(description="Of create_video.")]
    cancellation: Annotated[Cancellation | None, Field(description="For cancel_video: the refund, and why.")]


class Declined(Response):
    """The user was asked and didn't confirm. Nothing happened."""

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
    """One tool. Its parameters are the `fields` of `model`, and `more`, which only assistants have.

    `results`: the models a result can have. `reads`: it changes nothing. `destroys`: its effect can't be undone.
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
        """The parameters as JSON Schema. Optional ones are omitted, never null."""
        properties = {name: _described(name, self._properties()[name]) for name in self.fields}
        return {
            "type": "object",
            "properties": properties | {name: dict(schema) for name, schema in self.more.items()},
            "required": list(self.required),
            "additionalProperties": False,
        }

    def output_schema(self) -> Json:
        """A successful result as JSON Schema: an object, as MCP requires.

        Additional fields are allowed, so that an older CLI works with a newer server.
        """
        references, schemas = models_json_schema([(model, "serialization") for model in self.results])
        definitions = schemas["$defs"]
        shapes = [references[model, "serialization"] for model in self.results]
        # Some clients expect `properties` at the root.
        chosen = definitions.pop(self.results[0].__name__) if len(shapes) == 1 else {"anyOf": shapes}
        schema: Json = _open({"type": "object", **chosen, "$defs": definitions})
        return schema

    def declaration(self) -> Json:
        """The tool as a Gemini function declaration."""
        properties = {name: _gemini(schema) for name, schema in self.schema()["properties"].items()}
        parameters = {"type": "OBJECT", "properties": properties, "required": list(self.required)}
        return {"name": self.name, "description": self.description, "parameters": parameters}

    def document(self) -> Json:
        """The tool in the format of the Model Context Protocol."""
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
        "Estimates a video's cost in credits and how long it typically takes, and whether it would be accepted now. "
        "Free, and nothing happens. Use it when the user asks what something would cost.",
        (Estimate,),
        CreateVideo,
        _REQUEST,
        _IMAGES,
        required=("prompt",),
        reads=True,
    ),
    Tool(
        "create_video",
        "Create a video",
        "Creates a video from a prompt, and from images if the user has some. It costs the user's credits, so it takes "
        "two calls. The first one, without `offer`, creates nothing and returns an offer with the cost and the typical "
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
        "Check a video's status",
        "Returns a video's status. When it's completed, the result has a link to show the user, which works for some "
        "minutes, and its poster frame; if it failed, the reason, what to do, and the refunded credits.",
        (LinkedVideo,),
        more={
            "video": _VIDEO,
            "wait_seconds": {
                "type": "integer",
                "minimum": 0,
                "maximum": MAX_WAIT_S,
                "description": "Wait up to this long for it to finish, instead of polling.",
            },
        },
        required=("video",),
        reads=True,
    ),
    Tool(
        "list_videos",
        "List videos",
        "Lists the user's videos with status, prompt and id, a page at a time.",
        (VideoPage,),
        ListVideosQuery,
        ("status", "model", "project", "created_after", "created_before", "order", "limit", "after"),
        reads=True,
    ),
    Tool(
        "cancel_video",
        "Cancel a video",
        "Cancels an unfinished video, if the user asks for that. It takes two calls. The first one, without "
        "`offer`, cancels nothing and returns an offer with the refund, which is often zero once "
        f"generation has started. {_TWO_CALLS}",
        (Offer, Declined, Canceled),
        more={"video": _VIDEO, "offer": _OFFER},
        required=("video",),
        destroys=True,
    ),
    Tool(
        "delete_video",
        "Delete a video",
        "Permanently deletes a finished video and its files, if the user asks for that. No credits are refunded. "
        f"It takes two calls. The first one, without `offer`, deletes nothing and returns an offer. {_TWO_CALLS}",
        (Offer, Declined, DeletedVideo),
        more={"video": _VIDEO, "offer": _OFFER},
        required=("video",),
        destroys=True,
    ),
    Tool(
        "get_account",
        "Get the account",
        "Returns the user's balance in credits, email address, plan, and how many videos can be generated at once.",
        (AccountView,),
        reads=True,
    ),
    Tool(
        "list_transactions",
        "List credits",
        "Lists the user's credit transactions, newest first, a page at a time.",
        (TransactionPage,),
        ListTransactionsQuery,
        ("limit", "after"),
        reads=True,
    ),
)


class FunctionDeclaration(Response):
    """One tool, as Gemini's generateContent expects it."""

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
    """All tools, in the format of the Model Context Protocol."""
    return [tool.document() for tool in TOOLS]


def rendered() -> str:
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def _resolved(schema: Json, definitions: Json) -> Json:
    """Resolve references and remove null from the schema."""
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
    """The schema with additional fields allowed, and without the titles that pydantic derives from names."""
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
        "List the tools for assistants as Gemini function declarations",
        response=AgentTools,
    ),
)


if __name__ == "__main__":
    print(rendered(), end="")
