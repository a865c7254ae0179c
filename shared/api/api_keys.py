"""The bodies of requests and responses about API keys."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from shared.api.bodies import Body, Response, UnixSeconds
from shared.core.documents import ONE_LINE

Scope = TypeAliasType("Scope", Literal["read", "write"])


class NewApiKey(Body):
    """POST /v1/api-keys."""

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=ONE_LINE, description="What the key is for.")]
    scope: Annotated[Scope, Field(description="`read` only allows GET and HEAD.")]
    expires_in_days: Annotated[int | None, Field(ge=1, le=3_650, description="Omitted: it doesn't expire.")] = None


class ApiKeyView(Response):
    """An API key without its secret. `prefix` is its beginning."""

    id: str
    object: Literal["api_key"] = "api_key"
    name: str
    scope: Scope
    prefix: str
    created_at: UnixSeconds
    expires_at: UnixSeconds | None
    last_used_at: Annotated[UnixSeconds | None, Field(description="Updated at most once a day.")]


class MadeApiKey(ApiKeyView):
    """A new key: only this response contains it."""

    key: str


class ApiKeyList(Response):
    object: Literal["list"] = "list"
    data: list[ApiKeyView]


class RevokedApiKey(Response):
    id: str
    object: Literal["api_key.revoked"] = "api_key.revoked"
    revoked: Literal[True] = True
