"""Lists that clients page through: newest first, each page after the last item of the previous one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from shared.core.documents import Document
from shared.platform.ports import Services

D = TypeVar("D", bound=Document)


async def newest(
    services: Services,
    kind: type[D],
    owner: Mapping[str, str],
    after: str | None,
    limit: int,
    filters: Mapping[str, Any] | None = None,
) -> list[D]:
    """The owner's documents after the one with id `after`: up to `limit`, and one more if there is a next page.

    `owner` has the fields that identify the owner, such as tenant and account. If `after` belongs to somebody else or
    no longer exists, the list is empty.
    """
    last = None
    if after is not None:
        last = await services.firestore.get(kind, after)
        if last is None or any(getattr(last, name) != value for name, value in owner.items()):
            return []
    return await services.firestore.newest(kind, {**owner, **(filters or {})}, last, limit + 1)
