"""Base classes of request and response bodies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

MAX_IDEMPOTENCY_KEY_CHARS = 255
MAX_PAGE = 100


class Body(BaseModel):
    """A request's body. An unknown field is an error; numbers may come as strings, as multipart forms send them.

    A null field counts as omitted, for typed clients that send all fields, unless it is in `null_removes`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
    null_removes: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        absent = cls.model_fields.keys() - cls.null_removes
        return {name: value for name, value in given.items() if value is not None or name not in absent}


class NoQuery(Body):
    """The query of an operation that has no parameters."""


class PageQuery(Body):
    """The parameters of every list."""

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 20


class Response(BaseModel):
    """A response's body. Times are Unix seconds."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


def _unix_seconds(moment: Any) -> Any:
    return int(moment.timestamp()) if isinstance(moment, datetime) else moment


# A time in a response, made from a datetime: whole Unix seconds, like all times in the API.
UnixSeconds = Annotated[int, BeforeValidator(_unix_seconds)]


class Listed(Response):
    """A list item: `after` names the item after which the next page starts."""

    id: str


L = TypeVar("L", bound=Listed)


class Page(Response, Generic[L]):
    """A page of a list."""

    object: Literal["list"] = "list"
    data: list[L]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def of(cls, data: Sequence[L], has_more: bool) -> Self:
        return cls(
            data=list(data),
            first_id=data[0].id if data else None,
            last_id=data[-1].id if data else None,
            has_more=has_more,
        )
