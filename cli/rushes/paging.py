"""Lists of any length, a page at a time."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from rushes.api import Api
from rushes.failure import Json

MAX_PAGE: Final = 100

Limit = Annotated[int, typer.Option(min=1, max=100_000, help="Maximum number of items.")]
After = Annotated[
    str | None, typer.Option(metavar="ID", help="Start after this id (the last one of the previous page).")
]


def collect(api: Api, path: str, limit: int, after: str | None = None, **query: Any) -> Json:
    """The first `limit` things of a list, as one page of it. Raises Failure."""
    found: list[Json] = []
    more = True
    while more and len(found) < limit:
        page = api.get(path, limit=min(limit - len(found), MAX_PAGE), after=after, **query)
        found += page["data"]
        more, after = page["has_more"], page["last_id"]
    first, last = (found[0]["id"], found[-1]["id"]) if found else (None, None)
    return {"object": "list", "data": found, "first_id": first, "last_id": last, "has_more": more}
