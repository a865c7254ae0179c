"""Lists that clients page through: newest first, each page behind the last item of the page before."""

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
    """The owner's documents behind the one whose id is `after`, and one more than `limit` if there is a next page.

    `owner` has the fields that say whose they are, such as tenant and account. A cursor of somebody else's, or one that
    no longer exists, ends the list.
    """
    last = None
    if after is not None:
        last = await services.firestore.get(kind, after)
        if last is None or any(getattr(last, name) != value for name, value in owner.items()):
            return []
    return await services.firestore.newest(kind, {**owner, **(filters or {})}, last, limit + 1)
