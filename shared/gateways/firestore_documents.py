"""Between models and stored documents: the same for Firestore and for memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from shared.core.documents import Document
from shared.platform import log

MAX_LOGGED = 10
D = TypeVar("D", bound=Document)


def decode(kind: type[D], id_: str, fields: Mapping[str, Any], revision: Any) -> D:
    """The model of a stored document; raises ValidationError when somebody spoiled it in the console."""
    absent = dict.fromkeys(kind.absent_when_none)
    return kind.model_validate({**absent, **fields, "id": id_, "revision": revision})


def readable(kind: type[D], id_: str, fields: Mapping[str, Any], revision: Any) -> D | None:
    """One document of a list; None, with an error log, for a spoiled one: it must not take the others with it."""
    try:
        return decode(kind, id_, fields, revision)
    except ValidationError as error:
        # Without the values, which may be a user's.
        wrong = [
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors(include_url=False, include_context=False, include_input=False)[:MAX_LOGGED]
        ]
        log.error("document_not_valid", collection=kind.collection, id=id_, error="; ".join(wrong))
        return None
